"""Agreement between ladders at matched sparsity, where sparsity itself cannot explain anything."""

from itertools import permutations

import numpy as np
import pandas as pd
from scipy import stats

from tepones.agreement.correlations import weighted_tau
from tepones.agreement.inference import holm
from tepones.agreement.within import check
from tepones.common.errors import UsageError

# Levels of sparsity that agree to this many decimals are the same level on two ladders.
_DECIMALS = 3
_FEWEST_LADDERS = 3
# Up to 6! = 720 orders of the ladders are all counted, beyond that as many are drawn.
_EXACT_LADDERS, _DRAWS = 6, 999


def between_summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean agreement between ladders for every score, over the levels of sparsity that all ladders share.

    Parameters
    ----------
    frame : DataFrame
        The tidy table, with at least three ladders. Sparsities are matched to three decimals; of two rungs of one
        ladder that fall on one level the first counts.

    Returns
    -------
    DataFrame
        One row per score, best first: ``ladders``, ``levels``, ``targets``, ``no_ranking`` (cells that count
        as 0), ``weighted_tau`` (mean), ``low`` and ``high`` (95 %, jackknife over ladders and over targets),
        ``lowest`` and ``highest`` (one ladder left out), ``p`` (one-sided) and ``p_holm``. A score without a
        ranking in every cell has NaN.

    Raises
    ------
    UsageError
        If there are fewer than three ladders, no level is shared by all, or a score lacks a cell.

    Notes
    -----
    The same ladders are compared at every level and on every target, so the cells are not independent. The
    permutation test therefore exchanges whole ladders (all levels and targets at once); it counts every
    order up to six ladders and 999 random ones beyond. Resampling ladders with replacement would compare
    copies of a ladder with each other, so the interval comes from leaving each ladder, and each target, out
    (Tukey's jackknife) with Student's t on one less than the number of ladders.
    Cost: orders × scores × levels × targets × ladders².
    """
    level = check(frame).assign(sparsity=frame["sparsity"].astype(float).round(_DECIMALS))
    level = level.drop_duplicates(["sparsity", "ladder", "target", "score"])
    axes = [list(dict.fromkeys(level[name])) for name in ("score", "ladder", "sparsity", "target")]
    scores, ladders, _, targets = axes
    if len(ladders) < _FEWEST_LADDERS:
        raise UsageError(f"{len(ladders)} ladders; at least {_FEWEST_LADDERS} are needed to compare ladders")
    counts = level.groupby("sparsity")["ladder"].nunique()
    shared = sorted(counts.index[counts == len(ladders)])
    if not shared:
        raise UsageError("no level of sparsity is shared by all ladders; select ladders with the same levels")
    axes[2] = shared
    cube = level.set_index(["score", "ladder", "sparsity", "target"])[["value", "accuracy"]]
    cube = cube.reindex(pd.MultiIndex.from_product(axes))
    if cube.isna().any(axis=None):
        score, ladder, sparsity, target = cube.index[cube.isna().any(axis=1)][0]
        raise UsageError(f"ladder {ladder}, sparsity {sparsity}, target {target}: score {score!r} is missing")
    # (score, level, target, ladder): the ladders, which are ranked, on the last axis.
    value, accuracy = (
        np.moveaxis(cube[name].to_numpy(float).reshape([len(axis) for axis in axes]), 1, -1)
        for name in ("value", "accuracy")
    )
    table = pd.DataFrame(
        {"score": scores, "ladders": len(ladders), "levels": len(shared), "targets": len(targets)}
        | _agreement(value, accuracy)
    )
    table["p_holm"] = holm(table["p"])
    return table.sort_values("weighted_tau", ascending=False, kind="stable", ignore_index=True)


def _agreement(value: np.ndarray, accuracy: np.ndarray) -> dict[str, np.ndarray]:
    """The columns of `between_summary` from ``no_ranking`` to ``p``, of arrays (score, level, target, ladder)."""
    taus = weighted_tau(value, accuracy)
    mean = _mean(taus)
    n_targets, n_ladders = value.shape[2:]
    without_ladder = np.array(
        [_mean(weighted_tau(np.delete(value, j, -1), np.delete(accuracy, j, -1))) for j in range(n_ladders)]
    )
    variance = _jackknife(without_ladder)
    if n_targets > 1:
        variance += _jackknife(np.array([_mean(np.delete(taus, t, axis=2)) for t in range(n_targets)]))
    half = stats.t.ppf(0.975, n_ladders - 1) * np.sqrt(variance)
    columns = {
        "weighted_tau": mean,
        "low": np.maximum(mean - half, -1),
        "high": np.minimum(mean + half, 1),
        "lowest": without_ladder.min(axis=0),
        "highest": without_ladder.max(axis=0),
        "p": _exchange_ladders(value, accuracy, mean),
    }
    silent = np.isnan(taus)
    columns = {name: np.where(silent.all(axis=(1, 2)), np.nan, column) for name, column in columns.items()}
    return {"no_ranking": silent.sum(axis=(1, 2))} | columns


def _mean(taus: np.ndarray) -> np.ndarray:
    """Mean over levels and targets, where a cell without a ranking counts as 0."""
    return np.nan_to_num(taus).mean(axis=(1, 2))


def _jackknife(without: np.ndarray) -> np.ndarray:
    """Variance of a statistic from its values with each of the n items left out, shape (n, ...)."""
    n = len(without)
    return (n - 1) / n * ((without - without.mean(axis=0)) ** 2).sum(axis=0)


def _exchange_ladders(value: np.ndarray, accuracy: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """One-sided p-values of the observed means when whole ladders change places."""
    n = value.shape[-1]
    exact = n <= _EXACT_LADDERS
    if exact:
        orders = list(permutations(range(n)))
    else:
        rng = np.random.default_rng(0)
        orders = [rng.permutation(n) for _ in range(_DRAWS)]
    reached = sum(_mean(weighted_tau(value[..., list(order)], accuracy)) >= observed - 1e-9 for order in orders)
    return reached / len(orders) if exact else (reached + 1) / (len(orders) + 1)
