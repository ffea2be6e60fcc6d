"""What a user loses by trusting a score: regret in accuracy points, also under a size budget.

Ties in a score are broken at random by a user who has nothing else to go by, so every function returns the
expectation over such draws: a constant score has the regret of a blind choice, not that of the first model.
"""

from math import comb

import numpy as np

from tepones.agreement.correlations import as_pair
from tepones.common.errors import UsageError


def regret(score, accuracy, k: int = 1) -> float:
    """Accuracy lost by trying only the k models that the score ranks highest.

    Parameters
    ----------
    score : array_like, shape (n,)
        Higher = predicted better.
    accuracy : array_like, shape (n,)
        Fractions in [0, 1].
    k : int
        How many models one can afford to fine-tune, at least 1; the best of them counts.

    Returns
    -------
    float
        Accuracy points in [0, 100]: the best model's accuracy minus the expected best among the k chosen.

    Raises
    ------
    UsageError
        If an accuracy is no fraction, a number is not finite, or k < 1.
    """
    score, accuracy = as_pair(score, accuracy)
    check_fractions(accuracy)
    if k < 1:
        raise UsageError(f"k is {k}; at least one model must be chosen")
    if score.size == 0:
        raise UsageError("regret needs at least one model")
    k = min(k, score.size)
    cut = np.sort(score)[-k]
    sure = accuracy[score > cut]
    tied = np.sort(accuracy[score == cut])
    draws = k - sure.size  # of the tied models, this many are drawn without replacement
    floor = sure.max(initial=0.0)
    # The largest of `draws` among g sorted values is the i-th with probability C(i, draws-1)/C(g, draws).
    chance = np.array([comb(i, draws - 1) for i in range(tied.size)]) / comb(tied.size, draws)
    # What each outcome loses, not the mean of the outcomes: the probabilities add up to 1 but for rounding.
    return float(100 * (chance @ (accuracy.max() - np.maximum(tied, floor))))


def regret_under_budget(score, accuracy, size, budget: float) -> float:
    """Regret among the models that fit a budget: the best affordable one against the chosen one.

    Parameters
    ----------
    score, accuracy : array_like, shape (n,)
        As in `regret`.
    size : array_like, shape (n,)
        Cost of every model (bytes, FLOPs, milliseconds).
    budget : float
        Largest cost allowed, in the unit of `size`.

    Returns
    -------
    float
        Accuracy points in [0, 100]; NaN if no model fits, since there is then nothing to choose.
    """
    score, accuracy = as_pair(score, accuracy)
    size, _ = as_pair(size, accuracy)
    fits = size <= budget
    return regret(score[fits], accuracy[fits]) if fits.any() else np.nan


def optimum_distance(score, accuracy, sparsity) -> float:
    """Distance between the sparsity that the score picks and the truly best one.

    Parameters
    ----------
    score, accuracy, sparsity : array_like, shape (n,)
        One value per rung of a ladder.

    Returns
    -------
    float
        In the unit of `sparsity`, at least 0. Where several rungs are truly best the nearest counts; where
        the score ties for its favourite, the mean over the tied rungs.
    """
    score, accuracy = as_pair(score, accuracy)
    sparsity, _ = as_pair(sparsity, accuracy)
    if score.size == 0:
        raise UsageError("optimum_distance needs at least one rung")
    picked, best = sparsity[score == score.max()], sparsity[accuracy == accuracy.max()]
    return float(np.abs(picked[:, None] - best[None]).min(axis=1).mean())


def check_fractions(accuracy: np.ndarray) -> None:
    """Refuse accuracies outside [0, 1], which are most likely per cent, losses or ranks."""
    bad = accuracy[(accuracy < 0) | (accuracy > 1)]
    if bad.size:
        raise UsageError(f"accuracy {bad[0]} is out of range; give fractions in [0, 1], not per cent")
