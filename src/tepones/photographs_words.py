"""Sentences of the chapters on photographs, composed from what the tables hold: they must be true of any part of it."""

import pandas as pd

from tepones import agreement
from tepones.photographs import HINDSIGHT, OTHER_LADDERS, OTHER_TARGETS, RULES, TRAINED, Correlation, spearman


def count(number: int, what: str) -> str:
    """*1 ladder*, *2 ladders*."""
    return f"{number} {what}" + "s" * (number != 1)


def number(value: float, form: str = "+.2f") -> str:
    """A number with a true minus sign, or *unknown*."""
    return "unknown" if pd.isna(value) else format(value, form).replace("-", "−")


def interval(low: float, high: float, form: str = "+.2f") -> str:
    """``[low, high]``, or that there is none."""
    return "no interval" if pd.isna(low) else f"[{number(low, form)}, {number(high, form)}]"


def rise(curves: pd.DataFrame, method: str) -> pd.DataFrame:
    """How high a method rises over dense on each target: columns target, highest (points), clear.

    `highest` is the largest mean gain of a pruned rung; `clear` says whether the whole interval of some rung lies
    above zero.
    """
    pruned = curves[(curves["method"] == method) & (curves["rung"] > 0)]
    grouped = pruned.groupby("target", sort=False)
    return pd.DataFrame({"highest": grouped["mean"].max(), "clear": grouped["low"].max() > 0}).reset_index()


def gain_overview(gains: pd.DataFrame) -> pd.DataFrame:
    """Mean gain with its two-level interval, for each group of ladders and rule.

    Returns
    -------
    DataFrame
        Columns ladders (the group), rung chosen by, basis, mean, low, high. *In hindsight* has no interval.
    """
    rows = []
    for (group, rule), part in gains.groupby(["group", "rule"], sort=False):
        table = part.pivot(index="ladder", columns="target", values="value").dropna()
        found = agreement.two_level_interval(table.to_numpy())
        bounds = (float("nan"), float("nan")) if rule == HINDSIGHT else (float(found.low), float(found.high))
        basis = f"{count(len(table), 'ladder')} × {count(table.shape[1], 'target')}"
        rows.append((group, rule, basis, float(found.mean), *bounds))
    table = pd.DataFrame(rows, columns=["ladders", "rung chosen by", "basis", "mean", "low", "high"])
    order = {rule: i for i, rule in enumerate(RULES)}
    key = table["rung chosen by"].map(order) + 10 * (table["ladders"] != TRAINED)
    return table.iloc[key.argsort(kind="stable")].reset_index(drop=True)


def gain_words(gains: pd.DataFrame, overview: pd.DataFrame) -> str:
    """What the heat map and the table of gains say."""
    rows = overview.set_index(["ladders", "rung chosen by"])
    words = []
    for group in dict.fromkeys(overview["ladders"]):
        own = gains[gains["group"] == group]
        fair, seen = rows.loc[group, OTHER_TARGETS], rows.loc[group, HINDSIGHT]
        cells = own[own["rule"] == OTHER_TARGETS].groupby(["method", "target"])["value"].mean()
        means = cells.groupby("target").mean().sort_values(kind="stable")
        words.append(
            f"For backbones {group} the mean gain at the rung that the other targets choose is "
            f"{number(fair['mean'])} points {interval(fair['low'], fair['high'])} ({fair['basis']}); in hindsight it "
            f"would have been {number(seen['mean'])}. It is positive in {int((cells > 0).sum())} of {len(cells)} cells "
            f"of methods and targets, largest on *{means.index[-1]}* ({number(means.iloc[-1])} in the mean over "
            f"methods) and smallest on *{means.index[0]}* ({number(means.iloc[0])})."
        )
    others = overview[overview["rung chosen by"] == OTHER_LADDERS]
    for row in others.itertuples(index=False):
        words.append(
            f"Where other seeds of the method choose, the mean is {number(row.mean)} points "
            f"{interval(row.low, row.high)} ({row.basis})."
        )
    return " ".join(words)


def distance_words(points: pd.DataFrame, method: str, far: pd.Series) -> str:
    """Whether gain goes with distance, and how the domains of PACS lie."""
    if points.empty:
        return "The records hold no `nce` of a backbone trained here, so no distance can be given."
    own = points[points["method"] == method]
    words = [f"The nearest target is *{far.index[0]}* ({far.iloc[0]:.2f}), the farthest *{far.index[-1]}* ({far.iloc[-1]:.2f})."]
    found = spearman(own["distance"], own["value"])
    words.append(f"For *{method}* {_verdict(found)}.")
    every = [spearman(part["distance"], part["value"]) for _, part in points.groupby("method", sort=False)]
    clear = [one for one in every if one.low > 0 or one.high < 0]
    words.append(f"Of {count(len(every), 'method')}, {len(clear)} {_has(len(clear))} an interval without zero.")
    pacs = own[own["target"].str.startswith("pacs-")].sort_values("distance", kind="stable")
    if len(pacs) > 1:
        each = ", ".join(
            f"{row.target.removeprefix('pacs-').replace('_', ' ')} {row.distance:.2f} ({number(row.value)} points)"
            for row in pacs.itertuples()
        )
        words.append(f"The domains of PACS, which have the same classes, by distance: {each}.")
    return " ".join(words)


def _has(number: int) -> str:
    return "has" if number == 1 else "have"


def _verdict(found: Correlation) -> str:
    if pd.isna(found.low):
        return f"{count(found.n, 'target')} are too few, or too much alike, for an interval"
    what = "grows with" if found.low > 0 else "shrinks with" if found.high < 0 else "neither clearly grows nor shrinks with"
    return f"the gain {what} distance: ρ is {number(found.rho)} {interval(found.low, found.high)} over {count(found.n, 'target')}"


def tops_words(tops: pd.DataFrame, estimator: str) -> str:
    """Where the information is highest, and where the accuracy is."""
    if tops.empty:
        return f"The records hold no `{estimator}`."
    words = []
    for group, part in tops.groupby("group", sort=False):
        pairs = len(part)
        words.append(
            f"For backbones {group} `{estimator}` is highest at a pruned rung in "
            f"{int((part['information_top'] > 0).sum())} of {pairs} pairs of ladder and target, accuracy in "
            f"{int((part['accuracy_top'] > 0).sum())}, both in "
            f"{int(((part['information_top'] > 0) & (part['accuracy_top'] > 0)).sum())}. The two rungs are the same in "
            f"{int((part['apart'] == 0).sum())} pairs and at most one apart in {int((part['apart'] <= 1).sum())}. At "
            f"every rung it exceeds its value on shuffled labels in {int(part['above_null'].sum())} pairs."
        )
    return " ".join(words)
