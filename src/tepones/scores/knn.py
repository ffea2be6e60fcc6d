"""Nearest neighbour: the simplest baseline."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tepones.scores.base import Behaviour, Score
from tepones.scores.moments import ClassMoments
from tepones.scores.rows import blocks, centred, prepare
from tepones.scores.summary import Spread

ROWS = 512
#: Neighbours whose squared distances differ by less than this fraction of the squared norms are tied.
TIE = 1e-12
#: Up to so many rows, or so many for each feature, all distances cost less than finding out which are needed.
FEW, FEW_PER_FEATURE = 8192, 4
#: Distances are bounded from a 32nd of the principal components, what is left from a quarter, and then from all.
PARTS = (32, 4, 1)
#: One distance of two rows costs so much more where they are picked than in a product of blocks.
PICKED = 32
#: Rows whose distances from what is left over are computed together.
TOGETHER = 64
EPS, TINY = float(np.finfo(np.float32).eps), float(np.finfo(np.float32).tiny)

Found = Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]


def knn(features: Any, labels: Any, moments: ClassMoments | None = None) -> float:
    """Leave-one-out accuracy of the nearest neighbour in Euclidean distance.

    k = 1 as in Bolya et al. (2021), arXiv 2111.06977. Among neighbours at the same distance each counts alike. The
    search is exact: where there are many rows, a distance is computed unless a lower bound shows it not to be the
    smallest.

    Returns
    -------
    float
        In [0, 1]. If no feature is active, chance: Σ_c n_c (n_c − 1)/(N (N − 1)). Cost after the pass: N²·d
        multiplications up to 8192 or 4·d rows. Beyond, one eigendecomposition O(d³), shared, and in float32 N²·d/32 at
        best, N²·d where no few components tell the rows apart. Memory: the active features in float64, or at most
        5.2 bytes for each where there are many rows, and 4 · 512 · N.
    """
    features, codes, summary = prepare(features, labels, moments)
    if not summary.n_active:
        return float(summary.counts @ (summary.counts - 1) / (summary.n * (summary.n - 1)))
    few = summary.n <= max(FEW, FEW_PER_FEATURE * summary.n_active)
    search = (_Everything if few else _Bounded)(features, summary.spread)
    right = 0.0
    for start in range(0, summary.n, ROWS):
        shares = []
        for rows, others, distances in search.near(np.arange(start, min(start + ROWS, summary.n))):
            distances[rows[:, None] == others] = np.inf
            limit = distances.min(1) + TIE * search.norms[rows]
            tied = distances <= limit[:, None]
            shares.append((tied & (codes[others] == codes[rows, None])).sum(1) / tied.sum(1))
        right += np.concatenate(shares).sum()
    return float(right / summary.n)


class _Everything:
    """All distances."""

    def __init__(self, features: np.ndarray, spread: Spread):
        self.rows = centred(features, spread)
        self.norms = np.einsum("nd,nd->n", self.rows, self.rows)

    def near(self, rows: np.ndarray) -> Found:
        """Yield rows, others with the nearest of each among them, and squared distances less the rows' own norms."""
        yield rows, np.arange(len(self.rows)), self.norms - 2 * self.rows[rows] @ self.rows.T


class _Bounded:
    """Distances of the rows of a block from those others that may be nearest to one of them."""

    def __init__(self, features: np.ndarray, spread: Spread):
        self.features, self.spread = features, spread
        self.norms = np.empty(len(features))
        self.lower = np.empty((ROWS, len(features)), np.float32)
        self.many = len(features) // PICKED
        # In units of the mean squared norm nothing overflows float32.
        self.unit = spread.variance.sum()
        self.bounds = [_Bound(len(features), -(-spread.n_active // part)) for part in PARTS]
        axes = spread.eigen[1][:, -self.bounds[-2].kept :]
        for where, rows in blocks(features, spread):
            self.norms[where] = np.einsum("nd,nd->n", rows, rows)
            rows /= np.sqrt(self.unit)
            components = rows @ axes
            for bound in self.bounds[:-1]:
                bound.fill(where, components[:, -bound.kept :], self.norms[where] / self.unit)
            self.bounds[-1].fill(where, rows, self.norms[where] / self.unit)
        # Bounds that leave most rows of a sample too many others are not worth their product.
        sample = np.linspace(0, len(features) - 1, ROWS).astype(int)
        own = centred(features[sample], spread)
        while len(self.bounds) > 1:
            left_over = [len(others) for others in self._find(sample, own, self.bounds[:1])]
            if np.median(left_over) <= self.many:
                break
            del self.bounds[0]

    def near(self, rows: np.ndarray) -> Found:
        """As above."""
        own = centred(self.features[rows], self.spread)
        found = self._find(rows, own, self.bounds)
        for start in range(0, len(rows), TOGETHER):
            where = slice(start, start + TOGETHER)
            wanted = np.zeros(len(self.features), bool)
            wanted[np.concatenate(found[where])] = True
            others = np.flatnonzero(wanted)
            products = [own[where] @ theirs.T for _, theirs in blocks(self.features[others], self.spread)]
            yield rows[where], others, self.norms[others] - 2 * np.concatenate(products, axis=1)

    def _find(self, rows: np.ndarray, own: np.ndarray, bounds: Sequence["_Bound"]) -> list[np.ndarray]:
        """For each row the others whose bounds are not above its distance from the one with the lowest bound."""
        first, *finer = bounds
        lower = np.matmul(first.left(rows), first.right.T, out=self.lower[: len(rows)])
        lower[np.arange(len(rows)), rows] = np.inf
        close = lower.argmin(1)
        theirs = centred(self.features[close], self.spread)
        limits = self.norms[close] - 2 * np.einsum("nd,nd->n", own, theirs) + TIE * self.norms[rows]
        limits = np.nextafter((limits / self.unit).astype(np.float32), np.float32(np.inf))
        found = [(own_lower <= limit).nonzero()[0] for own_lower, limit in zip(lower, limits, strict=True)]
        crowded = np.array([len(others) > self.many for others in found])
        for bound in finer:
            left = bound.left(rows)
            for row in np.flatnonzero(~crowded):
                found[row] = found[row][bound.right.take(found[row], axis=0) @ left[row] <= limits[row]]
        if finer and crowded.any():
            again = self._find(rows[crowded], own[crowded], finer)
            for row, others in zip(np.flatnonzero(crowded), again, strict=True):
                found[row] = others
        return found


class _Bound:
    """Lower bounds of squared distances, less the first row's norm, in float32.

    Two rows are no nearer than their leading principal components and the lengths of what is left of them. A product of
    n terms misses by no more than n units of rounding of the sum of the absolute terms (Higham, 2002, "Accuracy and
    stability of numerical algorithms", section 3.1): as much is taken off.
    """

    def __init__(self, n_rows: int, kept: int):
        self.kept = kept
        self.right = np.ones((n_rows, kept + 3), np.float32)
        self.margins = np.empty(n_rows)

    def fill(self, where: slice, components: np.ndarray, norms: np.ndarray) -> None:
        """Enter rows: their components, float64 of shape (rows, kept), and squared norms."""
        # As many terms as a product has, and what the rounding of its factors adds.
        self.margins[where] = (self.kept + 8) * EPS * norms
        rest = norms - np.einsum("nd,nd->n", components, components)
        self.right[where, : self.kept] = components
        # Too long is on the safe side.
        self.right[where, self.kept] = np.sqrt(np.maximum(rest, 0) + TIE * norms)
        self.right[where, -2] = norms - self.margins[where]

    def left(self, rows: np.ndarray) -> np.ndarray:
        """What, multiplied with the rows of `right`, gives the bounds of the distances from some rows to them."""
        left = -2 * self.right[rows]
        left[:, -2] = 1
        left[:, -1] = -self.margins[rows] - (self.kept + 8) * TINY
        return left


KNN = Score(
    knn,
    title="Nearest neighbour",
    range="[0, 1]",
    units="accuracy",
    behaviour=Behaviour(empty="chance"),
    maximum=lambda n_classes: 1.0,
)
