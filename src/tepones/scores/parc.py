"""PARC: correlation between distances of features and distances of labels."""

from typing import Any

import numpy as np
from scipy.stats import rankdata

from tepones.scores.base import Behaviour, Score
from tepones.scores.moments import ClassMoments
from tepones.scores.rows import centred, prepare

SAMPLE = 500
COMPONENTS = 32
#: Singular values below this fraction of the largest are rounding, not features.
RANK = 1e-6
DECIMALS = 10


def parc(features: Any, labels: Any, moments: ClassMoments | None = None, seed: int = 0) -> float:
    """Spearman correlation, times 100, between 1 − correlation of rows of features and of one-hot labels.

    Bolya et al. (2021), "Scalable diverse model selection for accessible transfer learning", arXiv 2111.06977, as
    released: on 500 rows, drawn by the seed where there are more, and 32 principal components, each standardised. The
    label distance has two values, so Spearman's correlation needs one ranking of the feature distances. The correlation
    of rows depends on the signs of the components, which the definition leaves open: here the largest loading is
    positive, as in scikit-learn.

    Returns
    -------
    float
        In [−100, 100]. 0 if no feature is active, or if the sample holds one class only. Cost after the pass: 500²·d
        and a sort of 125 000 numbers.
    """
    features, codes, summary = prepare(features, labels, moments)
    if not summary.n_active:
        return 0.0
    sample = np.arange(summary.n)
    if summary.n > SAMPLE:
        sample = np.sort(np.random.default_rng(seed).choice(summary.n, SAMPLE, replace=False))
    rows, codes = centred(features[sample], summary.spread), codes[sample]
    left, singular, right = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    # Standardised components are the left singular vectors, up to one factor for all.
    kept = np.flatnonzero(singular[:COMPONENTS] > RANK * singular[0])
    loadings = right[kept]
    components = left[:, kept] * np.sign(loadings[np.arange(len(kept)), np.abs(loadings).argmax(1)])
    rows = components - components.mean(1, keepdims=True)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > RANK)
    pairs = np.tril_indices(len(rows), -1)
    other_class = codes[pairs[0]] != codes[pairs[1]]
    # Distances that are equal but for rounding share a rank.
    ranks = rankdata(np.round(1 - (rows @ rows.T)[pairs], DECIMALS))
    if not other_class.any() or other_class.all() or np.ptp(ranks) == 0:
        return 0.0
    return float(100 * np.corrcoef(ranks, other_class)[0, 1])


PARC = Score(
    parc,
    title="PARC",
    range="[−100, 100]",
    units="correlation × 100",
    behaviour=Behaviour(),
    maximum=lambda n_classes: 100.0,
)
