"""GBC: overlap of Gaussian classes by the Bhattacharyya coefficient."""

import numpy as np
from scipy.special import logsumexp

from tepones.scores.base import Behaviour, Score
from tepones.scores.moments import ClassMoments

#: Least class variance, as a fraction of the total variance: singletons and features dead in one class have none.
LEAST = 1e-4


def gbc_diagonal(moments: ClassMoments) -> float:
    """Class separability under diagonal Gaussians; see `gbc_spherical` for all but the covariance.

    The variance of each class and feature is at least 10⁻⁴ of the feature's total variance.
    """
    summary = moments.summary
    floor = LEAST * summary.spread.variance
    return _separability(summary.deviations, np.maximum(summary.class_variances, floor), each=1.0)


def gbc_spherical(moments: ClassMoments) -> float:
    """Class separability under spherical Gaussians: −log of the summed Bhattacharyya coefficients of all pairs.

    Pándy et al. (2022), "Transferability estimation using Bhattacharyya class separability", arXiv 2111.12780:
    D_B(i, j) = ⅛ Δᵀ S⁻¹ Δ + ½ log(det S/√(det S_i det S_j)) with S = (S_i + S_j)/2. The paper's score is −Σ exp(−D_B),
    which underflows in many dimensions: this is −log(−GBC), which ranks alike. The determinant of a spherical
    covariance is σ²ᵈ (released codes forget d). The paper first projects on 64 principal components; this
    works on all active features. The variance of a class is at least 10⁻⁴ of the total.

    Returns
    -------
    float
        −log Σ_{i≠j} exp(−D_B(i, j)), in [−log C(C − 1), ∞), the lower end if no feature is active. Cost after the pass:
        C²·d/2.
    """
    summary = moments.summary
    d = summary.n_active
    if not d:
        return _separability(summary.deviations, summary.class_variances, each=1.0)
    floor = LEAST * summary.spread.variance.mean()
    variances = np.maximum(summary.class_variances.mean(1, keepdims=True), floor)
    return _separability(summary.deviations, variances, each=float(d))


def _separability(means: np.ndarray, variances: np.ndarray, each: float) -> float:
    """−log Σ_{i≠j} exp(−D_B); `each` is the number of features that share one column of `variances`."""
    logs = np.log(variances)
    coefficients = []
    for i in range(len(means) - 1):
        shared = (variances[i] + variances[i + 1 :]) / 2
        apart = np.sum((means[i] - means[i + 1 :]) ** 2 / shared, 1) / 8
        spread = np.sum(np.log(shared) - (logs[i] + logs[i + 1 :]) / 2, 1) * each / 2
        coefficients.append(-(apart + spread))
    return float(-logsumexp(np.concatenate(coefficients)) - np.log(2))


def _score(function, covariance: str) -> Score:
    return Score(
        function,
        title=f"GBC, {covariance}",
        range="[−log C(C − 1), ∞)",
        units="nats",
        behaviour=Behaviour(duplicates="up", empty="−log C(C − 1)"),
    )


GBC_DIAGONAL = _score(gbc_diagonal, "diagonal")
GBC_SPHERICAL = _score(gbc_spherical, "spherical")
