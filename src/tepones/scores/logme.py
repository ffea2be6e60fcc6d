"""LogME: the evidence of Bayesian linear regression from the features to the classes."""

import numpy as np

from tepones.scores.base import Behaviour, Score
from tepones.scores.moments import ClassMoments

#: Residuals below this fraction of the target's energy count as this: float64 cannot tell them from none.
FLOOR = 1e-12
GRID = 64
GOLDEN_STEPS = 40


def logme(moments: ClassMoments) -> float:
    """Largest log evidence per row, mean over classes: how well a Bayesian linear model fits the labels.

    You et al. (2021), "LogME: practical assessment of pre-trained models for transfer learning", ICML, section 4,
    with the maximum itself instead of a fixed-point iteration. For class c the target is t = 1[y = c], the
    weights have the prior N(0, I/α) and the noise the variance 1/β; there is no intercept. Integrating the
    weights out, t ~ N(0, (I + X Xᵀ/λ)/β) with λ = α/β. For given λ the best 1/β is tᵀ(I + X Xᵀ/λ)⁻¹t/N, which
    leaves one number to search: a grid over log λ, then golden sections, for all classes at once. This is right
    for D < N, D > N and any rank.

    Parameters
    ----------
    moments : ClassMoments

    Returns
    -------
    float
        Nats per row, at most about 14 − ½ log(min π_c): the residual is bounded below by 10⁻¹² of the target.
        Depends on the class frequencies, so it compares backbones on one data set only. If no feature is
        active: the evidence of a model that predicts 0, −½ mean_c(1 + log 2π π_c).

    Notes
    -----
    Cost after the pass: one eigendecomposition O(d³), shared with other scores, C·d², and about 100·C·d.
    """
    summary, spread = moments.summary, moments.summary.spread
    n, energy = summary.n, summary.counts.astype(float)
    if not summary.n_active:
        return float(np.mean(-(1 + np.log(2 * np.pi * summary.priors)) / 2))
    variance, vectors = spread.eigen
    s = n * variance
    mean = vectors.T @ spread.mean
    sums = (summary.counts[:, None] * summary.deviations) @ vectors

    def evidence(log_lambda: np.ndarray) -> np.ndarray:
        """Best evidence per row: (C, G) for (G,) or (C, 1) values of log λ."""
        weight = 1 / (np.exp(log_lambda)[..., None] + s)
        # About the mean, XᵀX is S + N μ μᵀ and Xᵀt is the class's deviation + n_c μ. Multiplied out, nothing
        # cancels however large the mean is: one more dimension in the determinant, and an almost free intercept.
        if log_lambda.ndim == 1:
            q, own, cross = weight @ mean**2, sums**2 @ weight.T, (sums * mean) @ weight.T
            determinant = log_lambda_free(log_lambda)
        else:
            weight = weight[:, 0]
            q = (weight @ mean**2)[:, None]
            own, cross = np.sum(sums**2 * weight, 1)[:, None], np.sum(sums * mean * weight, 1)[:, None]
            determinant = log_lambda_free(log_lambda[:, 0])[:, None]
        count = energy[:, None]
        explained = own + (2 * count * cross + count**2 * q - n * cross**2) / (1 + n * q)
        residual = np.maximum(count - explained, FLOOR * count) / n
        return -(np.log(2 * np.pi * residual) + 1) / 2 - (determinant + np.log1p(n * q)) / (2 * n)

    def log_lambda_free(log_lambda: np.ndarray) -> np.ndarray:
        return np.array([np.log1p(s / value).sum() for value in np.exp(log_lambda)])

    top = s[-1]
    grid = np.linspace(np.log(top) - 32, np.log(top + n * spread.mean @ spread.mean) + 14, GRID)
    best = evidence(grid)
    around = best.argmax(1)
    low, high = grid[np.maximum(around - 1, 0)], grid[np.minimum(around + 1, GRID - 1)]
    refined = _golden(lambda point: evidence(point[:, None])[:, 0], low, high)
    return float(np.maximum(best.max(1), refined).mean())


def _golden(function, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Largest values found by golden sections between two arrays, element by element."""
    ratio = (np.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    f_left, f_right = function(left), function(right)
    for _ in range(GOLDEN_STEPS):
        smaller = f_left > f_right
        low, high = np.where(smaller, low, left), np.where(smaller, right, high)
        new = np.where(smaller, high - ratio * (high - low), low + ratio * (high - low))
        f_new = function(new)
        left, right = np.where(smaller, new, right), np.where(smaller, left, new)
        f_left, f_right = np.where(smaller, f_new, f_right), np.where(smaller, f_left, f_new)
    return np.maximum(f_left, f_right)


LOGME = Score(
    logme,
    title="LogME",
    source="You et al. 2021 (ICML); the maximum of the evidence itself",
    range="(−∞, 14 − ½ log min π]",
    units="nats per row",
    cost="N·D² pass, then one eigendecomposition",
    behaviour=Behaviour(
        scaling="same", shifting="changes", duplicates="changes", empty="−½ mean log(2πe π_c)"
    ),
)
