"""The command that prunes people's own backbones: prune."""

import warnings

import click

from tepones.cli import complete, text
from tepones.common.errors import UsageError, shown


@click.command()
@click.argument("backbone", shell_complete=complete.backbones)
@click.option("--data", required=True, metavar="FOLDER", help="Pictures of its source task, one folder per class.")
@click.option(
    "--criterion", default="magnitude", show_default=True, shell_complete=complete.criteria,
    help="What to remove; control has none.",
)  # fmt: skip
@click.option(
    "--schedule", default="iterative", show_default=True, shell_complete=complete.schedules, help="When to remove it."
)
@click.option("--sparsities", required=True, metavar="S,S...", help="Rising, in [0, 1): 0.5,0.9,0.99.")
@click.option("--epochs", type=click.FloatRange(min=0, min_open=True), help="Train after each pruning.")
@click.option("--learning-rate", type=click.FloatRange(min=0, min_open=True), help="Of that training; 0.01 by default.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Of that training; 128 by default.")
@click.option("--new-head", is_flag=True, help="First replace the last layer by a new one for the classes of FOLDER.")
@click.option("--early", metavar="BACKBONE", help="The backbone early in its training, for lottery and reinitialised.")
@click.option("--pixels", type=click.IntRange(1, 4096), help="Side of the backbone's input, in place of its own.")
@click.option("--download", is_flag=True, help="Fetch published weights where they are missing.")
@click.option("--output", required=True, type=click.Path(), metavar="LADDER", help="Folder to make.")
def prune(
    backbone: str,
    data: str,
    criterion: str,
    schedule: str,
    sparsities: str,
    epochs: float | None,
    learning_rate: float | None,
    batch_size: int | None,
    new_head: bool,
    early: str | None,
    pixels: int | None,
    download: bool,
    output: str,
) -> None:
    """Prune a backbone into a ladder, which `tepones rank --backbones LADDER` ranks.

    BACKBONE is a checkpoint, ARCHITECTURE=FILE, a rung of a ladder, or a classifier of torchvision or timm by its name,
    as for `tepones rank`. Without --epochs nothing is trained: gradual, acdc, rigl and str need it. The classes of
    FOLDER, sorted by name, are the outputs of the last layer in their order, unless --new-head gives it a layer for
    them, which is trained, with all of the backbone, before anything is pruned.
    """
    from tepones.backbones.training import Training
    from tepones.pruning import UNPRUNED
    from tepones.ranking import load, pictures, pruner

    if epochs is None and (learning_rate or batch_size):
        raise UsageError("--learning-rate and --batch-size are options of a training: give --epochs")
    training = Training(epochs, learning_rate or 0.01, batch_size or Training.batch_size) if epochs else None
    method = schedule if schedule in UNPRUNED else f"{criterion} {schedule}"
    for line in pictures.describe(pictures.list_pictures(data)):
        click.echo(line, err=True)
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: click.echo(shown(f"tepones: {message}"), err=True)
        try:
            encoder = load(backbone, download=download)
            prepared = encoder.preparation.at(pixels) if pixels else None
            table = pruner.prune(
                encoder, method, sparsities.split(","), data, output,
                training=training, prepared=prepared, new_head=new_head, early=early,
            )  # fmt: skip
        except KeyboardInterrupt:
            raise click.Abort("interrupted; no ladder was written") from None
    forms = {"sparsity": text.percent, "training_accuracy": text.percent}
    click.echo(text.table(table.drop(columns="file"), "table", forms))
    click.echo(shown(output))
