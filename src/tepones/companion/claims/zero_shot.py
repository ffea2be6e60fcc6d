"""Statistics of the study of the second-order paper: see `tepones.companion.study.second_order`.

Their frame is its table ``zero_shot`` with the columns unit, network, criterion, when, rung (0 where nothing is
pruned), sparsity, target (a task), seen, accuracy (by the head of the dense backbone). They return frames as
`statistic` says; what is compared shares dense backbone and task.
"""

import pandas as pd

from tepones.common.errors import choose
from tepones.companion.claims.statistic import NotTestable, between, mean_of_cells

#: Which tasks: the source with its own classifier, tasks whose classes pre-training saw, and others.
TASKS = SOURCE, SEEN, UNSEEN = ("source", "seen", "unseen")
_KEY = ["unit", "target"]


def change_zero_shot(
    frame: pd.DataFrame, criterion: str, when: str, tasks: str, low: float, high: float
) -> pd.DataFrame:
    """Accuracy points over the dense backbone, mean over the sparsities from `low` to `high`."""
    return mean_of_cells(_changes(frame, criterion, when, tasks, low, high))


def advantage_zero_shot(
    frame: pd.DataFrame, criterion: str, when: str, over: str, over_when: str, tasks: str, low: float, high: float
) -> pd.DataFrame:
    """Accuracy points of one way of pruning over another at the same sparsities, mean over those from `low` to `high`.

    The other is the criterion `over` at the time `over_when`; of the control, which has one sparsity, `over` is empty.
    """
    own = between(_chosen(frame, criterion, when, tasks), low, high)
    others = _chosen(frame, over, over_when, tasks)
    if over:
        own, others = (part.assign(level=part["sparsity"].round(3)) for part in (own, others))
    key = [*_KEY, "level"] if over else _KEY
    both = own.merge(others[[*key, "accuracy"]], on=key, suffixes=("", "_other"))
    return mean_of_cells(both.assign(value=100 * (both["accuracy"] - both["accuracy_other"])))


def unseen_above_seen(frame: pd.DataFrame, criterion: str, when: str, low: float, high: float) -> pd.DataFrame:
    """What pruning changes on an unseen task, minus its mean change on the seen ones, in accuracy points."""
    seen, unseen = (mean_of_cells(_changes(frame, criterion, when, tasks, low, high)) for tasks in (SEEN, UNSEEN))
    expected = seen.groupby("unit")["value"].mean()
    return unseen.assign(value=unseen["value"] - unseen["unit"].map(expected))


def _changes(frame: pd.DataFrame, criterion: str, when: str, tasks: str, low: float, high: float) -> pd.DataFrame:
    own = between(_chosen(frame, criterion, when, tasks), low, high)
    dense = _chosen(frame, "", "", tasks).set_index(_KEY)["accuracy"].rename("dense")
    both = own.join(dense, on=_KEY)
    return both.assign(value=100 * (both["accuracy"] - both["dense"]))


def _chosen(frame: pd.DataFrame, criterion: str, when: str, tasks: str) -> pd.DataFrame:
    choose("kind of tasks", tasks, TASKS)
    of_source = frame["target"] == SOURCE
    wanted = {SOURCE: of_source, SEEN: frame["seen"] & ~of_source, UNSEEN: ~frame["seen"]}[tasks]
    found = frame[wanted & (frame["criterion"] == criterion) & (frame["when"] == when)]
    if found.empty:
        raise NotTestable(f"the study has no backbone by {criterion or 'no criterion'}, {when or 'dense'}")
    return found
