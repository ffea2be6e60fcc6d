"""Tasks: labelled image data sets by name. A new task is one function and one line in `TASKS`."""

from functools import lru_cache

from tepones.common.errors import UsageError
from tepones.common.registry import Registry
from tepones.tasks.base import Task
from tepones.tasks.sources import SOURCES

_GLYPHS = ("latin", "greek", "cyrillic", "operators", "arrows", "symbols")

#: The tasks by name. Photographs must be on this machine already, since no task downloads anything.
TASKS = Registry(
    "task",
    {
        "digits": "tepones.tasks.digits:digits",
        **dict.fromkeys(_GLYPHS, "tepones.tasks.glyphs:glyphs"),
        **dict.fromkeys(SOURCES, "tepones.tasks.vision:vision"),
    },
)

__all__ = ["TASKS", "Task", "load"]


@lru_cache(maxsize=8)
def load(
    name: str,
    train_per_class: int,
    test_per_class: int | None = None,
    pixels: int = 32,
    classes: int | None = None,
    seed: int = 0,
) -> Task:
    """Load a task by name; the last eight stay in memory.

    Parameters
    ----------
    name : str
        Name in the registry.
    train_per_class : int
        Images to take of each class at most, chosen by the seed.
    test_per_class : int, optional
        The same for testing; by default every image that is not for training is a test image.
    pixels : int
        Side of the square images.
    classes : int, optional
        How many classes there must be: the official number if not given. Any other number is refused.
    seed : int
        Seed of what is rendered or chosen.

    Raises
    ------
    UsageError
        If no task has this name, a number is out of range, the data are not there, or the number of classes is
        another.
    TeponesError
        If the data are damaged; names the file.
    """
    numbers = {"train_per_class": train_per_class, "test_per_class": test_per_class, "pixels": pixels}
    if test_per_class is None:
        del numbers["test_per_class"]
    for number, value in numbers.items():
        if type(value) is not int or value < 1:
            raise UsageError(f"{name}: {number} must be a whole number of at least 1, not {value!r}")
    return TASKS.load(name)(name, train_per_class, test_per_class, pixels, classes, seed)
