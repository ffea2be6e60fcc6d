"""The chapter *Rank your own*: what a ranking is ordered by, how that was chosen, and how many images are enough.

The tutorial's own cells hold all its code; its chart is `tepones.ranking.chart`'s.
"""

import itertools

import altair as alt
import pandas as pd

from tepones.companion import charts
from tepones.companion.study import redraws, widths


def widths_chart(images: pd.DataFrame, verdicts: pd.DataFrame) -> alt.HConcatChart:
    """What speaks against each candidate, and how well it orders trained networks, by the number of images.

    `images` is `tepones.companion.study.widths.by_images`; `verdicts` of the same module gives the order of the rows.
    """
    frame = charts.prepared(images, ["candidate", "per_class", "share", "tau"])
    base = alt.Chart(frame).encode(
        color=alt.Color("per_class:O", title="images of each class").scale(range=charts.PALETTE),
        shape=alt.Shape("per_class:O", title="images of each class").scale(range=charts.SHAPES),
        tooltip=[
            "candidate:N",
            alt.Tooltip("per_class:O", title="images of each class"),
            alt.Tooltip("share:Q", title="pairs against", format=".2%"),
            alt.Tooltip("tau:Q", title="weighted τ", format=".2f"),
        ],
    )
    rows = alt.Y("candidate:N", title=None, sort=list(verdicts["candidate"]))
    size = {"width": 215, "height": 17 * len(verdicts)}
    candidate = charts.pointed("candidate")
    points = base.mark_point(size=45).encode(opacity=charts.lit(candidate))
    wrong = alt.X("share:Q", title="untrained above trained, share of pairs").axis(format="%")
    return charts.linked(
        alt.hconcat(
            points.encode(x=wrong, y=rows.axis(labelLimit=190)).properties(**size),
            points.encode(x=alt.X("tau:Q", title="weighted τ, trained networks"), y=rows.axis(None)).properties(**size),
        ),
        candidate,
    )


def default() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Verdicts of the rule on the committed records, and the same by the number of images."""
    found = widths.candidates(widths.load())
    return widths.verdicts(found), widths.by_images(found)


def by_distance(records: pd.DataFrame) -> pd.DataFrame:
    """Share of pairs in the right order: a row for each number of images, a column for each distance, in points.

    `records` are those of `tepones.companion.study.redraws`.
    """
    table = redraws.ordered(records).pivot(index="per_class", columns="apart", values="right")
    points = [f"{100 * apart:.0f}" for apart in table.columns]
    names = [f"{low} to {high} points" for low, high in itertools.pairwise(points)]
    table.columns = [*names, f"{points[-1]} points and more"]
    return table.rename_axis(index="images of each class").reset_index()
