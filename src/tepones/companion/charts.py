"""How every figure, table and number of the book is made and handed to the text.

A chapter's code cell calls `show`, `table`, `inline` and `holds`; its text places what they made by key. What only one
chapter draws is in the chapter's own file of `tepones.companion.chapters`; what several share is here: the theme, and
the marks below `menu`.

A function whose name ends in `chart` takes a frame and returns an Altair chart; it raises `UsageError` where a column
is missing or there is nothing to draw (`prepared`).
"""

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import altair as alt
import pandas as pd
from IPython.display import Markdown
from myst_nb import glue

from tepones.common.errors import TeponesError, UsageError
from tepones.companion.kernel import GUARDS, STRICT

WIDTH = 672
"""Pixels that a whole figure may take: the width that the book's text column leaves for one."""

PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
"""Okabe and Ito's colours, told apart by all common kinds of colour vision."""

SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right"]

COLUMNS = 2
"""Panels side by side."""

PANEL = {"width": 262, "height": 180}

SCORED = [
    "ladder:N",
    alt.Tooltip("sparsity:Q", format=".2%"),
    alt.Tooltip("value:Q", format=".4~g", title="score"),
    alt.Tooltip("accuracy:Q", format=".4f"),
]
"""What a point of a chart of one score tells when pointed at."""

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
    require(frame, formats)
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
        Name of the value, unique in its chapter: letters, digits, ``-`` and ``_``.

    Raises
    ------
    UsageError
        If `value` is anything else, or not finite, or `key` is not a name.
    """
    plain = value.item() if hasattr(value, "item") else value
    if not isinstance(plain, float | int | str) or (isinstance(plain, float) and not math.isfinite(plain)):
        raise UsageError(f"value {key!r}: expected a finite number or a string, got {value!r}")
    glue(_name(key), rounded(plain) if isinstance(plain, float) else plain, display=False)


def inline_all(values: Mapping[str, float | int | bool | str], prefix: str = "") -> None:
    """Glue several numbers or words as `inline` does, each under its key behind `prefix`."""
    for key, value in values.items():
        inline(value, prefix + key)


def holds(condition: bool, key: str) -> None:
    """Guard a sentence that the data could contradict: glue what stands behind it under `key` for a `{glue:md}`.

    Where the condition, computed from the records, is true, nothing stands there. Where it is false, a remark says so.
    But a false sentence is not published: where the notebook is executed as it is committed (`TEPONES_GUARDS` is
    ``strict``, as `notebooks.execute` sets it where no parameter is given), `TeponesError` is raised.
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
        A JavaScript identifier that is unique in the chart.
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
    if switch:
        # Without spaces it is hard to see which button belongs to which word.
        bind = alt.binding_radio(options=options, labels=[f" {option} " for option in options], name=f"{label}: ")
    else:
        bind = alt.binding_select(options=options, name=f"{label}: ")
    return alt.param(name=name, value=first if first in options else options[0], bind=bind)


def heat_map(base: alt.Chart, value: str, title: str, limit: float, form: str, size: int = 11) -> alt.LayerChart:
    """A coloured table with the number in each cell: blue above zero, orange below.

    Parameters
    ----------
    base : altair chart
        With its data, rows (`y`), columns (`x`), tooltip and filters.
    value, title, form : str
        Column that is shown, title of its colours, format of its numbers as for d3 (``"+.2f"``).
    limit : float
        Absolute value at which the colours end.
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


def label_room(names: Iterable[str]) -> int:
    """Pixels to keep free for the labels of a heat map's rows."""
    return round(25 + 6.1 * max(len(name) for name in names))


def sparsity_axis(frame: pd.DataFrame, ticks: Sequence[float] = (1, 0.1, 0.01, 0.001, 0.0001)) -> alt.X:
    """Sparsity on an axis that gives each further factor in size the same room.

    `frame` is all that the figure shows, as `prepared` returns it; `ticks` are the fractions that remain at which the
    axis is labelled, as far as the frame reaches.
    """
    least = rounded(0.8 * frame["remaining"].min())
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


def method_colour(frame: pd.DataFrame) -> alt.Color:
    """One colour for each pruning method of the whole figure: a panel that lacks a method keeps the others' colours."""
    return alt.Color("method:N", title="pruning").scale(domain=sorted(set(frame["method"])), range=PALETTE)


def method_shape(frame: pd.DataFrame) -> alt.Shape:
    """One shape for each pruning method of the whole figure, as `method_colour` has one colour."""
    return alt.Shape("method:N", title="pruning").scale(domain=sorted(set(frame["method"])), range=SHAPES)


def panels(
    frame: pd.DataFrame, by: Sequence[str], panel: Callable[[pd.DataFrame, str], alt.LayerChart]
) -> alt.ConcatChart:
    """Panels side by side, one for each group of the columns `by` in order of appearance.

    `panel` draws a group in the size `PANEL`, given its rows and its title, which names the columns that vary.
    """
    by = list(by)
    varying = [column for column in by if frame[column].nunique() > 1] or by[-1:]
    drawn = [
        panel(part, " · ".join(str(part[column].iloc[0]) for column in varying))
        for _, part in frame.groupby(by, sort=False)
    ]
    # Flush bounds line the panels up whatever their labels need; the spacing leaves room for the axes.
    return alt.concat(*drawn, columns=COLUMNS, bounds="flush", spacing={"row": 74, "column": 66})


def is_best(frame: pd.DataFrame, column: str) -> pd.Series:
    """Whether a rung has the highest `column` of its ladder, for each target and score; among equals the sparsest."""
    by = [c for c in ("score", "target", "ladder") if c in frame]
    ranked = frame.sort_values([column, "sparsity"], ascending=False, kind="stable")
    best = ranked.groupby(by, sort=False).head(1).index
    return pd.Series(frame.index.isin(best), index=frame.index)


def prepared(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Keep the columns of a frame that a chart shows, floats at six significant digits: a machine's last bits go.

    With `rung` among them, rows are sorted by it, and a column `remaining`, 1 − sparsity, is added.
    """
    require(frame, columns)
    if frame.empty:
        raise UsageError("nothing to draw: the frame has no rows")
    frame = frame[columns]
    if "rung" in columns:
        frame = frame.sort_values("rung", kind="stable", ignore_index=True)
        frame["remaining"] = 1 - frame["sparsity"]
    for column in frame.select_dtypes("float"):
        frame[column] = frame[column].map(rounded)
    return frame


def require(frame: pd.DataFrame, columns: Iterable[str]) -> None:
    """Refuse a frame that lacks one of the columns."""
    missing = [c for c in columns if c not in frame]
    if missing:
        raise UsageError(f"column {missing[0]!r} is missing; the frame has: {', '.join(map(str, frame.columns))}")


def rounded(value: float) -> float:
    """Six significant digits, as `prepared` keeps them."""
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
