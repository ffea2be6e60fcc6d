"""Class moments: all that the closed-form scores need to know of the features, from one pass over the rows."""

import json
from collections.abc import Hashable, Sequence
from os import PathLike
from typing import Any, Self

import numpy as np
from scipy.linalg.blas import dsymv, dsyr, dsyr2, dsyrk
from scipy.sparse import csr_array

from tepones.common.errors import UsageError
from tepones.scores import policy
from tepones.scores.summary import Summary

#: The statistics, as `save` stores them.
PER_CLASS = ("counts", "sums", "squares", "on")
LABEL_FREE = ("shift", "gram", "cubic", "quartic")


class ClassMoments:
    """Sufficient statistics of labelled features, accumulated block by block in float64.

    With y = x − `shift`, where the shift is the mean of the first block (against cancellation when means are
    large), it holds what `update` adds up:

    Attributes
    ----------
    n : int
        Rows so far.
    classes : list of hashable
        Classes in the order in which they came.
    shift : ndarray of float64, shape (D,)
    counts : ndarray of int64, shape (C,)
        Rows of each class.
    sums, squares : ndarray of float64, shape (C, D)
        Σ y and Σ y² of each class.
    on : ndarray of int64, shape (C, D)
        Rows of each class in which a feature is ON: x > 0.
    gram : ndarray of float64, shape (D, D)
        Lower triangle of Σ y yᵀ.
    cubic : ndarray of float64, shape (D,)
        Σ ‖y‖² y; with `quartic`, what Ledoit and Wolf's intensity needs about any mean.
    quartic : float
        Σ ‖y‖⁴.

    Notes
    -----
    Cost: N·D² for the Gram matrix, everything else O(N·D). Memory: 8·D² bytes, 24·C·D bytes and two blocks of
    16 MiB, whatever N is. Chan, Golub and LeVeque (1983) describe such updates and merges of centred moments.

    Examples
    --------
    >>> import numpy as np
    >>> moments = ClassMoments().update(np.array([[0.0, 1], [1, 0], [2, 2]]), ["cat", "dog", "cat"])
    >>> moments.n, moments.classes
    (3, ['cat', 'dog'])
    """

    def __init__(self):
        self.n = 0
        self.classes: list[Hashable] = []
        self.quartic = 0.0
        self._shares_gram = False
        self._summary: Summary | None = None

    @property
    def n_features(self) -> int:
        """D, or 0 before the first row."""
        return len(self.shift) if self.n else 0

    @property
    def summary(self) -> Summary:
        """The moments about the mean, of active features only; valid until the next update.

        Raises
        ------
        UsageError
            If there are fewer than two classes.
        """
        if self._summary is None:
            policy.check_classes(len(self.classes))
            self._summary = Summary(self)
        return self._summary

    def update(self, features: Any, labels: Any) -> Self:
        """Add rows, and return these moments.

        Parameters
        ----------
        features : ndarray (may be memory-mapped) or torch tensor (CPU or GPU), shape (rows, D)
            Any real type; float32 is read block by block and added up in float64. On a CUDA tensor the products
            are computed on its device.
        labels : sequence of hashable, shape (rows,)

        Raises
        ------
        UsageError
            On shapes that do not match, NaN, infinities; names the first bad row and column. The moments keep
            the blocks before it.
        """
        on_device = policy.is_tensor(features) and features.is_cuda
        features = features.detach() if on_device else policy.as_array(features)
        policy.check_shape(features)
        n_rows, n_features = features.shape
        if self.n and n_features != self.n_features:
            raise UsageError(f"features have {n_features} columns; expected {self.n_features}, as before")
        codes, classes = policy.encode(labels, n_rows)
        size = policy.rows_per_block(n_features)
        for start in range(0, n_rows, size):
            block = features[start : start + size]
            policy.check_finite(block, self.n)
            if not self.n:
                self._allocate(_mean(block))
            # Classes are entered with their first row, so that a refused block leaves no empty class behind.
            present, own = np.unique(codes[start : start + size], return_inverse=True)
            own = self._index([classes[code] for code in present])[own]
            self._own_gram()
            (_add_on_device if on_device else _add)(self, block, own)
            self.n += len(block)
            self._summary = None
        return self

    def merge(self, other: "ClassMoments") -> Self:
        """Absorb other moments, which stay as they are; any split of rows, in any order, gives the whole.

        Raises
        ------
        UsageError
            If the number of features differs.
        """
        if not other.n:
            return self
        if not self.n:
            self._allocate(other.shift)
        if other.n_features != len(self.shift):
            raise UsageError(f"moments of {other.n_features} features; expected {len(self.shift)}")
        index = self._index(other.classes)
        self._own_gram()
        moved = _about(other, self.shift)
        for name in PER_CLASS:
            getattr(self, name)[index] += moved[name]
        self.gram += moved["gram"]
        self.cubic += moved["cubic"]
        self.quartic += moved["quartic"]
        self.n += other.n
        self._summary = None
        return self

    def relabelled(self, features: Any, labels: Any) -> "ClassMoments":
        """Moments of the same rows, in any order, under other labels, without the Gram matrix being computed again.

        Cost: O(N·D).
        """
        features = policy.as_array(features)
        if features.shape != (self.n, self.n_features):
            raise UsageError(f"features have shape {features.shape}; expected {(self.n, self.n_features)}")
        new = ClassMoments()
        new._allocate(self.shift, self.gram)
        new.cubic, new.quartic = self.cubic.copy(), self.quartic
        codes, classes = policy.encode(labels, self.n)
        codes = new._index(classes)[codes]
        size = policy.rows_per_block(self.n_features)
        for start in range(0, self.n, size):
            block = features[start : start + size]
            rows = block - self.shift
            _add_by_class(new, block, rows, rows * rows, codes[start : start + size])
        new.n = self.n
        new._shares_gram = self._shares_gram = True
        new._summary = Summary(new, self.summary.spread)
        return new

    def encode(self, labels: Any) -> np.ndarray:
        """Turn labels into row numbers of the per-class tables, (N,) int64.

        Raises
        ------
        UsageError
            If a class is not one of these moments'.
        """
        codes, classes = policy.encode(labels, self.n)
        row_of = {label: row for row, label in enumerate(self.classes)}
        for label in classes:
            if label not in row_of:
                raise UsageError(f"class {label!r} is not among the moments' classes")
        return np.array([row_of[label] for label in classes], np.int64)[codes]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_summary": None}

    def save(self, path: str | PathLike) -> None:
        """Write a `.npz` file that holds no pickle.

        Raises
        ------
        UsageError
            If a class is not a str, int, float, bool or None.
        """
        for label in self.classes:
            if not isinstance(label, str | int | float | None):
                raise UsageError(f"class {label!r} cannot be saved; expected str, int, float, bool or None")
        arrays = {name: getattr(self, name) for name in PER_CLASS + LABEL_FREE} if self.n else {}
        with open(path, "wb") as file:
            np.savez(file, classes=np.array(json.dumps(self.classes)), **arrays)

    @classmethod
    def load(cls, path: str | PathLike) -> "ClassMoments":
        """Read what `save` wrote; nothing in the file is executed.

        Raises
        ------
        UsageError
            If the file is damaged or holds something else.
        """
        moments = cls()
        try:
            with np.load(path, allow_pickle=False) as stored:
                classes = json.loads(str(stored["classes"]))
                if classes:
                    moments._allocate(stored["shift"])
                    moments._index(classes)
                    for name in PER_CLASS + LABEL_FREE:
                        empty = np.asarray(getattr(moments, name))
                        if stored[name].shape != empty.shape:
                            raise ValueError(f"{name} has shape {stored[name].shape}")
                        setattr(moments, name, stored[name].astype(empty.dtype))
                    moments.gram = np.asfortranarray(moments.gram)
                    moments.quartic = float(moments.quartic)
                    moments.n = int(moments.counts.sum())
        except FileNotFoundError:
            raise
        except Exception as error:
            raise UsageError(f"{path}: no class moments ({error}); expected a file of ClassMoments.save") from None
        return moments

    def _allocate(self, shift: np.ndarray, gram: np.ndarray | None = None) -> None:
        n_features = len(shift)
        self.shift = shift
        # Column-major, as BLAS wants it: a row-major one would be copied at every block.
        self.gram = np.zeros((n_features, n_features), order="F") if gram is None else gram
        self.cubic = np.zeros(n_features)
        self.counts = np.zeros(0, np.int64)
        self.sums, self.squares = np.zeros((2, 0, n_features))
        self.on = np.zeros((0, n_features), np.int64)

    def _index(self, classes: Sequence[Hashable]) -> np.ndarray:
        """Rows of classes in the per-class tables, which grow by those that are new."""
        known = {label: row for row, label in enumerate(self.classes)}
        index = np.array([known.setdefault(label, len(known)) for label in classes], np.int64)
        missing = len(known) - len(self.classes)
        for name in PER_CLASS if missing else ():
            table = getattr(self, name)
            empty = np.zeros((missing, *table.shape[1:]), table.dtype)
            setattr(self, name, np.concatenate([table, empty]))
        self.classes = list(known)
        return index

    def _own_gram(self) -> None:
        if self._shares_gram:
            self.gram = self.gram.copy(order="F")
            self._shares_gram = False


def _mean(block: Any) -> np.ndarray:
    if policy.is_tensor(block):
        return block.double().mean(0).cpu().numpy()
    return block.mean(0, dtype=np.float64)


def _add(moments: ClassMoments, block: np.ndarray, codes: np.ndarray) -> None:
    """Add a block of rows on the CPU."""
    rows = block - moments.shift
    squared = rows * rows
    norms = squared.sum(1)
    moments.gram = dsyrk(1.0, rows.T, beta=1.0, c=moments.gram, lower=1, overwrite_c=1)
    moments.cubic += norms @ rows
    moments.quartic += float(norms @ norms)
    _add_by_class(moments, block, rows, squared, codes)


def _add_by_class(
    moments: ClassMoments, block: np.ndarray, rows: np.ndarray, squared: np.ndarray, codes: np.ndarray
) -> None:
    n_rows, n_classes = len(rows), len(moments.classes)
    indicator = csr_array((np.ones(n_rows), (codes, np.arange(n_rows))), shape=(n_classes, n_rows))
    moments.counts += np.bincount(codes, minlength=n_classes)
    moments.sums += indicator @ rows
    moments.squares += indicator @ squared
    # float32 counts the ON rows of a block exactly: a block has far fewer than 2^24 rows.
    moments.on += (indicator.astype(np.float32) @ (block > 0).astype(np.float32)).astype(np.int64)


def _add_on_device(moments: ClassMoments, block: Any, codes: np.ndarray) -> None:
    """Add a block of rows that is a torch tensor, where it lies."""
    import torch

    n_classes = len(moments.classes)
    rows = block.double() - torch.as_tensor(moments.shift, device=block.device)
    squared = rows * rows
    norms = squared.sum(1)
    index = torch.as_tensor(codes, device=block.device)

    def by_class(table: Any) -> np.ndarray:
        total = torch.zeros((n_classes, table.shape[1]), dtype=table.dtype, device=table.device)
        return total.index_add_(0, index, table).cpu().numpy()

    moments.gram += (rows.T @ rows).cpu().numpy()
    moments.cubic += (norms @ rows).cpu().numpy()
    moments.quartic += float(norms @ norms)
    moments.counts += np.bincount(codes, minlength=n_classes)
    moments.sums += by_class(rows)
    moments.squares += by_class(squared)
    moments.on += by_class((block > 0).long())


def _about(moments: ClassMoments, shift: np.ndarray) -> dict[str, Any]:
    """Return the statistics of `moments` about another shift: y becomes y − t, multiplied out."""
    t = shift - moments.shift
    n, sums, total = float(moments.n), moments.sums, moments.sums.sum(0)
    counts, trace, t2, t_total = moments.counts[:, None], np.trace(moments.gram), t @ t, t @ total
    gram_t = dsymv(1.0, moments.gram, t, lower=1)
    gram = dsyr2(-1.0, t, total, lower=1, a=moments.gram)
    gram = dsyr(n, t, lower=1, a=gram, overwrite_a=1)
    return {
        "counts": moments.counts,
        "on": moments.on,
        "sums": sums - counts * t,
        "squares": moments.squares - 2 * t * sums + counts * t**2,
        "gram": gram,
        "cubic": moments.cubic - 2 * gram_t + t2 * total - t * (trace - 2 * t_total + n * t2),
        "quartic": moments.quartic
        - 4 * t @ moments.cubic
        + 4 * t @ gram_t
        + 2 * t2 * trace
        - 4 * t2 * t_total
        + n * t2**2,
    }
