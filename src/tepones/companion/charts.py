"""How every figure, table and number of the book is made and handed to the text.

A chapter's code cell calls `show`, `table`, `inline` and `holds`; its text places what they made by key. What only one
chapter draws is in the chapter's own file of `tepones.companion.chapters`; what several share is here: the theme, and
the marks below `menu`.

A function whose name ends in `chart` takes a frame and returns an Altair chart; it raises `UsageError` where a column
is missing or there is nothing to draw (`prepared`).
"""

import itertools
import math
import os
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence

import altair as alt
import pandas as pd
from IPython.display import HTML, Markdown
from myst_nb import glue

from tepones.common.errors import TeponesError, UsageError
from tepones.companion import figures
from tepones.companion.kernel import GUARDS, STRICT

WIDTH = 672
"""Pixels that a whole figure may take: the width that the book's text column leaves for one."""

INK = "currentColor"
"""The colour of the text around a chart: black on a light page, white on a dark one, whenever the reader switches."""

PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", INK]
"""Okabe and Ito's colours, told apart by all common kinds of colour vision; `INK` is their black."""

SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right"]

_BLUE, _ORANGE, _GREEN, _PINK, _AMBER, _SKY, _INK = PALETTE
_CIRCLE, _SQUARE, _UP, _DIAMOND, _CROSS, _DOWN, _RIGHT = SHAPES

#: Colour and shape of each pruning method, in every figure of the book. A colour stands for an idea, a shape sets those
#: apart that share it; methods that are compared in one panel differ in both.
METHODS = {
    "magnitude iterative": (_BLUE, _CIRCLE),
    "augmented magnitude iterative": (_BLUE, _SQUARE),
    "transformer magnitude iterative": (_BLUE, _UP),
    "efficientnet magnitude iterative": (_BLUE, _DIAMOND),
    "random iterative": (_ORANGE, _SQUARE),
    "augmented random iterative": (_ORANGE, _DIAMOND),
    "magnitude one-shot": (_ORANGE, _UP),
    "mobilenet magnitude one-shot": (_ORANGE, _DOWN),
    "squeezenet magnitude one-shot": (_ORANGE, _RIGHT),
    "compressed squeezenet magnitude one-shot": (_ORANGE, _CROSS),
    "diagonal iterative": (_GREEN, _CROSS),
    "augmented diagonal iterative": (_GREEN, _DIAMOND),
    "mobilenet diagonal one-shot": (_GREEN, _RIGHT),
    "squeezenet diagonal one-shot": (_GREEN, _UP),
    "magnitude rigl": (_GREEN, _DOWN),
    "magnitude lottery": (_GREEN, _SQUARE),
    "per layer magnitude iterative": (_PINK, _DIAMOND),
    "magnitude str": (_PINK, _RIGHT),
    "simclr magnitude one-shot": (_PINK, _CROSS),
    "snip iterative": (_AMBER, _UP),
    "magnitude structured": (_AMBER, _SQUARE),
    "magnitude reinitialised": (_AMBER, _DIAMOND),
    "block iterative": (_SKY, _DOWN),
    "mobilenet block one-shot": (_SKY, _SQUARE),
    "squeezenet block one-shot": (_SKY, _UP),
    "magnitude gradual": (_SKY, _DIAMOND),
    "magnitude acdc": (_INK, _CROSS),
    "control": (_INK, _RIGHT),
    "augmented control": (_INK, _SQUARE),
    "transformer control": (_INK, _UP),
    "efficientnet control": (_INK, _DIAMOND),
}

#: Colour and shape of each score, in every figure of the book.
SCORES = {
    "gaussian": (_BLUE, _CIRCLE),
    "posterior": (_SKY, _CIRCLE),
    "binary": (_SKY, _SQUARE),
    "h_score": (_GREEN, _CIRCLE),
    "shrunk_h_score": (_GREEN, _SQUARE),
    "parc": (_GREEN, _UP),
    "tmi": (_GREEN, _DIAMOND),
    "sparsity": (_GREEN, _CROSS),
    "wilks": (_PINK, _CIRCLE),
    "transrate": (_PINK, _SQUARE),
    "gbc_diagonal": (_PINK, _UP),
    "gbc_spherical": (_PINK, _DIAMOND),
    "source_accuracy": (_PINK, _CROSS),
    "logme": (_ORANGE, _CIRCLE),
    "sfda": (_ORANGE, _SQUARE),
    "energy": (_ORANGE, _UP),
    "lda": (_ORANGE, _DIAMOND),
    "lda_accuracy": (_ORANGE, _CROSS),
    "etran": (_ORANGE, _DOWN),
    "nce": (_AMBER, _CIRCLE),
    "leep": (_AMBER, _SQUARE),
    "n_leep": (_AMBER, _UP),
    "knn": (_AMBER, _DIAMOND),
    "probe": (_AMBER, _CROSS),
    "nonzero_weights": (_AMBER, _DOWN),
    "ncti": (_SKY, _UP),
    "entropi": (_SKY, _DIAMOND),
    "random": (_INK, _CIRCLE),
    "feature_norm": (_INK, _SQUARE),
    "effective_rank": (_INK, _UP),
    "active_features": (_INK, _DIAMOND),
}

COLUMNS = 2
"""Panels side by side."""

PANEL = {"width": 262, "height": 180}

FADED = 0.12
"""Opacity of what the reader does not point at, while something is pointed at."""

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
    faint = {"domainColor": INK, "domainOpacity": 0.6, "tickColor": INK, "tickOpacity": 0.6}
    return {
        "config": {
            # The page shows through, and INK is legible on it, so no chart is drawn anew for a dark page.
            "background": "transparent",
            "font": "system-ui, sans-serif",
            "view": {"stroke": INK, "strokeOpacity": 0.2},
            # A rule shows what its neighbours tell: an interval, or where zero is.
            "rule": {"color": INK, "aria": False},
            "text": {"color": INK},
            "axis": {
                "labelFontSize": 11,
                "titleFontSize": 12,
                "titleFontWeight": "normal",
                "gridColor": INK,
                "gridOpacity": 0.1,
                "labelColor": INK,
                "titleColor": INK,
                **faint,
            },
            "legend": {
                "orient": "top",
                "labelFontSize": 12,
                "titleFontSize": 12,
                "symbolSize": 90,
                "symbolOpacity": 1,
                "labelColor": INK,
                "titleColor": INK,
            },
            "title": {"fontSize": 13, "anchor": "start", "fontWeight": 600, "color": INK},
            "range": {"category": PALETTE, "symbol": SHAPES},
            # The cells of a coloured table are set apart by what is behind it.
            "scale": {"rectBandPaddingInner": 0.04},
        }
    }


def show(chart: alt.TopLevelMixin, key: str, *, alt: str) -> None:
    """Display a `figure` and glue it under `key` for a `{glue:figure}` in the text."""
    glue(key, figure(chart, key, alt=alt))


def figure(chart: alt.TopLevelMixin, key: str, *, alt: str) -> HTML:
    """A chart as the book shows it, with a picture of itself where scripts do not run.

    Parameters
    ----------
    chart : altair chart
        What to show.
    key : str
        Name of the figure, unique in the book: letters, digits, ``-`` and ``_``. Files that readers save have it too.
    alt : str
        What the figure shows, for a reader who does not see it: a sentence, not a title.

    Raises
    ------
    UsageError
        If `alt` says nothing or `key` is not a name.
    """
    if len(alt.split()) < 4:
        raise UsageError(f"figure {key!r}: alt must be a sentence that says what the figure shows, not {alt!r}")
    spec = chart.properties(description=" ".join(alt.split())).to_dict()
    return HTML(figures.html(spec, _name(key)))


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


def pointed(field: str) -> alt.Parameter:
    """What the reader points at or taps, by one column; `linked` makes it the same in all panels of a figure."""
    # A finger leaves as soon as it has tapped; its click, which comes last, keeps what it chose.
    return alt.selection_point(name="pointed", fields=[field], on="pointerover, click", clear="pointerout")


def linked(panels: alt.TopLevelMixin, where: alt.Parameter) -> alt.TopLevelMixin:
    """Panels side by side, of which each follows what is `pointed` at in any."""
    with warnings.catch_warnings():
        # Altair warns that it makes one selection of one in each panel, which is what is wanted.
        warnings.filterwarnings("ignore", "Automatically deduplicated selection", UserWarning)
        return panels.add_params(where)


def lit(where: alt.Parameter, opacity: float = 1) -> alt.When:
    """The opacity of a mark that fades while the reader points at another: `where` is from `pointed`."""
    return alt.when(where).then(alt.value(opacity)).otherwise(alt.value(min(opacity, FADED)))


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
        base.mark_rect().encode(color=colour.legend(titleLimit=400)),
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
    """The colours of the pruning methods of a whole figure, as its panels share them."""
    methods = sorted(set(frame["method"]))
    return alt.Color("method:N", title="pruning").scale(domain=methods, range=colours(methods))


def method_shape(frame: pd.DataFrame) -> alt.Shape:
    """The shapes of the pruning methods of a whole figure, as `method_colour` has their colours."""
    methods = sorted(set(frame["method"]))
    return alt.Shape("method:N", title="pruning").scale(domain=methods, range=shapes(methods))


def colours(names: Sequence[str]) -> list[str]:
    """The colour of each method or score that a figure shows: that of `METHODS` or `SCORES`.

    Other names get, in order, the colours that none of these has, and when all are taken begin anew.
    """
    return _marks(names, 0, PALETTE)


def shapes(names: Sequence[str]) -> list[str]:
    """The shape of each method or score that a figure shows, as `colours` gives their colours."""
    return _marks(names, 1, SHAPES)


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


def _marks(names: Sequence[str], which: int, all_marks: list[str]) -> list[str]:
    known = {name: mark[which] for name, mark in (METHODS | SCORES).items() if name in names}
    others = itertools.cycle([mark for mark in all_marks if mark not in known.values()] or all_marks)
    return [known.get(name) or next(others) for name in names]


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
