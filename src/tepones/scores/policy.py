"""The one policy for degenerate input, applied by every score.

* A feature is *active* if its standard deviation is above `DEAD` times its root mean square: two units in the
  last place of float32, so a constant that was computed in float32 is dead even where its mean is large.
  Dead features are dropped and counted before any score sees them.
* What a score is when no feature is active is written in its docstring: the value that constant features
  deserve. No score returns NaN.
* A score with more features than rows is computed and flagged (``n_le_d``), and the value on shuffled labels
  beside it shows what it is worth.
* Input on which no score is defined is refused with one line that names the row, column or class.
"""

from typing import Any

import numpy as np

from tepones.common.errors import UsageError

DEAD = 2 * float(np.finfo(np.float32).eps)

#: Elements of a block: 16 MiB in float64, so that memory does not grow with the number of rows.
BLOCK = 2**21


def rows_per_block(n_features: int) -> int:
    """Number of rows in a block of features, so that a block has about `BLOCK` elements; at least one."""
    return max(1, BLOCK // n_features)


def is_tensor(array: Any) -> bool:
    """Whether an object is a torch tensor; finding out does not import torch."""
    return type(array).__module__.partition(".")[0] == "torch"


def as_array(array: Any) -> np.ndarray:
    """A tensor or numpy array as it is (memory-mapped files stay on disk); of anything else a numpy array."""
    if is_tensor(array):
        array = array.detach().cpu()
        return (array.float() if array.is_floating_point() and array.itemsize < 4 else array).numpy()
    return array if isinstance(array, np.ndarray) else np.asarray(array)


def check_shape(features: Any) -> None:
    """Refuse what is not an N × D array of real numbers with N and D of at least one; raises UsageError."""
    if features.ndim != 2:
        raise UsageError(f"features have shape {tuple(features.shape)}; expected (rows, features)")
    if features.shape[0] == 0:
        raise UsageError("features have zero rows; expected at least one")
    if features.shape[1] == 0:
        raise UsageError("features have zero columns; expected at least one")
    if isinstance(features, np.ndarray) and features.dtype.kind not in "fiu":
        raise UsageError(f"features are of type {features.dtype}; expected real numbers")


def check_finite(block: Any, first_row: int = 0) -> None:
    """Refuse NaN, infinities and what is too large for float32, naming the first such row and column.

    `first_row` is the number of rows before this block, an ndarray or torch tensor of shape (rows, features).
    """
    limit = float(np.finfo(np.float32).max)
    # NaN makes both comparisons false; two reductions are cheaper than a mask of the block's size.
    if float(block.min()) >= -limit and float(block.max()) <= limit:
        return
    block = as_array(block)
    row, column = np.argwhere(~(np.abs(block) <= limit))[0]
    raise UsageError(
        f"features: row {first_row + row}, column {column} is {block[row, column]}; "
        "expected finite numbers within the range of float32"
    )


def encode(labels: Any, n_rows: int | None = None) -> tuple[np.ndarray, list]:
    """Labels as numbers 0..C−1.

    Parameters
    ----------
    labels : sequence of N hashable classes, numpy array or torch tensor
    n_rows : int, optional
        Number of rows that the labels must match.

    Returns
    -------
    codes : ndarray of int64, shape (N,)
    classes : list
        The class behind each code, as plain Python objects.

    Raises
    ------
    UsageError
        If their number is not `n_rows`, or one of them is NaN or unhashable.
    """
    if is_tensor(labels):
        labels = labels.detach().cpu().numpy()
    shape = labels.shape if isinstance(labels, np.ndarray) else (len(labels),)
    if len(shape) != 1 or (n_rows is not None and shape[0] != n_rows):
        expected = "(rows,)" if n_rows is None else f"({n_rows},), one label for each row of features"
        raise UsageError(f"labels have shape {tuple(shape)}; expected {expected}")
    if isinstance(labels, np.ndarray) and labels.dtype.kind in "iubSU":
        classes, codes = np.unique(labels, return_inverse=True)
        return codes.astype(np.int64), classes.tolist()
    codes_of: dict[Any, int] = {}
    codes = np.empty(shape[0], np.int64)
    for row, label in enumerate(labels.tolist() if isinstance(labels, np.ndarray) else labels):
        label = label.item() if isinstance(label, np.generic) or is_tensor(label) else label
        if label != label:
            raise UsageError(f"labels: row {row} is {label}; expected a class")
        try:
            codes[row] = codes_of.setdefault(label, len(codes_of))
        except TypeError:
            raise UsageError(f"labels: row {row} is a {type(label).__name__}; expected a hashable class") from None
    return codes, list(codes_of)


def check_classes(n_classes: int) -> None:
    """Refuse labels that hold fewer than two classes; raises UsageError."""
    if n_classes < 2:
        raise UsageError(f"labels hold {n_classes} class{'es' * (n_classes != 1)}; expected at least two")
