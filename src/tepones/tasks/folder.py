"""Any folder of pictures as a target: one sub-folder for each class, with or without a split into train and test."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tepones.common.errors import TeponesError, UsageError

#: Names of the sub-folder that holds the training images, where there is a split.
TRAIN = ("train", "training")
TEST = ("test", "testing", "val", "valid", "validation")


@dataclass(frozen=True)
class Folder:
    """The labelled pictures of a folder, which `decode` reads.

    Attributes
    ----------
    name : str
        Name of the folder.
    classes : tuple of str
        Names of the C class folders, sorted; a label is an index into it.
    files : tuple of Path
        Class by class, sorted within a class.
    labels : ndarray of int64, shape (N,)
    """

    name: str
    classes: tuple[str, ...]
    files: tuple[Path, ...]
    labels: np.ndarray


def open_folder(path: str | Path) -> Folder:
    """List the pictures of a folder.

    Parameters
    ----------
    path : str or Path
        Holds a sub-folder for each class, or the sub-folders ``train`` and ``test`` (or ``val``) that do; of a
        split, the training pictures are taken. Files that are no pictures by their suffix are passed over.

    Raises
    ------
    UsageError
        If there is no such folder, it holds fewer than two classes, or a class holds no picture; names it.
    """
    path = Path(path)
    if not path.is_dir():
        raise UsageError(f"{path}: no such folder; expected one with a sub-folder of pictures for each class")
    inside = _folders(path)
    lower = {folder.name.lower(): folder for folder in inside}
    if lower and lower.keys() <= {*TRAIN, *TEST} and lower.keys() & set(TRAIN):
        inside = _folders(next(lower[name] for name in TRAIN if name in lower))
    if len(inside) < 2:
        raise UsageError(f"{path}: {len(inside)} class folders; expected at least two, each with its pictures")
    suffixes = Image.registered_extensions()
    files: list[Path] = []
    labels: list[int] = []
    for label, folder in enumerate(inside):
        found = sorted(file for file in folder.rglob("*") if file.suffix.lower() in suffixes and file.is_file())
        if not found:
            raise UsageError(f"{folder}: class {folder.name!r} holds no picture; expected at least one")
        files += found
        labels += [label] * len(found)
    return Folder(path.resolve().name, tuple(folder.name for folder in inside), tuple(files), np.array(labels))


def decode(file: Path) -> np.ndarray:
    """One picture as a uint8 RGB array (H, W, 3); transparency is dropped, of an animation the first frame is taken.

    Raises
    ------
    TeponesError
        If it cannot be decoded; names the file.
    """
    try:
        with Image.open(file) as picture:
            return np.array(picture.convert("RGB"))
    except Exception as error:  # Pillow's plug-ins raise of every kind
        reason = "it is no picture" if isinstance(error, Image.UnidentifiedImageError) else " ".join(str(error).split())
        raise TeponesError(f"{file}: cannot be decoded ({reason}); expected a picture") from None


def _folders(path: Path) -> list[Path]:
    return sorted(folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith("."))
