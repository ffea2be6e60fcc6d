"""The target of a ranking: a registered task, or a folder of pictures."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tepones import tasks
from tepones.common.errors import UsageError, shown
from tepones.ranking import pictures
from tepones.ranking.pictures import Damaged
from tepones.tasks.sources import SOURCES

#: Images of each class of a named task; of a folder all are taken.
PER_CLASS = 50

#: Side of a named task's photographs: what most ImageNet classifiers take; others resize them again.
PHOTOGRAPH = 224


@dataclass(frozen=True)
class Target:
    """Labelled pictures to rank on.

    Attributes
    ----------
    name : str
    labels : ndarray of int64, shape (N,)
    pictures : sequence of ndarray or Damaged
        N uint8 RGB arrays (H, W, 3), in the order of the labels; in the place of one that cannot be decoded, why.
        Several threads take from it at a time.
    classes : tuple of str
        What the labels of a folder stand for.
    about : tuple of str
        Lines that say what was found in a folder: the classes and their counts, and what was skipped.
    content : callable, optional
        Returns a hash of the pictures, by which what networks make of them is kept for the next ranking.
    """

    name: str
    labels: np.ndarray
    pictures: Sequence[np.ndarray | Damaged]
    classes: tuple[str, ...] = ()
    about: tuple[str, ...] = ()
    content: Callable[[], str] | None = None


def open_target(name: str | Path) -> Target:
    """Training images of a registered task, or the pictures of a folder.

    Raises
    ------
    UsageError
        If the name is neither a task nor a folder, or the folder is not one of classes.
    TeponesError
        If the folder cannot be listed.
    """
    if str(name) in tasks.TASKS:
        pixels = {"pixels": PHOTOGRAPH} if str(name) in SOURCES else {}
        task = tasks.load(str(name), PER_CLASS, 1, **pixels)
        images = task.train_images
        return Target(task.name, task.train_labels, images, content=lambda: hashlib.sha256(images).hexdigest())
    if not Path(name).is_dir():
        raise UsageError(f"{shown(name)}: no task and no folder; tasks are: {', '.join(sorted(tasks.TASKS))}")
    found = pictures.list_pictures(name)
    return Target(
        Path(name).resolve().name, found.labels, found, found.classes, pictures.describe(found), found.content
    )
