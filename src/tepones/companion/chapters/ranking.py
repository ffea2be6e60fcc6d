"""The chapter *Ranking*: whether a score puts the rungs of a ladder in the order of their transfer accuracy."""

import altair as alt
import pandas as pd

from tepones.companion import charts

CONTROLS = ("source_accuracy", "sparsity")
"""What predicts without looking at an image of the target; `study.tidy` adds both to the scores."""


def agreement_table(summary: pd.DataFrame) -> pd.DataFrame:
    """`tepones.agreement.summary` as readers see it: a mean with its 95 % interval in each cell.

    Columns score, weighted τ, regret (points), regret, best of 3.
    """
    columns = {
        "weighted τ": ("weighted_tau", ".2f"),
        "regret (points)": ("regret_1", ".1f"),
        "regret, best of 3": ("regret_3", ".1f"),
    }
    cells = {
        heading: charts.bracketed(summary[name], summary[f"{name}_low"], summary[f"{name}_high"], form)
        for heading, (name, form) in columns.items()
    }
    return pd.DataFrame({"score": summary["score"].to_list(), **cells})


def by_target(within: pd.DataFrame) -> pd.DataFrame:
    """Mean weighted τ over ladders, of `tepones.agreement.within_ladder`: columns score, target, tau.

    A ladder without a ranking counts as 0, as in `tepones.agreement.summary`.
    """
    means = within.fillna({"weighted_tau": 0.0}).groupby(["score", "target"], sort=False)["weighted_tau"].mean()
    return means.rename("tau").reset_index()


def scatter_chart(frame: pd.DataFrame) -> alt.ConcatChart:
    """Accuracy against score, one panel per score and target; a thin line joins the rungs of a ladder.

    Parameters
    ----------
    frame : DataFrame
        Columns `ladder`, `method`, `rung`, `sparsity`, `target`, `accuracy`, `score`, `value`.
    """
    frame = charts.prepared(frame, ["ladder", "method", "rung", "sparsity", "target", "accuracy", "score", "value"])
    colour, shape, ladder = charts.method_colour(frame), charts.method_shape(frame), charts.pointed("ladder")

    def panel(part: pd.DataFrame, title: str) -> alt.LayerChart:
        base = alt.Chart(part, title=title).encode(
            x=alt.X("value:Q", title="score").scale(zero=False).axis(tickCount=6),
            y=alt.Y("accuracy:Q", title="probe accuracy").scale(zero=False),
            color=colour,
            detail="ladder:N",
            tooltip=charts.SCORED,
        )
        return alt.layer(
            base.mark_line(strokeWidth=1).encode(order="rung:Q", opacity=charts.lit(ladder, 0.35)),
            base.mark_point(filled=True, size=45).encode(shape=shape, opacity=charts.lit(ladder)),
        ).properties(**charts.PANEL)

    return charts.linked(charts.panels(frame, ["score", "target"], panel), ladder)


def agreement_chart(frame: pd.DataFrame) -> alt.LayerChart:
    """Weighted Kendall tau of every score on every target, the number in its cell; best score on top.

    Parameters
    ----------
    frame : DataFrame
        Columns `score`, `target`, `tau`, one row per cell.
    """
    frame = charts.prepared(frame, ["score", "target", "tau"])
    order = frame.groupby("score")["tau"].mean().sort_values(ascending=False, kind="stable")
    base = alt.Chart(frame).encode(
        x=alt.X("target:N", title=None, sort=list(dict.fromkeys(frame["target"]))).axis(
            labelAngle=-35, domain=False, ticks=False
        ),
        y=alt.Y("score:N", title=None, sort=list(order.index)).axis(labelLimit=160, domain=False, ticks=False),
        tooltip=["score:N", "target:N", alt.Tooltip("tau:Q", format="+.3f", title="weighted τ")],
    )
    # The labels at the left take up to 160 pixels of the column.
    width = min(58 * frame["target"].nunique(), charts.WIDTH - 175)
    cells = charts.heat_map(base, "tau", "weighted τ", limit=1, form="+.2f", size=12)
    return cells.properties(width=width, height=28 * len(order))
