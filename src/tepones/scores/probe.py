"""Linear probe by cross-validation: ridge regression on one-hot labels, every row left out once."""

from typing import Any

import numpy as np
from scipy.linalg import eigh

from tepones.scores.base import Behaviour, Score
from tepones.scores.moments import ClassMoments
from tepones.scores.rows import blocks, prepare

#: Penalties, as fractions of N times the variance of a standardised feature.
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
#: Predictions that are closer than this are tied; tied classes count alike.
TIE = 1e-9


def probe(features: Any, labels: Any, moments: ClassMoments | None = None) -> float:
    """Leave-one-out accuracy of a ridge regression from standardised features to one-hot labels.

    With the hat matrix H the prediction for a left-out row is y − (y − ŷ)/(1 − h), h its diagonal (Allen, 1974,
    "The relationship between variable selection and data augmentation"), so all N fits cost one. The penalty with
    the smallest squared leave-one-out error is chosen from five. The standardisation is that of all rows.

    Returns
    -------
    float
        In [0, 1]. The frequency of the largest class if no feature is active. Cost after the pass: one
        eigendecomposition O(d³), N·d² for the rows, 10·N·d·C; memory of one block.
    """
    features, codes, summary = prepare(features, labels, moments)
    if not summary.n_active:
        return float(summary.priors.max())
    n = summary.n
    variances, vectors = eigh(summary.spread.correlation(), overwrite_a=True, driver="evd")
    sums = (summary.counts[:, None] * summary.deviations / summary.spread.scale) @ vectors
    errors, right = np.zeros((2, len(PENALTIES)))
    for where, rows in blocks(features, summary.spread, standardised=True):
        rows = rows @ vectors
        truth = np.eye(summary.n_classes)[codes[where]]
        for i, penalty in enumerate(PENALTIES):
            weights = 1 / (n * (np.maximum(variances, 0.0) + penalty))
            predicted = summary.priors + rows @ (weights * sums).T
            leverage = 1 / n + rows**2 @ weights
            left_out = (truth - predicted) / (1 - leverage)[:, None]
            errors[i] += np.sum(left_out**2)
            guesses = truth - left_out
            tied = guesses >= guesses.max(1, keepdims=True) - TIE
            right[i] += np.sum(truth * tied / tied.sum(1, keepdims=True))
    return float(right[np.argmin(errors)] / n)


PROBE = Score(
    probe,
    title="Linear probe",
    range="[0, 1]",
    units="accuracy",
    behaviour=Behaviour(duplicates="changes", empty="largest class"),
    maximum=lambda n_classes: 1.0,
)
