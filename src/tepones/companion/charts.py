"""How every figure, table and number of the book is made and handed to the text.

A chapter's code cell calls `show`, `table` and `inline`; its text places what they made by key. The
builders (`sweet_phase`, `score_curves`, `scatter`, `agreement_heatmap`) turn tidy frames into charts and do
nothing else.
"""

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence

import altair as alt
import pandas as pd
from IPython.display import Markdown
from myst_nb import glue

from tepones.common.errors import TeponesError, UsageError

WIDTH = 672
"""Pixels that a whole figure may take: the width that the book's text column leaves for one."""

PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
"""Okabe and Ito's colours, told apart by all common kinds of colour vision."""

SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right"]

DEPTH = 0.2
"""Accuracy shown below the dense models: a hump of two points would vanish beside the collapse to chance."""

COLUMNS = 2
"""Panels side by side."""

PANEL = {"width": 262, "height": 180}

_SCORED = [
    "ladder:N",
    alt.Tooltip("sparsity:Q", format=".2%"),
    alt.Tooltip("value:Q", format=".4~g", title="score"),
    alt.Tooltip("accuracy:Q", format=".4f"),
]
"""What a point of a score chart tells when pointed at."""

GUARDS, STRICT = "TEPONES_GUARDS", "strict"
"""Environment variable, and its value while a chapter is executed as it is committed: see `holds`."""

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@alt.theme.register("tepones", enable=True)
def _theme() -> alt.theme.ThemeConfig:
    return {
        "config": {
            "background": "white",
            "font": "system-ui, sans-serif",
            "view": {"stroke": "#d0d0d0"},
            "axis": {
                "labelFontSize": 11,
                "titleFontSize": 12,
                "titleFontWeight": "normal",
                "gridColor": "#ececec",
                "labelColor": "#333333",
                "titleColor": "#333333",
            },
            "legend": {"orient": "top", "labelFontSize": 12, "titleFontSize": 12, "symbolSize": 90},
            "title": {"fontSize": 13, "anchor": "start", "fontWeight": 600},
            "range": {"category": PALETTE, "symbol": SHAPES},
        }
    }


# SVG marks are elements that screen readers and tests can see. Of the menu only the download stays: the other
# entries leave the page.
alt.renderers.enable(
    "html",
    embed_options={
        "renderer": "svg",
        "actions": {"export": True, "source": False, "compiled": False, "editor": False},
    },
)


def show(chart: alt.TopLevelMixin, key: str, *, alt: str) -> None:
    """Display a chart and glue it under `key` for a `{glue:figure}` in the text.

    Parameters
    ----------
    chart : altair chart
        What to show.
    key : str
        Name of the figure, unique in the book: letters, digits, ``-`` and ``_``.
    alt : str
        What the figure shows, for a reader who does not see it: a sentence, not a title.

    Raises
    ------
    UsageError
        If `alt` says nothing or `key` is not a name.
    """
    if len(alt.split()) < 4:
        raise UsageError(f"figure {key!r}: alt must be a sentence that says what the figure shows, not {alt!r}")
    glue(_name(key), chart.properties(description=" ".join(alt.split())))


def table(frame: pd.DataFrame, key: str, *, formats: dict[str, str] | None = None) -> None:
    """Display a frame as a table and glue it under `key` for a `{glue:md}` in the text.

    Parameters
    ----------
    frame : DataFrame
        One row per row of the table; the index is not shown.
    key : str
        Name of the table, unique in the book: letters, digits, ``-`` and ``_``.
    formats : dict, optional
        Format per column, as for `format` (``{"sparsity": ".1%"}``). Other floats are written with ``.3f``.

    Raises
    ------
    UsageError
        If `formats` names a column that the frame lacks, or `key` is not a name.
    """
    formats = formats or {}
    _require(frame, formats)
    numeric = [pd.api.types.is_numeric_dtype(frame[c]) for c in frame.columns]
    rows = [
        [_cell(value, formats.get(column, "")) for column, value in zip(frame.columns, row, strict=True)]
        for row in frame.itertuples(index=False, name=None)
    ]
    rule = ["---:" if right else ":---" for right in numeric]
    lines = [[_cell(c, "") for c in frame.columns], rule, *rows]
    glue(_name(key), Markdown("\n".join(f"| {' | '.join(line)} |" for line in lines)))


def bracketed(means: pd.Series, lows: pd.Series, highs: pd.Series, form: str) -> list[str]:
    """Cells of a table: numbers with intervals that never break inside; only the number where there is none."""
    cells = []
    for mean, low, high in zip(means, lows, highs, strict=True):
        bounds = "" if pd.isna(low) else f" [{low:{form}},\N{NO-BREAK SPACE}{high:{form}}]"
        cells.append("–" if pd.isna(mean) else f"{mean:{form}}{bounds}".replace("-", "\N{MINUS SIGN}"))
    return cells


def inline(value: float | int | bool | str, key: str) -> None:
    """Glue one number or word under `key` for a `{glue:text}` in a sentence; nothing is displayed.

    Parameters
    ----------
    value : float, int, bool or str
        The value, a NumPy scalar included. Floats keep six significant digits.
    key : str
        Name of the value, unique in the book: letters, digits, ``-`` and ``_``.

    Raises
    ------
    UsageError
        If `value` is anything else, or not finite, or `key` is not a name.
    """
    plain = value.item() if hasattr(value, "item") else value
    if not isinstance(plain, float | int | str) or (isinstance(plain, float) and not math.isfinite(plain)):
        raise UsageError(f"value {key!r}: expected a finite number or a string, got {value!r}")
    glue(_name(key), _round(plain) if isinstance(plain, float) else plain, display=False)


def holds(condition: bool, key: str) -> None:
    """Guard a sentence that the data could contradict: glue what stands behind it under `key` for a `{glue:md}`.

    Where the condition is true, nothing stands there. Where it is false, a remark says so, unless the notebook is
    executed as it is committed (`TEPONES_GUARDS` is ``strict``, as `notebooks.execute` sets it where no parameter is
    given): a false sentence is not published.

    Parameters
    ----------
    condition : bool
        What the sentence says, computed from the records.
    key : str
        Name of the guard, unique in the book: letters, digits, ``-`` and ``_``.

    Raises
    ------
    TeponesError
        If the condition is false where the chapter would be published.
    """
    if not condition and os.environ.get(GUARDS) == STRICT:
        raise TeponesError(f"the sentence guarded by {key!r} is false on these records: change its text")
    remark = "" if condition else "*(On these records it is otherwise.)*"
    glue(_name(key), Markdown(remark), display=False)


def menu(
    name: str, options: Sequence[str], first: str | None = None, *, label: str, switch: bool = False
) -> alt.Parameter:
    """A parameter that the reader chooses below a figure; `datum.column == NAME` in a filter then refers to it.

    Parameters
    ----------
    name : str
        Of the parameter, a JavaScript identifier that is unique in the chart.
    options : sequence of str
        What can be chosen, in order.
    first : str, optional
        What is chosen at first; the first option if it is none of them.
    label : str
        What stands before the menu.
    switch : bool
        Whether all options are shown side by side, which serves up to four short ones.
    """
    options = list(options)
    bind = (alt.binding_radio if switch else alt.binding_select)(options=options, name=f"{label}: ")
    return alt.param(name=name, value=first if first in options else options[0], bind=bind)


def heat_map(base: alt.Chart, value: str, title: str, limit: float, form: str, size: int = 11) -> alt.LayerChart:
    """A coloured table with the number in each cell: blue above zero, orange below.

    Parameters
    ----------
    base : altair chart
        With its data, rows (`y`), columns (`x`), tooltip and filters.
    value : str
        Column that is shown.
    title : str
        Of the colour scale.
    limit : float
        Absolute value at which the colours end.
    form : str
        Format of the number, as for d3 (``"+.2f"``).
    size : int
        Of the number's letters, in pixels.
    """
    colour = alt.Color(f"{value}:Q", title=title).scale(
        scheme="blueorange", domain=[-limit, limit], reverse=True, clamp=True
    )
    dark = alt.when(f"abs(datum.{value}) > {0.7 * limit:g}").then(alt.value("white")).otherwise(alt.value("black"))
    return alt.layer(
        base.mark_rect(stroke="white").encode(color=colour.legend(titleLimit=400)),
        base.mark_text(fontSize=size).encode(text=alt.Text(f"{value}:Q", format=form), color=dark),
    )


def sparsity_axis(frame: pd.DataFrame, ticks: Sequence[float] = (1, 0.1, 0.01, 0.001, 0.0001)) -> alt.X:
    """Sparsity on an axis that gives each further factor in size the same room.

    Parameters
    ----------
    frame : DataFrame
        All that the figure shows, as `tidy` returns it: with the column `remaining`.
    ticks : sequence of float
        Fractions that remain at which the axis is labelled, as far as the frame reaches.
    """
    least = _round(0.8 * frame["remaining"].min())
    return (
        alt.X("remaining:Q", title="sparsity (log scale of what remains)")
        .scale(type="log", domain=[least, 1.15], reverse=True, nice=False)
        .axis(
            values=[tick for tick in ticks if tick >= least],
            labelExpr="datum.value == 1 ? 'dense' : format(100 * (1 - datum.value), '.4~g') + ' %'",
            labelOverlap="greedy",
        )
    )


def panel_title(words: str) -> alt.Title:
    """A panel's title, at the edge of the panel whatever its axis needs."""
    return alt.Title(words, frame="group", offset=8)


def sweet_phase(frame: pd.DataFrame) -> alt.TopLevelMixin:
    """Probe accuracy against sparsity, one panel per target, one line per ladder.

    The dashed line is the accuracy of the ladder's dense model, the ring its best rung. A panel ends `DEPTH`
    below the lowest dense accuracy; the collapse goes on beneath it.

    Parameters
    ----------
    frame : DataFrame
        Columns `ladder`, `method`, `rung`, `sparsity`, `target`, `accuracy`; a ladder's lowest rung is dense.

    Returns
    -------
    altair chart

    Raises
    ------
    UsageError
        If a column is missing or the frame is empty.
    """
    frame = tidy(frame, ["ladder", "method", "rung", "sparsity", "target", "accuracy"])
    first = frame.groupby(["target", "ladder"], sort=False)
    frame["isDense"] = frame["rung"] == first["rung"].transform("first")
    frame["dense"] = first["accuracy"].transform("first")
    frame["gain"] = (frame["accuracy"] - frame["dense"]).map(_round)
    frame["best"] = _best(frame, "accuracy")
    span = _span(frame)

    def panel(part: pd.DataFrame, title: str) -> alt.LayerChart:
        low = max(0.0, part["dense"].min() - DEPTH)
        shown = part["accuracy"][part["accuracy"] >= low]
        pad = 0.05 * (shown.max() - low)
        y = alt.Y("accuracy:Q", title="probe accuracy").scale(domain=[_round(low), _round(shown.max() + pad)])
        base = alt.Chart(part, title=title).encode(
            color=_method(frame),
            detail="ladder:N",
            tooltip=[
                "ladder:N",
                alt.Tooltip("sparsity:Q", format=".2%"),
                alt.Tooltip("accuracy:Q", format=".4f"),
                alt.Tooltip("gain:Q", format="+.4f", title="gain over dense"),
            ],
        )
        dense = base.transform_filter("datum.isDense")
        dense = dense.mark_rule(strokeDash=[5, 4], opacity=0.6).encode(y=y)
        best = base.transform_filter("datum.best").mark_point(size=150, strokeWidth=2, filled=False)
        return alt.layer(
            dense,
            base.mark_line(clip=True, strokeWidth=1.5).encode(x=_x(span), y=y, order="rung:Q"),
            base.mark_point(clip=True, filled=True, size=28).encode(x=_x(span), y=y, shape=_shape(frame)),
            best.encode(x=_x(span), y=y),
        ).properties(**PANEL)

    return _panels(frame, ["target"], panel)


def score_curves(frame: pd.DataFrame) -> alt.TopLevelMixin:
    """Scores against sparsity, one panel per score and target, one line per ladder.

    The ring is the rung with the highest score, the vertical line the rung with the highest accuracy: where
    they meet, the score finds the ladder's best rung.

    Parameters
    ----------
    frame : DataFrame
        Columns `ladder`, `method`, `rung`, `sparsity`, `target`, `accuracy`, `score`, `value`.

    Returns
    -------
    altair chart

    Raises
    ------
    UsageError
        If a column is missing or the frame is empty.
    """
    frame = tidy(frame, ["ladder", "method", "rung", "sparsity", "target", "accuracy", "score", "value"])
    frame["best"] = _best(frame, "value")
    frame["optimum"] = _best(frame, "accuracy")
    span = _span(frame)

    def panel(part: pd.DataFrame, title: str) -> alt.LayerChart:
        y = alt.Y("value:Q", title="score").scale(zero=False)
        base = alt.Chart(part, title=title).encode(
            x=_x(span),
            color=_method(frame),
            detail="ladder:N",
            tooltip=_SCORED,
        )
        return alt.layer(
            base.transform_filter("datum.optimum").mark_rule(strokeDash=[5, 4], opacity=0.6),
            base.mark_line(strokeWidth=1.5).encode(y=y, order="rung:Q"),
            base.mark_point(filled=True, size=28).encode(y=y, shape=_shape(frame)),
            base.transform_filter("datum.best").mark_point(size=150, strokeWidth=2, filled=False).encode(y=y),
        ).properties(**PANEL)

    return _panels(frame, ["score", "target"], panel)


def scatter(frame: pd.DataFrame) -> alt.TopLevelMixin:
    """Accuracy against score, one panel per score and target; a thin line joins the rungs of a ladder.

    Parameters
    ----------
    frame : DataFrame
        Columns `ladder`, `method`, `rung`, `sparsity`, `target`, `accuracy`, `score`, `value`.

    Returns
    -------
    altair chart

    Raises
    ------
    UsageError
        If a column is missing or the frame is empty.
    """
    frame = tidy(frame, ["ladder", "method", "rung", "sparsity", "target", "accuracy", "score", "value"])

    def panel(part: pd.DataFrame, title: str) -> alt.LayerChart:
        base = alt.Chart(part, title=title).encode(
            x=alt.X("value:Q", title="score").scale(zero=False).axis(tickCount=6),
            y=alt.Y("accuracy:Q", title="probe accuracy").scale(zero=False),
            color=_method(frame),
            detail="ladder:N",
            tooltip=_SCORED,
        )
        return alt.layer(
            base.mark_line(strokeWidth=1, opacity=0.35).encode(order="rung:Q"),
            base.mark_point(filled=True, size=45).encode(shape=_shape(frame)),
        ).properties(**PANEL)

    return _panels(frame, ["score", "target"], panel)


def agreement_heatmap(frame: pd.DataFrame) -> alt.TopLevelMixin:
    """Weighted Kendall tau of every score on every target, the number in its cell; best score on top.

    Parameters
    ----------
    frame : DataFrame
        Columns `score`, `target`, `tau`, one row per cell.

    Returns
    -------
    altair chart

    Raises
    ------
    UsageError
        If a column is missing or the frame is empty.
    """
    frame = tidy(frame, ["score", "target", "tau"])
    order = frame.groupby("score")["tau"].mean().sort_values(ascending=False, kind="stable")
    base = alt.Chart(frame).encode(
        x=alt.X("target:N", title=None, sort=list(dict.fromkeys(frame["target"]))).axis(
            labelAngle=-35, domain=False, ticks=False
        ),
        y=alt.Y("score:N", title=None, sort=list(order.index)).axis(labelLimit=160, domain=False, ticks=False),
    )
    cells = base.mark_rect(stroke="white").encode(
        color=alt.Color("tau:Q", title="weighted τ").scale(scheme="blueorange", domain=[-1, 1], reverse=True),
        tooltip=["score:N", "target:N", alt.Tooltip("tau:Q", format="+.3f", title="weighted τ")],
    )
    dark = alt.when("abs(datum.tau) > 0.7").then(alt.value("white")).otherwise(alt.value("black"))
    words = base.mark_text(fontSize=12).encode(text=alt.Text("tau:Q", format="+.2f"), color=dark)
    # The labels at the left take up to 160 pixels of the column.
    width = min(58 * frame["target"].nunique(), WIDTH - 175)
    return alt.layer(cells, words).properties(width=width, height=28 * len(order))


def claims(frame: pd.DataFrame) -> alt.TopLevelMixin:
    """Estimate and interval of every claim that was tested, with its threshold; one row and one axis for each.

    Parameters
    ----------
    frame : DataFrame
        Columns `claim`, `verdict`, `estimate`, `low`, `high`, `threshold`, `unit`.

    Returns
    -------
    altair chart

    Raises
    ------
    UsageError
        If a column is missing or no claim was tested.
    """
    columns = ["claim", "verdict", "estimate", "low", "high", "threshold", "unit"]
    _require(frame, columns)
    frame = tidy(frame[frame["estimate"].notna()].astype({"estimate": float, "low": float, "high": float}), columns)
    colour = alt.Color("verdict:N", title="verdict").scale(
        domain=["supported", "not supported", "contradicted"], range=[PALETTE[2], PALETTE[4], PALETTE[1]]
    )

    def row(part: pd.DataFrame, title: str) -> alt.LayerChart:
        x = alt.X("low:Q", title=part["unit"].iloc[0]).scale(zero=False)
        # Names of claims may be longer than their panel; the tooltip has them whole.
        base = alt.Chart(part, title=alt.TitleParams(title, fontSize=10, limit=PANEL["width"] + 20)).encode(
            tooltip=["claim:N", "verdict:N", *(alt.Tooltip(f"{c}:Q", format="+.3f") for c in columns[2:6])]
        )
        return alt.layer(
            base.mark_rule(strokeWidth=3).encode(x=x, x2="high:Q", color=colour),
            base.mark_point(filled=True, size=90).encode(x="estimate:Q", color=colour),
            base.mark_tick(thickness=2, size=26, color="#333333").encode(x="threshold:Q"),
        ).properties(width=PANEL["width"], height=34)

    return _panels(frame, ["claim"], row)


def information(frame: pd.DataFrame) -> alt.TopLevelMixin:
    """Information against the distance of the class means: exact quantities as lines, estimates as points.

    Parameters
    ----------
    frame : DataFrame
        Columns `mean`, `quantity`, `nats`, `kind` (``exact`` or ``estimate``).

    Returns
    -------
    altair chart

    Raises
    ------
    UsageError
        If a column is missing or the frame is empty.
    """
    frame = tidy(frame, ["mean", "quantity", "nats", "kind"])
    base = alt.Chart(frame).encode(
        x=alt.X("mean:Q", title="distance of a class mean from 0, in standard deviations"),
        y=alt.Y("nats:Q", title="information (nats)"),
        color=alt.Color("quantity:N", title=None).scale(domain=list(dict.fromkeys(frame["quantity"])), range=PALETTE),
        tooltip=["quantity:N", alt.Tooltip("mean:Q", format=".2f"), alt.Tooltip("nats:Q", format=".4f")],
    )
    return alt.layer(
        base.transform_filter("datum.kind == 'exact'").mark_line(),
        base.transform_filter("datum.kind == 'estimate'").mark_point(filled=True, size=60),
    ).properties(width=WIDTH - 90, height=300)


def weights(frame: pd.DataFrame) -> alt.TopLevelMixin:
    """What one canonical direction adds to a score, one line for each score.

    Parameters
    ----------
    frame : DataFrame
        Columns `rho`, `score`, `weight`.

    Returns
    -------
    altair chart

    Raises
    ------
    UsageError
        If a column is missing or the frame is empty.
    """
    frame = tidy(frame, ["rho", "score", "weight"])
    return (
        alt.Chart(frame)
        .mark_line()
        .encode(
            x=alt.X("rho:Q", title="ρ, share of a direction's variance that the classes explain"),
            y=alt.Y("weight:Q", title="what it adds to the score"),
            color=alt.Color("score:N", title="score").scale(domain=list(dict.fromkeys(frame["score"])), range=PALETTE),
            tooltip=["score:N", alt.Tooltip("rho:Q", format=".2f"), alt.Tooltip("weight:Q", format=".3f")],
        )
        .properties(width=WIDTH - 90, height=260)
    )


def timing(frame: pd.DataFrame) -> alt.TopLevelMixin:
    """Processor time of each task as a multiple of the product that is the floor, fastest on top.

    Parameters
    ----------
    frame : DataFrame
        Columns `what`, `seconds`, `ratio`.

    Returns
    -------
    altair chart

    Raises
    ------
    UsageError
        If a column is missing or the frame is empty.
    """
    frame = tidy(frame, ["what", "seconds", "ratio"])
    base = alt.Chart(frame).encode(
        y=alt.Y("what:N", title=None, sort=alt.EncodingSortField("ratio", order="ascending")).axis(labelLimit=200),
        tooltip=["what:N", alt.Tooltip("seconds:Q", format=".3~g"), alt.Tooltip("ratio:Q", format=".3~g")],
    )
    x = alt.X("ratio:Q", title="multiple of one XᵀX in float64 (log scale)").scale(type="log")
    floor = alt.Chart().mark_rule(strokeDash=[5, 4], color="#333333").encode(x=alt.datum(1))
    return alt.layer(
        base.mark_point(filled=True, size=70).encode(x=x),
        base.mark_text(align="left", dx=8, fontSize=11).encode(x=x, text=alt.Text("ratio:Q", format=".2~g")),
        floor,
    ).properties(width=WIDTH - 260, height=22 * len(frame))


def _x(span: list[float]) -> alt.X:
    """Sparsity on an axis that gives each further factor of ten in size the same room."""
    ticks = [t for t in (1, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001) if t >= span[0]]
    return (
        alt.X("remaining:Q", title="sparsity (log scale of remaining weights)")
        .scale(type="log", domain=span, reverse=True)
        .axis(values=ticks, labelExpr="format(100 * (1 - datum.value), '.4~g') + ' %'", labelOverlap="greedy")
    )


def _method(frame: pd.DataFrame) -> alt.Color:
    # The domain is the whole figure's, so that a method keeps its colour in panels that lack another.
    return alt.Color("method:N", title="pruning").scale(domain=sorted(set(frame["method"])), range=PALETTE)


def _shape(frame: pd.DataFrame) -> alt.Shape:
    return alt.Shape("method:N", title="pruning").scale(domain=sorted(set(frame["method"])), range=SHAPES)


def _panels(frame: pd.DataFrame, by: list[str], panel) -> alt.ConcatChart:
    """One panel per group of `by`, in order of appearance, titled with what varies."""
    varying = [c for c in by if frame[c].nunique() > 1] or by[-1:]
    groups = frame.groupby(by, sort=False)
    charts = [panel(part, " · ".join(str(part[c].iloc[0]) for c in varying)) for _, part in groups]
    # Flush bounds line the panels up whatever their labels need; the spacing leaves room for the axes.
    return alt.concat(*charts, columns=COLUMNS, bounds="flush", spacing={"row": 74, "column": 66})


def _best(frame: pd.DataFrame, column: str) -> pd.Series:
    """Whether a row is the best of its ladder; among equals the sparsest."""
    by = [c for c in ("score", "target", "ladder") if c in frame]
    ranked = frame.sort_values([column, "sparsity"], ascending=False, kind="stable")
    best = ranked.groupby(by, sort=False).head(1).index
    return pd.Series(frame.index.isin(best), index=frame.index)


def _span(frame: pd.DataFrame) -> list[float]:
    return [_round(0.8 * frame["remaining"].min()), 1.0]


def tidy(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Keep `columns` of a frame, floats at six significant digits so that the last bits of a machine do not show."""
    _require(frame, columns)
    if frame.empty:
        raise UsageError("nothing to draw: the frame has no rows")
    frame = frame[columns]
    if "rung" in columns:
        frame = frame.sort_values("rung", kind="stable", ignore_index=True)
        frame["remaining"] = 1 - frame["sparsity"]
    for column in frame.select_dtypes("float"):
        frame[column] = frame[column].map(_round)
    return frame


def _require(frame: pd.DataFrame, columns) -> None:
    missing = [c for c in columns if c not in frame]
    if missing:
        raise UsageError(f"column {missing[0]!r} is missing; the frame has: {', '.join(map(str, frame.columns))}")


def _round(value: float) -> float:
    return float(f"{value:.6g}")


def _cell(value: object, form: str) -> str:
    if pd.isna(value):
        return "–"
    if isinstance(value, float) and not form:
        form = ".3f"
    return format(value, form).replace("|", "\\|")


def _name(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise UsageError(f"key {key!r}: use letters, digits, '-' and '_' only")
    return key


def inline_all(values: Mapping[str, float | int | bool | str], prefix: str = "") -> None:
    """Glue several numbers or words as `inline` does, each under its key behind `prefix`."""
    for key, value in values.items():
        inline(value, prefix + key)


def label_room(names: Iterable[str]) -> int:
    """Pixels to keep free for the labels of a heat map's rows."""
    return round(25 + 6.1 * max(len(name) for name in names))
