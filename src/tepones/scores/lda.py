"""Mean posterior of the right class under linear discriminant analysis."""

from typing import Any

import numpy as np

from tepones.scores.base import Behaviour, Score
from tepones.scores.discriminant import discriminant
from tepones.scores.moments import ClassMoments
from tepones.scores.rows import blocks, prepare


def lda(features: Any, labels: Any, moments: ClassMoments | None = None) -> float:
    """Mean probability that linear discriminant analysis, fitted on the same rows, gives to the right class.

    The classification term of ETran (Gholami et al., 2023, arXiv 2308.02027) with the within-class covariance
    that `gaussian` uses. The code released with ETran is something else: it ignores that covariance.

    Parameters
    ----------
    features : ndarray or torch tensor, shape (N, D)
    labels : sequence of N hashable classes
    moments : ClassMoments, optional
        Of these rows, if they are known already.

    Returns
    -------
    float
        In (0, 1]. The frequencies' Σ π_c² if no feature is active.

    Notes
    -----
    Cost after the pass: d³/3 for the factor, 2·N·d·C for the rows; memory of one block.
    """
    features, codes, summary = prepare(features, labels, moments)
    if not summary.n_active:
        return float(summary.priors @ summary.priors)
    factor, _ = summary.within_factor()
    model = discriminant(factor, summary.deviations / summary.spread.scale, summary.priors)
    total = 0.0
    for where, rows in blocks(features, summary.spread, standardised=True):
        total += model.posteriors(rows)[np.arange(len(rows)), codes[where]].sum()
    return float(total / summary.n)


LDA = Score(
    lda,
    title="LDA posterior",
    source="Gholami et al. 2023 (ETran), arXiv 2308.02027: its classification term, with shrunk covariance",
    range="(0, 1]",
    units="probability",
    cost="N·D² pass, then d³/3 and 2·N·d·C",
    behaviour=Behaviour(duplicates="changes", empty="Σ π_c²"),
    maximum=lambda n_classes: 1.0,
)
