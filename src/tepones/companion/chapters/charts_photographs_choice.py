"""Charts of the chapters on ranking and choosing photographs' backbones: frames in, Altair charts out."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from tepones.companion.chapters.charts_photographs import label_room
from tepones.companion.chapters.photographs_ranking import CONTROL, KINDS, OWN, RIVAL
from tepones.companion.charts import PALETTE, PANEL, WIDTH, tidy

KIND_COLOURS = {OWN: PALETTE[0], RIVAL: PALETTE[4], CONTROL: "#777777"}
_SHAPES = {OWN: "circle", RIVAL: "square", CONTROL: "diamond"}
_MEASURES = {"weighted_tau": "weighted τ", "regret_1": "regret of the first (points)"}
_MEAN = "mean"


def scores(tables: pd.DataFrame) -> alt.TopLevelMixin:
    """Weighted τ and regret of every score with their intervals, best τ on top; a switch for what was judged.

    Parameters
    ----------
    tables : DataFrame
        `tepones.companion.chapters.photographs_ranking.compared` of one or more frames, with a column `judged`.

    Returns
    -------
    altair chart

    Raises
    ------
    UsageError
        If a column is missing or the frame is empty.
    """
    measures = [column for name in _MEASURES for column in (name, f"{name}_low", f"{name}_high")]
    frame = tidy(tables[tables["weighted_tau"].notna()], ["judged", "score", "kind", *measures, "ladders", "targets"])
    switch = _switch(list(dict.fromkeys(frame["judged"])))
    n_rows = int(frame.groupby("judged")["score"].size().max())
    kinds = [name for name in KINDS if name in set(frame["kind"])]
    colour = alt.Color("kind:N", title=None).scale(domain=kinds, range=[KIND_COLOURS[name] for name in kinds])
    colour = colour.legend(symbolOpacity=1)
    shape = alt.Shape("kind:N", title=None).scale(domain=kinds, range=[_SHAPES[name] for name in kinds])
    order = alt.EncodingSortField("weighted_tau", op="max", order="descending")

    def panel(name: str, title: str, first: bool) -> alt.LayerChart:
        axis = alt.Axis(labelLimit=150, ticks=False, domain=False) if first else None
        base = (
            alt.Chart(frame)
            .transform_filter("datum.judged == judged")
            .encode(
                y=alt.Y("score:N", title=None, sort=order).axis(axis),
                tooltip=[
                    "score:N",
                    "kind:N",
                    *(alt.Tooltip(f"{c}:Q", format=".3f") for c in (name, f"{name}_low", f"{name}_high")),
                    "ladders:Q",
                    "targets:Q",
                ],
            )
        )
        return alt.layer(
            base.mark_rule(strokeWidth=3, opacity=0.45).encode(
                x=alt.X(f"{name}_low:Q", title=title), x2=f"{name}_high:Q", color=colour
            ),
            base.mark_point(filled=True, size=70, opacity=1).encode(x=f"{name}:Q", color=colour, shape=shape),
        ).properties(width=PANEL["width"] - 20, height=19 * n_rows)

    panels = [panel(name, title, i == 0) for i, (name, title) in enumerate(_MEASURES.items())]
    return alt.concat(*panels, columns=2, bounds="flush", spacing={"column": 24}).add_params(switch)


def heatmap(cells: pd.DataFrame, items: Sequence[str], *, upright: bool = True) -> alt.TopLevelMixin:
    """Mean weighted τ of each score on each target or method, with a mean column; a switch for what was judged.

    Parameters
    ----------
    cells : DataFrame
        `tepones.companion.chapters.photographs_ranking.cells_by`.
    items : sequence of str
        Targets or methods, in their order.
    upright : bool
        Whether the labels of the columns stand upright, as long ones must.

    Returns
    -------
    altair chart

    Raises
    ------
    UsageError
        If a column is missing or the frame is empty.
    """
    cells = tidy(cells, ["judged", "score", "item", "tau", "regret", "cells"])
    grouped = cells.groupby(["judged", "score"], sort=False)
    means = grouped.agg(tau=("tau", "mean"), regret=("regret", "mean"), cells=("cells", "sum")).reset_index()
    means = means.assign(item=_MEAN)
    ranks = means.groupby("judged")["tau"].rank(ascending=False, method="first")
    frame = pd.concat([cells, means], ignore_index=True)
    frame = frame.merge(means[["judged", "score"]].assign(place=ranks), on=["judged", "score"])
    frame = tidy(frame, ["judged", "score", "item", "tau", "regret", "cells", "place"])
    shown = [item for item in items if item in set(frame["item"])]
    n_rows = int(cells.groupby("judged")["score"].nunique().max())
    switch = _switch(list(dict.fromkeys(frame["judged"])))
    base = (
        alt.Chart(frame)
        .transform_filter("datum.judged == judged")
        .encode(
            x=alt.X("item:N", title=None, sort=[*shown, _MEAN]).axis(
                labelAngle=-90 if upright else -35, labelLimit=250, domain=False, ticks=False
            ),
            y=alt.Y("score:N", title=None, sort=alt.EncodingSortField("place", op="min")).axis(
                labelLimit=150, domain=False, ticks=False
            ),
            tooltip=[
                "score:N",
                alt.Tooltip("item:N", title="on"),
                alt.Tooltip("tau:Q", format="+.3f", title="weighted τ"),
                alt.Tooltip("regret:Q", format=".2f", title="regret (points)"),
                alt.Tooltip("cells:Q", title="cells in the mean"),
            ],
        )
    )
    colour = alt.Color("tau:Q", title="weighted τ").scale(scheme="blueorange", domain=[-1, 1], reverse=True)
    dark = alt.when("abs(datum.tau) > 0.7").then(alt.value("white")).otherwise(alt.value("black"))
    width = min(52 * (len(shown) + 1), WIDTH - label_room(list(frame["score"])))
    size = 11 if width / (len(shown) + 1) > 34 else 9
    return (
        alt.layer(
            base.mark_rect(stroke="white").encode(color=colour),
            base.mark_text(fontSize=size).encode(text=alt.Text("tau:Q", format="+.2f"), color=dark),
        )
        .properties(width=width, height=22 * n_rows)
        .add_params(switch)
    )


def _switch(options: list[str], name: str = "judged", label: str = "Judged by: ") -> alt.Parameter:
    return alt.param(name=name, value=options[0], bind=alt.binding_select(options=options, name=label))


def regrets(found: pd.DataFrame, scores: Sequence[str]) -> alt.TopLevelMixin:
    """Regret against the budget, one line for each score; a switch for the pool of backbones and a menu for the band.

    Parameters
    ----------
    found : DataFrame
        `tepones.companion.chapters.photographs_budget.regrets`, with a column `pool`.
    scores : sequence of str
        Lines, the most important first; at most seven.

    Returns
    -------
    altair chart

    Raises
    ------
    UsageError
        If a column is missing or the frame is empty.
    """
    columns = ["pool", "score", "budget", "candidates", "regret", "low", "high", "targets"]
    frame = tidy(found[found["score"].isin(scores)], columns)
    frame["kilobytes"] = frame["budget"] / 1000
    scores = [name for name in scores if name in set(frame["score"])]
    pools = _switch(list(dict.fromkeys(frame["pool"])), "pool", "Backbones: ")
    band = alt.param(name="band", value=scores[0], bind=alt.binding_select(options=scores, name="Interval of: "))
    colour = alt.Color("score:N", title=None).scale(domain=scores, range=PALETTE)
    colour = colour.legend(symbolOpacity=1, columns=4)
    base = (
        alt.Chart(frame)
        .transform_filter("datum.pool == pool")
        .encode(
            x=alt.X("kilobytes:Q", title="budget: kB of non-zero weights (log scale)").scale(type="log", nice=False),
            tooltip=[
                "score:N",
                alt.Tooltip("kilobytes:Q", format=",.1f", title="budget (kB)"),
                alt.Tooltip("candidates:Q", title="backbones that fit"),
                *(alt.Tooltip(f"{column}:Q", format=".2f") for column in ("regret", "low", "high")),
            ],
        )
    )
    y = alt.Y("regret:Q", title="regret (accuracy points)")
    width = alt.when("datum.score == band").then(alt.value(3)).otherwise(alt.value(1.5))
    shape = alt.Shape("score:N", title=None).scale(domain=scores, range=_LINE_SHAPES[: len(scores)])
    return (
        alt.layer(
            base.transform_filter("datum.score == band && isValid(datum.low)")
            .mark_area(opacity=0.16)
            .encode(y=alt.Y("low:Q", title=""), y2="high:Q", color=colour),
            base.mark_line().encode(y=y, color=colour, strokeWidth=width),
            base.mark_point(filled=True, size=42, opacity=1).encode(y=y, color=colour, shape=shape),
        )
        .properties(width=WIDTH - 80, height=330)
        .add_params(pools, band)
    )


_LINE_SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right"]


def costs(frame: pd.DataFrame) -> alt.TopLevelMixin:
    """Seconds of scoring, probing and training, cheapest on top; a switch for the kind of backbones.

    Parameters
    ----------
    frame : DataFrame
        `tepones.companion.chapters.photographs_budget.costs`.

    Returns
    -------
    altair chart

    Raises
    ------
    UsageError
        If a column is missing or the frame is empty.
    """
    frame = tidy(frame, ["group", "what", "kind", "median", "low", "high", "n"])
    # A clock that ticks in microseconds may say zero.
    for column in ("median", "low", "high"):
        frame[column] = frame[column].clip(lower=1e-6)
    switch = _switch(list(dict.fromkeys(frame["group"])), "backbones", "Backbones: ")
    kinds = [name for name in ("score", "training") if name in set(frame["kind"])]
    colour = alt.Color("kind:N", title=None).scale(domain=kinds, range=[PALETTE[0], PALETTE[1]])
    colour = colour.legend(symbolOpacity=1)
    shape = alt.Shape("kind:N", title=None).scale(domain=kinds, range=["circle", "diamond"])
    ticks = [
        10.0**power for power in range(-6, 4) if 0.5 * frame["low"].min() <= 10.0**power <= 2 * frame["high"].max()
    ]
    x = alt.X("median:Q", title="seconds (log scale)").scale(type="log", nice=False)
    x = x.axis(values=ticks, format="~g")
    base = (
        alt.Chart(frame)
        .transform_filter("datum.group == backbones")
        .encode(
            y=alt.Y("what:N", title=None, sort=alt.EncodingSortField("median", op="min")).axis(
                labelLimit=200, ticks=False, domain=False
            ),
            tooltip=[
                "what:N",
                *(alt.Tooltip(f"{column}:Q", format=".3~g") for column in ("median", "low", "high")),
                alt.Tooltip("n:Q", title="records"),
            ],
        )
    )
    return (
        alt.layer(
            base.mark_rule(strokeWidth=3, opacity=0.4).encode(x=alt.X("low:Q", title=""), x2="high:Q", color=colour),
            base.mark_point(filled=True, size=75, opacity=1).encode(x=x, color=colour, shape=shape),
        )
        .properties(width=WIDTH - 230, height=22 * int(frame.groupby("group")["what"].size().max()))
        .add_params(switch)
    )
