"""The commands for people's own features, backbones and pictures: score, rank, bench."""

import sys
from typing import TYPE_CHECKING

import click

from tepones.common.errors import UsageError, shown

if TYPE_CHECKING:
    import pandas as pd

format_option = click.option(
    "--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True
)


def scores_option(default: str):
    """Names of scores, separated by commas."""
    return click.option("--scores", metavar="NAME,NAME", help=f"Scores, separated by commas; {default} by default.")


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
    click.echo(_text(table, form))
    for name, error in zip(table["score"], errors, strict=True):
        if error:
            click.echo(shown(f"score {name}: {error}"), err=True)
    if errors.any():
        sys.exit(1)


@click.command()
@click.option("--task", required=True, metavar="NAME|FOLDER", help="A task, or a folder with one folder per class.")
@click.option("--backbones", "first", required=True, multiple=True, metavar="BACKBONE...", help="One or more.")
@click.argument("more", nargs=-1, metavar="")
@scores_option("lda_accuracy, logme, gaussian")
@click.option("--max-bytes", type=click.IntRange(min=1), help="Leave out larger encoders (compressed file).")
@click.option("--max-flops", type=click.IntRange(min=1), help="Leave out encoders that need more for one image.")
@click.option(
    "--download",
    is_flag=True,
    help="Fetch published weights of torchvision's and timm's classifiers where they are missing.",
)
@click.option("--untrained", is_flag=True, help="Rank such classifiers with initial weights, as a control.")
@click.option("--pixels", type=click.IntRange(1, 4096), help="Side of every backbone's input, in place of its own.")
@format_option
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
    chart: str | None,
) -> None:
    """Rank backbones by how well they should transfer to a task or to a folder of images.

    A BACKBONE is a checkpoint (.safetensors, or a torch file that holds only tensors), ARCHITECTURE=FILE, a
    folder of checkpoints, a ladder of the zoo or LADDER/RUNG, or a classifier of torchvision or timm by its name
    (resnet18, timm:resnet18). The first score decides the order. Backbones that cannot be loaded are listed on standard
    error, and the exit status is 1. Of a folder of images, the classes found, what was skipped and what is damaged are
    told there too.
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
        click.echo(_json({"ranking": ranked.table, "left_out": ranked.left_out}))
    elif len(ranked.table):
        click.echo(_text(ranked.table, form))
    if ranked.damaged:
        click.echo(f"{len(ranked.damaged):,} damaged left out: {listed(ranked.damaged)}", err=True)
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
    click.echo(_text(table, form))


def _names(text: str | None) -> list[str] | None:
    """Names separated by commas; None if none were given at all."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError(f"--scores {text!r} names no score; expected names separated by commas")
    return names


def _text(table: "pd.DataFrame", form: str) -> str:
    """A table as text, numbers with six significant digits."""
    if form == "json":
        return _json(table)
    shown = table.map(_rounded)
    if form == "csv":
        return shown.to_csv(index=False, lineterminator="\n").rstrip("\n")
    return shown.map(lambda value: "–" if value is None else str(value)).to_string(index=False)


def _json(content: object) -> str:
    import json

    def plain(value: object) -> object:
        if isinstance(value, dict):
            return {name: plain(part) for name, part in value.items()}
        return value.map(_rounded).to_dict("records")

    return json.dumps(plain(content), indent=1, ensure_ascii=False)


def _rounded(value: object) -> object:
    """A plain Python value; floats at six significant digits, NaN as None."""
    value = value.item() if hasattr(value, "item") else value
    if not isinstance(value, float):
        return value
    return None if value != value else float(f"{value:.6g}")
