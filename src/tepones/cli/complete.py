"""What a shell offers to complete on the command line; nothing here imports torch."""

from collections.abc import Iterable

import click
from click.shell_completion import CompletionItem


def scores(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names of scores, separated by commas."""
    from tepones.scores import SCORES

    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in _beginning(SCORES, last)]


def tasks(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of tasks, and folders."""
    from tepones.tasks import TASKS

    return [*map(CompletionItem, _beginning(TASKS, incomplete)), CompletionItem(incomplete, type="dir")]


def backbones(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Ladders of the zoo, and files."""
    from tepones.common import paths
    from tepones.common.errors import TeponesError

    try:
        ladders = sorted(place.parent.name for place in (paths.data() / "zoo").glob("*/manifest.json"))
    except TeponesError:
        ladders = []
    return [*map(CompletionItem, _beginning(ladders, incomplete)), CompletionItem(incomplete, type="file")]


def criteria(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """What pruning can remove."""
    from tepones.pruning import CRITERIA

    return _beginning(CRITERIA, incomplete)


def schedules(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """When pruning can remove it."""
    from tepones.pruning import SCHEDULES

    return _beginning(SCHEDULES, incomplete)


def profiles(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Profiles of the study."""
    from tepones.common import paths
    from tepones.common.errors import TeponesError

    try:
        names = sorted(file.stem for file in (paths.data() / "profiles").glob("*.yaml"))
    except TeponesError:
        names = []
    return _beginning([*names, "second-order"], incomplete)


def words(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Words that `tepones explain` knows."""
    from tepones.cli.explain import WORDS
    from tepones.scores import SCORES

    return _beginning([*WORDS, *SCORES], incomplete)


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
