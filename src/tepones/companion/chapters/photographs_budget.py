"""The chapter *Photographs: choosing under a budget*: regret of a choice by each score, and what scoring costs.

Frames come first, then charts, which refuse a frame without rows. Every function copes with any part of the profile's
ladders.
"""

from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np
import pandas as pd

from tepones import agreement
from tepones.common.errors import UsageError, choose
from tepones.companion import study
from tepones.companion.charts import PALETTE, SHAPES, WIDTH, bracketed, menu, prepared
from tepones.companion.photographs import GROUPS, RIVAL, UNKNOWN, complete, groups, kind, with_pool_scores, written

#: Controls of a choice under a budget, besides the scores: the largest backbone that fits, by any method or by the
#: most usual one, and any backbone that fits.
LARGEST, USUAL, BLIND = "largest that fits", "largest by magnitude", "blind choice"
USUAL_METHOD = "magnitude iterative"

#: What costs time besides scores.
PROBING, TUNING, MAKING = "linear probe, with features", "full fine-tuning", "making a rung"

#: A non-zero weight stored as one float32; where it stands, and all that is not a prunable weight, comes on top.
BYTES = 4

REPLICATES = 2000


def candidates(tables: Mapping[str, pd.DataFrame], group: str, protocol: str = study.PROBE) -> pd.DataFrame:
    """Tidy table of all backbones of a group with their size, and the controls as further scores.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        As `tepones.companion.study.load` returns it.
    group : {"trained here", "released on ImageNet"}
    protocol : {"probe", "fine-tuning"}

    Returns
    -------
    DataFrame
        As `agreement.budget_regret` wants it; ``bytes`` is `BYTES` for each non-zero prunable weight. A dense
        backbone that several ladders share is there for each. Empty if there is no such ladder.
    """
    choose("group", group, GROUPS)
    rungs = tables["rungs"]
    own = rungs[groups(rungs) == group]
    pieces = {
        **tables,
        "scores": with_pool_scores(tables["scores"][tables["scores"]["ladder"].isin(own["ladder"])], ["target"]),
    }
    frame = study.tidy(pieces, protocol)
    frame = complete(frame[frame["ladder"].isin(own["ladder"])], rungs)
    if frame.empty:
        return frame.assign(bytes=[])
    size = BYTES * own.set_index(["ladder", "rung"])["nonzero_weights"].rename("bytes")
    frame = frame.join(size, on=["ladder", "rung"])
    once = frame.drop_duplicates(["ladder", "rung", "target"])
    controls = [once.assign(score=LARGEST, value=once["bytes"]), once.assign(score=BLIND, value=0.0)]
    usual = once["method"] == USUAL_METHOD
    if usual.any():
        # Where none of that method fits, the largest of the others.
        controls.append(once.assign(score=USUAL, value=once["bytes"] - (~usual) * (1 + once["bytes"].max())))
    return pd.concat([frame, *(control.astype({"value": float}) for control in controls)], ignore_index=True)


def budgets(frame: pd.DataFrame, n: int = 14) -> list[int]:
    """Budgets in bytes, evenly spaced in the logarithm, from where every ladder has a rung to where all rungs fit."""
    least = int(frame.groupby("ladder")["bytes"].min().max())
    return [int(value) for value in np.unique(np.geomspace(least, frame["bytes"].max(), n).round().astype(int))]


def regrets(frame: pd.DataFrame, sizes: Sequence[int]) -> pd.DataFrame:
    """Regret of each score under each budget, mean over targets: columns score, budget, candidates, regret, targets."""
    grouped = agreement.budget_regret(frame, sizes).groupby(["score", "budget"], sort=False)
    return grouped.agg(
        candidates=("candidates", "first"), regret=("regret", "mean"), targets=("target", "nunique")
    ).reset_index()


def with_intervals(found: pd.DataFrame, frame: pd.DataFrame, scores: Sequence[str], seed: int = 0) -> pd.DataFrame:
    """Regret of some scores with 95 % intervals, percentiles of a bootstrap that draws ladders and targets.

    A draw of ladders with replacement holds about two thirds of them, so it is a smaller pool, in which there is
    less to choose from: the intervals tend to lie low.

    Parameters
    ----------
    found : DataFrame
        `regrets` of `frame`.
    frame : DataFrame
        `candidates`.
    scores : sequence of str
    seed : int
        Of the draws, which are the same for every score and budget.

    Returns
    -------
    DataFrame
        Rows of `found` with low and high; NaN with one ladder.
    """
    found = found[found["score"].isin(scores)].reset_index(drop=True)
    ladders, targets = list(dict.fromkeys(frame["ladder"])), list(dict.fromkeys(frame["target"]))
    if len(ladders) == 1:
        return found.assign(low=np.nan, high=np.nan)
    rng = np.random.default_rng(seed)
    there = rng.multinomial(len(ladders), np.full(len(ladders), 1 / len(ladders)), REPLICATES) > 0
    weight = rng.multinomial(len(targets), np.full(len(targets), 1 / len(targets)), REPLICATES) / len(targets)
    parts = {score: [part for _, part in own.groupby("target", sort=False)] for score, own in frame.groupby("score")}
    bounds = []
    for row in found.itertuples():
        each = np.stack([_regret_in_draws(part, row.budget, ladders, there) for part in parts[row.score]], axis=1)
        bounds.append(np.quantile((weight * each).sum(axis=1), [0.025, 0.975]))
    return found.assign(low=[low for low, _ in bounds], high=[high for _, high in bounds])


def _regret_in_draws(part: pd.DataFrame, budget: float, ladders: list[str], there: np.ndarray) -> np.ndarray:
    """Regret of one score on one target under one budget, in each pool that the bootstrap draws.

    A drawn pool holds all rungs of the ladders that were drawn, and none of the others. To repeat the choice in
    thousands of pools, each ladder is first reduced to what matters of it: the highest score among its rungs that fit
    the budget, the accuracies of the rungs that have this score, and the best accuracy of a rung that fits. In a pool,
    the ladder with the highest score is then chosen, and the best accuracy of any ladder is what could have been had.
    If several rungs have the highest score, of one ladder or of several, one of them is drawn by lot, so their mean
    accuracy counts.

    Parameters
    ----------
    part : DataFrame
        Rows of `candidates` of one score and target.
    budget : float
        In bytes.
    ladders : list of str
        All ladders, in the order of the columns of `there`.
    there : ndarray of bool, shape (draws, ladders)
        Which ladders each draw holds.

    Returns
    -------
    ndarray, shape (draws,)
        In accuracy points; 0 where no rung of the pool fits the budget.
    """
    fits = part[part["bytes"] <= budget]
    place = pd.Index(ladders).get_indexer(fits["ladder"])
    value, accuracy = fits["value"].to_numpy(float), fits["accuracy"].to_numpy(float)
    top, best = np.full((2, len(ladders)), -np.inf)
    np.maximum.at(top, place, value)
    np.maximum.at(best, place, accuracy)
    tied = value == top[place]
    total = np.bincount(place[tied], accuracy[tied], minlength=len(ladders))
    n_tied = np.bincount(place[tied], minlength=len(ladders))

    seen = np.where(there, top, -np.inf)
    chosen = (seen == seen.max(axis=1, keepdims=True)) & np.isfinite(seen)
    n = chosen @ n_tied
    possible = np.where(there, best, -np.inf).max(axis=1)
    return np.where(n > 0, 100 * (np.where(n > 0, possible, 0) - chosen @ total / np.maximum(n, 1)), 0.0)


def drawn(found: pd.DataFrame, score: str) -> list[str]:
    """What the figure shows: a score, the controls, the H-score, and the rivals of least mean regret over all budgets.

    Parameters
    ----------
    found : DataFrame
        `regrets` of one pool.
    score : str

    Returns
    -------
    list of str
        Names, as many as there are colours; those that the pool does not have are left out.
    """
    mean = found.groupby("score")["regret"].mean().sort_values(kind="stable")
    always = [name for name in dict.fromkeys([score, LARGEST, USUAL, BLIND, "h_score"]) if name in mean.index]
    best = [name for name in mean.index if kind(name) == RIVAL and name not in always]
    return [*always, *best][: len(PALETTE)]


def losses(found: pd.DataFrame | None, score: str) -> dict[str, int | float | str]:
    """Regret of a score beside that of the controls over the budgets of one pool, as values to glue.

    Parameters
    ----------
    found : DataFrame or None
        `regrets` of the pool, if there is one.
    score : str

    Returns
    -------
    dict
        ``budgets``, how many; ``loss`` of the score in the mean over them and ``loss-all`` where everything fits
        (points); ``rank`` by mean loss among ``ways`` to choose; ``best`` and ``best-loss``, which lose least; for the
        controls ``largest`` and ``usual`` their mean loss, and ``-more`` and ``-less``, at how many budgets they lose
        more and less than the score. Zero and `UNKNOWN` where there is no such number.
    """
    if found is None:
        counts = ("budgets", "ways", "rank", "largest-more", "largest-less", "usual-more", "usual-less")
        blank = ("loss", "loss-all", "best", "best-loss", "largest", "usual")
        return dict.fromkeys(counts, 0) | dict.fromkeys(blank, UNKNOWN)
    wide = found.pivot(index="budget", columns="score", values="regret")
    mean = wide.mean().sort_values(kind="stable")
    values = {
        "budgets": len(wide),
        "ways": len(mean),
        "rank": list(mean.index).index(score) + 1,
        "loss": written(mean[score], form=".1f"),
        "loss-all": written(wide[score].iloc[-1], form=".1f"),
        "best": mean.index[0],
        "best-loss": written(mean.iloc[0], form=".1f"),
    }
    for key, control in {"largest": LARGEST, "usual": USUAL}.items():
        above = wide.get(control, np.nan) - wide[score]
        values[key] = written(mean.get(control, np.nan), form=".1f")
        values |= {f"{key}-more": int((above > 0).sum()), f"{key}-less": int((above < 0).sum())}
    return values


def at(found: pd.DataFrame, sizes: Sequence[int], scores: Sequence[str]) -> pd.DataFrame:
    """Table for readers: regret with its interval for each of some scores at each of some budgets."""
    absent = set(sizes) - set(found["budget"])
    if absent:
        raise UsageError(f"no regret was computed at a budget of {min(absent)} bytes")
    cells = bracketed(found["regret"], found["low"], found["high"], ".1f")
    rows = []
    for score in scores:
        own = found.assign(cell=cells)[found["score"] == score].set_index("budget")
        row = {"score": score}
        for budget in sizes:
            row[f"{budget / 1000:,.0f} kB, {int(own.loc[budget, 'candidates'])} fit"] = own.loc[budget, "cell"]
        rows.append(row)
    return pd.DataFrame(rows)


def costs(tables: Mapping[str, pd.DataFrame], scores: Sequence[str]) -> pd.DataFrame:
    """Wall time of judging one backbone on one target, by the means of the records; and of making a rung.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        As `tepones.companion.study.load` returns it.
    scores : sequence of str
        Which ones.

    Returns
    -------
    DataFrame
        Columns group, what, kind (score, training), median, low, high (seconds, fifth and 95th percentile), n.
        A score's time is that of its value from features that are there, and without the one pass over them that
        the closed-form scores share; that of a linear probe holds reading the backbone, extracting features of both
        splits, and cross-validation.
    """
    rungs = tables["rungs"].assign(group=groups(tables["rungs"]))
    about = rungs[["ladder", "rung", "group"]]
    rows = []
    scored = tables["scores"].drop_duplicates(["ladder", "rung", "target", "score"]).merge(about, on=["ladder", "rung"])
    for (group, name), part in scored[scored["score"].isin(scores)].groupby(["group", "score"], sort=False):
        rows.append(_row(group, f"score {name}", "score", part["seconds"]))
    judged = tables["transfer"].merge(about, on=["ladder", "rung"])
    names = {study.PROBE: PROBING, study.FULL: TUNING}
    for (group, protocol), part in judged.groupby(["group", "protocol"], sort=False):
        rows.append(_row(group, names[protocol], "training", part["seconds"]))
    for group, part in rungs[rungs["rung"] > 0].groupby("group", sort=False):
        rows.append(_row(group, MAKING, "training", part["seconds"]))
    return pd.DataFrame(rows).sort_values(["group", "median"], kind="stable", ignore_index=True)


def _row(group: str, what: str, kind: str, seconds: pd.Series) -> dict[str, object]:
    low, median, high = np.quantile(seconds, [0.05, 0.5, 0.95])
    return {"group": group, "what": what, "kind": kind, "median": median, "low": low, "high": high, "n": len(seconds)}


def medians(costs: pd.DataFrame, score: str, group: str) -> pd.Series:
    """Median seconds of a score, `PROBING`, `TUNING` and `MAKING` in a group; NaN where there are no records."""
    own = costs[costs["group"] == group].set_index("what")["median"]
    return own.rename({f"score {score}": score}).reindex([score, PROBING, TUNING, MAKING])


def two_digits(value: float) -> str:
    """A time without an exponent: *0.0012*, *17*, *120*; `UNKNOWN` for NaN."""
    return UNKNOWN if np.isnan(value) else f"{float(f'{value:.2g}'):,g}"


def regret_chart(found: pd.DataFrame, scores: Sequence[str]) -> alt.TopLevelMixin:
    """Regret against the budget, one line for each score; a switch for the pool of backbones and a menu for the band.

    Parameters
    ----------
    found : DataFrame
        `with_intervals` of one or more pools, one below the other, with a column `pool`.
    scores : sequence of str
        Lines, the most important first; at most seven.
    """
    columns = ["pool", "score", "budget", "candidates", "regret", "low", "high", "targets"]
    frame = prepared(found[found["score"].isin(scores)], columns)
    frame["kilobytes"] = frame["budget"] / 1000
    scores = [name for name in scores if name in set(frame["score"])]
    pools = menu("pool", list(dict.fromkeys(frame["pool"])), label="Backbones")
    band = menu("band", scores, label="Interval of")
    colour = alt.Color("score:N", title=None).scale(domain=scores, range=PALETTE)
    colour = colour.legend(symbolOpacity=1, columns=4)
    base = (
        alt.Chart(frame)
        .transform_filter("datum.pool == pool")
        .encode(
            x=alt.X("kilobytes:Q", title="budget: kB of non-zero weights (log scale)").scale(type="log", nice=False),
            tooltip=[
                "score:N",
                alt.Tooltip("kilobytes:Q", format=",.1f", title="budget (kB)"),
                alt.Tooltip("candidates:Q", title="backbones that fit"),
                *(alt.Tooltip(f"{column}:Q", format=".2f") for column in ("regret", "low", "high")),
            ],
        )
    )
    y = alt.Y("regret:Q", title="regret (accuracy points)")
    width = alt.when("datum.score == band").then(alt.value(3)).otherwise(alt.value(1.5))
    shape = alt.Shape("score:N", title=None).scale(domain=scores, range=SHAPES[: len(scores)])
    return (
        alt.layer(
            base.transform_filter("datum.score == band && isValid(datum.low)")
            .mark_area(opacity=0.16)
            .encode(y=alt.Y("low:Q", title=""), y2="high:Q", color=colour),
            base.mark_line().encode(y=y, color=colour, strokeWidth=width),
            base.mark_point(filled=True, size=42, opacity=1).encode(y=y, color=colour, shape=shape),
        )
        .properties(width=WIDTH - 80, height=330)
        .add_params(pools, band)
    )


def cost_chart(frame: pd.DataFrame) -> alt.TopLevelMixin:
    """Seconds of scoring, probing and training, cheapest on top; a switch for the kind of backbones.

    Parameters
    ----------
    frame : DataFrame
        `costs`.
    """
    frame = prepared(frame, ["group", "what", "kind", "median", "low", "high", "n"])
    # A clock that ticks in microseconds may say zero.
    for column in ("median", "low", "high"):
        frame[column] = frame[column].clip(lower=1e-6)
    switch = menu("backbones", list(dict.fromkeys(frame["group"])), label="Backbones")
    kinds = [name for name in ("score", "training") if name in set(frame["kind"])]
    colour = alt.Color("kind:N", title=None).scale(domain=kinds, range=[PALETTE[0], PALETTE[1]])
    colour = colour.legend(symbolOpacity=1)
    shape = alt.Shape("kind:N", title=None).scale(domain=kinds, range=["circle", "diamond"])
    ticks = [
        10.0**power for power in range(-6, 4) if 0.5 * frame["low"].min() <= 10.0**power <= 2 * frame["high"].max()
    ]
    x = alt.X("median:Q", title="seconds (log scale)").scale(type="log", nice=False)
    x = x.axis(values=ticks, format="~g")
    base = (
        alt.Chart(frame)
        .transform_filter("datum.group == backbones")
        .encode(
            y=alt.Y("what:N", title=None, sort=alt.EncodingSortField("median", op="min")).axis(
                labelLimit=200, ticks=False, domain=False
            ),
            tooltip=[
                "what:N",
                *(alt.Tooltip(f"{column}:Q", format=".3~g") for column in ("median", "low", "high")),
                alt.Tooltip("n:Q", title="records"),
            ],
        )
    )
    return (
        alt.layer(
            base.mark_rule(strokeWidth=3, opacity=0.4).encode(x=alt.X("low:Q", title=""), x2="high:Q", color=colour),
            base.mark_point(filled=True, size=75, opacity=1).encode(x=x, color=colour, shape=shape),
        )
        .properties(width=WIDTH - 230, height=22 * int(frame.groupby("group")["what"].size().max()))
        .add_params(switch)
    )
