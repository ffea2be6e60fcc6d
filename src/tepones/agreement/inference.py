"""What the numbers can bear: intervals over ladders and targets, a sign-flip test, Holm, noise ceiling."""

from typing import NamedTuple

import numpy as np
from scipy import stats

from tepones.agreement.choices import check_fractions
from tepones.agreement.correlations import as_pair, weighted_tau
from tepones.common.errors import UsageError

# 2^12 = 4,096 signs are still enumerated; beyond, signs are drawn.
_EXACT_UNITS, _DRAWS = 12, 10_000
_LEVEL = 0.95
# Two statistics that differ by less than 10^-9 are the same one computed in another order.
_DECIMALS = 9


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


def two_level_interval(
    cells,
    replicates: int = 10_000,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> Interval:
    """95 % interval of a mean over ladders and targets, both of which could have been others.

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
    replicates : int
        Bootstrap replicates, the same draws of ladders and targets for every leading index.
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
    lead, (ladders, targets) = cells.shape[:-2], cells.shape[-2:]
    tables = cells.reshape(-1, ladders, targets)
    mean = tables.mean(axis=(1, 2))
    low, high, p = (np.full(len(tables), np.nan) for _ in range(3))
    if ladders > 1:
        rng = np.random.default_rng(0)
        draw_ladders = rng.multinomial(ladders, np.full(ladders, 1 / ladders), replicates) / ladders
        draw_targets = rng.multinomial(targets, np.full(targets, 1 / targets), replicates) / targets
        error, df = _standard_error(tables)
        tails = np.array([1 - _LEVEL, 1 + _LEVEL]) / 2
        for i, table in enumerate(tables):
            if error[i] < 10**-_DECIMALS:
                if abs(mean[i]) < 10**-_DECIMALS:
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


def sign_flip_test(values, seed: int = 0) -> float:
    """Test whether the mean of one number per ladder is above zero, were its sign a coin toss.

    Exact under a distribution symmetric about zero; J ladders that are all positive give p = 2^-J.

    Parameters
    ----------
    values : array_like, shape (J,)
        One independent number per ladder, e.g. its mean τ over targets.
    seed : int
        Of the random signs where J > 12; up to 12 all 2^J are counted.

    Returns
    -------
    float
        One-sided p-value. Among random signs it counts the observed ones, so it is never 0.
    """
    values, _ = as_pair(values, values)
    if len(values) == 1:  # of which scipy knows no test
        return 0.5 if values[0] > 0 else 1.0
    every = len(values) <= _EXACT_UNITS
    found = stats.permutation_test(
        (values,),
        lambda values, axis: values.mean(axis).round(_DECIMALS),
        permutation_type="samples",
        alternative="greater",
        n_resamples=np.inf if every else _DRAWS,
        rng=seed,
    )
    return float(found.pvalue)


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
    sd_points : float
        Standard deviation of one run, in accuracy points, pooled over the models.
    """

    tau: float
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
    return Ceiling(float(taus.mean()), spread)
