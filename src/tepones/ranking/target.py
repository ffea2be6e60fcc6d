"""The target of a ranking: a registered task, or a folder of pictures."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from tepones import tasks
from tepones.common.errors import UsageError
from tepones.tasks import folder
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
    pictures : iterable of ndarray
        N uint8 RGB arrays (H, W, 3).
    """

    name: str
    labels: np.ndarray
    pictures: Iterable[np.ndarray]


def open_target(name: str | Path) -> Target:
    """Training images of a registered task, or the pictures of a folder.

    Raises
    ------
    UsageError
        If the name is neither a task nor a folder, or the folder is not one of classes.
    """
    if str(name) in tasks.TASKS:
        pixels = {"pixels": PHOTOGRAPH} if str(name) in SOURCES else {}
        task = tasks.load(str(name), PER_CLASS, 1, **pixels)
        return Target(task.name, task.train_labels, task.train_images)
    if not Path(name).is_dir():
        raise UsageError(f"{name}: no task and no folder; tasks are: {', '.join(sorted(tasks.TASKS))}")
    found = folder.open_folder(name)
    return Target(found.name, found.labels, map(upright, found.files))


def upright(file: Path) -> np.ndarray:
    """One picture as `tepones.tasks.folder.decode` gives it, turned as its EXIF orientation says.

    Not done in `decode` itself: the photographs of the study were decoded as they are stored, and its records say so.
    """
    picture = folder.decode(file)
    with Image.open(file) as header:  # no pixel is read again
        # Pillow turns TIFF itself.
        orientation = 1 if header.format == "TIFF" else header.getexif().get(ExifTags.Base.Orientation, 1)
    if orientation == 1:
        return picture
    page = Image.fromarray(picture)
    page.getexif()[ExifTags.Base.Orientation] = orientation
    return np.asarray(ImageOps.exif_transpose(page))
