"""What the chapters on photographs read from the records of the profile `natural`: the sweet phase and its company.

Every function takes the tables of `study.load` and copes with any part of the profile's ladders: which are
there is said (`absent`), never assumed. Ladders trained here and ladders of weights that others released on ImageNet
are kept apart, because the latter were pruned without any training afterwards and see other images.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from tepones.common.errors import UsageError, choose
from tepones.companion import study
from tepones.companion.claims import statistic
from tepones.companion.study import profiles
from tepones.tasks.sources import SOURCES

PROFILE = "natural"
TRAINED, RELEASED = "trained here", "released on ImageNet"

#: How the rung is chosen at which a gain is read.
RULES = OTHER_TARGETS, OTHER_LADDERS, HINDSIGHT = "other targets", "other ladders", "in hindsight"

#: Estimators of the intra-class information whose curves are shown.
ESTIMATORS = ("gaussian", "posterior")

#: Ladders of a method that an interval of its mean needs: with two, Student's quantile is 12.7.
FEWEST = 3

#: From an accuracy to its points.
_POINTS = 100


class Correlation(NamedTuple):
    """Spearman's ρ with its 95 % interval, NaN where there are too few points."""

    rho: float
    low: float
    high: float
    n: int


def absent(tables: Mapping[str, pd.DataFrame], profile: profiles.Profile) -> list[str]:
    """Ladders of the profile that the tables do not hold, in the order of the profile."""
    there = set(tables["rungs"]["ladder"])
    return [ladder.name for ladder in profile.ladders if ladder.name not in there]


def listed(names: Iterable[str]) -> str:
    """Names as a list in a sentence, or *none*."""
    return ", ".join(f"*{name}*" for name in names) or "none"


def outdated(tables: Mapping[str, pd.DataFrame]) -> str:
    """A sentence on ladders whose records were computed by another version of the code."""
    rungs = tables["rungs"]
    names = list(dict.fromkeys(rungs.loc[~rungs["current"].astype(bool), "ladder"])) if "current" in rungs else []
    if not names:
        return "All were computed by the code of this version."
    return f"**Computed by another version of the code** ({len(names)}): {listed(names)}."


def rungs_of(tables: Mapping[str, pd.DataFrame], protocol: str = study.PROBE) -> pd.DataFrame:
    """One row for each ladder, rung and target: what does not depend on a score.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        As `tepones.companion.study.load` returns it.
    protocol : {"probe", "fine-tuning"}
        Of repeats the mean.

    Returns
    -------
    DataFrame
        Columns ladder, group (`TRAINED` or `RELEASED`), method, seed, rung, sparsity, nonzero_weights, target,
        accuracy, gain (accuracy points over the ladder's dense rung).
    """
    rungs, transfer = tables["rungs"], tables["transfer"]
    choose("protocol", protocol, study.PROTOCOLS)
    transfer = transfer[transfer["protocol"] == protocol]
    judged = transfer.groupby(["ladder", "rung", "target"], as_index=False, sort=False)["accuracy"].mean()
    about = rungs[["ladder", "rung", "method", "seed", "sparsity", "nonzero_weights"]].assign(group=groups(rungs))
    found = statistic.gains(judged.merge(about, on=["ladder", "rung"]))
    columns = ["ladder", "group", "method", "seed", "rung", "sparsity", "nonzero_weights", "target", "accuracy", "gain"]
    return found[columns]


def groups(rungs: pd.DataFrame) -> pd.Series:
    """`TRAINED` or `RELEASED`, for each row of the table of rungs."""
    released = rungs["backbone"].str.startswith("torchvision:")
    return pd.Series(np.where(released, RELEASED, TRAINED), index=rungs.index)


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

    The standard error is that of one accuracy, of the dense backbones trained here, from the number of test images;
    where a set holds fewer images than the profile would take, it is larger.
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
                "training images": n_train.get(size.task, np.nan),
                "test images, at most": n_test,
                **{f"dense, {group} (%)": value for group, value in zip(by_group, own, strict=True)},
                "standard error": _POINTS * np.sqrt(share * (1 - share) / n_test),
                "distance": far.get(size.task, np.nan),
            }
        )
    found = pd.DataFrame(rows)
    return found[found["training images"].notna()].astype({"training images": int}).reset_index(drop=True)


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


def method_order(rungs: pd.DataFrame) -> list[str]:
    """Methods as they appear, those trained here first."""
    ordered = rungs.sort_values("group", key=lambda group: group != TRAINED, kind="stable")
    return list(dict.fromkeys(ordered["method"]))


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
