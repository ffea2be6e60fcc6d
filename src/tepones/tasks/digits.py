"""Real scans: the 1,797 handwritten digits that scikit-learn ships, 8×8 pixels enlarged to 32×32."""

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from tepones.tasks.base import Task, balanced_split
from tepones.tasks.glyphs import SIDE, check_made


def digits(
    name: str,
    train_per_class: int,
    test_per_class: int | None,
    pixels: int = SIDE,
    classes: int | None = None,
    seed: int = 0,
) -> Task:
    """Handwritten digits, split anew for each seed (the copy that scikit-learn ships has no official split).

    Parameters are those of `tepones.tasks.load`. A class has 174 to 183 images in all, and the test split is served
    first.

    Raises
    ------
    UsageError
        If `pixels` is not 32, or `classes` is given and not 10.
    """
    scans = load_digits()
    check_made(name, len(scans.target_names), pixels, classes)
    images = np.stack([_enlarge(scan) for scan in scans.images])
    train, test = balanced_split(scans.target, train_per_class, test_per_class, seed)
    labels = scans.target.astype(np.int64)
    names = tuple(str(label) for label in scans.target_names)
    return Task(name, names, images[train], labels[train], images[test], labels[test], np.arange(len(test)))


def _enlarge(scan: np.ndarray) -> np.ndarray:
    """Grey levels 0..16 of an 8×8 scan as a 32×32 RGB image."""
    page = Image.fromarray((scan * (255 / 16)).astype(np.uint8))
    page = page.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.repeat(np.asarray(page)[..., None], 3, axis=2)
