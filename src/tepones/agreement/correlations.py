"""How far two orders of the same models agree: four correlations with their traps closed.

Every function takes ``score`` and ``accuracy`` with the models on the last axis, both *higher is better*
(pass an error, a loss or a rank negated); leading axes broadcast, so that many rankings are compared in one
call, and one number comes back for each. Numbers that are not finite are refused by name, because
`scipy.stats.weightedtau` would silently take NaN for the worst model. Where there is no order to compare,
since one side is constant or there are fewer than two models, the value is NaN; `no_ranking` says why.
"""

from collections.abc import Callable

import numpy as np
from scipy import stats

from tepones.common.errors import UsageError

# Signs of all pairs of models are held at once; this bounds them to some tens of MB.
_PAIRS_AT_ONCE = 2**21


def as_pair(score, accuracy) -> tuple[np.ndarray, np.ndarray]:
    """Check one ranking: two finite vectors of the same length, as float64.

    Raises
    ------
    UsageError
        If the lengths differ or a number is not finite; the line names the position.
    """
    score, accuracy = np.asarray(score, dtype=float), np.asarray(accuracy, dtype=float)
    if score.shape[-1:] != accuracy.shape[-1:] or score.ndim == 0:
        raise UsageError(f"score {score.shape} and accuracy {accuracy.shape} must rank the same models")
    for name, values in (("score", score), ("accuracy", accuracy)):
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            where = ", ".join(map(str, bad[0]))
            raise UsageError(f"{name}[{where}] is {values[tuple(bad[0])]}; a ranking needs finite numbers")
    return score, accuracy


def no_ranking(score, accuracy) -> str:
    """Say why two vectors, one value per model each, cannot be compared as rankings; the empty string if they can."""
    score, accuracy = as_pair(score, accuracy)
    if score.shape[-1] < 2:
        return "fewer than two models"
    if np.ptp(accuracy) == 0:
        return "accuracy is constant"
    if np.ptp(score) == 0:
        return "score is constant"
    return ""


def _each(measure: Callable, score, accuracy) -> float | np.ndarray:
    """A measure of two tables (rankings, models), for every ranking; NaN where there is none."""
    score, accuracy = as_pair(score, accuracy)
    shape = np.broadcast_shapes(score.shape, accuracy.shape)
    n = shape[-1]
    x, y = (np.broadcast_to(side, shape).reshape(-1, n) for side in (score, accuracy))
    found = np.full(len(x), np.nan)
    if n > 1:
        ranked = np.flatnonzero((np.ptp(x, axis=1) > 0) & (np.ptp(y, axis=1) > 0))
        step = _PAIRS_AT_ONCE // n**2 + 1
        for start in range(0, len(ranked), step):
            rows = ranked[start : start + step]
            found[rows] = measure(x[rows], y[rows])
    return float(found[0]) if len(shape) == 1 else found.reshape(shape[:-1])


def weighted_tau(score, accuracy) -> float | np.ndarray:
    r"""Kendall's τ weighted so that disagreements among the best models cost most.

    The definition is that of `scipy.stats.weightedtau` with its defaults: a pair of models with ranks r, s
    (0 = best) weighs 1/(r+1) + 1/(s+1), and the ranking by score and the ranking by accuracy are averaged,
    so that the order of the arguments does not matter.

    Parameters
    ----------
    score, accuracy : array_like, shape (..., n)
        One value per model on the last axis, higher = better.

    Returns
    -------
    float, or ndarray of the leading shape
        In [-1, 1]; NaN where one side is constant or n < 2.

    Notes
    -----
    For one ranking v of the models, with weights v_i = 1/(rank_i + 1) and signs x_ij, y_ij of the
    differences, τ = Σ_i v_i Σ_j x_ij y_ij / √(Σ_i v_i Σ_j x_ij² · Σ_i v_i Σ_j y_ij²): the additive weight of
    a pair splits over its two members, which makes many rankings one array operation. Cost: n² per ranking.

    References
    ----------
    Vigna (2015), "A weighted correlation index for rankings with ties", WWW, doi 10.1145/2736277.2741088.
    """
    return _each(_weighted_tau, score, accuracy)


def _weighted_tau(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    dx, dy = _signs(x), _signs(y)
    agree, untied_x, untied_y = (dx * dy).sum(-1), np.abs(dx).sum(-1), np.abs(dy).sum(-1)
    tau = np.zeros(len(x))
    for first, second in ((x, y), (y, x)):
        order = np.lexsort((-second, -first))  # best first; ties in one side are broken by the other
        weight = np.empty(x.shape)
        np.put_along_axis(weight, order, 1 / np.arange(1.0, x.shape[1] + 1)[None], axis=1)
        norm = np.sqrt((weight * untied_x).sum(-1) * (weight * untied_y).sum(-1))
        tau += (weight * agree).sum(-1) / norm / 2
    return np.clip(tau, -1, 1)


def kendall(score, accuracy) -> float | np.ndarray:
    """Kendall's τ-b, in [-1, 1]; NaN where there is no ranking.

    The value of `scipy.stats.kendalltau`, without the test that it computes besides. Cost: n² per ranking.
    """
    return _each(_kendall, score, accuracy)


def _kendall(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = _signs(x), _signs(y)
    return (x * y).sum((1, 2)) / np.sqrt(np.abs(x).sum((1, 2)) * np.abs(y).sum((1, 2)))


def _signs(x: np.ndarray) -> np.ndarray:
    """Signs of the differences of all pairs, (rankings, models, models)."""
    return np.sign(x[:, :, None] - x[:, None, :])


def pearson(score, accuracy) -> float | np.ndarray:
    """Pearson's linear correlation, in [-1, 1]; one outlying model can drive it. NaN: no ranking."""
    return _each(_pearson, score, accuracy)


def _pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = (side - side.mean(1, keepdims=True) for side in (x, y))
    x, y = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (x, y))
    return np.clip((x * y).sum(1), -1, 1)


def spearman(score, accuracy) -> float | np.ndarray:
    """Spearman's rank correlation: Pearson's between the mid-ranks, in [-1, 1]. NaN: no ranking."""
    score, accuracy = as_pair(score, accuracy)
    return pearson(_ranks(score), _ranks(accuracy))


def partial_tau(score, accuracy, controls) -> float | np.ndarray:
    """Agreement that is left once the controls are taken out: τ-b between residuals of ranks.

    The ranks of the score and of the accuracy are regressed on the ranks of the controls (least squares with
    an intercept); τ-b compares what remains. Ranks keep one collapsed rung from dominating the fit; τ-b and
    not the weighted τ, because the top of a list of residuals is not the top of the models.

    Parameters
    ----------
    score, accuracy : array_like, shape (..., n)
        One value per model, higher = better.
    controls : array_like, shape (n,) or (..., q, n)
        What could explain the agreement by itself, e.g. sparsity and source accuracy.

    Returns
    -------
    float, or ndarray of the leading shape
        In [-1, 1]; NaN if there is no ranking, or none is left because the controls determine one side.
    """
    score, accuracy = as_pair(score, accuracy)
    controls, _ = as_pair(np.atleast_2d(controls), accuracy[..., None, :])
    ranks = _ranks(controls)
    design = np.concatenate([np.ones_like(ranks[..., :1, :]), ranks], axis=-2).swapaxes(-1, -2)
    fitted = design @ np.linalg.pinv(design, rcond=np.finfo(float).eps * max(design.shape[-2:]))

    def residual(side: np.ndarray) -> np.ndarray:
        side = _ranks(side)
        # Ranks are half-integers, so anything this small is rounding and not an order.
        return np.round(side - (fitted @ side[..., None])[..., 0], 9)

    return kendall(residual(score), residual(accuracy))


def _ranks(values: np.ndarray) -> np.ndarray:
    return stats.rankdata(values, axis=-1) if values.size else values
