"""Features, labels and probabilities as people give them, made into sound arrays or refused in one line."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tepones.common.errors import UsageError, one_line
from tepones.scores import policy


class Inputs(NamedTuple):
    """What scores are computed from.

    Attributes
    ----------
    features : ndarray or CUDA tensor, shape (N, D)
        Finite real numbers; a memory-mapped array stays on disk.
    codes : ndarray of int64, shape (N,)
        Class of each row, 0..C−1.
    n_classes : int
        C, at least two.
    probabilities : ndarray, shape (N, C_s), or None
        Real numbers.
    """

    features: Any
    codes: np.ndarray
    n_classes: int
    probabilities: np.ndarray | None


def sound(features: Any, labels: Any, probabilities: Any = None) -> Inputs:
    """The arguments of `tepones.scores.score`, checked.

    Raises
    ------
    UsageError
        On shapes that do not match, what are no real numbers, masked arrays, NaN and infinities among the features,
        labels that are missing or not hashable, fewer than two classes; one line that names the argument, row, column
        or class. Whether probabilities are some is for the scores that use them to say.
    """
    if isinstance(features, tuple) and all(getattr(part, "ndim", None) == 2 for part in features):
        raise UsageError(
            f"features are a tuple of {len(features)} arrays, as encoders return them; expected the first of them, "
            "and the second as probabilities: score(outputs[0], labels, probabilities=outputs[1])"
        )
    if not (policy.is_tensor(features) and features.is_cuda):
        features = _array("features", features)
    policy.check_shape(features)
    size = policy.rows_per_block(features.shape[1])
    for start in range(0, len(features), size):
        policy.check_finite(features[start : start + size], start)
    codes, classes = _encoded(labels, len(features))
    policy.check_classes(len(classes))
    if probabilities is not None:
        probabilities = _array("probabilities", probabilities)
        if probabilities.ndim != 2 or not probabilities.size:
            raise UsageError(f"probabilities have shape {probabilities.shape}; expected (rows, source classes)")
        if probabilities.dtype.kind not in "fiub":
            raise UsageError(f"probabilities are of type {probabilities.dtype}; expected real numbers")
        if len(probabilities) != len(codes):
            raise UsageError(f"probabilities have {len(probabilities)} rows; expected {len(codes)}, as the features")
    return Inputs(features, codes, len(classes), probabilities)


def _array(name: str, given: Any) -> np.ndarray:
    """A plain array; half precision, which cannot hold the limits that it is compared with, becomes float32."""
    _refuse_masked(name, given)
    try:
        array = np.asarray(policy.as_array(given))
    except Exception as error:  # sparse and other tensors without values, lists of rows of different lengths
        raise UsageError(f"{name} are no array ({one_line(error)}); expected real numbers, (rows, columns)") from None
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _encoded(labels: Any, n_rows: int) -> tuple[np.ndarray, list]:
    _refuse_masked("labels", labels)
    try:
        return policy.encode(labels, n_rows)
    except UsageError:
        raise
    except (TypeError, ValueError, RuntimeError) as error:  # of what has no length, cannot be compared, or is an array
        missing = [row for row, label in enumerate(labels) if label is pd.NA] if hasattr(labels, "__iter__") else []
        what = f"row {missing[0]} is <NA>" if missing else one_line(error)
        raise UsageError(f"labels: {what}; expected {n_rows} hashable classes") from None


def _refuse_masked(name: str, given: Any) -> None:
    if isinstance(given, np.ma.MaskedArray):
        raise UsageError(f"{name} are a masked array; leave the masked rows out and give {name}.data")
