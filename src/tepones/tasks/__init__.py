"""Tasks: labelled image data sets by name. A new task is one function and one line in `TASKS`."""

from functools import lru_cache

from tepones.registry import Registry
from tepones.tasks.base import Task

_GLYPHS = ("latin", "greek", "cyrillic", "operators", "arrows", "symbols")

TASKS = Registry(
    "task",
    {
        "digits": "tepones.tasks.digits:digits",
        **dict.fromkeys(_GLYPHS, "tepones.tasks.glyphs:glyphs"),
    },
)

__all__ = ["TASKS", "Task", "load"]


@lru_cache(maxsize=8)
def load(name: str, train_per_class: int, test_per_class: int, seed: int = 0) -> Task:
    """Load a task by name; the last eight stay in memory.

    Raises
    ------
    UsageError
        If no task has this name.
    """
    return TASKS.load(name)(name, train_per_class, test_per_class, seed)
