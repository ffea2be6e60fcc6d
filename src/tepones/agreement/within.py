"""From the tidy table of a study to one agreement per ladder and target, or to one choice under a budget.

The tidy table has one row per rung, target and score, with the columns of `COLUMNS`: ``accuracy`` and
``source_accuracy`` are fractions in [0, 1], ``sparsity`` lies in [0, 1), ``value`` is the score, higher =
better. A further column ``bytes`` is needed only by `budget_regret`. One table holds one kind of accuracy
(probe or fine-tuning): a second one would show up as repeated rows, which are refused.
"""

import numpy as np
import pandas as pd

from tepones.agreement.choices import optimum_distance, regret, regret_under_budget
from tepones.agreement.correlations import kendall, no_ranking, partial_tau, pearson, spearman, weighted_tau
from tepones.common.errors import UsageError

COLUMNS = (
    "ladder",
    "method",
    "seed",
    "rung",
    "sparsity",
    "source_accuracy",
    "target",
    "score",
    "value",
    "accuracy",
)
_ONE = ["ladder", "rung", "target", "score"]
_RANGES = {"accuracy": 1, "source_accuracy": 1, "sparsity": 1 - 1e-12}


def check(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table unchanged if it is fit for the statistics of this package.

    Raises
    ------
    UsageError
        In one line that names the row: a missing column, an empty table, a number that is not finite or out
        of range, a repeated row, a ladder with two methods or seeds, two accuracies (sparsities, …) of one
        rung, or a score that lacks a rung or a target which other scores have.
    """
    missing = [name for name in COLUMNS if name not in frame]
    if missing:
        raise UsageError(f"the table lacks the column {missing[0]!r}; it has: {', '.join(map(str, frame))}")
    if frame.empty:
        raise UsageError("the table has no rows")
    for name in COLUMNS:
        numeric = name in ("value", *_RANGES)
        values = pd.to_numeric(frame[name], errors="coerce") if numeric else frame[name]
        bad = ~np.isfinite(values) if numeric else values.isna()
        if bad.any():
            found = frame[name][bad].iloc[0]
            raise UsageError(f"{_row(frame, bad)}: {name} is {found}; a ranking needs every value")
    for name, top in _RANGES.items():
        bad = ~pd.to_numeric(frame[name]).between(0, top)
        if bad.any():
            found = frame[name][bad].iloc[0]
            raise UsageError(f"{_row(frame, bad)}: {name} {found} is out of range; it is a fraction, not per cent")
    repeated = frame.duplicated(_ONE)
    if repeated.any():
        raise UsageError(f"{_row(frame, repeated)}: repeated; one row per rung, target and score is expected")
    _one_value(frame, ["ladder"], ["method", "seed"])
    _one_value(frame, ["ladder", "rung"], ["sparsity", "source_accuracy"])
    _one_value(frame, ["ladder", "rung", "target"], ["accuracy"])
    wide = frame.set_index(_ONE)["value"].unstack("score")
    holes = np.argwhere(wide.isna().to_numpy())
    if len(holes):
        (ladder, rung, target), score = wide.index[holes[0][0]], wide.columns[holes[0][1]]
        raise UsageError(f"ladder {ladder}, rung {rung}, target {target}: score {score!r} is missing")
    return frame


def _row(frame: pd.DataFrame, bad: pd.Series) -> str:
    first = frame[bad].iloc[0]
    names = ", ".join(f"{name} {first[name]}" for name in _ONE)
    return f"row {frame.index[bad][0]} ({names})"


def _one_value(frame: pd.DataFrame, of: list[str], names: list[str]) -> None:
    for name in names:
        different = frame[name] != frame.groupby(of)[name].transform("first")
        if different.any():
            raise UsageError(f"{_row(frame, different)}: a second {name} for the same {' and '.join(of)}")


def within_ladder(frame: pd.DataFrame) -> pd.DataFrame:
    """Agreement inside every ladder of the tidy table: how well the score orders the rungs of one ladder.

    Returns
    -------
    DataFrame
        One row per ladder, target and score with ``rungs``, ``weighted_tau``, ``kendall``, ``spearman``,
        ``pearson``, ``partial_tau`` (given sparsity and source accuracy), ``regret_1`` and ``regret_3``
        (accuracy points), ``optimum_distance`` (in sparsity) and ``reason``: why there is no ranking and the
        correlations are NaN, else empty. ``partial_tau`` alone is NaN where the controls determine the order
        of the score or of the accuracy. Cost: rungs² per row.

    Notes
    -----
    The accuracy along one ladder is nearly monotone, so a single row carries little more than a sign; read
    means over ladders (`summary`).
    """
    frame = check(frame)
    keys = ["ladder", "method", "seed", "target", "score"]
    cell = frame.groupby(keys, sort=False).ngroup().to_numpy()
    cells = frame.drop_duplicates(keys)[keys].reset_index(drop=True)
    sizes, order = np.bincount(cell), np.argsort(cell, kind="stable")
    ends = np.cumsum(sizes)
    pieces = []
    for n in np.unique(sizes):  # ladders of the same length are compared at once
        chosen = np.flatnonzero(sizes == n)
        rows = order[(ends[chosen] - n)[:, None] + np.arange(n)]
        value, accuracy, sparsity, source = (
            frame[name].to_numpy(float)[rows] for name in ("value", "accuracy", "sparsity", "source_accuracy")
        )
        found = {
            "rungs": n,
            "weighted_tau": weighted_tau(value, accuracy),
            "kendall": kendall(value, accuracy),
            "spearman": spearman(value, accuracy),
            "pearson": pearson(value, accuracy),
            "reason": list(map(no_ranking, value, accuracy)),
            "partial_tau": partial_tau(value, accuracy, np.stack([sparsity, source], axis=1)),
            "regret_1": list(map(regret, value, accuracy)),
            "regret_3": [regret(*both, k=3) for both in zip(value, accuracy, strict=True)],
            "optimum_distance": list(map(optimum_distance, value, accuracy, sparsity)),
        }
        pieces.append(pd.DataFrame(found, index=chosen))
    return cells.join(pd.concat(pieces))


def budget_regret(frame: pd.DataFrame, budgets) -> pd.DataFrame:
    """Accuracy lost by trusting a score to pick the best backbone below B bytes, from all ladders.

    The tidy table needs a column ``bytes``, in which the budgets are given too.

    Returns
    -------
    DataFrame
        One row per target, score and budget with ``candidates`` (how many backbones fit) and ``regret``
        (accuracy points; NaN if none fits).
    """
    if "bytes" not in check(frame):
        raise UsageError("the table lacks the column 'bytes', which a budget needs")
    rows = []
    for (target, score), group in frame.groupby(["target", "score"], sort=False):
        value, accuracy, size = (group[name].to_numpy(float) for name in ("value", "accuracy", "bytes"))
        rows += [
            {
                "target": target,
                "score": score,
                "budget": budget,
                "candidates": int((size <= budget).sum()),
                "regret": regret_under_budget(value, accuracy, size, budget),
            }
            for budget in budgets
        ]
    return pd.DataFrame(rows)
