"""The commands for people's own features, backbones and pictures: score, rank, bench."""

import sys
from typing import TYPE_CHECKING

import click

from tepones.cli import complete, text
from tepones.common.errors import UsageError, shown

if TYPE_CHECKING:
    import pandas as pd

format_option = click.option(
    "--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True
)


#: Columns of a ranking that are shown if it is to be wide.
_WIDE = ("input", "features", "active", "nonzero_weights")


class _Amount(click.ParamType):
    """A whole number of at least one, with a prefix if wanted: 1500000, 1.5M, 1.5 MB, 2MiB."""

    name = "AMOUNT"

    def convert(self, value: str, parameter: click.Parameter | None, context: click.Context | None) -> int:
        from pydantic import ByteSize, TypeAdapter, ValidationError

        try:
            found = TypeAdapter(ByteSize).validate_python(value)
        except ValidationError:
            found = 0
        if found < 1:
            self.fail(f"{value!r}; expected a number of at least 1, such as 1500000, 1.5M or 2MiB", parameter, context)
        return int(found)


def scores_option(default: str):
    """Names of scores, separated by commas."""
    return click.option(
        "--scores", metavar="NAME,NAME", shell_complete=complete.scores,
        help=f"Scores, separated by commas; {default} by default.",
    )  # fmt: skip


@click.command()
@click.argument("features", type=click.Path())
@scores_option("all that the file allows")
@format_option
def score(features: str, scores: str | None, form: str) -> None:
    """Score the features of one backbone on one target.

    FEATURES is a .npz file with the arrays `features` (N × D), `labels` (N) and, for NCE and LEEP,
    `probabilities` (N × source classes). Nothing pickled in it is read. Where all scores are asked for, those that
    fail are told on standard error, and the exit status is 1.
    """
    from tepones import ranking
    from tepones import scores as registry

    arrays = ranking.read_features(features)
    table = registry.score(scores=_names(scores), **arrays)
    errors = table.pop("error")
    click.echo(text.table(table, form))
    for name, error in zip(table["score"], errors, strict=True):
        if error:
            click.echo(shown(f"score {name}: {error}"), err=True)
    if errors.any():
        sys.exit(1)


@click.command()
@click.option(
    "--task",
    required=True,
    metavar="NAME|FOLDER",
    shell_complete=complete.tasks,
    help="A task, or a folder with one folder per class.",
)
@click.option(
    "--backbones", "first", required=True, multiple=True, metavar="BACKBONE...", shell_complete=complete.backbones,
    help="One or more.",
)  # fmt: skip
@click.argument("more", nargs=-1, metavar="", shell_complete=complete.backbones)
@scores_option("lda_accuracy, logme, gaussian")
@click.option("--max-bytes", type=_Amount(), help="Leave out larger encoders (compressed file): 500kB, 20MB.")
@click.option("--max-flops", type=_Amount(), help="Leave out encoders that need more for one image: 600M, 4G.")
@click.option(
    "--download",
    is_flag=True,
    help="Fetch published weights of torchvision's and timm's classifiers where they are missing.",
)
@click.option("--untrained", is_flag=True, help="Rank such classifiers with initial weights, as a control.")
@click.option("--pixels", type=click.IntRange(1, 4096), help="Side of every backbone's input, in place of its own.")
@format_option
@click.option("--wide", is_flag=True, help="Show all columns, in lines as long as they need.")
@click.option("--chart", type=click.Path(dir_okay=False), metavar="FILE.html", help="Also write a chart.")
def rank(
    task: str,
    first: tuple[str, ...],
    more: tuple[str, ...],
    scores: str | None,
    max_bytes: int | None,
    max_flops: int | None,
    download: bool,
    untrained: bool,
    pixels: int | None,
    form: str,
    wide: bool,
    chart: str | None,
) -> None:
    """Rank backbones by how well they should transfer to a task or to a folder of images.

    A BACKBONE is a checkpoint (.safetensors, or a torch file that holds only tensors), ARCHITECTURE=FILE, an ONNX
    file or FILE.onnx:TENSOR, a folder of such files, a ladder of the zoo or LADDER/RUNG, or a classifier of torchvision
    or timm by its name (resnet18, timm:resnet18). The first score decides the order. The line under the table says
    whether to take the first backbone, or which cannot be told apart with these images; `tepones explain` explains the
    columns. Backbones that cannot be loaded are listed on standard error, and the exit status is 1. What was chosen,
    left out or assumed of the others is told there too, and of a folder of images the classes found, what was skipped
    and what is damaged.
    """
    from tepones import ranking
    from tepones.ranking.pictures import listed

    target = ranking.open_target(task)
    for line in target.about:
        click.echo(line, err=True)
    ranked = ranking.rank(
        target,
        [*first, *more],
        _names(scores) or ranking.DEFAULT_SCORES,
        max_bytes=max_bytes,
        max_flops=max_flops,
        download=download,
        untrained=untrained,
        pixels=pixels,
    )
    if form == "json":
        about = {"notes": ranked.notes, "deciding": ranked.deciding, "advice": list(ranked.advice)}
        click.echo(text.as_json({"ranking": ranked.table, "left_out": ranked.left_out} | about))
    elif form == "csv" and len(ranked.table):
        click.echo(text.table(ranked.table, form))
    elif len(ranked.table):
        # Who has named the scores wants to see them.
        others = set() if scores else {*ranking.DEFAULT_SCORES} - {ranked.deciding}
        click.echo(_for_people(ranked.table, set() if wide else {*_WIDE, *others}))
    for line in ranked.advice:
        if form != "json":
            click.echo(shown(line), err=form == "csv")
    if ranked.damaged:
        click.echo(f"{len(ranked.damaged):,} damaged left out: {listed(ranked.damaged)}", err=True)
    for backbone, notes in ranked.notes.groupby("backbone", sort=False)["note"]:
        click.echo(shown(f"{backbone}: {'; '.join(notes)}"), err=True)
    for backbone, reason in zip(ranked.left_out["backbone"], ranked.left_out["reason"], strict=True):
        click.echo(shown(f"left out: {backbone}: {reason}"), err=True)
    if chart and len(ranked.table):
        from tepones.ranking.chart import save_chart

        save_chart(ranked, chart)
    if ranked.left_out["failed"].any() or ranked.table.empty:
        sys.exit(1)


@click.command()
@click.argument("what", type=click.Choice(["scores", "pruning", "speed"]), default="scores")
@click.option(
    "--size", type=click.Choice(["small", "medium", "large"]),
    help="2,000 × 512, 10,000 × 512 (the default) or 50,000 × 2,048 features; the large one takes minutes.",
)  # fmt: skip
@scores_option("all")
@click.option("--deepsparse", metavar="PYTHON", help="A Python with DeepSparse, whose speed is measured too.")
@format_option
def bench(what: str, size: str | None, scores: str | None, deepsparse: str | None, form: str) -> None:
    """Time scores against one product XᵀX, pruning against its goals, or pruned against dense backbones."""
    if what != "scores" and (size or scores is not None):
        raise UsageError(f"--size and --scores are options of `bench scores`; `bench {what}` has neither")
    if what != "speed" and deepsparse:
        raise UsageError(f"--deepsparse is an option of `bench speed`; `bench {what}` has none")
    if what == "scores":
        from tepones.companion.bench import scores as benchmark

        table = benchmark.bench(size or "medium", _names(scores))
    elif what == "speed":
        from tepones.companion.bench import speed

        table = speed.bench(deepsparse)
    else:
        from tepones.companion.bench import pruning

        table = pruning.bench()
    click.echo(text.table(table, form))


def _names(text: str | None) -> list[str] | None:
    """Names separated by commas; None if none were given at all."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError(f"--scores {text!r} names no score; expected names separated by commas")
    return names


def _for_people(table: "pd.DataFrame", hidden: set[str]) -> str:
    """The table of a ranking but for some columns; the interval of a rank is one of them."""
    both = zip(table["rank_low"], table["rank_high"], strict=True)
    ranks = [f"{low}" if low == high else f"{low}–{high}" for low, high in both]
    table = table.drop(columns=[name for name in table if name in hidden or name == "rank_high"])
    formats = {
        "first": lambda share: f"{100 * share:.0f} %",
        "sparsity": text.percent,
        "bytes": text.amount("B"),
        "flops": text.amount(""),
    }
    return text.table(table.assign(rank_low=ranks).rename(columns={"rank_low": "ranks"}), "table", formats, not hidden)
