"""Charts of the chapter on the sweet phase in photographs: frames in, Altair charts out."""

from collections.abc import Callable, Sequence

import altair as alt
import pandas as pd

from tepones.companion.charts import PALETTE, WIDTH, tidy
from tepones.companion.photographs import ESTIMATORS, OTHER_TARGETS, RULES

BLUE, ORANGE, GREY = PALETTE[0], PALETTE[1], "#c4c4c4"

FLOOR = -8
"""Accuracy points below dense at which a panel of gains ends: the collapse goes on beneath it."""

CAP = 5
"""Accuracy points at which the colours of the heat map end."""

SMALL = {"width": 172, "height": 118}
"""A panel of a figure with three side by side."""

_MEAN = "mean"


def gains(curves: pd.DataFrame, methods: Sequence[str], method: str) -> alt.TopLevelMixin:
    """Accuracy points over dense against sparsity, one panel per target; a menu for the method drawn in blue.

    Parameters
    ----------
    curves : DataFrame
        `tepones.companion.photographs.curves`.
    methods : sequence of str
        Entries of the menu, in its order.
    method : str
        Which is chosen at first; the first of `methods` if it is not among them.

    Returns
    -------
    altair chart

    Raises
    ------
    UsageError
        If a column is missing or the frame is empty.
    """
    frame = tidy(curves, ["method", "rung", "sparsity", "target", "ladders", "accuracy", "mean", "low", "high"])
    chosen = _menu("inBlue", methods, method)
    top = max(2.0, 1.15 * frame["mean"].max())

    def panel(part: pd.DataFrame, title: str, first: bool) -> alt.LayerChart:
        del part  # One frame for all panels, filtered in the chart: it is stored once.
        y = alt.Y("mean:Q", title="points over dense" if first else None).scale(domain=[FLOOR, round(top, 1)])
        base = (
            alt.Chart(frame, title=_title(title))
            .transform_filter(f"datum.target == {title!r}")
            .encode(
                x=_sparsity(frame),
                y=y.axis(tickCount=6),
                order="rung:Q",
                tooltip=[
                    "method:N",
                    "target:N",
                    alt.Tooltip("sparsity:Q", format=".2%"),
                    alt.Tooltip("mean:Q", format="+.2f", title="points over dense"),
                    alt.Tooltip("low:Q", format="+.2f"),
                    alt.Tooltip("high:Q", format="+.2f"),
                    alt.Tooltip("accuracy:Q", format=".4f"),
                    "ladders:Q",
                ],
            )
        )
        lit = base.transform_filter("datum.method == inBlue")
        known = lit.transform_filter("isValid(datum.low)")
        return alt.layer(
            base.transform_filter("datum.method != inBlue")
            .mark_line(clip=True, strokeWidth=1, color=GREY, opacity=0.8)
            .encode(detail="method:N"),
            alt.Chart().mark_rule(strokeDash=[4, 3], color="#333333", opacity=0.7).encode(y=alt.datum(0)),
            known.mark_rule(clip=True, strokeWidth=5, opacity=0.28, color=BLUE).encode(y="low:Q", y2="high:Q"),
            lit.mark_line(clip=True, strokeWidth=2, color=BLUE),
            lit.mark_point(clip=True, filled=True, size=26, color=BLUE, opacity=1),
        ).properties(**SMALL)

    return _grid(frame, panel).add_params(chosen)


def gain_heatmap(gains: pd.DataFrame, methods: Sequence[str], targets: Sequence[str]) -> alt.TopLevelMixin:
    """Gain of each method on each target, the number in its cell; a switch for how the rung was chosen.

    Parameters
    ----------
    gains : DataFrame
        `tepones.companion.photographs.chosen_gains` of one or more rules, one below the other.
    methods, targets : sequence of str
        Rows and columns, in their order. The last column is the mean.

    Returns
    -------
    altair chart

    Raises
    ------
    UsageError
        If a column is missing or the frame is empty.
    """
    frame = tidy(gains, ["rule", "method", "target", "ladder", "value"])
    cells = frame.groupby(["rule", "method", "target"], sort=False)["value"].agg(value="mean", ladders="count")
    cells = cells.reset_index()
    means = cells.groupby(["rule", "method"], sort=False).agg(value=("value", "mean"), ladders=("ladders", "max"))
    frame = tidy(
        pd.concat([cells, means.reset_index().assign(target=_MEAN)], ignore_index=True),
        ["rule", "method", "target", "value", "ladders"],
    )
    rules = [rule for rule in RULES if rule in set(frame["rule"])]
    switch = alt.param(
        name="rule",
        value=OTHER_TARGETS if OTHER_TARGETS in rules else rules[0],
        bind=alt.binding_radio(options=rules, name="Rung chosen by: "),
    )
    present = [method for method in methods if method in set(frame["method"])]
    base = (
        alt.Chart(frame)
        .transform_filter("datum.rule == rule")
        .encode(
            x=alt.X("target:N", title=None)
            .scale(domain=[*targets, _MEAN])
            .axis(labelAngle=-35, domain=False, ticks=False),
            y=alt.Y("method:N", title=None).scale(domain=present).axis(labelLimit=250, domain=False, ticks=False),
            tooltip=[
                "method:N",
                "target:N",
                alt.Tooltip("value:Q", format="+.2f", title="points over dense"),
                "ladders:Q",
            ],
        )
    )
    colour = alt.Color("value:Q", title="accuracy points over dense").scale(
        scheme="blueorange", domain=[-CAP, CAP], reverse=True, clamp=True
    )
    colour = colour.legend(titleLimit=400)
    dark = alt.when(f"abs(datum.value) > {0.7 * CAP}").then(alt.value("white")).otherwise(alt.value("black"))
    return (
        alt.layer(
            base.mark_rect(stroke="white").encode(color=colour),
            base.mark_text(fontSize=11).encode(text=alt.Text("value:Q", format="+.1f"), color=dark),
        )
        .properties(width=WIDTH - label_room(present), height=24 * len(present))
        .add_params(switch)
    )


def distance(points: pd.DataFrame, methods: Sequence[str], method: str) -> alt.TopLevelMixin:
    """Gain against distance, one labelled point per target; a menu for the method.

    Parameters
    ----------
    points : DataFrame
        `tepones.companion.photographs.gain_by_distance`.
    methods : sequence of str
        Entries of the menu, in its order.
    method : str
        Which is chosen at first.

    Returns
    -------
    altair chart

    Raises
    ------
    UsageError
        If a column is missing or the frame is empty.
    """
    frame = tidy(points, ["method", "target", "distance", "value", "low", "high", "ladders"])
    chosen = _menu("inFigure", [name for name in methods if name in set(frame["method"])], method)
    frame["kind"] = ["PACS" if name.startswith("pacs") else "other" for name in frame["target"]]
    # Labels go to the right and the left by turns, so that neighbours do not cover each other.
    turn = {name: i % 2 for i, name in enumerate(dict.fromkeys(frame.sort_values("distance")["target"]))}
    frame["left"] = [turn[name] for name in frame["target"]]
    spread = 0.04 * max(frame["distance"].max() - frame["distance"].min(), 0.05)
    domain = [_short(frame["distance"].min() - 3 * spread), _short(frame["distance"].max() + 5 * spread)]
    base = (
        alt.Chart(frame)
        .transform_filter("datum.method == inFigure")
        .encode(
            x=alt.X("distance:Q", title="distance of the target's classes from the source's (ours)")
            .scale(domain=domain, nice=False)
            .axis(tickCount=8),
            tooltip=[
                "target:N",
                alt.Tooltip("distance:Q", format=".3f"),
                alt.Tooltip("value:Q", format="+.2f", title="points over dense"),
                alt.Tooltip("low:Q", format="+.2f", title="lowest ladder"),
                alt.Tooltip("high:Q", format="+.2f", title="highest ladder"),
                "ladders:Q",
            ],
        )
    )
    y = alt.Y("value:Q", title="accuracy points over dense")
    colour = alt.Color("kind:N", title="target").scale(domain=["PACS", "other"], range=[ORANGE, BLUE])
    colour = colour.legend(symbolOpacity=1)
    shape = alt.Shape("kind:N", title="target").scale(domain=["PACS", "other"], range=["diamond", "circle"])

    def label(left: int) -> alt.Chart:
        words = base.transform_filter(f"datum.left == {left}")
        place = {"align": "right", "dx": -9} if left else {"align": "left", "dx": 9}
        return words.mark_text(dy=-6, fontSize=11, color="#333333", **place).encode(y=y, text="target:N")

    return (
        alt.layer(
            alt.Chart().mark_rule(strokeDash=[4, 3], color="#333333", opacity=0.7).encode(y=alt.datum(0)),
            base.mark_rule(strokeWidth=3, opacity=0.35).encode(y=alt.Y("low:Q", title=""), y2="high:Q", color=colour),
            base.mark_point(filled=True, size=90, opacity=1).encode(y=y, color=colour, shape=shape),
            label(0),
            label(1),
        )
        .properties(width=WIDTH - 90, height=330)
        .add_params(chosen)
    )


def information(along: pd.DataFrame, methods: Sequence[str], method: str) -> alt.TopLevelMixin:
    """Intra-class information against sparsity, one panel per target; menus for the method and the estimator.

    Dashed: the same on shuffled labels. Ring: where the information is highest. Vertical line: where the accuracy is.

    Parameters
    ----------
    along : DataFrame
        `tepones.companion.photographs.information`.
    methods : sequence of str
        Entries of the menu, in its order.
    method : str
        Which is chosen at first.

    Returns
    -------
    altair chart

    Raises
    ------
    UsageError
        If a column is missing or the frame is empty.
    """
    estimators = [name for name in ESTIMATORS if name in along]
    values = [column for name in estimators for column in (name, f"{name}_null")]
    frame = tidy(along, ["ladder", "method", "rung", "sparsity", "target", "accuracy", *values])
    for column in values:
        frame[column] = [float(f"{value:.4g}") for value in frame[column]]
    highest = {name: _highest(frame, name) for name in ("accuracy", *estimators)}
    # A row names what is highest there; most rows name nothing.
    frame["tops"] = [" ".join(name for name in highest if highest[name][row]) or None for row in range(len(frame))]
    chosen = _menu("ofMethod", methods, method)
    switch = alt.param(
        name="estimator", value=estimators[0], bind=alt.binding_radio(options=estimators, name="Estimator: ")
    )

    def panel(part: pd.DataFrame, title: str, first: bool) -> alt.LayerChart:
        del part
        base = (
            alt.Chart(frame, title=_title(title))
            .transform_filter(f"datum.target == {title!r} && datum.method == ofMethod")
            .transform_calculate(
                nats="datum[estimator]", shuffled="datum[estimator + '_null']", at="datum.tops ? datum.tops : ''"
            )
            .encode(
                x=_sparsity(frame),
                detail="ladder:N",
                tooltip=[
                    "ladder:N",
                    alt.Tooltip("sparsity:Q", format=".2%"),
                    alt.Tooltip("nats:Q", format=".4~g", title="information (nats)"),
                    alt.Tooltip("shuffled:Q", format=".4~g", title="on shuffled labels"),
                    alt.Tooltip("accuracy:Q", format=".4f"),
                ],
            )
        )
        y = alt.Y("nats:Q", title="nats" if first else None).axis(tickCount=5)
        return alt.layer(
            base.transform_filter("indexof(datum.at, 'accuracy') >= 0").mark_rule(
                color=ORANGE, opacity=0.8, strokeWidth=1.5
            ),
            base.mark_line(strokeDash=[3, 3], strokeWidth=1.2, color="#666666").encode(y="shuffled:Q", order="rung:Q"),
            base.mark_line(strokeWidth=1.8, color=BLUE).encode(y=y, order="rung:Q"),
            base.mark_point(filled=True, size=22, color=BLUE, opacity=1).encode(y=y),
            base.transform_filter("indexof(datum.at, estimator) >= 0")
            .mark_point(size=130, strokeWidth=2, filled=False, color=BLUE)
            .encode(y=y),
        ).properties(**SMALL)

    return _grid(frame, panel).add_params(chosen, switch)


def label_room(names: Sequence[str]) -> int:
    """Pixels to keep free for the labels of a heat map's rows."""
    return round(25 + 6.1 * max(len(name) for name in names))


def _highest(frame: pd.DataFrame, column: str) -> list[bool]:
    """Whether a row is the highest of its ladder and target; of equals the sparsest."""
    ranked = frame.sort_values([column, "rung"], ascending=False, kind="stable")
    return list(frame.index.isin(ranked.groupby(["ladder", "target"], sort=False).head(1).index))


def _grid(frame: pd.DataFrame, panel: Callable[[pd.DataFrame, str, bool], alt.LayerChart]) -> alt.ConcatChart:
    """One panel for each target, three side by side; the first of a row says what its axis shows."""
    groups = frame.groupby("target", sort=False)
    charts = [panel(part, str(target), i % 3 == 0) for i, (target, part) in enumerate(groups)]
    return alt.concat(*charts, columns=3, bounds="flush", spacing={"row": 74, "column": 36})


def _menu(name: str, options: Sequence[str], first: str) -> alt.Parameter:
    """A menu below the figure."""
    options = list(options)
    value = first if first in options else options[0]
    return alt.param(name=name, value=value, bind=alt.binding_select(options=options, name="Method: "))


def _title(words: str) -> alt.Title:
    """A panel's title, at the edge of the panel whatever its axis needs."""
    return alt.Title(words, frame="group", offset=6, fontSize=12)


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def _sparsity(frame: pd.DataFrame) -> alt.X:
    """Sparsity on an axis that gives each further factor in size the same room."""
    least = frame["remaining"].min()
    ticks = [tick for tick in (1, 0.1, 0.01, 0.001) if tick >= 0.8 * least]
    return (
        alt.X("remaining:Q", title="sparsity (log scale)")
        .scale(type="log", domain=[_short(0.8 * least), 1.1], reverse=True, nice=False)
        .axis(values=ticks, labelExpr="datum.value == 1 ? 'dense' : format(100 * (1 - datum.value), '.4~g') + ' %'")
    )
