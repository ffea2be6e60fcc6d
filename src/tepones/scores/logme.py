"""LogME: the evidence of Bayesian linear regression from the features to the classes."""

from collections.abc import Callable

import numpy as np

from tepones.scores.base import Behaviour, Score
from tepones.scores.moments import ClassMoments

#: What no weights can fit is none if it is below this fraction of the target: rounding over small eigenvalues.
ROUNDING = 1e-9
#: Least noise variance, as a fraction of the target's: the evidence of a perfect fit has no upper bound.
FLOOR = 1e-12
GRID = 64
GOLDEN_STEPS = 24


def logme(moments: ClassMoments) -> float:
    """Largest log evidence per row, mean over classes: how well a Bayesian linear model fits the labels.

    You et al. (2021), "LogME: practical assessment of pre-trained models for transfer learning", ICML,
    arXiv 2102.11005, with the maximum itself instead of a fixed-point iteration. For class c the target is
    t = 1[y = c], the weights have the prior N(0, I/α) and the noise the variance 1/β; there is no intercept.
    Integrating the weights out, t ~ N(0, (I + X Xᵀ/λ)/β) with λ = α/β. For given λ the best 1/β is
    tᵀ(I + X Xᵀ/λ)⁻¹t/N, which leaves one number to search: a grid over log λ, then golden sections, for all
    classes at once. This is right for D < N, D > N and any rank.

    Returns
    -------
    float
        Nats per row, at most −½ mean_c(1 + log 2π π_c) + 13.8: the noise is at least 10⁻¹² of the target. Depends on
        the class frequencies, so it compares backbones on one data set only. If no feature is active: the evidence of a
        model that predicts 0, −½ mean_c(1 + log 2π π_c). Cost after the pass: one eigendecomposition O(d³), shared with
        other scores, C·d², and about 100·C·d.
    """
    summary, spread = moments.summary, moments.summary.spread
    n, counts = summary.n, summary.counts.astype(float)
    if not summary.n_active:
        return float(np.mean(-(1 + np.log(2 * np.pi * summary.priors)) / 2))
    variances, vectors = spread.eigen
    # Eigenvalues of the scatter about the mean; those that are rounding count as zero, with what lies along them.
    s = np.where(variances > variances[-1] * len(variances) * np.finfo(float).eps, n * variances, 0.0)
    mean = spread.mean @ vectors
    sums = (counts[:, None] * summary.deviations) @ vectors * (s > 0)
    fitted = np.divide(sums**2, s, out=np.zeros_like(sums), where=s > 0)
    energy = counts * (1 - counts / n)
    unfitted = energy - fitted.sum(1)
    unfitted[unfitted < ROUNDING * energy] = 0.0
    mean2, cross = mean**2, sums * mean

    def evidence(log_ratio: np.ndarray) -> np.ndarray:
        """Best evidence per row of each class at log λ, an array of shape (C,) or (1,)."""
        ratio = np.exp(log_ratio)[:, None]
        weight = 1 / (ratio + s)
        # XᵀX is the scatter about the mean plus N μ μᵀ, and Xᵀt the class's deviation plus n_c μ. Multiplied out,
        # tᵀ(I + X Xᵀ/λ)⁻¹t is this sum of positive terms: nothing cancels, however large the mean is.
        q, p = np.sum(weight * mean2, 1), np.sum(weight * cross, 1)
        residual = unfitted + np.sum(ratio * weight * fitted, 1) + n * (counts / n - p) ** 2 / (1 + n * q)
        noise = np.maximum(residual, FLOOR * counts) / n
        determinant = np.log1p(s / ratio).sum(1) + np.log1p(n * q)
        return -(1 + np.log(2 * np.pi * noise)) / 2 - determinant / (2 * n)

    grid = np.linspace(np.log(s[-1]) - 32, np.log(s[-1] + n * mean @ mean) + 14, GRID)
    values = np.array([evidence(point[None]) for point in grid])
    best = values.argmax(0)
    low, high = grid[np.maximum(best - 1, 0)], grid[np.minimum(best + 1, GRID - 1)]
    return float(np.maximum(values.max(0), _golden_maximum(evidence, low, high)).mean())


def _golden_maximum(function: Callable, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Largest values found by golden sections between two arrays, for all elements at once."""
    golden = (np.sqrt(5) - 1) / 2
    left, right = high - golden * (high - low), low + golden * (high - low)
    f_left, f_right = function(left), function(right)
    for _ in range(GOLDEN_STEPS):
        lower = f_left > f_right
        low, high = np.where(lower, low, left), np.where(lower, right, high)
        new = np.where(lower, high - golden * (high - low), low + golden * (high - low))
        f_new = function(new)
        left, right = np.where(lower, new, right), np.where(lower, left, new)
        f_left, f_right = np.where(lower, f_new, f_right), np.where(lower, f_left, f_new)
    return np.maximum(f_left, f_right)


LOGME = Score(
    logme,
    title="LogME",
    range="(−∞, 13.8 − ½ mean log(2πe π_c)]",
    units="nats per row",
    behaviour=Behaviour(shifting="changes", empty="−½ mean log(2πe π_c)"),
)
