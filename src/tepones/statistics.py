"""Statistics that claims are judged by: each turns a study's tidy frame into one number per ladder and target.

A statistic is a function of the tidy frame of `tepones.study.tidy` (and of arguments that the claim states) that
returns a frame with the columns ladder, target, value. A new one is one function and one line in `STATISTICS`.
"""

import pandas as pd

from tepones import agreement
from tepones.errors import UsageError
from tepones.registry import Registry

STATISTICS = Registry(
    "statistic",
    {
        "gain over dense": "tepones.statistics:gain_over_dense",
        "agreement": "tepones.statistics:score_agreement",
        "agreement above control": "tepones.statistics:agreement_above_control",
        "regret": "tepones.statistics:regret",
        "advantage of method": "tepones.statistics:advantage_of_method",
    },
)


def _rungs(frame: pd.DataFrame) -> pd.DataFrame:
    """One row for each ladder, rung and target: what does not depend on a score."""
    return frame.drop_duplicates(["ladder", "rung", "target"])


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


def _measure(frame: pd.DataFrame, score: str, measure: str) -> pd.DataFrame:
    if score not in set(frame["score"]):
        raise UsageError(f"unknown score {score!r}; the study has: {', '.join(sorted(set(frame['score'])))}")
    found = agreement.within_ladder(frame[frame["score"] == score])
    return found.assign(value=found[measure].fillna(0.0))


def score_agreement(frame: pd.DataFrame, score: str) -> pd.DataFrame:
    """Weighted Kendall τ between score and accuracy over the rungs of a ladder, in [-1, 1].

    A score that gives every rung the same value ranks nothing and counts as 0.
    """
    return _measure(frame, score, "weighted_tau")


def agreement_above_control(frame: pd.DataFrame, score: str, control: str) -> pd.DataFrame:
    """Weighted τ of a score minus that of a control on the same ladder and target, in [-2, 2]."""
    found, other = (_measure(frame, name, "weighted_tau") for name in (score, control))
    both = found.merge(other, on=["ladder", "target"], suffixes=("", "_control"))
    return both.assign(value=both["value"] - both["value_control"])


def regret(frame: pd.DataFrame, score: str) -> pd.DataFrame:
    """Accuracy points lost by taking the rung that the score ranks first, at least 0."""
    return _measure(frame, score, "regret_1")


def advantage_of_method(frame: pd.DataFrame, method: str, over: str, above: float = 0.0) -> pd.DataFrame:
    """Accuracy points by which a method's ladders exceed another's mean, over rungs at sparsity `above` or more.

    Rungs are matched by their place in the ladder.
    """
    rungs = _rungs(frame)
    missing = {method, over} - set(rungs["method"])
    if missing:
        raise UsageError(
            f"unknown method {min(missing)!r}; the study has: {', '.join(sorted(set(rungs['method'])))}"
        )
    rungs = rungs[(rungs["rung"] > 0) & (rungs["sparsity"] >= above)]
    others = rungs[rungs["method"] == over].groupby(["target", "rung"])["accuracy"].mean()
    own = rungs[rungs["method"] == method].join(others.rename("other"), on=["target", "rung"])
    own["value"] = 100 * (own["accuracy"] - own["other"])
    return own.groupby(["ladder", "target"], sort=False)["value"].mean().reset_index()
