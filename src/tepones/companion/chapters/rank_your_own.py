"""The chapter *Rank your own*: what a ranking is ordered by, and how that was chosen.

The tutorial's own cells hold all its code; its chart is `tepones.ranking.chart`'s.
"""

import altair as alt
import pandas as pd

from tepones.companion import charts
from tepones.companion.study import widths


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
    points = base.mark_point(size=45, opacity=1)
    wrong = alt.X("share:Q", title="untrained above trained, share of pairs").axis(format="%")
    return alt.hconcat(
        points.encode(x=wrong, y=rows.axis(labelLimit=190)).properties(**size),
        points.encode(x=alt.X("tau:Q", title="weighted τ, trained networks"), y=rows.axis(None)).properties(**size),
    )


def default() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Verdicts of the rule on the committed records, and the same by the number of images."""
    found = widths.candidates(widths.load())
    return widths.verdicts(found), widths.by_images(found)
