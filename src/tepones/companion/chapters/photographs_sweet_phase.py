"""The chapter *Photographs: the sweet phase*: what pruned backbones gain over dense ones, on which targets, and where.

Frames come first, then charts, which refuse a frame without rows. Every function copes with any part of the profile's
ladders.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import altair as alt
import numpy as np
import pandas as pd
from scipy import stats

from tepones import agreement
from tepones.common.errors import UsageError, choose
from tepones.companion.charts import PALETTE, WIDTH, heat_map, label_room, menu, panel_title, prepared, sparsity_axis
from tepones.companion.claims import statistic
from tepones.companion.photographs import GROUPS, RELEASED, TRAINED, UNKNOWN, extremes, groups, rungs_of
from tepones.companion.study import profiles
from tepones.tasks.sources import SOURCES

#: How the rung is chosen at which a gain is read.
RULES = OTHER_TARGETS, OTHER_LADDERS, HINDSIGHT = "other targets", "other ladders", "in hindsight"

#: What tables call the accuracy of the dense backbones of a group.
DENSE = {TRAINED: "dense, here", RELEASED: "dense, released"}

#: Estimators of the intra-class information whose curves are shown.
ESTIMATORS = ("gaussian", "posterior")

#: Ladders of a method that an interval of its mean needs: with two, Student's quantile is 12.7.
FEWEST = 3

#: The methods that the text names.
TRANSFORMER, COMPRESSED = "transformer magnitude iterative", "compressed squeezenet magnitude one-shot"

#: Accuracy points below dense at which a panel of gains ends: the collapse goes on beneath it.
FLOOR = -8

#: Accuracy points at which the colours of the heat map end.
CAP = 5

_BLUE, _ORANGE, _GREY = PALETTE[0], PALETTE[1], "#c4c4c4"
_PANEL = {"width": 172, "height": 118}
_MEAN = "mean"

#: From an accuracy to its points.
_POINTS = 100


class Correlation(NamedTuple):
    """Spearman's ρ with its 95 % interval, NaN where there are too few points."""

    rho: float
    low: float
    high: float
    n: int


def ladders(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """One row for each method: its backbone, seeds, rungs, largest sparsity and what is known of the source."""
    rungs = tables["rungs"].assign(group=groups(tables["rungs"]))
    rows = []
    for (group, method), part in rungs.groupby(["group", "method"], sort=False):
        dense = part.loc[part["rung"] == 0, "source_accuracy"].mean()
        rows.append(
            {
                "method": method,
                "backbone": f"{part['backbone'].iloc[0].removeprefix('torchvision:')}, {group}",
                "ladders": part["ladder"].nunique(),
                "rungs": len(part),
                "largest sparsity (%)": _POINTS * part["sparsity"].max(),
                "dense source accuracy (%)": _POINTS * dense,
            }
        )
    return pd.DataFrame(rows)


def tasks(tables: Mapping[str, pd.DataFrame], profile: profiles.Profile) -> pd.DataFrame:
    """One row for each target: classes, images, accuracy of a probe on the dense backbones, its error, distance.

    Returns
    -------
    DataFrame
        Columns target, classes, train and test (images; of the test split at most), for each group that there is the
        mean accuracy of its dense backbones in % (`DENSE`), error, distance. The error is the standard error of one
        such accuracy in points, of backbones trained here if there are any, from the number of test images; where a set
        holds fewer images than the profile would take, it is larger.
    """
    dense = rungs_of(tables).query("rung == 0")
    by_group = _POINTS * dense.groupby(["target", "group"])["accuracy"].mean().unstack("group")
    n_train = tables["scores"].groupby("target")["n"].first()
    far = distances(tables)
    rows = []
    for size in profile.targets:
        classes = size.classes or SOURCES[size.task].n_classes
        n_test, own = classes * size.test_per_class, [by_group[group].get(size.task, np.nan) for group in by_group]
        share = own[-1] / _POINTS
        rows.append(
            {
                "target": size.task,
                "classes": classes,
                "train": n_train.get(size.task, np.nan),
                "test": n_test,
                **{DENSE[group]: value for group, value in zip(by_group, own, strict=True)},
                "error": _POINTS * np.sqrt(share * (1 - share) / n_test),
                "distance": far.get(size.task, np.nan),
            }
        )
    found = pd.DataFrame(rows)
    return found[found["train"].notna()].astype({"train": int}).reset_index(drop=True)


def distances(tables: Mapping[str, pd.DataFrame]) -> pd.Series:
    """How far the classes of each target are from those of the source: our measure, from records alone.

    The negative conditional entropy (`nce`) says how uncertain the class of a target image remains once one knows
    which *source* class the dense network takes it for. Its value divided by that on shuffled labels is 1 where the
    source classes say nothing about those of the target, and 0 where they decide them. Dividing by the shuffled
    value also takes out most of what a finite number of images feigns. Mean over the dense backbones that were
    trained here, each counted once; empty where `nce` was not computed.

    Returns
    -------
    Series
        By target, nearest first.
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
        Columns method, rung, sparsity, target, ladders, accuracy, mean, low, high. The interval is Student's, on
        one less than the number of ladders; NaN for fewer ladders and for the dense rung.
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
    """How high a method rises over dense on each target: columns target, highest (points), clear.

    `highest` is the largest mean gain of a pruned rung; `clear` says whether the whole interval of some rung lies
    above zero.
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

    Returns
    -------
    DataFrame
        By method: dense and last (source accuracy in %), kept (the last as a share of the dense one), emptied (layers
        of which the last rung of the first ladder has no weight).
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
        best, which finds a gain even in noise and is there to show how much.

    Returns
    -------
    DataFrame
        Columns ladder, method, group, target, value, rule.
    """
    choose("rule", rule, RULES)
    pruned = rungs[rungs["rung"] > 0]
    if rule == HINDSIGHT:
        found = pruned.groupby(["ladder", "target"], sort=False)["gain"].max().rename("value").reset_index()
    elif rule == OTHER_LADDERS:
        found = statistic.gain_over_dense(rungs)[["ladder", "target", "value"]]
    else:
        found = statistic.gain_at_a_common_level(rungs)
    about = rungs.drop_duplicates("ladder")[["ladder", "method", "group"]]
    return found.merge(about, on="ladder").assign(rule=rule)


def mean_gains(gains: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Mean gain over ladders and targets with its two-level 95 % interval.

    Parameters
    ----------
    gains : DataFrame
        `chosen_gains` of one or more rules, one below the other.
    by : sequence of str
        Columns that say what a mean is of, such as group and rule.

    Returns
    -------
    DataFrame
        The columns of `by`, ladders and targets (how many), mean, low, high. The bounds are NaN for one ladder, and
        where the rung was chosen in hindsight: that mean is biased, and no interval says by how much.
    """
    rows = []
    for values, part in gains.groupby(list(by), sort=False):
        table = part.pivot(index="ladder", columns="target", values="value").dropna()
        found = agreement.two_level_interval(table.to_numpy())
        biased = (part["rule"] == HINDSIGHT).any()
        bounds = (np.nan, np.nan) if biased else (float(found.low), float(found.high))
        rows.append((*values, *table.shape, float(found.mean), *bounds))
    return pd.DataFrame(rows, columns=[*by, "ladders", "targets", "mean", "low", "high"])


def overview(gains: pd.DataFrame) -> pd.DataFrame:
    """`mean_gains` by group and rule, ladders trained here first."""
    found = mean_gains(gains, ["group", "rule"])
    places = found["rule"].map(RULES.index) + len(RULES) * found["group"].map(GROUPS.index)
    return found.iloc[places.argsort(kind="stable")].reset_index(drop=True)


def where(gains: pd.DataFrame, group: str) -> dict[str, int | str]:
    """Where the rung that other targets choose gains most and least in a group of ladders, as values to glue.

    Returns
    -------
    dict
        ``cells`` of methods and targets, how many of them are ``positive``; `photographs.extremes` of the means by
        ``target-`` and by ``method-``.
    """
    own = gains[(gains["group"] == group) & (gains["rule"] == OTHER_TARGETS)]
    cells = own.groupby(["method", "target"])["value"].mean()
    found = {"cells": len(cells), "positive": int((cells > 0).sum())}
    for of in ("target", "method"):
        found |= {f"{of}-{key}": value for key, value in extremes(cells.groupby(of).mean()).items()}
    return found


def by_images(tables: Mapping[str, pd.DataFrame], gains: pd.DataFrame, method: str) -> pd.DataFrame:
    """What training on varied images changes: a method beside the same method with augmentation.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        As `tepones.companion.study.load` returns it.
    gains : DataFrame
        `chosen_gains`, the rule `OTHER_LADDERS` among others.
    method : str

    Returns
    -------
    DataFrame
        Rows plain and varied. Source accuracy in %, mean over ladders: dense, first (pruned rung) and highest (of the
        pruned rungs); and mean, low, high of the gain at the rung that other ladders choose. NaN for what is not there.
    """
    source = _POINTS * tables["rungs"].pivot_table(index="rung", columns="method", values="source_accuracy")
    source = source.reindex(columns=[method, f"augmented {method}"])
    found = source.reindex([0, 1]).T.set_axis(["dense", "first"], axis=1)
    found = found.assign(highest=source[source.index > 0].max())
    means = mean_gains(gains[gains["rule"] == OTHER_LADDERS], ["method"]).set_index("method")
    return found.join(means[["mean", "low", "high"]]).set_axis(["plain", "varied"])


def spearman(x: Iterable[float], y: Iterable[float]) -> Correlation:
    """Spearman's ρ with a 95 % interval by Fisher's z, whose variance is (1 + ρ²/2)/(n − 3).

    The variance is that of D. Bonett and T. Wright, Sample size requirements for estimating Pearson, Kendall and
    Spearman correlations, Psychometrika 65, 2000. NaN for fewer than five points or a constant side.
    """
    x, y = np.asarray(list(x), float), np.asarray(list(y), float)
    if x.shape != y.shape:
        raise UsageError(f"{x.size} and {y.size} numbers; a correlation needs pairs")
    if x.size < 5 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Correlation(np.nan, np.nan, np.nan, x.size)
    rho = float(stats.spearmanr(x, y).statistic)
    if abs(rho) > 1 - 1e-12:
        return Correlation(rho, np.nan, np.nan, x.size)
    half = stats.norm.ppf(0.975) * np.sqrt((1 + rho**2 / 2) / (x.size - 3))
    low, high = np.tanh(np.arctanh(rho) + np.array([-half, half]))
    return Correlation(rho, float(low), float(high), x.size)


def gain_by_distance(gains: pd.DataFrame, far: pd.Series) -> pd.DataFrame:
    """Gain and distance of each target for each method: columns method, target, distance, value, low, high, ladders.

    `value` is the mean over the method's ladders, `low` and `high` their smallest and largest.
    """
    near = gains[gains["target"].isin(far.index)]
    grouped = near.groupby(["method", "target"], sort=False)["value"]
    found = grouped.agg(value="mean", low="min", high="max", ladders="count").reset_index()
    return found.assign(distance=found["target"].map(far).astype(float))


def distance_table(points: pd.DataFrame) -> pd.DataFrame:
    """Spearman's ρ between distance and gain over the targets, for each method.

    Returns
    -------
    DataFrame
        Columns method, targets (how many), rho, low, high.
    """
    rows = []
    for method, part in points.groupby("method", sort=False):
        found = spearman(part["distance"], part["value"])
        rows.append({"method": method, "targets": found.n, "rho": found.rho, "low": found.low, "high": found.high})
    return pd.DataFrame(rows, columns=["method", "targets", "rho", "low", "high"])


def of_pacs(points: pd.DataFrame, method: str) -> str:
    """The domains of PACS by their distance, with it and the gain of a method on each, as a list."""
    own = points[(points["method"] == method) & points["target"].str.startswith("pacs-")].sort_values("distance")
    domains = own["target"].str.removeprefix("pacs-").str.replace("_", " ")
    rows = zip(domains, own["distance"], own["value"], strict=True)
    return "; ".join(f"{domain} {far:.2f}, {gain:+.2f}" for domain, far, gain in rows).replace("-", "−") or UNKNOWN


def information(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Intra-class information along the ladders, by the estimators of `ESTIMATORS` that were computed.

    Returns
    -------
    DataFrame
        `rungs_of` with a column for each estimator, and for each its value on shuffled labels: ``gaussian``,
        ``gaussian_null``, …
    """
    found = rungs_of(tables)
    for name in ESTIMATORS:
        own = tables["scores"].query("score == @name")[["ladder", "rung", "target", "value", "null"]]
        own = own.rename(columns={"value": name, "null": f"{name}_null"})
        if not own.empty:
            found = found.merge(own, on=["ladder", "rung", "target"], how="left")
    return found


def tops(along: pd.DataFrame, estimator: str) -> pd.DataFrame:
    """Where accuracy and information are highest on each ladder and target.

    Returns
    -------
    DataFrame
        Columns ladder, method, group, target, accuracy_top, information_top (rungs; of equals the sparsest), apart
        (how many rungs lie between them) and above_null (whether the information exceeds its value on shuffled
        labels at every rung).
    """
    rows = []
    for (ladder, target), part in along.dropna(subset=[estimator]).groupby(["ladder", "target"], sort=False):
        part = part.sort_values("rung", ascending=False, kind="stable").set_index("rung")
        accuracy, value = int(part["accuracy"].idxmax()), int(part[estimator].idxmax())
        above = bool((part[estimator] > part[f"{estimator}_null"]).all())
        about = {"ladder": ladder, "method": part["method"].iloc[0], "group": part["group"].iloc[0], "target": target}
        tops_of = {"accuracy_top": accuracy, "information_top": value, "apart": abs(accuracy - value)}
        rows.append(about | tops_of | {"above_null": above})
    columns = ["ladder", "method", "group", "target", "accuracy_top", "information_top", "apart", "above_null"]
    return pd.DataFrame(rows, columns=columns)


def tops_by_group(tops: pd.DataFrame) -> pd.DataFrame:
    """In how many pairs of ladder and target something is so, for each group of ladders.

    Returns
    -------
    DataFrame
        Columns backbones (the group), pairs; information and accuracy (highest at a pruned rung), both; same_rung and
        at_most_one_apart (the two highest rungs); above_shuffled_labels (the information, at every rung).
    """
    pruned = tops.assign(information=tops["information_top"] > 0, accuracy=tops["accuracy_top"] > 0)
    counted = pd.DataFrame(
        {
            "backbones": tops["group"],
            "pairs": 1,
            "information": pruned["information"],
            "accuracy": pruned["accuracy"],
            "both": pruned["information"] & pruned["accuracy"],
            "same_rung": tops["apart"] == 0,
            "at_most_one_apart": tops["apart"] <= 1,
            "above_shuffled_labels": tops["above_null"],
        }
    )
    return counted.groupby("backbones", sort=False).sum().astype(int).reset_index()


def gains_chart(curves: pd.DataFrame, methods: Sequence[str], method: str) -> alt.TopLevelMixin:
    """Accuracy points over dense against sparsity, one panel per target; a menu for the method drawn in blue.

    Parameters
    ----------
    curves : DataFrame
        `curves`.
    methods : sequence of str
        Entries of the menu, in its order.
    method : str
        Which is chosen at first; the first of `methods` if it is not among them.
    """
    frame = prepared(curves, ["method", "rung", "sparsity", "target", "ladders", "accuracy", "mean", "low", "high"])
    chosen = menu("inBlue", methods, method, label="Method")
    top = max(2.0, 1.15 * frame["mean"].max())

    def panel(part: pd.DataFrame, title: str, first: bool) -> alt.LayerChart:
        del part  # One frame for all panels, filtered in the chart: it is stored once.
        y = alt.Y("mean:Q", title="points over dense" if first else None).scale(domain=[FLOOR, round(top, 1)])
        base = (
            alt.Chart(frame, title=panel_title(title))
            .transform_filter(f"datum.target == {title!r}")
            .encode(
                x=_sparsity(frame),
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
            .mark_line(clip=True, strokeWidth=1, color=_GREY, opacity=0.8)
            .encode(detail="method:N"),
            alt.Chart().mark_rule(strokeDash=[4, 3], color="#333333", opacity=0.7).encode(y=alt.datum(0)),
            known.mark_rule(clip=True, strokeWidth=5, opacity=0.28, color=_BLUE).encode(y="low:Q", y2="high:Q"),
            lit.mark_line(clip=True, strokeWidth=2, color=_BLUE),
            lit.mark_point(clip=True, filled=True, size=26, color=_BLUE, opacity=1),
        ).properties(**_PANEL)

    return _grid(frame, panel).add_params(chosen)


def gain_heat_map(gains: pd.DataFrame, methods: Sequence[str], targets: Sequence[str]) -> alt.TopLevelMixin:
    """Gain of each method on each target, the number in its cell; a switch for how the rung was chosen.

    Parameters
    ----------
    gains : DataFrame
        `chosen_gains` of one or more rules, one below the other.
    methods, targets : sequence of str
        Rows and columns, in their order. The last column is the mean.
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


def distance_chart(points: pd.DataFrame, methods: Sequence[str], method: str) -> alt.TopLevelMixin:
    """Gain against distance, one labelled point per target; a menu for the method.

    Parameters
    ----------
    points : DataFrame
        `gain_by_distance`.
    methods : sequence of str
        Entries of the menu, in its order.
    method : str
        Which is chosen at first.
    """
    frame = prepared(points, ["method", "target", "distance", "value", "low", "high", "ladders"])
    chosen = menu("inFigure", [name for name in methods if name in set(frame["method"])], method, label="Method")
    frame["kind"] = ["PACS" if name.startswith("pacs") else "other" for name in frame["target"]]
    # Labels go to the right and the left by turns, so that neighbours do not cover each other.
    turn = {name: i % 2 for i, name in enumerate(dict.fromkeys(frame.sort_values("distance")["target"]))}
    frame["left"] = [turn[name] for name in frame["target"]]
    spread = 0.04 * max(frame["distance"].max() - frame["distance"].min(), 0.05)
    domain = [frame["distance"].min() - 3 * spread, frame["distance"].max() + 5 * spread]
    base = (
        alt.Chart(frame)
        .transform_filter("datum.method == inFigure")
        .encode(
            x=alt.X("distance:Q", title="distance of the target's classes from the source's (ours)")
            .scale(domain=domain, nice=False)
            .axis(tickCount=8),
            tooltip=[
                "target:N",
                alt.Tooltip("distance:Q", format=".3f"),
                alt.Tooltip("value:Q", format="+.2f", title="points over dense"),
                alt.Tooltip("low:Q", format="+.2f", title="lowest ladder"),
                alt.Tooltip("high:Q", format="+.2f", title="highest ladder"),
                "ladders:Q",
            ],
        )
    )
    y = alt.Y("value:Q", title="accuracy points over dense")
    colour = alt.Color("kind:N", title="target").scale(domain=["PACS", "other"], range=[_ORANGE, _BLUE])
    colour = colour.legend(symbolOpacity=1)
    shape = alt.Shape("kind:N", title="target").scale(domain=["PACS", "other"], range=["diamond", "circle"])

    def label(left: int) -> alt.Chart:
        words = base.transform_filter(f"datum.left == {left}")
        place = {"align": "right", "dx": -9} if left else {"align": "left", "dx": 9}
        return words.mark_text(dy=-6, fontSize=11, color="#333333", **place).encode(y=y, text="target:N")

    return (
        alt.layer(
            alt.Chart().mark_rule(strokeDash=[4, 3], color="#333333", opacity=0.7).encode(y=alt.datum(0)),
            base.mark_rule(strokeWidth=3, opacity=0.35).encode(y=alt.Y("low:Q", title=""), y2="high:Q", color=colour),
            base.mark_point(filled=True, size=90, opacity=1).encode(y=y, color=colour, shape=shape),
            label(0),
            label(1),
        )
        .properties(width=WIDTH - 90, height=330)
        .add_params(chosen)
    )


def information_chart(along: pd.DataFrame, methods: Sequence[str], method: str) -> alt.TopLevelMixin:
    """Intra-class information against sparsity, one panel per target; menus for the method and the estimator.

    Dashed: the same on shuffled labels. Ring: where the information is highest. Vertical line: where the accuracy is.

    Parameters
    ----------
    along : DataFrame
        `information`.
    methods : sequence of str
        Entries of the menu, in its order.
    method : str
        Which is chosen at first.
    """
    estimators = [name for name in ESTIMATORS if name in along]
    values = [column for name in estimators for column in (name, f"{name}_null")]
    frame = prepared(along, ["ladder", "method", "rung", "sparsity", "target", "accuracy", *values])
    for column in values:
        frame[column] = [float(f"{value:.4g}") for value in frame[column]]
    highest = {name: _highest(frame, name) for name in ("accuracy", *estimators)}
    # A row names what is highest there; most rows name nothing.
    frame["tops"] = [" ".join(name for name in highest if highest[name][row]) or None for row in range(len(frame))]
    chosen = menu("ofMethod", methods, method, label="Method")
    switch = menu("estimator", estimators, label="Estimator", switch=True)

    def panel(part: pd.DataFrame, title: str, first: bool) -> alt.LayerChart:
        del part
        base = (
            alt.Chart(frame, title=panel_title(title))
            .transform_filter(f"datum.target == {title!r} && datum.method == ofMethod")
            .transform_calculate(
                nats="datum[estimator]", shuffled="datum[estimator + '_null']", at="datum.tops ? datum.tops : ''"
            )
            .encode(
                x=_sparsity(frame),
                detail="ladder:N",
                tooltip=[
                    "ladder:N",
                    alt.Tooltip("sparsity:Q", format=".2%"),
                    alt.Tooltip("nats:Q", format=".4~g", title="information (nats)"),
                    alt.Tooltip("shuffled:Q", format=".4~g", title="on shuffled labels"),
                    alt.Tooltip("accuracy:Q", format=".4f"),
                ],
            )
        )
        y = alt.Y("nats:Q", title="nats" if first else None).axis(tickCount=5)
        return alt.layer(
            base.transform_filter("indexof(datum.at, 'accuracy') >= 0").mark_rule(
                color=_ORANGE, opacity=0.8, strokeWidth=1.5
            ),
            base.mark_line(strokeDash=[3, 3], strokeWidth=1.2, color="#666666").encode(y="shuffled:Q", order="rung:Q"),
            base.mark_line(strokeWidth=1.8, color=_BLUE).encode(y=y, order="rung:Q"),
            base.mark_point(filled=True, size=22, color=_BLUE, opacity=1).encode(y=y),
            base.transform_filter("indexof(datum.at, estimator) >= 0")
            .mark_point(size=130, strokeWidth=2, filled=False, color=_BLUE)
            .encode(y=y),
        ).properties(**_PANEL)

    return _grid(frame, panel).add_params(chosen, switch)


def _highest(frame: pd.DataFrame, column: str) -> list[bool]:
    """Whether a row is the highest of its ladder and target; of equals the sparsest."""
    ranked = frame.sort_values([column, "rung"], ascending=False, kind="stable")
    return list(frame.index.isin(ranked.groupby(["ladder", "target"], sort=False).head(1).index))


def _grid(frame: pd.DataFrame, panel: Callable[[pd.DataFrame, str, bool], alt.LayerChart]) -> alt.ConcatChart:
    """One panel for each target, three side by side; the first of a row says what its axis shows."""
    groups = frame.groupby("target", sort=False)
    charts = [panel(part, str(target), i % 3 == 0) for i, (target, part) in enumerate(groups)]
    return alt.concat(*charts, columns=3, bounds="flush", spacing={"row": 74, "column": 36})


def _sparsity(frame: pd.DataFrame) -> alt.X:
    """The axis of a small panel, which has no room for more than every tenth part and a short title."""
    return sparsity_axis(frame, (1, 0.1, 0.01, 0.001)).title("sparsity (log scale)")
