"""Statistics that claims are judged by: each turns a study's tidy frame into one number per ladder and target.

A statistic is a function of the tidy frame of `study.tidy` (and of arguments that the claim states) that
returns a frame with the columns ladder, target, value. A new one is one function and one line in `STATISTICS`.
Frames of published tables (`ledger.measurements`) have the same columns as far as their source gives them.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from tepones import agreement
from tepones.common.errors import TeponesError
from tepones.common.registry import Registry
from tepones.companion import study

STATISTICS = Registry(
    "statistic",
    {
        "gain over dense": "tepones.companion.claims.statistic:gain_over_dense",
        "gain at a common level": "tepones.companion.claims.statistic:gain_at_a_common_level",
        "gain of a chosen backbone": "tepones.companion.claims.statistic:gain_of_a_chosen_backbone",
        "change from dense": "tepones.companion.claims.statistic:change_from_dense",
        "change of source accuracy": "tepones.companion.claims.statistic:change_of_source_accuracy",
        "frozen above full": "tepones.companion.claims.statistic:frozen_above_full",
        "agreement": "tepones.companion.claims.statistic:score_agreement",
        "agreement above control": "tepones.companion.claims.statistic:agreement_above_control",
        "regret": "tepones.companion.claims.statistic:regret",
        "advantage of method": "tepones.companion.claims.statistic:advantage_of_method",
        "paired advantage": "tepones.companion.claims.statistic:paired_advantage",
        "paired advantage on source": "tepones.companion.claims.statistic:paired_advantage_on_source",
        "least paired advantage on source": "tepones.companion.claims.statistic:least_paired_advantage_on_source",
        "distance between methods": "tepones.companion.claims.statistic:distance_between_methods",
    },
)

#: Where a statistic can lie at all, if not anywhere: intervals are cut there.
BOUNDS = {
    "agreement": (-1, 1),
    "agreement above control": (-2, 2),
    "frozen above full": (-1, 1),
    "regret": (0, 100),
    "distance between methods": (0, 100),
}

# Sparsity is reached to a weight, and sources round it: a level this close to the end of a range lies in it.
_CLOSE = 1e-3


#: Stands for the target where the accuracy is that on the source task.
SOURCE = "source task"


class NotTestable(TeponesError):
    """The study lacks what a statistic needs; the message says what."""


def gain_over_dense(frame: pd.DataFrame) -> pd.DataFrame:
    """Accuracy points that pruning wins over the dense backbone, at a sparsity chosen without looking.

    The rung of a ladder is the one that is best on average over the *other* ladders of the same method, on the
    same target; taking the ladder's own best rung would find a gain in pure noise. Ladders whose method has only
    one are left out.
    """
    rows = []
    for (method, target), group in _rungs(frame).groupby(["method", "target"], sort=False):
        table = group.pivot(index="ladder", columns="rung", values="accuracy")
        for ladder in table.index if len(table) > 1 else ():
            chosen = table.drop(index=ladder)[[rung for rung in table if rung > 0]].mean().idxmax()
            gain = 100 * (table.loc[ladder, chosen] - table.loc[ladder, 0])
            rows.append({"ladder": ladder, "target": target, "method": method, "value": gain})
    return pd.DataFrame(rows, columns=["ladder", "target", "method", "value"])


def gain_at_a_common_level(frame: pd.DataFrame) -> pd.DataFrame:
    """Accuracy points over dense on one target, at the rung that is best on average over the *other* targets.

    What a user wins who prunes once for all tasks and did not know this one. It needs no second ladder.
    """
    rows = []
    for ladder, group in gains(_rungs(frame)).groupby("ladder", sort=False):
        table = group.pivot(index="rung", columns="target", values="gain").drop(index=0)
        for target in table if table.shape[1] > 1 else ():
            chosen = table.drop(columns=target).mean(axis=1).idxmax()
            rows.append({"ladder": ladder, "target": target, "value": table.loc[chosen, target]})
    return pd.DataFrame(rows, columns=["ladder", "target", "value"])


def gain_of_a_chosen_backbone(frame: pd.DataFrame) -> pd.DataFrame:
    """Accuracy points over dense of the one sparse backbone, of any method, that is best on the *other* targets.

    What can be had where a paper says that sparse models *can* be better, without choosing method and level by
    the result. One row for each architecture and target.
    """
    sparse = gains(_rungs(frame)).query("rung > 0")
    rows = []
    for architecture, group in sparse.groupby("architecture", sort=False):
        table = group.pivot(index=["ladder", "rung"], columns="target", values="gain")
        for target in table if table.shape[1] > 1 else ():
            chosen = table.drop(columns=target).mean(axis=1).idxmax()
            rows.append({"ladder": architecture, "target": target, "value": table.loc[chosen, target]})
    return pd.DataFrame(rows, columns=["ladder", "target", "value"])


def change_from_dense(frame: pd.DataFrame, low: float, high: float) -> pd.DataFrame:
    """Accuracy points above the ladder's dense backbone, mean over the rungs with a sparsity from `low` to `high`."""
    inside = _between(gains(_rungs(frame)), low, high).groupby(["ladder", "target"], sort=False)["gain"].mean()
    return inside.dropna().rename("value").reset_index()


def change_of_source_accuracy(frame: pd.DataFrame, low: float, high: float) -> pd.DataFrame:
    """`change_from_dense` of the accuracy on the source task, by the network's own classifier."""
    if "source_accuracy" not in frame:
        raise NotTestable("the study has no source accuracies")
    return change_from_dense(frame.assign(accuracy=frame["source_accuracy"], target="source task"), low, high)


def frozen_above_full(frame: pd.DataFrame) -> pd.DataFrame:
    """Share of a method's levels above dense with a frozen encoder, minus the share with full fine-tuning.

    In [-1, 1]. Both shares are those of the same backbones on the same target; a ladder is a method of one
    architecture.
    """
    if set(frame["protocol"]) != set(study.PROTOCOLS):
        raise NotTestable("the study has no accuracies of both protocols, frozen and fully fine-tuned")
    sparse = gains(frame).query("rung > 0")
    above = sparse.assign(above=sparse["gain"] > 0)
    shares = above.groupby(["architecture", "method", "target", "protocol"])["above"].mean().unstack("protocol")
    found = (shares[study.PROBE] - shares[study.FULL]).rename("value").reset_index()
    return found.assign(ladder=found["architecture"] + " " + found["method"])


def score_agreement(frame: pd.DataFrame, score: str) -> pd.DataFrame:
    """Weighted Kendall τ between score and accuracy over the rungs of a ladder, in [-1, 1].

    A score that gives every rung the same value ranks nothing and counts as 0.
    """
    return _in_ladders(frame, score, agreement.weighted_tau)


def agreement_above_control(frame: pd.DataFrame, score: str, control: str) -> pd.DataFrame:
    """Weighted τ of a score minus that of a control on the same ladder and target, in [-2, 2]."""
    found, other = (_in_ladders(frame, name, agreement.weighted_tau) for name in (score, control))
    both = found.merge(other, on=["ladder", "target"], suffixes=("", "_control"))
    return both.assign(value=both["value"] - both["value_control"])


def regret(frame: pd.DataFrame, score: str) -> pd.DataFrame:
    """Accuracy points lost by taking the rung that the score ranks first, at least 0."""
    return _in_ladders(frame, score, agreement.regret)


def advantage_of_method(frame: pd.DataFrame, method: str, over: str, above: float = 0.0) -> pd.DataFrame:
    """Accuracy points by which a method's ladders exceed another's mean, over rungs at sparsity `above` or more.

    Rungs are matched by their place in the ladder.
    """
    rungs = _rungs(frame)
    for name in (method, over):
        if name not in set(rungs["method"]):
            raise NotTestable(f"the study has no ladder of {name}")
    rungs = rungs[(rungs["rung"] > 0) & (rungs["sparsity"] >= above)]
    others = rungs[rungs["method"] == over].groupby(["target", "rung"])["accuracy"].mean()
    own = rungs[rungs["method"] == method].join(others.rename("other"), on=["target", "rung"])
    own["value"] = 100 * (own["accuracy"] - own["other"])
    return own.groupby(["ladder", "target"], sort=False)["value"].mean().reset_index()


def paired_advantage(frame: pd.DataFrame, method: str, over: str, low: float, high: float) -> pd.DataFrame:
    """Accuracy points by which a method's ladder exceeds that of another method *with the same seed*.

    Mean over the rungs with a sparsity from `low` to `high`. Ladders of one seed share the dense backbone, so their
    difference does not hold what that backbone happens to be.
    """
    inside = _between(paired(frame, method, over), low, high)
    return inside.groupby(["ladder", "target"], sort=False)["value"].mean().reset_index()


def paired_advantage_on_source(frame: pd.DataFrame, method: str, over: str, low: float, high: float) -> pd.DataFrame:
    """`paired_advantage` in the accuracy on the source task, by the network's own classifier."""
    return paired_advantage(on_source(frame), method, over, low, high)


def least_paired_advantage_on_source(frame: pd.DataFrame, method: str, over: str) -> pd.DataFrame:
    """`paired_advantage_on_source` at the one rung where the *other* seeds' mean advantage is least.

    For claims about every sparsity: where this is above 0, so is the rest. Taking each seed's own least would find a
    disadvantage in pure noise.
    """
    table = paired(on_source(frame), method, over).pivot(index="ladder", columns="rung", values="value")
    if len(table) < 2:
        raise NotTestable(f"one seed has ladders of {method} and {over}; the rung is chosen by other seeds")
    least = {ladder: table.drop(index=ladder).mean().idxmin() for ladder in table.index}
    rows = [{"ladder": ladder, "target": SOURCE, "value": table.loc[ladder, rung]} for ladder, rung in least.items()]
    return pd.DataFrame(rows)


def paired(frame: pd.DataFrame, method: str, over: str) -> pd.DataFrame:
    """Accuracy points, `method` minus `over`, for each seed that has ladders of both, rung and target; no dense rungs.

    Rungs are matched by their place in the ladder. Columns ladder (that of `method`), seed, rung, sparsity (of
    `method`), target, value.
    """
    rungs = _rungs(frame)
    rungs = rungs[rungs["rung"] > 0]
    for name in (method, over):
        if name not in set(rungs["method"]):
            raise NotTestable(f"the study has no ladder of {name}")
    key = ["seed", "rung", "target"]
    others = rungs[rungs["method"] == over].set_index(key)["accuracy"].rename("other")
    own = rungs[rungs["method"] == method].join(others, on=key, how="inner")
    if own.empty:
        raise NotTestable(f"the study has no seed with ladders of both {method} and {over}")
    own = own.assign(value=100 * (own["accuracy"] - own["other"]))
    return own[["ladder", "seed", "rung", "sparsity", "target", "value"]]


def on_source(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with the accuracy on the source task, as if that were the one target."""
    if "source_accuracy" not in frame:
        raise NotTestable("the study has no source accuracies")
    return _rungs(frame.assign(accuracy=frame["source_accuracy"], target=SOURCE))


def distance_between_methods(frame: pd.DataFrame, low: float, high: float) -> pd.DataFrame:
    """Accuracy points, in either direction, between a ladder and the mean of the ladders of other methods.

    Over the rungs with a sparsity from `low` to `high`.
    """
    inside = _between(_rungs(frame), low, high)
    if inside["method"].nunique() < 2:
        raise NotTestable("the study has no ladder of a second method")
    level = inside.groupby(["method", "ladder", "target"], sort=False)["accuracy"].mean().reset_index()
    others = [
        level[(level["method"] != row.method) & (level["target"] == row.target)]["accuracy"].mean()
        for row in level.itertuples()
    ]
    return level.assign(value=100 * np.abs(level["accuracy"] - others))


def gains(rungs: pd.DataFrame) -> pd.DataFrame:
    """The frame with the column `gain`: accuracy points over the dense rung of the same ladder on the same target.

    Parameters
    ----------
    rungs : DataFrame
        Columns ladder, target, rung (0 is dense), accuracy; one row for each ladder, target and rung.
    """
    dense = rungs[rungs["rung"] == 0].set_index(["ladder", "target"])["accuracy"].rename("dense")
    both = rungs.join(dense, on=["ladder", "target"])
    return rungs.assign(gain=100 * (both["accuracy"] - both["dense"]))


def _rungs(frame: pd.DataFrame) -> pd.DataFrame:
    """One row for each ladder, rung and target: what does not depend on a score."""
    return frame.drop_duplicates(["ladder", "rung", "target"])


def _between(rungs: pd.DataFrame, low: float, high: float) -> pd.DataFrame:
    inside = rungs[(rungs["rung"] > 0) & rungs["sparsity"].between(low - _CLOSE, high + _CLOSE)]
    if inside.empty:
        raise NotTestable(f"the study has no rung between {low:.2%} and {high:.2%} sparsity")
    return inside


def _in_ladders(frame: pd.DataFrame, score: str, measure: Callable[[np.ndarray, np.ndarray], float]) -> pd.DataFrame:
    """A measure of how a score orders the rungs of each ladder on each target; 0 where there is no ranking."""
    if score not in set(frame.get("score", ())):
        raise NotTestable(f"the study has no score {score}")
    # Of released weights the source accuracy is not known; no measure that a claim names looks at it.
    own = agreement.check(frame[frame["score"] == score].fillna({"source_accuracy": 0.0}))
    rows = [
        (ladder, target, float(measure(rungs["value"].to_numpy(float), rungs["accuracy"].to_numpy(float))))
        for (ladder, target), rungs in own.groupby(["ladder", "target"], sort=False)
    ]
    return pd.DataFrame(rows, columns=["ladder", "target", "value"]).fillna({"value": 0.0})
