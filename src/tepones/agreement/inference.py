"""What the numbers can bear: intervals over ladders and targets, permutation tests, Holm, noise ceiling."""

from itertools import permutations, product
from typing import NamedTuple

import numpy as np
from scipy import stats

from tepones.agreement.choices import check_fractions
from tepones.agreement.rankings import as_pair, no_ranking, weighted_tau
from tepones.common.errors import UsageError

# n! = 40,320 orders and 2^12 = 4,096 signs are still enumerated; beyond, orders and signs are drawn.
_EXACT_MODELS, _EXACT_UNITS = 8, 12
# Two statistics that differ by less are the same one computed in another order.
_TIE = 1e-9


class Interval(NamedTuple):
    """A mean over ladders × targets with its uncertainty; every field has the leading shape of the cells.

    Attributes
    ----------
    mean : ndarray
    low, high : ndarray
        Bounds of the confidence interval.
    p : ndarray
        Two-sided p-value of a mean of zero, from the same standard error and degrees of freedom.
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray


class Significance(NamedTuple):
    """What a permutation test found.

    Attributes
    ----------
    statistic : float
        As observed.
    p : float
        Fraction of the arrangements whose statistic is at least as extreme, in (0, 1].
    exact : bool
        Whether every arrangement was counted; else they were drawn at random.
    """

    statistic: float
    p: float
    exact: bool


def two_level_interval(
    cells,
    level: float = 0.95,
    replicates: int = 10_000,
    seed: int = 0,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> Interval:
    """Confidence interval of a mean over ladders and targets, both of which could have been others.

    Ladders and targets are crossed, so the bootstrap draws ladders with replacement and, independently,
    targets with replacement, and keeps whole rows and columns together; rungs of one ladder are never
    resampled as if they were independent. Its percentiles alone are too narrow when there are few ladders
    (they cannot leave the range of the ladder means), so their distances from the mean are stretched by
    t·s/(z·s*), where s* is the bootstrap standard deviation, s the standard error of the two-way table,
    t and z the Student and normal quantiles: the bootstrap supplies the shape, the table the width.

    Parameters
    ----------
    cells : array_like, shape (..., J, T)
        One number per ladder and target, complete and finite.
    level : float
        Nominal coverage, in (0, 1).
    replicates : int
        Bootstrap replicates.
    seed : int
        Of the resampling. The same ladders and targets are drawn for every leading index.
    bounds : (float, float)
        Range of the statistic; the interval is cut there.

    Returns
    -------
    Interval
        Bounds and p are NaN with J = 1, because one ladder does not tell how ladders vary, and where all
        cells are the same number other than 0, which does not tell it either. Where all cells are 0 (the
        difference of two scores that rank alike) the interval is [0, 0] and p is 1.

    Notes
    -----
    With mean squares A (ladders), B (targets), E (rest), s² = max(A + B − E, A, B)/(J·T), with
    Satterthwaite's degrees of freedom (Biometrics Bulletin 2, 1946). Resampling rows and columns: A. Owen,
    The pigeonhole bootstrap, Annals of Applied Statistics 1, 2007. Cost: replicates × J × T per mean.
    """
    cells = np.asarray(cells, dtype=float)
    if cells.ndim < 2 or 0 in cells.shape[-2:]:
        raise UsageError(f"cells of shape {cells.shape}; ladders × targets are needed on the last two axes")
    if not np.isfinite(cells).all():
        where = np.argwhere(~np.isfinite(cells))[0]
        raise UsageError(f"cells[{', '.join(map(str, where))}] is not finite; the table must be complete")
    if not 0 < level < 1:
        raise UsageError(f"level is {level}; it must lie between 0 and 1")
    lead, (ladders, targets) = cells.shape[:-2], cells.shape[-2:]
    tables = cells.reshape(-1, ladders, targets)
    mean = tables.mean(axis=(1, 2))
    low, high, p = (np.full(len(tables), np.nan) for _ in range(3))
    if ladders > 1:
        rng = np.random.default_rng(seed)
        draw_ladders = rng.multinomial(ladders, np.full(ladders, 1 / ladders), replicates) / ladders
        draw_targets = rng.multinomial(targets, np.full(targets, 1 / targets), replicates) / targets
        error, df = _standard_error(tables)
        tails = np.array([1 - level, 1 + level]) / 2
        for i, table in enumerate(tables):
            if error[i] < _TIE:
                if abs(mean[i]) < _TIE:
                    low[i], high[i], p[i] = 0, 0, 1
                continue
            means = np.einsum("bt,bt->b", draw_ladders @ table, draw_targets)
            stretch = stats.t.ppf(tails[1], df[i]) * error[i] / (stats.norm.ppf(tails[1]) * means.std())
            low[i], high[i] = np.clip(mean[i] + stretch * (np.quantile(means, tails) - mean[i]), *bounds)
            p[i] = 2 * stats.t.sf(abs(mean[i]) / error[i], df[i])
    return Interval(*(field.reshape(lead) for field in (mean, low, high, p)))


def _standard_error(tables: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the standard error of the mean of every (J, T) table and its degrees of freedom (J > 1)."""
    ladders, targets = tables.shape[1:]
    mean = tables.mean(axis=(1, 2), keepdims=True)
    rows, columns = tables.mean(2, keepdims=True) - mean, tables.mean(1, keepdims=True) - mean
    rest = tables - mean - rows - columns
    a = targets * (rows**2).sum(axis=(1, 2)) / (ladders - 1)
    if targets == 1:
        return np.sqrt(a / ladders), np.full(len(tables), ladders - 1.0)
    b = ladders * (columns**2).sum(axis=(1, 2)) / (targets - 1)
    e = (rest**2).sum(axis=(1, 2)) / ((ladders - 1) * (targets - 1))
    total, floor = a + b - e, np.maximum(a, b)
    with np.errstate(invalid="ignore", divide="ignore"):
        satterthwaite = total**2 / (
            a**2 / (ladders - 1) + b**2 / (targets - 1) + e**2 / ((ladders - 1) * (targets - 1))
        )
    # Where the estimate falls below one of its parts, that part alone is used, with its own freedom.
    single = np.where(a >= b, ladders - 1, targets - 1)
    df = np.where(total >= floor, np.maximum(satterthwaite, min(ladders, targets) - 1), single)
    return np.sqrt(np.maximum(total, floor) / (ladders * targets)), df


def permutation_test(score, accuracy, alternative: str = "greater", draws: int = 10_000, seed: int = 0) -> Significance:
    """Test whether a score that knows nothing could have reached this weighted τ.

    The null hypothesis is that every order of the models is equally likely. Rungs of one ladder do not
    satisfy it (neighbours resemble each other): test single ladders with it for exploration only, and use
    `sign_flip_test` over ladders for evidence.

    Parameters
    ----------
    score, accuracy : array_like, shape (n,)
        One value per model, higher = better.
    alternative : {"greater", "two-sided"}
        One-sided tests for agreement, two-sided for agreement or its opposite.
    draws : int
        Random orders where n > 8; up to n = 8 all n! orders are counted.
    seed : int
        Of the random orders.

    Returns
    -------
    Significance
        p counts the observed order among the draws, so it is never 0. Without a ranking the statistic is
        NaN and p is 1.
    """
    score, accuracy = as_pair(score, accuracy)
    if alternative not in ("greater", "two-sided"):
        raise UsageError(f"unknown alternative {alternative!r}; choose from: greater, two-sided")
    exact = score.size <= _EXACT_MODELS
    if no_ranking(score, accuracy):
        return Significance(np.nan, 1.0, exact)
    observed = weighted_tau(score, accuracy)
    null = weighted_tau(score[_orders(score.size, draws, seed)], accuracy)
    return Significance(observed, _tail(null, observed, alternative, exact), exact)


def null_taus(n: int, draws: int = 10_000, seed: int = 0) -> np.ndarray:
    """Weighted τ of n untied models under random orders: all n! for n <= 8, otherwise `draws` of them.

    Its upper quantiles are the critical values that a single published τ has to pass.
    """
    models = np.arange(float(n))
    return weighted_tau(models[_orders(n, draws, seed)], models)


def sign_flip_test(values, alternative: str = "greater", draws: int = 10_000, seed: int = 0) -> Significance:
    """Test whether the mean of one number per ladder is above zero, were its sign a coin toss.

    Exact under a distribution symmetric about zero; J ladders that are all positive give p = 2^-J.

    Parameters
    ----------
    values : array_like, shape (J,)
        One independent number per ladder, e.g. its mean τ over targets.
    alternative : {"greater", "two-sided"}
        Direction of the test.
    draws, seed : int
        Random signs where J > 12; up to 12 all 2^J are counted.

    Returns
    -------
    Significance
        The observed mean and its p-value.
    """
    values, _ = as_pair(values, values)
    if alternative not in ("greater", "two-sided"):
        raise UsageError(f"unknown alternative {alternative!r}; choose from: greater, two-sided")
    exact = values.size <= _EXACT_UNITS
    if exact:
        signs = np.array(list(product((1, -1), repeat=values.size)), dtype=float)
    else:
        signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(draws, values.size))
    observed = float(values.mean())
    return Significance(observed, _tail(signs @ values / values.size, observed, alternative, exact), exact)


def _orders(n: int, draws: int, seed: int) -> np.ndarray:
    if n <= _EXACT_MODELS:
        return np.array(list(permutations(range(n))))
    return np.random.default_rng(seed).permuted(np.tile(np.arange(n), (draws, 1)), axis=1)


def _tail(null: np.ndarray, observed: float, alternative: str, exact: bool) -> float:
    if alternative == "two-sided":
        null, observed = np.abs(null), abs(observed)
    reached = int((null >= observed - _TIE).sum())
    return reached / len(null) if exact else (reached + 1) / (len(null) + 1)


def holm(p) -> np.ndarray:
    """p-values adjusted for all being looked at (Holm, Scandinavian Journal of Statistics 6, 1979).

    Parameters
    ----------
    p : array_like, shape (m,)
        One p-value per hypothesis; NaN marks a hypothesis that was not tested and stays NaN.

    Returns
    -------
    ndarray, shape (m,)
        In [0, 1], never below the input; an adjusted p below α rejects at family-wise level α.
    """
    p = np.asarray(p, dtype=float)
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted


class Ceiling(NamedTuple):
    """Agreement of repeated fine-tunings with each other.

    Attributes
    ----------
    tau : float
        Mean weighted τ between two runs: what a rerun of the ground truth itself would score.
    worst : float
        Smallest weighted τ between two runs.
    sd_points : float
        Standard deviation of one run, in accuracy points, pooled over the models.
    """

    tau: float
    worst: float
    sd_points: float


def noise_ceiling(repeats) -> Ceiling:
    """How well repeated fine-tunings of the same models agree: what one run reaches as a predictor of another.

    It is no upper limit for a score that is judged by the mean of several runs, which is steadier than one.

    Parameters
    ----------
    repeats : array_like, shape (R, n)
        Accuracies (fractions) of n models in R >= 2 independent runs.

    Returns
    -------
    Ceiling
        τ is NaN if a run gives every model the same accuracy.
    """
    repeats = np.asarray(repeats, dtype=float)
    if repeats.ndim != 2 or len(repeats) < 2:
        raise UsageError(f"repeats of shape {repeats.shape}; at least two runs of the same models are needed")
    as_pair(repeats, repeats)
    check_fractions(repeats)
    first, second = np.triu_indices(len(repeats), k=1)
    taus = weighted_tau(repeats[first], repeats[second])
    spread = float(100 * np.sqrt(repeats.var(axis=0, ddof=1).mean()))
    return Ceiling(float(taus.mean()), float(taus.min()), spread)
