"""What a task is: labelled images, split into training and test images."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tepones.common.errors import UsageError


@dataclass(frozen=True)
class Task:
    """A labelled image classification data set.

    Attributes
    ----------
    name : str
        Name in the registry.
    classes : tuple of str
        Names of the C classes; a label is an index into it.
    train_images, test_images : ndarray of uint8, shape (N, H, W, 3)
        RGB images. There may be no test images (N = 0): such a task serves calibration only.
    train_labels, test_labels : ndarray of int64, shape (N,)
        Labels in [0, C).
    test_groups : ndarray of int64, shape (N,)
        Test images of one group are no independent draws: frames of one track of GTSRB. Elsewhere each image is a group
        of its own.
    """

    name: str
    classes: tuple[str, ...]
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    test_groups: np.ndarray


def check_classes(name: str, where: object, found: int, expected: int) -> None:
    """Raise UsageError if the number of classes that a task has, found in a folder, say, is not the expected one."""
    if found != expected:
        raise UsageError(f"{name}: {found} classes found in {where}, {expected} expected")


def balanced_split(
    labels: np.ndarray, train_per_class: int, test_per_class: int | None, seed: int | Iterable[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the rows of a training and a test split, as many of every class, drawn at random by the seed.

    A class with too few rows gives its test rows first and what is left to training. With None for testing, all rows
    that are not for training are test rows.
    """
    generator = np.random.default_rng(seed)
    train, test = [], []
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        n_test = max(0, len(rows) - train_per_class) if test_per_class is None else test_per_class
        test.append(rows[:n_test])
        train.append(rows[n_test : n_test + train_per_class])
    return np.concatenate(train), np.concatenate(test)
