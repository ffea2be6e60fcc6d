"""The chapter *Photographs: the sweet phase*: what pruned backbones gain over dense ones, on which targets, and where.

Every function copes with any part of the profile's ladders.
"""

from collections.abc import Iterable, Mapping, Sequence

import altair as alt
import numpy as np
import pandas as pd
from scipy import stats

from tepones import agreement
from tepones.common.errors import choose
from tepones.companion.charts import (
    INK,
    PALETTE,
    WIDTH,
    heat_map,
    label_room,
    menu,
    panel_title,
    prepared,
    sparsity_axis,
)
from tepones.companion.claims import statistic
from tepones.companion.photographs import RELEASED, TRAINED, extremes, groups, rungs_of
from tepones.companion.study import profiles
from tepones.tasks.sources import SOURCES

#: How the rung is chosen at which a gain is read.
RULES = OTHER_TARGETS, OTHER_LADDERS, HINDSIGHT = "other targets", "other ladders", "in hindsight"

#: What tables call the accuracy of the dense backbones of a group.
DENSE = {TRAINED: "dense, here", RELEASED: "dense, released"}

#: Ladders of a method that an interval of its mean needs: with two, Student's quantile is 12.7.
FEWEST = 3

#: The methods that the text names.
TRANSFORMER, COMPRESSED = "transformer magnitude iterative", "compressed squeezenet magnitude one-shot"

#: Accuracy points below dense at which a panel of gains ends: the collapse goes on beneath it.
FLOOR = -8

#: Accuracy points at which the colours of the heat map end.
CAP = 5

_MEAN = "mean"

#: From an accuracy to its points.
_POINTS = 100


def ladders(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """One row for each method: its backbone, seeds, rungs, largest sparsity and what is known of the source."""
    rungs = tables["rungs"].assign(group=groups(tables["rungs"]))
    grouped = rungs.groupby(["method", "group"], sort=False)
    found = grouped.agg(
        backbone=("backbone", "first"),
        ladders=("ladder", "nunique"),
        rungs=("rung", "size"),
        largest=("sparsity", lambda sparsity: _POINTS * sparsity.max()),
    )
    dense = rungs[rungs["rung"] == 0].groupby(["method", "group"])["source_accuracy"].mean()
    found = found.assign(dense=_POINTS * dense).reset_index()
    found["backbone"] = found["backbone"].str.removeprefix("torchvision:") + ", " + found.pop("group")
    return found.rename(columns={"largest": "largest sparsity (%)", "dense": "dense source accuracy (%)"})


def tasks(tables: Mapping[str, pd.DataFrame], profile: profiles.Profile) -> pd.DataFrame:
    """One row for each target: what it consists of, and what a probe reaches on the dense backbones.

    Returns
    -------
    DataFrame
        Columns target, classes, train and test (images; of the test split at most), for each group that there is the
        mean accuracy of its dense backbones in % (`DENSE`), error (points: the standard error of such an accuracy, of
        backbones trained here if there are any; larger where a set holds fewer test images), distance.
    """
    n_classes = {size.task: size.classes or SOURCES[size.task].n_classes for size in profile.targets}
    found = pd.DataFrame({"classes": n_classes, "train": tables["scores"].groupby("target")["n"].first()})
    found = found.loc[list(n_classes)].dropna().astype(int)
    found["test"] = found["classes"] * pd.Series({size.task: size.test_per_class for size in profile.targets})
    dense = rungs_of(tables).query("rung == 0").groupby(["target", "group"])["accuracy"].mean().unstack("group")
    share = dense.iloc[:, -1]
    found = found.join(_POINTS * dense.rename(columns=DENSE))
    found["error"] = _POINTS * np.sqrt(share * (1 - share) / found["test"])
    return found.join(distances(tables)).rename_axis("target").reset_index()


def distances(tables: Mapping[str, pd.DataFrame]) -> pd.Series:
    """How far the classes of each target are from those of the source, by target, nearest first.

    Our measure: `nce` divided by its value on shuffled labels, which also takes out most of what a finite number of
    images feigns. It is 1 where the source classes say nothing about those of the target, and 0 where they decide them.
    Mean over the dense backbones that were trained here, each counted once; empty where `nce` was not computed.
    """
    scores, rungs = tables["scores"], tables["rungs"]
    trained = rungs[(groups(rungs) == TRAINED) & (rungs["rung"] == 0)]["ladder"]
    dense = scores[(scores["score"] == "nce") & (scores["rung"] == 0) & scores["ladder"].isin(trained)]
    # Ladders of one seed share their dense backbone, and so the cell of its scores.
    dense = dense.drop_duplicates("cell") if "cell" in dense else dense
    share = (dense["value"] / dense["null"]).groupby(dense["target"]).mean()
    return share.dropna().sort_values(kind="stable").rename("distance")


def curves(rungs: pd.DataFrame) -> pd.DataFrame:
    """Gain of each method along its rungs: mean over its ladders, with a 95 % interval where there are `FEWEST`.

    Returns
    -------
    DataFrame
        Columns method, rung, target, sparsity, ladders (how many), accuracy, and the gain in points: mean, low, high.
        The interval is Student's; NaN for fewer ladders and for the dense rung.
    """
    grouped = rungs.groupby(["method", "rung", "target"], sort=False)
    found = grouped.agg(
        sparsity=("sparsity", "mean"),
        ladders=("ladder", "nunique"),
        accuracy=("accuracy", "mean"),
        mean=("gain", "mean"),
        spread=("gain", "std"),
    ).reset_index()
    several = (found["ladders"] >= FEWEST) & (found["rung"] > 0)
    freedom = found["ladders"].where(several) - 1
    half = stats.t.ppf(0.975, freedom) * found["spread"] / np.sqrt(found["ladders"])
    return found.assign(low=found["mean"] - half, high=found["mean"] + half).drop(columns="spread")


def rise(curves: pd.DataFrame, method: str) -> pd.DataFrame:
    """How high a method rises over dense on each target, from `curves`.

    Columns target, highest (largest mean gain of a pruned rung, points), clear (whether the whole interval of some rung
    lies above zero).
    """
    pruned = curves[(curves["method"] == method) & (curves["rung"] > 0)]
    grouped = pruned.groupby("target", sort=False)
    return pd.DataFrame({"highest": grouped["mean"].max(), "clear": grouped["low"].max() > 0}).reset_index()


def fallen(curves: pd.DataFrame) -> float:
    """Share of the lines, one for each method and target, that end below dense."""
    last = curves.sort_values("rung", kind="stable").groupby(["method", "target"]).tail(1)
    return float((last["mean"] < 0).mean())


def ends(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """What is left on the source task at the last rung of the methods trained here: mean over a method's ladders.

    By method: dense and last (source accuracy in %), emptied (layers of which the last rung of the first ladder has no
    weight), kept (the last as a share of the dense accuracy).
    """
    rungs = tables["rungs"]
    rows = {}
    for method, part in rungs[groups(rungs) == TRAINED].groupby("method", sort=False):
        dense, last = part[part["rung"] == 0], part[part["rung"] == part["rung"].max()]
        collapsed = last["collapsed"].iloc[0]
        row = {"dense": _POINTS * dense["source_accuracy"].mean(), "last": _POINTS * last["source_accuracy"].mean()}
        rows[method] = row | {"emptied": 0 if pd.isna(collapsed) else len(collapsed.split())}
    found = pd.DataFrame.from_dict(rows, orient="index", columns=["dense", "last", "emptied"])
    return found.assign(kept=found["last"] / found["dense"])


def chosen_gains(rungs: pd.DataFrame, rule: str = OTHER_TARGETS) -> pd.DataFrame:
    """Accuracy points over the dense rung, for each ladder and target, at a pruned rung that a rule chooses.

    Parameters
    ----------
    rungs : DataFrame
        `rungs_of`.
    rule : {"other targets", "other ladders", "in hindsight"}
        The rung that is best on average on the *other* targets of the ladder; that is best on this target on
        average over the *other* ladders of the method (methods with one ladder are left out); or that turned out
        best, which finds a gain even in noise.

    Returns
    -------
    DataFrame
        Columns ladder, target, value, method, group, rule.
    """
    choose("rule", rule, RULES)
    pruned = rungs[rungs["rung"] > 0]
    if rule == HINDSIGHT:
        found = pruned.groupby(["ladder", "target"], sort=False)["gain"].max().rename("value").reset_index()
    elif rule == OTHER_LADDERS:
        found = statistic.gain_over_dense(rungs)[["ladder", "target", "value"]]
    else:
        found = statistic.gain_at_a_common_level(rungs)[["ladder", "target", "value"]]
    about = rungs.drop_duplicates("ladder")[["ladder", "method", "group"]]
    return found.merge(about, on="ladder").assign(rule=rule)


def mean_gains(gains: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Mean of `chosen_gains` over ladders and targets with its two-level 95 % interval, for each value of `by`.

    The columns of `by`, such as group and rule; ladders and targets (how many), mean, low, high. The bounds are NaN for
    one ladder, and in hindsight: that mean is biased, and no interval says by how much.
    """
    rows = []
    for values, part in gains.groupby(list(by), sort=False):
        table = part.pivot(index="ladder", columns="target", values="value").dropna()
        found = agreement.two_level_interval(table.to_numpy())
        biased = (part["rule"] == HINDSIGHT).any()
        bounds = (np.nan, np.nan) if biased else (float(found.low), float(found.high))
        rows.append((*values, *table.shape, float(found.mean), *bounds))
    return pd.DataFrame(rows, columns=[*by, "ladders", "targets", "mean", "low", "high"])


def where(gains: pd.DataFrame, group: str) -> dict[str, int | str]:
    """Where the rung that other targets choose gains most and least in a group of ladders, as values to glue.

    How many ``cells`` of methods and targets there are and how many are ``positive``; `photographs.extremes` of the
    means by ``target-`` and by ``method-``.
    """
    own = gains[(gains["group"] == group) & (gains["rule"] == OTHER_TARGETS)]
    cells = own.groupby(["method", "target"])["value"].mean()
    found = {"cells": len(cells), "positive": int((cells > 0).sum())}
    for of in ("target", "method"):
        found |= {f"{of}-{key}": value for key, value in extremes(cells.groupby(of).mean()).items()}
    return found


def by_images(tables: Mapping[str, pd.DataFrame], gains: pd.DataFrame, method: str) -> pd.DataFrame:
    """What training on varied images changes: a method beside the same method with augmentation.

    Rows plain and varied. Mean source accuracy in %: dense, first (pruned rung), highest (of the pruned rungs); and
    mean, low, high of the gain at the rung that other ladders choose, in `chosen_gains`. NaN for what is not there.
    """
    source = _POINTS * tables["rungs"].pivot_table(index="rung", columns="method", values="source_accuracy")
    source = source.reindex(columns=[method, f"augmented {method}"])
    found = source.reindex([0, 1]).T.set_axis(["dense", "first"], axis=1)
    found = found.assign(highest=source[source.index > 0].max())
    means = mean_gains(gains[gains["rule"] == OTHER_LADDERS], ["method"]).set_index("method")
    return found.join(means[["mean", "low", "high"]]).set_axis(["plain", "varied"])


def spearman(x: Iterable[float], y: Iterable[float]) -> tuple[float, float, float]:
    """Spearman's ρ with the bounds of its 95 % interval by Fisher's z, whose variance is (1 + ρ²/2)/(n − 3).

    The variance is that of D. Bonett and T. Wright, Sample size requirements for estimating Pearson, Kendall and
    Spearman correlations, Psychometrika 65, 2000. All are NaN for fewer than five points or a constant side, the bounds
    for |ρ| = 1.
    """
    x, y = np.asarray(list(x), float), np.asarray(list(y), float)
    if x.size < 5 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan, np.nan, np.nan
    rho = float(stats.spearmanr(x, y).statistic)
    if abs(rho) > 1 - 1e-12:
        return rho, np.nan, np.nan
    half = stats.norm.ppf(0.975) * np.sqrt((1 + rho**2 / 2) / (x.size - 3))
    low, high = np.tanh(np.arctanh(rho) + np.array([-half, half]))
    return rho, float(low), float(high)


def distance_table(gains: pd.DataFrame, far: pd.Series) -> pd.DataFrame:
    """Spearman's ρ over the targets between their `distances` and a method's gain, the mean of its ladders.

    From `chosen_gains` of one rule; columns method, targets (how many), rho, low, high.
    """
    means = gains[gains["target"].isin(far.index)].groupby(["method", "target"], sort=False)["value"].mean()
    rows = [
        (method, len(part), *spearman(part.index.get_level_values("target").map(far), part))
        for method, part in means.groupby("method", sort=False)
    ]
    return pd.DataFrame(rows, columns=["method", "targets", "rho", "low", "high"])


def tops(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """In how many pairs of ladder and target information and accuracy have their highest rungs where.

    The information is that of the score `gaussian`; of equal rungs the sparsest is the highest. One row for each group
    of ladders: backbones (the group), pairs; information and accuracy (highest at a pruned rung), both; same_rung and
    at_most_one_apart (the two highest rungs); above_shuffled_labels (the information, at every rung).
    """
    scores = tables["scores"].query("score == 'gaussian'")[["ladder", "rung", "target", "value", "null"]]
    along = rungs_of(tables).merge(scores, on=["ladder", "rung", "target"])
    along["above"] = along["value"] > along["null"]
    pairs = along.groupby(["group", "ladder", "target"], sort=False)

    def highest(column: str) -> pd.Series:
        ordered = along.sort_values([column, "rung"], kind="stable")
        return ordered.groupby(["group", "ladder", "target"], sort=False)["rung"].last()

    information, accuracy = highest("value"), highest("accuracy")
    apart = (information - accuracy).abs()
    counted = pd.DataFrame(
        {
            "pairs": 1,
            "information": information > 0,
            "accuracy": accuracy > 0,
            "both": (information > 0) & (accuracy > 0),
            "same_rung": apart == 0,
            "at_most_one_apart": apart <= 1,
            "above_shuffled_labels": pairs["above"].all(),
        },
        index=pairs.size().index,
    )
    return counted.groupby("group", sort=False).sum().astype(int).rename_axis("backbones").reset_index()


def gains_chart(curves: pd.DataFrame, methods: Sequence[str], method: str) -> alt.TopLevelMixin:
    """`curves` of accuracy points over dense against sparsity, one panel per target.

    `methods` are the entries of a menu for the method drawn in blue, and `method` the one that is chosen at first (the
    first of them if it is none).
    """
    frame = prepared(curves, ["method", "rung", "sparsity", "target", "ladders", "accuracy", "mean", "low", "high"])
    chosen = menu("inBlue", methods, method, label="Method")
    top = max(2.0, 1.15 * frame["mean"].max())

    def panel(target: str, first: bool) -> alt.LayerChart:
        y = alt.Y("mean:Q", title="points over dense" if first else None).scale(domain=[FLOOR, round(top, 1)])
        # One frame for all panels, filtered in the chart: it is stored once.
        base = (
            alt.Chart(frame, title=panel_title(target))
            .transform_filter(f"datum.target == {target!r}")
            .encode(
                # A small panel has no room for more than every tenth part and a short title.
                x=sparsity_axis(frame, (1, 0.1, 0.01, 0.001)).title("sparsity (log scale)"),
                y=y.axis(tickCount=6),
                order="rung:Q",
                tooltip=[
                    "method:N",
                    "target:N",
                    alt.Tooltip("sparsity:Q", format=".2%"),
                    alt.Tooltip("mean:Q", format="+.2f", title="points over dense"),
                    alt.Tooltip("low:Q", format="+.2f"),
                    alt.Tooltip("high:Q", format="+.2f"),
                    alt.Tooltip("accuracy:Q", format=".4f"),
                    "ladders:Q",
                ],
            )
        )
        lit = base.transform_filter("datum.method == inBlue")
        known = lit.transform_filter("isValid(datum.low)")
        return alt.layer(
            base.transform_filter("datum.method != inBlue")
            .mark_line(clip=True, strokeWidth=1, color=INK, opacity=0.2)
            .encode(detail="method:N"),
            alt.Chart().mark_rule(strokeDash=[4, 3], opacity=0.7).encode(y=alt.datum(0)),
            known.mark_rule(clip=True, strokeWidth=5, opacity=0.28, color=PALETTE[0]).encode(y="low:Q", y2="high:Q"),
            lit.mark_line(clip=True, strokeWidth=2, color=PALETTE[0]),
            lit.mark_point(clip=True, filled=True, size=26, color=PALETTE[0], opacity=1),
        ).properties(width=172, height=118)

    # The first of a row says what its axis shows.
    drawn = [panel(target, i % 3 == 0) for i, target in enumerate(dict.fromkeys(frame["target"]))]
    grid = alt.concat(*drawn, columns=3, bounds="flush", spacing={"row": 74, "column": 36})
    return grid.add_params(chosen)


def gain_heat_map(gains: pd.DataFrame, methods: Sequence[str], targets: Sequence[str]) -> alt.TopLevelMixin:
    """`chosen_gains` of each method on each target, the number in its cell; a switch for how the rung was chosen.

    `methods` are the rows and `targets` the columns, in their order; the last column is the mean.
    """
    frame = prepared(gains, ["rule", "method", "target", "ladder", "value"])
    cells = frame.groupby(["rule", "method", "target"], sort=False)["value"].agg(value="mean", ladders="count")
    cells = cells.reset_index()
    means = cells.groupby(["rule", "method"], sort=False).agg(value=("value", "mean"), ladders=("ladders", "max"))
    frame = prepared(
        pd.concat([cells, means.reset_index().assign(target=_MEAN)], ignore_index=True),
        ["rule", "method", "target", "value", "ladders"],
    )
    rules = [rule for rule in RULES if rule in set(frame["rule"])]
    switch = menu("rule", rules, OTHER_TARGETS, label="Rung chosen by", switch=True)
    present = [method for method in methods if method in set(frame["method"])]
    base = (
        alt.Chart(frame)
        .transform_filter("datum.rule == rule")
        .encode(
            x=alt.X("target:N", title=None)
            .scale(domain=[*targets, _MEAN])
            .axis(labelAngle=-35, domain=False, ticks=False),
            y=alt.Y("method:N", title=None).scale(domain=present).axis(labelLimit=250, domain=False, ticks=False),
            tooltip=[
                "method:N",
                "target:N",
                alt.Tooltip("value:Q", format="+.2f", title="points over dense"),
                "ladders:Q",
            ],
        )
    )
    return (
        heat_map(base, "value", "accuracy points over dense", CAP, "+.1f")
        .properties(width=WIDTH - label_room(present), height=24 * len(present))
        .add_params(switch)
    )
