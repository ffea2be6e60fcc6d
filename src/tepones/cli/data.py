"""The command that fetches data sets: download."""

import click

from tepones.common import paths
from tepones.common.errors import choose


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
def download(names: tuple[str, ...]) -> None:
    """Download data sets for the tasks; without a NAME, list them.

    They go below the folder that the environment variable TEPONES_DATA names, else into the user's cache folder.
    Nothing else downloads them.
    """
    from tepones.tasks import sources

    for name in names:
        choose("data set", name, sources.SOURCES)
    for name in names:
        place = sources.locate(name)
        click.echo(f"{name}: {f'already in {place}' if place else f'downloaded to {sources.download(name)}'}")
    if not names:
        click.echo(f"root folder: {paths.datasets()}")
        for name, source in sources.SOURCES.items():
            place = sources.locate(name)
            state = "present" if place else "by hand" if source.by_hand else "to download"
            folder = (place or sources.places(name)[0]).relative_to(paths.datasets())
            click.echo(f"{name:20}{source.n_classes:5} classes  {state:13}{folder}")
