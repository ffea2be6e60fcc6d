"""The command line. Exit status: 0 done, 1 a run failed, 2 wrong use, 130 interrupted."""

import os
import sys

import click

from tepones import __version__
from tepones.cli import complete, data, explain, ledger, prune, rank
from tepones.common.errors import TeponesError, UsageError, choose, one_line, shown

#: Commands that keep what they have computed when they are interrupted.
KEEP_RECORDS = ("run", "book", "publish")


class _Interrupted(Exception):
    """Somebody interrupted a command, whose name this holds."""


class _Group(click.Group):
    """A group that lists its commands where one is unknown, and knows which one was interrupted."""

    def invoke(self, context: click.Context):
        try:
            return super().invoke(context)
        except KeyboardInterrupt:
            raise _Interrupted(context.invoked_subcommand) from None

    def resolve_command(self, context: click.Context, args: list[str]):
        if args and not args[0].startswith("-"):
            choose("command", args[0], self.commands)
        return super().resolve_command(context, args)


class _Shard(click.ParamType):
    """A part of a whole, from `1/n` to `n/n`."""

    name = "PART/PARTS"

    def convert(self, value: str, parameter: click.Parameter | None, context: click.Context | None):
        part, _, parts = value.partition("/")
        if not (part.isdigit() and parts.isdigit() and 1 <= int(part) <= int(parts)):
            self.fail(f"{value!r}; expected PART/PARTS, from 1/16 to 16/16", parameter, context)
        return int(part), int(parts)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="tepones")
def commands() -> None:
    """Which pruned backbone transfers best? Scores, pruned ladders, and the study behind the book."""


profile_option = click.option(
    "--profile",
    default="embedded",
    show_default=True,
    shell_complete=complete.profiles,
    help="Scale of the study: a file of data/profiles; or second-order, a study without ladders.",
)
workers_option = click.option(
    "--workers", type=click.IntRange(min=1), help="Processes; as many as there are cores by default."
)


@commands.command()
@profile_option
@workers_option
@click.option("--shard", type=_Shard(), help="One of several parts of the study, each of whole dense backbones: 3/16.")
@click.option("--cell", help="Compute a single record anew: the start of a name in the column `cell` of the tables.")
def run(profile: str, workers: int | None, shard: tuple[int, int] | None, cell: str | None) -> None:
    """Compute the records of a profile that do not exist yet."""
    from tepones.companion.claims import reproduction
    from tepones.companion.study import plan, profiles, second_order

    if profile == second_order.NAME and cell:
        click.echo(reproduction.zero_shot_again(cell, workers).to_string(index=False))
        return
    if profile == second_order.NAME:
        _tell_changes(profile)
        n_computed = second_order.compute(workers, *(shard or (1, 1)))
        click.echo(f"study {profile}: {n_computed} records computed, the rest reused")
        return
    study = profiles.load(profile)
    if cell:
        click.echo(reproduction.again(study, cell, workers).to_string(index=False))
        return
    _tell_changes(profile)
    ladders = plan.shard(study, *shard) if shard else None
    n_computed = plan.compute(study, workers, ladders)
    click.echo(f"study {profile}: {n_computed} records computed, the rest reused")


def _tell_changes(profile: str) -> None:
    """Say which claims about a study are no longer those from before its records."""
    from tepones.companion.claims import preregistered

    for change in preregistered.changes(profile):
        click.echo(f"tepones: {change}", err=True)


@commands.command()
@click.argument("name")
@click.option("-p", "--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="May be repeated.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Executed notebook; in build/ by default.")
def notebook(name: str, parameters: tuple[str, ...], output: str | None) -> None:
    """Execute one chapter with parameters of your own."""
    from pathlib import Path

    from tepones.common import paths
    from tepones.companion import notebooks

    target = Path(output) if output else paths.build() / "notebooks" / f"{name}.ipynb"
    notebooks.execute(name, notebooks.parse_parameters(name, parameters), target)
    click.echo(str(target))


@commands.command()
@profile_option
@workers_option
def book(profile: str, workers: int | None) -> None:
    """Compute the study, execute the chapters on its records, build the site."""
    from tepones.companion import book

    click.echo(str(book.live_book(profile, workers)))


@commands.command()
@profile_option
def publish(profile: str) -> None:
    """Make this machine's records the published ones and execute the committed chapters from them."""
    from tepones.companion import book

    for path in book.publish(profile):
        click.echo(str(path))
    _tell_changes(profile)


@commands.command()
def chapters() -> None:
    """Execute the committed chapters again, from the published records."""
    from tepones.companion import book

    for path in book.execute_chapters():
        click.echo(str(path))


@commands.command()
@click.option("--profile", required=True, help="Profile whose records are there: methods for the committed zoo.")
def zoo(profile: str) -> None:
    """Write the ladders of a computed profile as the zoo: the first of each pruning method."""
    from tepones.companion.study import export, profiles

    for folder in export.export_profile(profiles.load(profile)):
        click.echo(str(folder))


@commands.command()
@click.argument("backbone")
def prunable(backbone: str) -> None:
    """Print what pruning can remove of a backbone, and what not.

    BACKBONE is a backbone of the study such as small-vit, or torchvision:NAME for one of torchvision's classifiers.
    """
    from tepones.backbones import BACKBONES
    from tepones.companion import prunable as listing

    click.echo("\n".join(listing.lines(BACKBONES.load(backbone)(1))))


for command in (rank.score, rank.rank, explain.explain, prune.prune, rank.bench, ledger.ledger, data.download):
    commands.add_command(command)


def main() -> None:
    """Run the command line; every foreseen failure is one line on standard error."""
    # Read as torch loads: threads that wait give their core away. On a busy machine spinning costs fiftyfold.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # The number of a closed stream goes to the file that is opened next, into which others then write.
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (it stays open)
    if sys.stdout is None:
        _fail("standard output is closed; open it, or send it to a file: > FILE", 1)
    try:
        commands.main(prog_name="tepones", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(2)
    except click.ClickException as error:
        _fail(error.format_message(), 2)
    except UsageError as error:
        _fail(str(error), 2)
    except (TeponesError, OSError) as error:
        _fail(str(error), 1)
    except ModuleNotFoundError as error:
        if error.name.partition(".")[0] == "tepones":
            raise
        _fail(f"{error.name} is not installed here: `pip install --editable '.[book]'` has what the book needs", 1)
    except _Interrupted as interrupted:
        kept = "; finished records are kept, run the command again to go on"
        _fail(f"interrupted{kept if str(interrupted) in KEEP_RECORDS else ''}", 130)
    except (KeyboardInterrupt, click.Abort) as error:
        _fail(str(error) or "interrupted", 130)


def _fail(message: str, status: int) -> None:
    click.echo(f"tepones: {shown(one_line(message))}", err=True)
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:
        # What cannot be written would be tried once more as Python ends, which then has an exit status of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)
