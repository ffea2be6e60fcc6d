"""Linear discriminant analysis: mean posterior of the right class, and accuracy with every row left out once."""

from typing import Any

import numpy as np

from tepones.scores.base import Behaviour, Score
from tepones.scores.discriminant import discriminant, left_out_posteriors
from tepones.scores.moments import ClassMoments
from tepones.scores.probe import TIE
from tepones.scores.rows import blocks, prepare


def lda(features: Any, labels: Any, moments: ClassMoments | None = None) -> float:
    """Mean probability that linear discriminant analysis, fitted on the same rows, gives to the right class.

    The classification term of ETran (Gholami et al., 2023, arXiv 2308.02027) with the within-class covariance
    that `gaussian` uses. The code released with ETran is something else: it ignores that covariance.

    Returns
    -------
    float
        In (0, 1]. The frequencies' Σ π_c² if no feature is active. Cost after the pass: d³/3 for the factor, 2·N·d·C
        for the rows; memory of one block.
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


def lda_accuracy(features: Any, labels: Any, moments: ClassMoments | None = None) -> float:
    """Leave-one-out accuracy of the linear discriminant analysis whose posteriors `posterior` averages.

    Each row is classified by a fit to all rows but this one, in closed form, with the shrunk within-class covariance
    of `gaussian`. A class is right by chance alone as often with many features as with few, so networks of different
    widths can be compared, and the number can be read: it is the share of the images that the features would put into
    the right class.

    Returns
    -------
    float
        In [0, 1]; of tied classes each counts alike. The only row of a class is never right. The frequency of the
        largest class if no feature is active. Cost after the pass: N·d² + d³/3 + N·C; memory 8·N·C bytes.
    """
    features, codes, summary = prepare(features, labels, moments)
    if not summary.n_active:
        return float(summary.priors.max())
    posteriors = left_out_posteriors(features, codes, summary)
    tied = posteriors >= posteriors.max(1, keepdims=True) - TIE
    return float(np.mean(tied[np.arange(summary.n), codes] / tied.sum(1)))


LDA = Score(
    lda,
    title="LDA posterior",
    range="(0, 1]",
    units="probability",
    behaviour=Behaviour(duplicates="changes", empty="Σ π_c²"),
    maximum=lambda n_classes: 1.0,
)
LDA_ACCURACY = Score(
    lda_accuracy,
    title="LDA, left-out accuracy",
    range="[0, 1]",
    units="accuracy",
    behaviour=Behaviour(duplicates="changes", empty="largest class"),
    maximum=lambda n_classes: 1.0,
)
