"""Accuracy of a linear discriminant analysis, every row left out once."""

from typing import Any

import numpy as np

from tepones.scores.base import Behaviour, Score
from tepones.scores.intra_class import _left_out_posteriors
from tepones.scores.moments import ClassMoments
from tepones.scores.probe import TIE
from tepones.scores.rows import prepare


def lda_accuracy(features: Any, labels: Any, moments: ClassMoments | None = None) -> float:
    """Leave-one-out accuracy of the linear discriminant analysis whose posteriors `posterior` averages.

    Each row is classified by a fit to all rows but this one, in closed form, with the shrunk within-class covariance
    of `gaussian`. A class is right by chance alone as often with many features as with few, so networks of different
    widths can be compared, and the number can be read: it is the share of the images that the features would put into
    the right class.

    Parameters
    ----------
    features : ndarray or torch tensor, shape (N, D)
    labels : sequence of N hashable classes
    moments : ClassMoments, optional
        Of these rows, if they are known already.

    Returns
    -------
    float
        In [0, 1]; of tied classes each counts alike. The only row of a class is never right. The frequency of the
        largest class if no feature is active.

    Raises
    ------
    UsageError
        On input that `ClassMoments.update` refuses.

    Notes
    -----
    Cost after the pass: N·d² + d³/3 + N·C; memory 8·N·C bytes.
    """
    features, codes, summary = prepare(features, labels, moments)
    if not summary.n_active:
        return float(summary.priors.max())
    posteriors = _left_out_posteriors(features, codes, summary)
    tied = posteriors >= posteriors.max(1, keepdims=True) - TIE
    return float(np.mean(tied[np.arange(summary.n), codes] / tied.sum(1)))


LDA_ACCURACY = Score(
    lda_accuracy,
    title="LDA, left-out accuracy",
    source="leave-one-out discriminant analysis with the shrunk covariance of TEP-ones, Gaussian",
    range="[0, 1]",
    units="accuracy",
    cost="N·D² pass, N·D² again, then d³/3",
    behaviour=Behaviour(duplicates="changes", empty="largest class"),
    maximum=lambda n_classes: 1.0,
)
