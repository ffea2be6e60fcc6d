"""Second passes: active features, centred, block by block, for scores that need the rows themselves."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from tepones.common.errors import UsageError
from tepones.scores import policy
from tepones.scores.moments import ClassMoments
from tepones.scores.summary import Spread, Summary


def prepare(features: Any, labels: Any, moments: ClassMoments | None) -> tuple[np.ndarray, np.ndarray, Summary]:
    """Features as an array, labels as rows of the summary's tables, and the summary itself.

    The moments are those of exactly these rows; they are computed if they are None.

    Raises
    ------
    UsageError
        If the input is refused by `ClassMoments.update`, or is not what the moments were computed from.
    """
    if moments is None:
        moments = ClassMoments().update(features, labels)
    features = policy.as_array(features)
    if features.shape != (moments.n, moments.n_features):
        raise UsageError(f"features have shape {features.shape}; expected {(moments.n, moments.n_features)}")
    return features, moments.encode(labels), moments.summary


def blocks(features: np.ndarray, spread: Spread, standardised: bool = False) -> Iterator[tuple[slice, np.ndarray]]:
    """The active features, block by block, with their mean taken off and, if wanted, divided by their deviation.

    Yields pairs: the slice of the rows, and a fresh array of float64, shape (rows, d), of these rows.
    """
    size = policy.rows_per_block(spread.n_features)
    for start in range(0, len(features), size):
        where = slice(start, start + size)
        yield where, centred(features[where], spread, standardised)


def centred(rows: np.ndarray, spread: Spread, standardised: bool = False) -> np.ndarray:
    """Active features of some rows, float64 of shape (rows, d), with the mean of all rows taken off."""
    rows = (rows if spread.n_active == spread.n_features else rows[:, spread.active]) - spread.mean
    if standardised:
        rows /= spread.scale
    return rows


def by_class(codes: np.ndarray) -> Iterator[np.ndarray]:
    """For each class the numbers of its rows, in rising order."""
    order = np.argsort(codes, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
