"""The chapter *Photographs: choosing under a budget*: regret of a choice by each score, and what scoring costs.

Every function copes with any part of the profile's ladders.
"""

from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np
import pandas as pd

from tepones import agreement
from tepones.common.errors import choose
from tepones.companion import study
from tepones.companion.charts import PALETTE, WIDTH, colours, menu, prepared, shapes
from tepones.companion.photographs import GROUPS, RIVAL, UNKNOWN, complete, groups, kind, with_pool_scores, written

#: Controls of a choice under a budget, besides the scores: the largest backbone that fits, by any method or by the
#: most usual one, and any backbone that fits.
LARGEST, USUAL, BLIND = "largest that fits", "largest by magnitude", "blind choice"
USUAL_METHOD = "magnitude iterative"

#: A non-zero weight stored as one float32; where it stands, and all that is not a prunable weight, comes on top.
BYTES = 4

REPLICATES = 2000


def candidates(tables: Mapping[str, pd.DataFrame], group: str) -> pd.DataFrame:
    """All backbones of a group, judged by a linear probe, with their size, and the controls as further scores.

    A frame as `agreement.budget_regret` wants it; ``bytes`` is `BYTES` for each non-zero prunable weight. A dense
    backbone that several ladders share is there for each. Empty if there is no such ladder.
    """
    choose("group", group, GROUPS)
    rungs = tables["rungs"]
    own = rungs[groups(rungs) == group]
    scores = tables["scores"][tables["scores"]["ladder"].isin(own["ladder"])]
    frame = study.tidy({**tables, "scores": with_pool_scores(scores, ["target"])}, study.PROBE)
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


def with_intervals(found: pd.DataFrame, frame: pd.DataFrame, scores: Sequence[str]) -> pd.DataFrame:
    """Regret of some scores with 95 % intervals, percentiles of a bootstrap that draws ladders and targets.

    A draw of ladders with replacement holds about two thirds of them, so it is a smaller pool, in which there is
    less to choose from: the intervals tend to lie low. The draws are the same for every score and budget.

    Parameters
    ----------
    found : DataFrame
        `regrets` of `frame`.
    frame : DataFrame
        `candidates`.
    scores : sequence of str

    Returns
    -------
    DataFrame
        The rows of `found` of these scores, with low and high; NaN with one ladder.
    """
    found = found[found["score"].isin(scores)].reset_index(drop=True)
    ladders, targets = list(dict.fromkeys(frame["ladder"])), list(dict.fromkeys(frame["target"]))
    if len(ladders) == 1:
        return found.assign(low=np.nan, high=np.nan)
    rng = np.random.default_rng(0)
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

    A drawn pool holds all rungs of the ladders that were drawn. To repeat the choice in thousands of pools, each ladder
    is first reduced to what matters of it: the highest score among its rungs that fit the budget, the accuracies of the
    rungs that have this score, and the best accuracy of a rung that fits. In a pool, the ladder with the highest score
    is then chosen, and the best accuracy of any ladder is what could have been had. Of several rungs with the highest
    score one is drawn by lot, so their mean accuracy counts.

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

    As many names of `regrets` of one pool as there are colours; those that the pool does not have are left out.
    """
    mean = found.groupby("score")["regret"].mean().sort_values(kind="stable")
    always = [name for name in dict.fromkeys([score, LARGEST, USUAL, BLIND, "h_score"]) if name in mean.index]
    best = [name for name in mean.index if kind(name) == RIVAL and name not in always]
    return [*always, *best][: len(PALETTE)]


def losses(found: pd.DataFrame | None, score: str) -> dict[str, int | float | str]:
    """Regret of a score beside that of the controls, in `regrets` of one pool (None without one), as values to glue.

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


def seconds(tables: Mapping[str, pd.DataFrame], score: str, group: str) -> pd.Series:
    """Median wall time of judging one backbone of a group on one target, and of making a rung, over the records.

    Returns
    -------
    Series
        In seconds; NaN where there are no records. ``score``: its value from features that are there, without the one
        pass over them that the closed-form scores share. ``probe``: reading the backbone, extracting the features of
        both splits, cross-validation. ``tuning``: full fine-tuning. ``rung``: pruning it, and training where the method
        does.
    """
    rungs, transfer, scores = (tables[name] for name in ("rungs", "transfer", "scores"))
    own = rungs[groups(rungs) == group]
    transfer = transfer[transfer["ladder"].isin(own["ladder"])].groupby("protocol")["seconds"].median()
    scored = scores[(scores["score"] == score) & scores["ladder"].isin(own["ladder"])]
    return pd.Series(
        {
            "score": scored.drop_duplicates(["ladder", "rung", "target"])["seconds"].median(),
            "probe": transfer.get(study.PROBE, np.nan),
            "tuning": transfer.get(study.FULL, np.nan),
            "rung": own.loc[own["rung"] > 0, "seconds"].median(),
        }
    )


def two_digits(value: float) -> str:
    """A time without an exponent: *0.0012*, *17*, *120*; `UNKNOWN` for NaN."""
    return UNKNOWN if np.isnan(value) else f"{float(f'{value:.2g}'):,g}"


def regret_chart(found: pd.DataFrame, scores: Sequence[str]) -> alt.TopLevelMixin:
    """Regret against the budget, one line for each of at most seven scores, the most important first.

    Menus choose the pool of backbones and the line with a band. `found` is `with_intervals` of one or more pools, one
    below the other, with a column `pool`.
    """
    columns = ["pool", "score", "budget", "candidates", "regret", "low", "high", "targets"]
    frame = prepared(found[found["score"].isin(scores)], columns)
    frame["kilobytes"] = frame["budget"] / 1000
    scores = [name for name in scores if name in set(frame["score"])]
    pools = menu("pool", list(dict.fromkeys(frame["pool"])), label="Backbones")
    band = menu("band", scores, label="Interval of")
    colour = alt.Color("score:N", title=None).scale(domain=scores, range=colours(scores))
    colour = colour.legend(columns=4)
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
    shape = alt.Shape("score:N", title=None).scale(domain=scores, range=shapes(scores))
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
