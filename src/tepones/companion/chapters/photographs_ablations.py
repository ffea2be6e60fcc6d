"""The chapter *Photographs: what the score depends on*: agreement with accuracy for each level of each choice."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from tepones import agreement
from tepones.companion.charts import bracketed
from tepones.companion.photographs import OURS

#: The level of each choice that the score `gaussian` has.
DEFAULTS = {
    "estimator": "gaussian",
    "samples per class": "all",
    "shrinkage": "from the data",
    "shuffled labels": "not used",
    "layer": "block 4",
}

#: The levels that the text names, each by the key of its glued value.
NAMED = {
    "binary": ("estimator", "binary"),
    "posterior": ("estimator", "posterior"),
    "two": ("samples per class", "2"),
    "ten": ("samples per class", "10"),
    "none": ("shrinkage", "0"),
    "full": ("shrinkage", "1"),
    "standardised": ("shuffled labels", "standardised"),
    "subtracted": ("shuffled labels", "subtracted"),
    "first": ("layer", "block 1"),
    "third": ("layer", "block 3"),
    "last": ("layer", "block 4"),
}

_KEYS = ["ladder", "rung", "target"]


def choices(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The table of ablations of complete ladders, with the estimators of the information as one more choice.

    Columns ladder, rung, target, choice, level, value.
    """
    scores, ablations = tables["scores"], tables["ablations"]
    wanted, done = (frame.drop_duplicates(_KEYS).groupby("ladder").size() for frame in (scores, ablations))
    ablations = ablations[ablations["ladder"].isin(done.index[done == wanted.reindex(done.index)])]
    own = scores[scores["score"].isin(OURS) & scores["ladder"].isin(ablations["ladder"])]
    estimators = own.rename(columns={"score": "level"}).assign(choice="estimator")
    columns = [*_KEYS, "choice", "level", "value"]
    return pd.concat([estimators[columns], ablations[columns]], ignore_index=True)


def by_level(ablations: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Agreement of every variant of the score, and of the score itself on the same ladders and targets.

    Parameters
    ----------
    ablations : DataFrame
        `choices`.
    frame : DataFrame
        As `tepones.companion.study.tidy` gives it: transfer accuracies of at least these rungs.

    Returns
    -------
    DataFrame
        One row for each choice and level, in the order of the records: ``ladders``, ``targets``, mean
        ``weighted_tau`` with ``low`` and ``high`` (95 % over ladders and targets); ``difference``, the level minus the
        score itself on the targets that the level has (not every task has 20 images of a class), with
        ``difference_low`` and ``difference_high``, NaN at the level that the score has.
    """
    judged = frame.drop(columns=["score", "value"]).drop_duplicates(_KEYS)

    def agree(variant: pd.DataFrame, name: str) -> pd.DataFrame:
        return agreement.within_ladder(judged.merge(variant[[*_KEYS, "value"]], on=_KEYS).assign(score=name))

    rows = []
    for choice, part in ablations.groupby("choice", sort=False):
        levels = [level for level in dict.fromkeys(part["level"]) if level != "all"]
        own = agree(part[part["level"] == DEFAULTS[choice]], "reference")
        for level in levels + ["all"] * ("all" in set(part["level"])):
            variant = agree(part[part["level"] == level], level)
            found = agreement.summary(variant).iloc[0]
            same = own[own["target"].isin(variant["target"])]
            difference = found["weighted_tau"] - same["weighted_tau"].fillna(0.0).mean()
            bounds = (np.nan, np.nan)
            if level != DEFAULTS[choice]:
                # Ladder by ladder and target by target.
                differences = agreement.paired_differences(pd.concat([variant, same]), reference=level)
                bounds = differences[["low", "high"]].iloc[0]
            numbers = (found[f"weighted_tau{part}"] for part in ("", "_low", "_high"))
            rows.append((choice, level, found["ladders"], found["targets"], *numbers, difference, *bounds))
    columns = ["choice", "level", "ladders", "targets", "weighted_tau", "low", "high"]
    return pd.DataFrame(rows, columns=[*columns, "difference", "difference_low", "difference_high"])


def shown(levels: pd.DataFrame) -> pd.DataFrame:
    """`by_level` as a table for readers."""
    difference = levels["difference"].mask(levels["difference_low"].isna())
    return pd.DataFrame(
        {
            "choice": levels["choice"],
            "level": levels["level"],
            "targets": levels["targets"],
            "weighted τ": bracketed(levels["weighted_tau"], levels["low"], levels["high"], ".2f"),
            "difference": bracketed(difference, levels["difference_low"], levels["difference_high"], "+.2f"),
        }
    )
