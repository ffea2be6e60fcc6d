"""Choosing a backbone of the profile `natural` under a size budget, and what scoring costs beside training."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from tepones import agreement
from tepones.common.errors import UsageError, choose
from tepones.companion import study
from tepones.companion.chapters.photographs_ranking import complete, pooled
from tepones.companion.charts import bracketed
from tepones.companion.photographs import RELEASED, TRAINED, groups

#: Controls of a choice under a budget, besides the scores: the largest backbone that fits, by any method or by the
#: most usual one, and any backbone that fits.
LARGEST, USUAL, BLIND = "largest that fits", "largest by magnitude", "blind choice"
USUAL_METHOD = "magnitude iterative"

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
    choose("group", group, (TRAINED, RELEASED))
    rungs = tables["rungs"]
    own = rungs[groups(rungs) == group]
    pieces = {**tables, "scores": pooled(tables["scores"][tables["scores"]["ladder"].isin(own["ladder"])], ["target"])}
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
        each = np.stack([_without_some(part, row.budget, ladders, there) for part in parts[row.score]], axis=1)
        bounds.append(np.quantile((weight * each).sum(axis=1), [0.025, 0.975]))
    return found.assign(low=[low for low, _ in bounds], high=[high for _, high in bounds])


def _without_some(part: pd.DataFrame, budget: float, ladders: list[str], there: np.ndarray) -> np.ndarray:
    """Regret on one target for each draw of ladders, in accuracy points; 0 where nothing fits.

    Of each ladder only its rungs of highest score and its highest accuracy matter; ties inside a ladder and between
    ladders count by their mean, as a random choice among them would.
    """
    fits = part[part["bytes"] <= budget]
    top = fits.groupby("ladder")["value"].transform("max") == fits["value"]
    rows = fits[top].groupby("ladder").agg(value=("value", "first"), sum=("accuracy", "sum"), n=("accuracy", "size"))
    rows["best"] = fits.groupby("ladder")["accuracy"].max()
    rows = rows.reindex(ladders)
    value = np.where(there, rows["value"].fillna(-np.inf).to_numpy(), -np.inf)
    highest = value.max(axis=1, keepdims=True)
    chosen = (value == highest) & np.isfinite(value)
    n = (chosen * rows["n"].fillna(0).to_numpy()).sum(axis=1)
    mean = (chosen * rows["sum"].fillna(0).to_numpy()).sum(axis=1) / np.maximum(n, 1)
    best = np.where(there, rows["best"].fillna(-np.inf).to_numpy(), -np.inf).max(axis=1)
    return np.where(n > 0, 100 * (np.where(np.isfinite(best), best, 0) - mean), 0.0)


def leaders(found: pd.DataFrame, always: Sequence[str], rivals: Sequence[str], n: int = 7) -> list[str]:
    """Scores to draw, `n` in all: those named, then the rivals of least mean regret over all budgets."""
    mean = found.groupby("score")["regret"].mean().sort_values(kind="stable")
    named = [name for name in dict.fromkeys(always) if name in mean.index]
    return [*named, *(name for name in mean.index if name in set(rivals) and name not in named)][:n]


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
    names = {study.PROBE: "linear probe, with features", study.FULL: "full fine-tuning"}
    for (group, protocol), part in judged.groupby(["group", "protocol"], sort=False):
        rows.append(_row(group, names[protocol], "training", part["seconds"]))
    for group, part in rungs[rungs["rung"] > 0].groupby("group", sort=False):
        rows.append(_row(group, "making a rung", "training", part["seconds"]))
    return pd.DataFrame(rows).sort_values(["group", "median"], kind="stable", ignore_index=True)


def _row(group: str, what: str, kind: str, seconds: pd.Series) -> dict[str, object]:
    low, median, high = np.quantile(seconds, [0.05, 0.5, 0.95])
    return {"group": group, "what": what, "kind": kind, "median": median, "low": low, "high": high, "n": len(seconds)}
