"""H-score, its shrunk form and Wilks' Λ: functions of the squared canonical correlations of one-way MANOVA."""

import numpy as np
from scipy.linalg import solve_triangular, svdvals
from scipy.linalg.lapack import dpstrf

from tepones.scores.base import Behaviour, Score
from tepones.scores.moments import ClassMoments
from tepones.scores.summary import cholesky

#: A feature whose variance is explained by others up to this fraction is redundant: what is left is rounding.
REDUNDANT = 1e-10


def squared_correlations(moments: ClassMoments) -> np.ndarray:
    """Squared canonical correlations ρ_k between features and classes: eigenvalues of Σ_T⁺ Σ_B.

    A pivoted Cholesky factorisation of the correlation matrix keeps a largest set of features of which none is a
    linear combination of the others (up to `REDUNDANT`), so duplicated features change nothing.

    Returns
    -------
    ndarray of float64, shape (≤ C,)
        Each in [0, 1]. Cost after the pass: d³/3 + C·d².
    """
    summary = moments.summary
    if not summary.n_active:
        return np.zeros(0)
    factor, pivots, rank, _ = dpstrf(summary.spread.correlation(), lower=1, tol=REDUNDANT, overwrite_a=1)
    means = summary.standardised_means()[:, pivots[:rank] - 1]
    rho = svdvals(solve_triangular(factor[:rank, :rank], means.T, lower=True)) ** 2
    return np.minimum(rho, 1.0)


def h_score(moments: ClassMoments) -> float:
    """H-score tr(Σ_T⁺ Σ_B), which is Pillai's trace Σ_k ρ_k of one-way MANOVA.

    Bao et al. (2019), "An information-theoretic approach to transferability in task transfer learning", ICIP.

    Returns
    -------
    float
        In [0, min(C − 1, rank)]; shuffled labels get (C − 1)·rank/(N − 1) on average, and C − 1 if N ≤ D, where it says
        nothing. 0 if no feature is active. Cost after the pass: d³/3 + C·d².
    """
    return float(squared_correlations(moments).sum())


def wilks(moments: ClassMoments) -> float:
    """Mutual information I(Z; Y) of Gaussian features with the class, −½ log Λ = −½ Σ_k log(1 − ρ_k).

    Λ is Wilks' lambda of one-way MANOVA (Wilks, 1932, "Certain generalizations in the analysis of variance").

    Returns
    -------
    float
        Nats, in [0, ∞); ρ is limited to 1 − 10⁻¹⁰, which is reached in C − 1 directions if N ≤ D. 0 if no feature is
        active. Cost after the pass: d³/3 + C·d².
    """
    remaining = 1 - np.minimum(squared_correlations(moments), 1 - REDUNDANT)
    return float(np.log(1 / remaining).sum() / 2)


def shrunk_h_score(moments: ClassMoments) -> float:
    """H-score with a shrunk covariance: tr(Σ_a⁻¹ (1 − a) Σ_B), Σ_a = (1 − a) Σ_T + a (tr Σ_T/d) I.

    Ibrahim, Ponomareva and Mazumder (2021), "Newer is not always better", arXiv 2110.06893; the intensity a is
    Ledoit and Wolf's, all covariances are divided by N. Dead features are no part of d.

    Returns
    -------
    float
        In [0, C − 1). 0 if no feature is active. Cost after the pass: d³/3 + C·d².
    """
    summary = moments.summary
    if not summary.n_active:
        return 0.0
    matrix = summary.spread.covariance()
    a = max(summary.spread.ledoit_wolf(matrix), REDUNDANT)
    matrix *= 1 - a
    np.einsum("ii->i", matrix)[:] += a * summary.spread.variance.mean()
    between = np.sqrt((1 - a) * summary.priors)[:, None] * summary.deviations
    return float(np.sum(solve_triangular(cholesky(matrix), between.T, lower=True) ** 2))


def _most(n_classes: int) -> float:
    return n_classes - 1.0


H_SCORE = Score(
    h_score,
    title="H-score",
    range="[0, C − 1]",
    units="none",
    behaviour=Behaviour(few_rows="blind"),
    maximum=_most,
)
WILKS = Score(
    wilks,
    title="Gaussian I(Z; Y)",
    range="[0, ∞)",
    units="nats",
    behaviour=Behaviour(few_rows="blind"),
)
SHRUNK_H_SCORE = Score(
    shrunk_h_score,
    title="Shrunk H-score",
    range="[0, C − 1)",
    units="none",
    behaviour=Behaviour(duplicates="changes"),
    maximum=_most,
)
