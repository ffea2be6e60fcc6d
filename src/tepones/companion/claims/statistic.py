"""Statistics that claims are judged by: each turns a study's tidy frame into one number per dense backbone and target.

A statistic is a function of the frame of `ledger.measurements` (and of arguments that the claim states) that returns a
frame with the columns unit, target, value. Units are what is independent of one another: the dense backbones, however
many ladders start from one; of several rows of a unit and target the mean counts. A new statistic is one function and
one line in `STATISTICS`. Frames of published tables have the same columns as far as their source gives them.
"""

from collections.abc import Callable, Hashable, Iterator

import numpy as np
import pandas as pd

from tepones import agreement
from tepones.common.errors import TeponesError
from tepones.common.registry import Registry
from tepones.companion import study
from tepones.pruning import UNPRUNED

_HERE = "tepones.companion.claims.statistic"

STATISTICS = Registry(
    "statistic",
    {
        "gain over dense": f"{_HERE}:gain_over_dense",
        "gain over control": f"{_HERE}:gain_over_control",
        "control over dense": f"{_HERE}:control_over_dense",
        "gain at a common level": f"{_HERE}:gain_at_a_common_level",
        "gain of a chosen backbone": f"{_HERE}:gain_of_a_chosen_backbone",
        "change from dense": f"{_HERE}:change_from_dense",
        "change of source accuracy": f"{_HERE}:change_of_source_accuracy",
        "frozen above full": f"{_HERE}:frozen_above_full",
        "agreement": f"{_HERE}:score_agreement",
        "advantage in agreement": f"{_HERE}:advantage_in_agreement",
        "cross-fitted regret": f"{_HERE}:cross_fitted_regret",
        "gain of the choice": f"{_HERE}:gain_of_the_choice",
        "choice above common level": f"{_HERE}:choice_above_common_level",
        "advantage of method": f"{_HERE}:advantage_of_method",
        "advantage of method on source": f"{_HERE}:advantage_of_method_on_source",
        "least advantage of method on source": f"{_HERE}:least_advantage_of_method_on_source",
        "distance between methods": f"{_HERE}:distance_between_methods",
        "change, zero-shot": "tepones.companion.claims.zero_shot:change_zero_shot",
        "advantage, zero-shot": "tepones.companion.claims.zero_shot:advantage_zero_shot",
        "unseen above seen": "tepones.companion.claims.zero_shot:unseen_above_seen",
    },
)

#: Where a statistic can lie at all, if not anywhere: intervals are cut there.
BOUNDS = {
    "agreement": (-1, 1),
    "advantage in agreement": (-2, 2),
    "frozen above full": (-1, 1),
    "cross-fitted regret": (-100, 100),
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
    rungs, rows = _rungs(frame), []
    unit = _units(rungs)
    for (method, target), group in rungs.groupby(["method", "target"], sort=False):
        table = group.pivot(index="ladder", columns="rung", values="accuracy")
        for ladder in table.index if len(table) > 1 else ():
            chosen = table.drop(index=ladder)[[rung for rung in table if rung > 0]].mean().idxmax()
            gain = 100 * (table.loc[ladder, chosen] - table.loc[ladder, 0])
            rows.append((ladder, unit[ladder], target, method, gain))
    return pd.DataFrame(rows, columns=["ladder", "unit", "target", "method", "value"])


def gain_over_control(frame: pd.DataFrame, method: str, control: str, low: float, high: float) -> pd.DataFrame:
    """Accuracy points of pruned rungs over rungs that had the same trainings and lost nothing.

    Mean over the rungs of `method` with a sparsity from `low` to `high`; the ladder of the method `control` that starts
    from the same dense backbone is compared rung by rung. This is what pruning does, apart from the training.
    """
    return mean_of_cells(between(paired(frame, method, control), low, high))


def control_over_dense(frame: pd.DataFrame, method: str, control: str, low: float, high: float) -> pd.DataFrame:
    """Accuracy points that the trainings alone win over the dense backbone.

    Of the control's rungs to which `gain_over_control` compares those of `method`.
    """
    placed = between(paired(frame, method, control), low, high)[["unit", "rung", "target"]]
    own = gains(_rungs(_of_method(frame, control)))
    return mean_of_cells(own.assign(value=own["gain"]).merge(placed, on=["unit", "rung", "target"]))


def gain_at_a_common_level(frame: pd.DataFrame) -> pd.DataFrame:
    """Accuracy points over dense on one target, at the rung that is best on average over the *other* targets.

    What a user wins who prunes once for all tasks and did not know this one. It needs no second ladder.
    """
    sparse = gains(_rungs(frame)).query("rung > 0")
    rows = []
    for (ladder, unit), group in sparse.groupby(["ladder", "unit"], sort=False):
        table = group.pivot(index="rung", columns="target", values="gain")
        rows += [(ladder, unit, target, table.loc[level, target]) for target, level in _best_elsewhere(table)]
    return pd.DataFrame(rows, columns=["ladder", "unit", "target", "value"])


def gain_of_a_chosen_backbone(frame: pd.DataFrame) -> pd.DataFrame:
    """Accuracy points over dense of the one sparse backbone, of any method, that is best on the *other* targets.

    What can be had where a paper says that sparse models *can* be better, without choosing method and level by
    the result. A unit is an architecture.
    """
    sparse = gains(_rungs(frame)).query("rung > 0")
    rows = []
    for architecture, group in sparse.groupby("architecture", sort=False):
        table = group.pivot(index=["ladder", "rung"], columns="target", values="gain")
        rows += [(architecture, target, table.loc[chosen, target]) for target, chosen in _best_elsewhere(table)]
    return pd.DataFrame(rows, columns=["unit", "target", "value"])


def change_from_dense(frame: pd.DataFrame, low: float, high: float) -> pd.DataFrame:
    """Accuracy points above the ladder's dense backbone, mean over the rungs with a sparsity from `low` to `high`."""
    inside = between(gains(_rungs(frame)), low, high).dropna(subset="gain")
    return mean_of_cells(inside.assign(value=inside["gain"]))


def change_of_source_accuracy(frame: pd.DataFrame, low: float, high: float) -> pd.DataFrame:
    """`change_from_dense` of the accuracy on the source task, by the network's own classifier."""
    return change_from_dense(on_source(frame), low, high)


def frozen_above_full(frame: pd.DataFrame) -> pd.DataFrame:
    """Share of a method's levels above dense with a frozen encoder, minus the share with full fine-tuning.

    In [-1, 1]. Both shares are those of the same backbones on the same target; a unit is a method of one architecture.
    """
    if set(frame["protocol"].unique()) != set(study.PROTOCOLS):
        raise NotTestable("the study has no accuracies of both protocols, frozen and fully fine-tuned")
    sparse = gains(frame).query("rung > 0")
    above = sparse.assign(above=sparse["gain"] > 0)
    shares = above.groupby(["architecture", "method", "target", "protocol"])["above"].mean().unstack("protocol")
    found = (shares[study.PROBE] - shares[study.FULL]).rename("value").reset_index()
    return found.assign(unit=found["architecture"] + " " + found["method"])


def score_agreement(frame: pd.DataFrame, score: str, most: float = 1.0) -> pd.DataFrame:
    """Weighted Kendall τ between score and accuracy over the rungs of a ladder up to the sparsity `most`, in [-1, 1].

    A score that gives every rung the same value ranks nothing and counts as 0.
    """
    return _in_ladders(frame, score, most, lambda value, rungs: agreement.weighted_tau(value, _accuracy(rungs)))


def advantage_in_agreement(frame: pd.DataFrame, score: str, over: str, most: float = 1.0) -> pd.DataFrame:
    """Weighted τ of a score minus that of another on the same ladder and target, in [-2, 2]."""
    found, other = (score_agreement(frame, name, most) for name in (score, over))
    both = found.merge(other, on=["ladder", "target", "unit"], suffixes=("", "_other"))
    return both.assign(value=both["value"] - both["value_other"])


def cross_fitted_regret(frame: pd.DataFrame, score: str, most: float = 1.0) -> pd.DataFrame:
    """Accuracy points lost by taking the rung that the score ranks first, without the winner's curse.

    That of `agreement.cross_fitted_regret`: the best rung is found on one half of the test images and judged on the
    other. Among the rungs up to the sparsity `most`; may be below 0.
    """
    if "correct" not in frame:
        raise NotTestable("the study did not keep which test images are classified right")

    def regret(value: np.ndarray, rungs: pd.DataFrame) -> float:
        images = rungs["images"].iloc[0]
        return float(agreement.cross_fitted_regret(value, study.unpacked(rungs["correct"], images), *images))

    return _in_ladders(frame, score, most, regret)


def gain_of_the_choice(frame: pd.DataFrame, score: str, most: float = 1.0) -> pd.DataFrame:
    """Accuracy points over the dense backbone of the rung that the score ranks first, the dense one among them."""

    def gain(value: np.ndarray, rungs: pd.DataFrame) -> float:
        return 100 * (_chosen(value, rungs) - _accuracy(rungs)[0])

    return _in_ladders(frame, score, most, gain)


def choice_above_common_level(frame: pd.DataFrame, score: str, most: float = 1.0) -> pd.DataFrame:
    """Accuracy points of the rung that the score ranks first over the rung that is best on the *other* targets.

    The harder test: who looks at no image of a target can still take the one rung that serves other tasks best.
    """
    chosen = _in_ladders(frame, score, most, _chosen)
    reached = _rungs(frame)
    reached = reached[reached["sparsity"] <= most + _CLOSE]
    rows = []
    for ladder, group in reached.groupby("ladder", sort=False):
        table = group.pivot(index="rung", columns="target", values="accuracy")
        rows += [(ladder, target, table.loc[level, target]) for target, level in _best_elsewhere(table)]
    both = chosen.merge(pd.DataFrame(rows, columns=["ladder", "target", "common"]))
    return both.assign(value=100 * (both["value"] - both["common"]))


def advantage_of_method(frame: pd.DataFrame, method: str, over: str, low: float, high: float) -> pd.DataFrame:
    """Accuracy points by which a method's rungs exceed those of another method *from the same dense backbone*.

    Mean over the rungs with a sparsity from `low` to `high`; what the dense backbone happens to be plays no part.
    """
    return mean_of_cells(between(paired(frame, method, over), low, high))


def advantage_of_method_on_source(frame: pd.DataFrame, method: str, over: str, low: float, high: float) -> pd.DataFrame:
    """`advantage_of_method` in the accuracy on the source task, by the network's own classifier."""
    return advantage_of_method(on_source(frame), method, over, low, high)


def least_advantage_of_method_on_source(frame: pd.DataFrame, method: str, over: str) -> pd.DataFrame:
    """`advantage_of_method_on_source` at the one rung where the mean advantage of the *other* dense backbones is least.

    For claims about every sparsity: where this is above 0, so is the rest. Taking each backbone's own least would find
    a disadvantage in pure noise.
    """
    table = paired(on_source(frame), method, over).pivot(index="unit", columns="rung", values="value")
    if len(table) < 2:
        raise NotTestable(f"one dense backbone has ladders of {method} and {over}; the rung is chosen by others")
    least = {unit: table.drop(index=unit).mean().idxmin() for unit in table.index}
    rows = [{"unit": unit, "target": SOURCE, "value": table.loc[unit, rung]} for unit, rung in least.items()]
    return pd.DataFrame(rows)


def paired(frame: pd.DataFrame, method: str, over: str) -> pd.DataFrame:
    """Accuracy points, `method` minus `over`, for each dense backbone with ladders of both, rung and target.

    Rungs are matched by their place in the ladder; dense ones are left out. Columns unit, seed, rung, sparsity (of
    `method`), target, value.
    """
    own, others = (_rungs(_of_method(frame, name)).query("rung > 0") for name in (method, over))
    key = ["unit", "rung", "target"]
    both = own.join(others.set_index(key)["accuracy"].rename("other"), on=key, how="inner")
    if both.empty:
        raise NotTestable(f"the study has no dense backbone with ladders of both {method} and {over}")
    both = both.assign(value=100 * (both["accuracy"] - both["other"]))
    return both[["unit", "seed", "rung", "sparsity", "target", "value"]]


def on_source(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with the accuracy on the source task, as if that were the one target."""
    if "source_accuracy" not in frame:
        raise NotTestable("the study has no source accuracies")
    return _rungs(frame.assign(accuracy=frame["source_accuracy"], target=SOURCE))


def distance_between_methods(frame: pd.DataFrame, low: float, high: float) -> pd.DataFrame:
    """Accuracy points, in either direction, between a ladder and the mean of the ladders of other methods.

    Over the rungs with a sparsity from `low` to `high`.
    """
    inside = between(_rungs(frame), low, high)
    if inside["method"].nunique() < 2:
        raise NotTestable("the study has no ladder of a second method")
    level = inside.groupby(["method", "unit", "target"], sort=False)["accuracy"].mean().reset_index()
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


def _units(rungs: pd.DataFrame) -> dict[str, str]:
    """Unit of each ladder."""
    return dict(zip(rungs["ladder"], rungs["unit"], strict=True))


def mean_of_cells(cells: pd.DataFrame) -> pd.DataFrame:
    """Mean value of each unit on each target."""
    return cells.groupby(["unit", "target"], sort=False)["value"].mean().reset_index()


def _of_method(frame: pd.DataFrame, method: str) -> pd.DataFrame:
    if method not in frame["method"].unique():
        raise NotTestable(f"the study has no ladder of {method}")
    return frame[frame["method"] == method]


def _best_elsewhere(table: pd.DataFrame) -> Iterator[tuple[str, Hashable]]:
    """Of each target (column) the row that is best on average over the other targets; nothing of a single target."""
    for target in table if table.shape[1] > 1 else ():
        yield target, table.drop(columns=target).mean(axis=1).idxmax()


def between(rungs: pd.DataFrame, low: float, high: float) -> pd.DataFrame:
    """Pruned rungs with a sparsity from `low` to `high`.

    Raises
    ------
    NotTestable
        If there is none.
    """
    inside = rungs[(rungs["rung"] > 0) & rungs["sparsity"].between(low - _CLOSE, high + _CLOSE)]
    if inside.empty:
        raise NotTestable(f"the study has no rung between {low:.2%} and {high:.2%} sparsity")
    return inside


def _in_ladders(
    frame: pd.DataFrame, score: str, most: float, measure: Callable[[np.ndarray, pd.DataFrame], float]
) -> pd.DataFrame:
    """A measure of a score's values and the rungs they rank, for each ladder and target; 0 where there is no ranking.

    Ladders of controls are no ladders to choose from: their rungs are all dense.
    """
    own = frame[frame["score"] == score] if "score" in frame else frame.iloc[:0]
    if own.empty:
        raise NotTestable(f"the study has no score {score}")
    pruned = ~own["method"].str.rpartition(" ")[2].isin(UNPRUNED)
    own = own[pruned & (own["sparsity"] <= most + _CLOSE)]
    # Of released weights the source accuracy is not known; no measure that a claim names looks at it.
    own = agreement.check(own.fillna({"source_accuracy": 0.0})).sort_values("rung", kind="stable")
    rows = [
        (ladder, rungs["unit"].iloc[0], target, float(measure(rungs["value"].to_numpy(float), rungs)))
        for (ladder, target), rungs in own.groupby(["ladder", "target"], sort=False)
    ]
    return pd.DataFrame(rows, columns=["ladder", "unit", "target", "value"]).fillna({"value": 0.0})


def _accuracy(rungs: pd.DataFrame) -> np.ndarray:
    return rungs["accuracy"].to_numpy(float)


def _chosen(value: np.ndarray, rungs: pd.DataFrame) -> float:
    """Accuracy of the rung that the score ranks first; of tied ones the mean."""
    return float(_accuracy(rungs)[value == value.max()].mean())
