"""What the ablations say of the score: agreement with transfer accuracy for each level of each choice."""

import altair as alt
import pandas as pd

from tepones import agreement
from tepones.charts import PALETTE, WIDTH, tidy

#: The level of each choice that the score `gaussian` has.
DEFAULTS = {"samples per class": "all", "shrinkage": "from the data", "shuffled labels": "not used", "layer": "block 4"}

_KEYS = ["ladder", "rung", "target"]


def by_level(ablations: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Agreement of every variant of the score, and of the score itself on the same ladders and targets.

    Parameters
    ----------
    ablations : DataFrame
        Columns ladder, rung, target, choice, level, value.
    frame : DataFrame
        As `tepones.study.tidy` gives it: transfer accuracies of at least these rungs.

    Returns
    -------
    DataFrame
        One row for each choice and level, in the order of the records: ``ladders``, ``targets``, mean
        ``weighted_tau`` with ``low`` and ``high`` (95 % over ladders and targets), ``reference`` (the same mean of the
        score itself on the targets that the level has), ``difference``. A level is compared only on targets that have
        it: few tasks have 100 images of a class.
    """
    judged = frame.drop(columns=["score", "value"]).drop_duplicates(_KEYS)
    rows = []
    for choice, part in ablations.groupby("choice", sort=False):
        own = part[part["level"] == DEFAULTS[choice]]
        reference = agreement.within_ladder(judged.merge(own[[*_KEYS, "value"]], on=_KEYS).assign(score="reference"))
        levels = [level for level in dict.fromkeys(part["level"]) if level != "all"]
        for level in levels + ["all"] * ("all" in set(part["level"])):
            variant = part.loc[part["level"] == level, [*_KEYS, "value"]]
            found = agreement.summary(agreement.within_ladder(judged.merge(variant, on=_KEYS).assign(score=level)))
            same = reference[reference["target"].isin(variant["target"])]
            mean = same["weighted_tau"].fillna(0.0).mean()
            row = found.iloc[0]
            rows.append(
                {
                    "choice": choice,
                    "level": level,
                    "ladders": int(row["ladders"]),
                    "targets": int(row["targets"]),
                    "weighted_tau": row["weighted_tau"],
                    "low": row["weighted_tau_low"],
                    "high": row["weighted_tau_high"],
                    "reference": mean,
                    "difference": row["weighted_tau"] - mean,
                }
            )
    return pd.DataFrame(rows)


def ablation(levels: pd.DataFrame) -> alt.TopLevelMixin:
    """Mean weighted τ of each level with its interval, one panel for each choice; a ring marks the score as it is.

    Parameters
    ----------
    levels : DataFrame
        As `by_level` gives it.

    Returns
    -------
    altair chart

    Raises
    ------
    UsageError
        If a column is missing or the frame is empty.
    """
    columns = ["choice", "level", "targets", "weighted_tau", "low", "high", "reference"]
    levels = tidy(levels, columns)
    panels = []
    for choice, part in levels.groupby("choice", sort=False):
        base = alt.Chart(part.assign(default=part["level"] == DEFAULTS[choice]), title=str(choice)).encode(
            x=alt.X("level:N", title=None, sort=list(part["level"])).axis(labelAngle=0),
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
