"""Nearest neighbour: the simplest baseline."""

from typing import Any

import numpy as np

from tepones.scores.base import Behaviour, Score
from tepones.scores.moments import ClassMoments
from tepones.scores.rows import centred, prepare

ROWS = 512
#: Neighbours whose squared distances differ by less than this fraction of the squared norms are tied.
TIE = 1e-12


def knn(features: Any, labels: Any, moments: ClassMoments | None = None) -> float:
    """Leave-one-out accuracy of the nearest neighbour in Euclidean distance.

    k = 1 as in Bolya et al. (2021), arXiv 2111.06977. Among neighbours at the same distance each counts alike.

    Returns
    -------
    float
        In [0, 1]. If no feature is active, chance: Σ_c n_c (n_c − 1)/(N (N − 1)). Cost after the pass: N²·d
        multiplications; memory of the active features in float64 and 512·N.
    """
    features, codes, summary = prepare(features, labels, moments)
    if not summary.n_active:
        return float(summary.counts @ (summary.counts - 1) / (summary.n * (summary.n - 1)))
    rows = centred(features, summary.spread)
    norms = np.einsum("nd,nd->n", rows, rows)
    right = 0.0
    for start in range(0, summary.n, ROWS):
        where = slice(start, start + ROWS)
        distances = norms - 2 * rows[where] @ rows.T
        own = np.arange(len(distances))
        distances[own, start + own] = np.inf
        limit = distances.min(1) + TIE * norms[where]
        tied = distances <= limit[:, None]
        right += np.sum((tied & (codes == codes[where, None])).sum(1) / tied.sum(1))
    return float(right / summary.n)


KNN = Score(
    knn,
    title="Nearest neighbour",
    range="[0, 1]",
    units="accuracy",
    behaviour=Behaviour(empty="chance"),
    maximum=lambda n_classes: 1.0,
)
