"""Charts of the chapter *Ladders*: tidy frames of `tepones.companion.chapters.ladders` in, Altair charts out."""

import altair as alt
import pandas as pd

from tepones.companion.chapters.ladders import ALL_TARGETS, COSTS, METHODS, QUESTIONS, REFERENCE, SOURCE
from tepones.companion.charts import PALETTE, PANEL, SHAPES, WIDTH, tidy

ALL_METHODS = "all"
"""Choice of a menu that highlights no method."""

STRUCTURED = "magnitude structured"
"""The one method that removes channels, and so is cheaper without `shrink`."""

_BLACK = PALETTE[6]
_COLOURS = {
    REFERENCE: _BLACK,
    "per layer magnitude iterative": PALETTE[3],
    "snip iterative": PALETTE[4],
    "diagonal iterative": PALETTE[2],
    "block iterative": PALETTE[0],
    "random iterative": PALETTE[1],
    "magnitude gradual": PALETTE[5],
    "magnitude acdc": PALETTE[0],
    "magnitude rigl": PALETTE[2],
    "magnitude str": PALETTE[3],
    STRUCTURED: PALETTE[4],
    "magnitude one-shot": PALETTE[1],
    "magnitude lottery": PALETTE[0],
    "magnitude reinitialised": PALETTE[4],
    "simclr magnitude one-shot": PALETTE[3],
}
"""A method keeps its colour in every panel; no question holds a colour twice."""

DENSITY_SHOWN = 32
"""Times denser or sparser than the network at which the colour of the heat map ends."""


def accuracies(frame: pd.DataFrame) -> alt.TopLevelMixin:
    """Source and transfer accuracy against sparsity, one row of panels for each question; menus for target and method.

    Parameters
    ----------
    frame : DataFrame
        `ladders.curves`: columns `method`, `rung`, `sparsity`, `seeds`, `target`, `accuracy`.

    Returns
    -------
    altair chart

    Raises
    ------
    UsageError
        If a column is missing or the frame is empty.
    """
    frame = tidy(frame, ["method", "rung", "sparsity", "seeds", "target", "accuracy"])
    targets = [name for name in dict.fromkeys(frame["target"]) if name not in (SOURCE, ALL_TARGETS)]
    target = alt.param(
        name="target",
        value=ALL_TARGETS,
        bind=alt.binding_select(options=[ALL_TARGETS, *targets], name="Transfer to: "),
    )
    lit = alt.param(
        name="lit",
        value=ALL_METHODS,
        bind=alt.binding_select(options=[ALL_METHODS, *_present(frame)], name="Highlight: "),
    )
    opacity = alt.when(f"lit == '{ALL_METHODS}' || lit == datum.method").then(alt.value(1)).otherwise(alt.value(0.12))

    def panel(part: pd.DataFrame, methods: list[str], source: bool) -> alt.LayerChart:
        # One frame for all panels, filtered in the chart: it is stored once.
        wanted = f"datum.target == {SOURCE!r}" if source else "datum.target == target"
        base = (
            alt.Chart(part, title=_title("source task" if source else "transfer"))
            .transform_filter(f"{wanted} && indexof({methods}, datum.method) >= 0")
            .encode(
                x=_sparsity(frame),
                y=alt.Y("accuracy:Q", title="source accuracy" if source else "probe accuracy").scale(domain=[0, 1]),
                color=_method(methods),
                opacity=opacity,
                tooltip=[
                    "method:N",
                    "target:N",
                    alt.Tooltip("sparsity:Q", format=".2%"),
                    alt.Tooltip("accuracy:Q", format=".4f"),
                    alt.Tooltip("seeds:Q", title="seeds in the mean"),
                ],
            )
        )
        return alt.layer(
            base.mark_line(strokeWidth=1.8).encode(order="rung:Q"),
            base.mark_point(filled=True, size=45).encode(shape=_shape(methods)),
        ).properties(width=PANEL["width"], height=190)

    rows = []
    for question, group in QUESTIONS.items():
        methods = [method for method in group if method in set(frame["method"])]
        both = [panel(frame, methods, source) for source in (True, False)]
        row = alt.concat(*both, columns=2, bounds="flush", spacing={"column": 66})
        rows.append(row.properties(title=alt.Title(question, fontSize=14, offset=8)))
    return (
        alt.vconcat(*rows, spacing=34)
        .resolve_scale(color="independent", shape="independent")
        .resolve_legend(color="independent", shape="independent")
        .add_params(target, lit)
    )


def densities(frame: pd.DataFrame, rung: int) -> alt.TopLevelMixin:
    """What remains in each layer of each method; a switch for the sparsity.

    The number is the percentage of the layer's weights that remains, the colour how much denser or sparser the layer
    is than the network. A collapsed layer is framed and crossed.

    Parameters
    ----------
    frame : DataFrame
        `tepones.companion.chapters.ladders.densities`.
    rung : int
        Which one is shown at first.

    Returns
    -------
    altair chart

    Raises
    ------
    UsageError
        If a column is missing or the frame is empty.
    """
    columns = ["method", "rung", "sparsity", "layer", "position", "size", "density", "relative", "collapsed"]
    frame = tidy(frame, columns)
    frame = frame[frame["rung"] > 0]
    frame["words"] = [_percent(value) for value in frame["density"]]
    order = [int(level) for level in sorted(set(frame["rung"]))]
    level = alt.param(
        name="level",
        value=rung,
        bind=alt.binding_radio(options=order, labels=[f" {_level(frame, k)} " for k in order], name="Sparsity: "),
    )
    layers = list(dict.fromkeys(frame.sort_values("position", kind="stable")["layer"]))
    base = (
        alt.Chart(frame)
        .transform_filter("datum.rung == level")
        .encode(
            x=alt.X("layer:N", title=None, sort=layers).axis(labelAngle=-40, domain=False, ticks=False),
            y=alt.Y("method:N", title=None)
            .scale(domain=_present(frame))
            .axis(labelLimit=190, domain=False, ticks=False),
            tooltip=[
                "method:N",
                "layer:N",
                alt.Tooltip("size:Q", format=",", title="weights when dense"),
                alt.Tooltip("density:Q", format=".3%", title="remains"),
                alt.Tooltip("relative:Q", format=".3~g", title="times the network's density"),
            ],
        )
    )
    ends = [1 / DENSITY_SHOWN, DENSITY_SHOWN]
    colour = (
        alt.Color("shown:Q", title="times the network's density")
        .scale(type="log", scheme="blueorange", domain=[ends[0], ends[1]], reverse=True)
        .legend(values=[1 / 32, 1 / 8, 1 / 2, 2, 8, 32], labelExpr=_TIMES, gradientLength=260, titleLimit=300)
    )
    base = base.transform_calculate(shown=f"clamp(datum.relative, {ends[0]}, {ends[1]})")
    dark = alt.when("datum.shown > 9 || datum.shown < 1 / 9").then(alt.value("white")).otherwise(alt.value("black"))
    gone = base.transform_filter("datum.collapsed")
    return (
        alt.layer(
            base.mark_rect(stroke="white").encode(color=colour),
            base.transform_filter("!datum.collapsed").mark_text(fontSize=10).encode(text="words:N", color=dark),
            gone.mark_rect(fill="white", stroke=PALETTE[1], strokeWidth=2),
            gone.mark_point(shape="cross", angle=45, size=80, filled=True, color=PALETTE[1], opacity=1),
        )
        .add_params(level)
        .properties(width=WIDTH - 190, height=24 * frame["method"].nunique())
    )


def costs(frame: pd.DataFrame) -> alt.TopLevelMixin:
    """Every cost against sparsity, as stored and shrunk; one method in colour, chosen by a menu, the others grey.

    Parameters
    ----------
    frame : DataFrame
        `tepones.companion.chapters.ladders.costs`.

    Returns
    -------
    altair chart

    Raises
    ------
    UsageError
        If a column is missing or the frame is empty.
    """
    frame = tidy(frame, ["method", "rung", "sparsity", "field", "quantity", "unit", "stored", "shrunk"])
    methods = [method for method in _present(frame) if method != STRUCTURED]
    chosen = alt.param(
        name="chosen",
        value=REFERENCE if REFERENCE in methods else methods[0],
        bind=alt.binding_select(options=methods, name="In blue: "),
    )
    told = [
        "method:N",
        alt.Tooltip("sparsity:Q", format=".2%"),
        alt.Tooltip("stored:Q", format=",.4~g", title="stored"),
        alt.Tooltip("shrunk:Q", format=",.4~g", title="shrunk"),
        "unit:N",
    ]

    def panel(part: pd.DataFrame, title: str) -> alt.LayerChart:
        unit = part["unit"].iloc[0]
        form = "~s" if unit == "weights" else ",~g"
        values = part[["stored", "shrunk"]].to_numpy()
        domain = [float(f"{edge:.3g}") for edge in (0.8 * values.min(), 1.25 * values.max())]
        y = alt.Y("shrunk:Q", title=unit).scale(type="log", domain=domain, nice=False).axis(tickCount=4, format=form)
        stored = alt.Y("stored:Q")
        base = alt.Chart(part, title=_title(title)).encode(x=_sparsity(frame), y=y, tooltip=told, order="rung:Q")
        others = base.transform_filter(f"datum.method != {STRUCTURED!r} && datum.method != chosen")
        lit = base.transform_filter("datum.method == chosen")
        cut = base.transform_filter(f"datum.method == {STRUCTURED!r}")
        return alt.layer(
            others.mark_line(strokeWidth=1, color="#bbbbbb").encode(detail="method:N"),
            cut.mark_line(strokeWidth=2, color=_COLOURS[STRUCTURED]),
            cut.mark_point(filled=True, size=40, shape="square", color=_COLOURS[STRUCTURED], opacity=1),
            lit.mark_line(strokeWidth=1.5, strokeDash=[5, 4], color=PALETTE[0]).encode(y=stored),
            lit.mark_line(strokeWidth=2, color=PALETTE[0]),
            lit.mark_point(filled=True, size=40, color=PALETTE[0], opacity=1),
        ).properties(width=PANEL["width"], height=150)

    order = [quantity for quantity, _, _ in COSTS.values()]
    charts = [panel(frame[frame["quantity"] == name], name) for name in order]
    return alt.concat(*charts, columns=2, bounds="flush", spacing={"row": 70, "column": 66}).add_params(chosen)


def pair(accuracy: pd.DataFrame, difference: pd.DataFrame, method: str, over: str) -> alt.TopLevelMixin:
    """Two methods seed by seed: their accuracies, and the difference with its interval; source task, then targets.

    Parameters
    ----------
    accuracy, difference : DataFrame
        `tepones.companion.chapters.ladders.pair` of the two methods.
    method, over : str

    Returns
    -------
    altair chart

    Raises
    ------
    UsageError
        If a column is missing or a frame is empty.
    """
    accuracy = tidy(accuracy, ["measured", "seed", "method", "rung", "sparsity", "accuracy"])
    difference = tidy(difference, ["measured", "seed", "rung", "sparsity", "difference", "mean", "low", "high"])
    methods = [method, over]
    x = _sparsity(accuracy)
    seeds = sorted(set(accuracy["seed"]))
    shape = alt.Shape("seed:N", title="seed").scale(domain=seeds, range=SHAPES)
    colour = (
        alt.Color("method:N", title="pruning")
        .scale(domain=methods, range=[_COLOURS[name] for name in methods])
        .legend(labelLimit=220)
    )
    told = ["method:N", "seed:N", alt.Tooltip("sparsity:Q", format=".2%"), alt.Tooltip("accuracy:Q", format=".4f")]

    def lines(measured: str) -> alt.LayerChart:
        part = accuracy[accuracy["measured"] == measured]
        kind = "source accuracy" if measured == SOURCE else "probe accuracy"
        base = alt.Chart(part, title=_title(measured)).encode(
            x=x, y=alt.Y("accuracy:Q", title=kind).scale(domain=[0, 1]), color=colour, tooltip=told
        )
        return alt.layer(
            base.mark_line(strokeWidth=1.2).encode(detail="seed:N", order="rung:Q"),
            base.mark_point(filled=True, size=40, opacity=0.9).encode(shape=shape),
        ).properties(width=PANEL["width"], height=PANEL["height"])

    def differences(measured: str) -> alt.LayerChart:
        part = difference[difference["measured"] == measured]
        y = alt.Y("difference:Q", title="accuracy points")
        base = alt.Chart(part, title=_title("difference, same seed")).encode(x=x)
        seed = base.encode(
            y=y,
            tooltip=["seed:N", alt.Tooltip("sparsity:Q", format=".2%"), alt.Tooltip("difference:Q", format="+.2f")],
        )
        mean = base.transform_filter("datum.seed == " + str(seeds[0])).encode(
            tooltip=[
                alt.Tooltip("sparsity:Q", format=".2%"),
                *(alt.Tooltip(f"{c}:Q", format="+.2f") for c in ("mean", "low", "high")),
            ]
        )
        return alt.layer(
            alt.Chart().mark_rule(strokeDash=[5, 4], opacity=0.6).encode(y=alt.datum(0)),
            mean.mark_rule(strokeWidth=7, opacity=0.22, color=_BLACK).encode(y="low:Q", y2="high:Q"),
            seed.mark_line(strokeWidth=1, color="#777777").encode(detail="seed:N", order="rung:Q"),
            seed.mark_point(filled=True, size=40, color="#777777", opacity=0.9).encode(shape=shape),
            mean.mark_tick(thickness=2.5, size=20, color=_BLACK, orient="horizontal").encode(y="mean:Q"),
        ).properties(width=PANEL["width"], height=PANEL["height"])

    charts = [chart for name in (SOURCE, ALL_TARGETS) for chart in (lines(name), differences(name))]
    return alt.concat(*charts, columns=2, bounds="flush", spacing={"row": 74, "column": 66})


def _title(words: str) -> alt.Title:
    """A panel's title, at the edge of the panel whatever its axis needs."""
    return alt.Title(words, frame="group", offset=8)


def _present(frame: pd.DataFrame) -> list[str]:
    return [method for method in METHODS if method in set(frame["method"])]


def _method(methods: list[str]) -> alt.Color:
    colour = alt.Color("method:N", title=None).scale(domain=methods, range=[_COLOURS[name] for name in methods])
    return colour.legend(columns=3, labelLimit=220)


def _shape(methods: list[str]) -> alt.Shape:
    return alt.Shape("method:N", title=None).scale(domain=methods, range=SHAPES)


def _levels(frame: pd.DataFrame) -> dict[int, float]:
    """Sparsity of each rung; methods that remove whole channels overshoot it a little, and do not count."""
    return {int(rung): float(part.min()) for rung, part in frame.groupby("rung")["sparsity"]}


def _level(frame: pd.DataFrame, rung: int) -> str:
    return f"{100 * _levels(frame)[rung]:.1f} %"


def _sparsity(frame: pd.DataFrame) -> alt.X:
    """Sparsity on an axis that gives each further factor in size the same room, with a tick at each rung."""
    ticks = [float(f"{1 - level:.6g}") for level in _levels(frame).values()]
    return (
        alt.X("remaining:Q", title="sparsity (log scale of remaining weights)")
        .scale(type="log", domain=[0.8 * min(ticks), 1.15], reverse=True, nice=False)
        .axis(values=ticks, labelExpr=_PERCENT, labelFontSize=10)
    )


def _percent(fraction: float) -> str:
    """A percentage in two digits: 100, 12, 3.4, 0.21; no digit before it is needed."""
    percent = 100 * fraction
    if percent >= 9.95:
        return f"{percent:.0f}"
    digits = 2 if percent < 0.995 else 1
    return f"{percent:.{digits}f}" if percent >= 0.005 or percent == 0 else f"{percent:.1g}"


_PERCENT = "datum.value == 1 ? 'dense' : format(100 * (1 - datum.value), '.1f') + ' %'"
_TIMES = "datum.value < 1 ? '1/' + format(1 / datum.value, '.0f') : format(datum.value, '.0f')"
