"""The chapter *Photographs: what the score depends on*: agreement with accuracy for each level of each choice."""

from collections.abc import Mapping

import altair as alt
import numpy as np
import pandas as pd

from tepones import agreement
from tepones.companion.charts import PALETTE, WIDTH, bracketed, prepared
from tepones.companion.photographs import OURS

#: The level of each choice that the score `gaussian` has.
FROM_DATA = "from the data"
DEFAULTS = {
    "estimator": "gaussian",
    "samples per class": "all",
    "shrinkage": FROM_DATA,
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

    Parameters
    ----------
    tables : mapping of str to DataFrame
        As `tepones.companion.study.load` returns it.

    Returns
    -------
    DataFrame
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
        ``weighted_tau`` with ``low`` and ``high`` (95 % over ladders and targets); ``reference``, the same mean of the
        score itself on the targets that the level has, and ``difference``, the level minus that, with
        ``difference_low`` and ``difference_high``, NaN at the level that the score has. Not
        every task has 20 images of a class.
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
            reference = same["weighted_tau"].fillna(0.0).mean()
            low, high = _interval(same, variant) if level != DEFAULTS[choice] else (np.nan, np.nan)
            rows.append(
                {
                    "choice": choice,
                    "level": level,
                    "ladders": int(found["ladders"]),
                    "targets": int(found["targets"]),
                    "weighted_tau": found["weighted_tau"],
                    "low": found["weighted_tau_low"],
                    "high": found["weighted_tau_high"],
                    "reference": reference,
                    "difference": found["weighted_tau"] - reference,
                    "difference_low": low,
                    "difference_high": high,
                }
            )
    return pd.DataFrame(rows)


def _interval(reference: pd.DataFrame, variant: pd.DataFrame) -> tuple[float, float]:
    """95 % interval of how much more weighted τ the variant has, ladder by ladder and target by target."""
    both = pd.concat([variant, reference])
    found = agreement.paired_differences(both, reference=variant["score"].iloc[0]).iloc[0]
    return found["low"], found["high"]


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


def ablation(levels: pd.DataFrame) -> alt.TopLevelMixin:
    """Mean weighted τ of each level with its interval, one panel for each choice; a ring marks the score as it is.

    Parameters
    ----------
    levels : DataFrame
        As `by_level` gives it.
    """
    columns = ["choice", "level", "targets", "weighted_tau", "low", "high", "reference"]
    levels = prepared(levels, columns)
    panels = []
    for choice, part in levels.groupby("choice", sort=False):
        base = alt.Chart(part.assign(default=part["level"] == DEFAULTS[choice]), title=str(choice)).encode(
            x=alt.X("level:N", title=None, sort=list(part["level"])).axis(
                labelAngle=0, labelExpr=f"datum.label == '{FROM_DATA}' ? 'by data' : datum.label"
            ),
            tooltip=[
                "level:N",
                alt.Tooltip("weighted_tau:Q", format=".3f", title="weighted τ"),
                alt.Tooltip("low:Q", format=".3f"),
                alt.Tooltip("high:Q", format=".3f"),
                alt.Tooltip("reference:Q", format=".3f", title="score as it is, same targets"),
                "targets:Q",
            ],
        )
        y = alt.Y("weighted_tau:Q", title="weighted τ").scale(domain=[float(levels["low"].min()), 1], clamp=True)
        interval = base.mark_rule(strokeWidth=2, color=PALETTE[0]).encode(y=y, y2="high:Q")
        interval = interval.encode(y=alt.Y("low:Q").scale(domain=[float(levels["low"].min()), 1]).title("weighted τ"))
        mean = base.mark_point(filled=True, opacity=1, size=70, color=PALETTE[0]).encode(y=y)
        ring = base.transform_filter("datum.default").mark_point(size=220, color=PALETTE[1], strokeWidth=2).encode(y=y)
        panels.append((interval + mean + ring).properties(width=WIDTH // 2 - 74, height=170))
    return alt.concat(*panels, columns=2)
