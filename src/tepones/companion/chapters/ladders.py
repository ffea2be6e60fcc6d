"""The chapter *Ladders*: every pruning method's accuracies (from tables), layers and costs (from the zoo), and charts.

Methods are grouped by the question that they answer when they are compared; `REFERENCE` is in every group.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import altair as alt
import pandas as pd

from tepones import agreement
from tepones.common.errors import choose
from tepones.companion import charts, study
from tepones.companion.charts import INK, PALETTE, PANEL, SHAPES, WIDTH, prepared
from tepones.companion.claims import statistic
from tepones.pruning.masks import prunable
from tepones.ranking import zoo

REFERENCE = "magnitude iterative"
STRUCTURED = "magnitude structured"
"""The one method that removes channels, and so is cheaper without `shrink`."""

#: What is compared with what.
QUESTIONS = {
    "Which weights go": (
        REFERENCE,
        "per layer magnitude iterative",
        "snip iterative",
        "diagonal iterative",
        "block iterative",
        "random iterative",
    ),
    "How they go, and how the rest is trained": (
        REFERENCE,
        "magnitude gradual",
        "magnitude acdc",
        "magnitude rigl",
        "magnitude str",
        "magnitude structured",
        "magnitude one-shot",
    ),
    "What the rest starts from": (
        REFERENCE,
        "magnitude lottery",
        "magnitude reinitialised",
        "magnitude one-shot",
        "simclr magnitude one-shot",
    ),
}

#: Every method once, in the order of the questions.
METHODS = tuple(dict.fromkeys(method for group in QUESTIONS.values() for method in group))

ACROSS = (REFERENCE, "snip iterative", "diagonal iterative", "block iterative")
"""Criteria that compare weights across the whole network, pruned by the same schedule."""

RETRAINED = (REFERENCE, "magnitude gradual", "magnitude acdc", "magnitude rigl", "magnitude str")
"""Schedules that remove single weights by magnitude and train the rest."""

BY_LAYER = ("random iterative", "magnitude str", STRUCTURED)
"""Methods of the zoo that do not compare the saliencies of single weights across the whole network."""

SOURCE = statistic.SOURCE
ALL_TARGETS = "mean of all targets"

#: Budget fields of the zoo's manifests in words, with the unit and what one unit is.
COSTS = {
    "nonzero_weights": ("non-zero weights", "weights", 1),
    "bytes_dense": ("plain file", "kB", 1000),
    "bytes_sparse": ("compressed file", "kB", 1000),
    "flops": ("operations", "MFLOP", 1e6),
    "latency_ms": ("latency", "ms", 1),
    "peak_activation_bytes": ("peak activations", "kB", 1000),
}


ALL_METHODS = "all"
"""Choice of a menu that highlights no method."""

DENSITY_SHOWN = 32
"""Times denser or sparser than the network at which the colour of the heat map ends."""


def curves(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Accuracy of every method of the records at every rung, mean over the seeds of its ladders.

    Columns method, rung, target, sparsity, seeds (how many), accuracy. Besides the targets there are `SOURCE`, by the
    network's own classifier, and `ALL_TARGETS`. Raises `UsageError` for a method that is not in `METHODS`.
    """
    judged = study.tidy(dict(tables)).drop_duplicates(["ladder", "rung", "target"])
    for method in judged["method"].unique():
        choose("method", method, METHODS)
    source = judged.drop_duplicates(["ladder", "rung"])
    source = source.assign(target=SOURCE, accuracy=source["source_accuracy"])
    mean = judged.assign(target=ALL_TARGETS)
    found = pd.concat([source, mean, judged], ignore_index=True)
    grouped = found.groupby(["method", "rung", "target"], sort=False)
    return grouped.agg(
        sparsity=("sparsity", "mean"), seeds=("seed", "nunique"), accuracy=("accuracy", "mean")
    ).reset_index()


def common_sparsity(rungs: pd.DataFrame, rung: int) -> float:
    """Sparsity of a pruned rung that every method has; where methods differ, the lowest.

    Raises `UsageError` if a method has no such rung, or it is the dense one.
    """
    methods = rungs[rungs["rung"] > 0].groupby("rung")["method"].nunique()
    choose("rung of all methods", str(rung), methods.index[methods == rungs["method"].nunique()].astype(str))
    return float(rungs.loc[rungs["rung"] == rung, "sparsity"].min())


def pair(tables: Mapping[str, pd.DataFrame], method: str, over: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two methods seed by seed, on the source task and on the mean of the targets.

    Returns
    -------
    accuracies : DataFrame
        Columns measured (`SOURCE` or `ALL_TARGETS`), seed, method, rung, sparsity, accuracy.
    differences : DataFrame
        Columns measured, rung, sparsity, seed, difference (accuracy points, `method` minus `over`), and for each rung
        its mean, low, high: the 95 % interval that the claims ledger computes, NaN with one seed. Without rung 0.
    """
    frame = study.tidy(dict(tables)).drop_duplicates(["ladder", "rung", "target"])
    source = statistic.on_source(frame)
    accuracies, differences = [], []
    for measured, part in ((SOURCE, source), (ALL_TARGETS, frame)):
        means = part[part["method"].isin([method, over])]
        means = means.groupby(["seed", "method", "rung", "sparsity"], sort=False)["accuracy"].mean().reset_index()
        accuracies.append(means.assign(measured=measured))
        paired = statistic.paired(part, method, over)
        for (rung, sparsity), cells in paired.groupby(["rung", "sparsity"]):
            table = cells.pivot(index="seed", columns="target", values="value")
            interval = agreement.two_level_interval(table.to_numpy())
            about = {"measured": measured, "rung": rung, "sparsity": sparsity}
            about |= {"mean": float(interval.mean), "low": float(interval.low), "high": float(interval.high)}
            differences += [about | {"seed": seed, "difference": row.mean()} for seed, row in table.iterrows()]
    return pd.concat(accuracies, ignore_index=True), pd.DataFrame(differences)


def source_lead(differences: pd.DataFrame) -> pd.DataFrame:
    """Difference of two methods on the source task by rung, from the `differences` of `pair`, in accuracy points.

    Columns sparsity, mean, low, high, range (between the seeds with the largest and the smallest difference).
    """
    found = differences[differences["measured"] == SOURCE].groupby("rung")
    ends = found["difference"].agg(["min", "max"])
    return found[["sparsity", "mean", "low", "high"]].first().assign(range=ends["max"] - ends["min"])


def densities(zoo_folder: Path) -> pd.DataFrame:
    """Fraction of the weights that remain in each layer of each rung of the zoo's ladders.

    Columns method, rung, sparsity, layer, name, position, size (weights of the dense layer), density (fraction of them
    that is not zero), relative (density over that of the whole network), collapsed (nothing remains). A channel that is
    gone counts as zeros.
    """
    rows = []
    for folder, about in _ladders(zoo_folder):
        sizes: dict[str, int] = {}
        for level, rung in enumerate(about.rungs):
            weights = prunable(zoo.load(folder, rung.file).model)
            sizes = sizes or {name: weight.numel() for name, weight in weights.items()}
            labels = layer_labels(list(sizes))
            for position, (name, size) in enumerate(sizes.items()):
                density = int(weights[name].count_nonzero()) / size
                row = {"method": about.method, "rung": level, "sparsity": rung.sparsity, "layer": labels[name]}
                row |= {"name": name, "position": position, "size": size, "density": density}
                rows.append(row | {"relative": density / (1 - rung.sparsity), "collapsed": density == 0})
    return pd.DataFrame(rows)


def costs(zoo_folder: Path) -> pd.DataFrame:
    """What each rung of the zoo's ladders costs, as it is stored and after its dead channels were removed.

    Columns method, rung, sparsity, field (of `COSTS`), quantity, unit, stored and shrunk (in that unit).
    """
    rows = []
    for _, about in _ladders(zoo_folder):
        for level, rung in enumerate(about.rungs):
            for field, (quantity, unit, one) in COSTS.items():
                row = {"method": about.method, "rung": level, "sparsity": rung.sparsity, "field": field}
                row |= {"quantity": quantity, "unit": unit}
                rows.append(row | {"stored": rung.budget[field] / one, "shrunk": rung.shrunk[field] / one})
    return pd.DataFrame(rows)


def layer_labels(names: list[str]) -> dict[str, str]:
    """Short words for the layers of a small residual network; other names keep their path."""
    blocks = list(dict.fromkeys(found[1] for name in names if (found := _BLOCK.match(name))))
    labels = {}
    for name in names:
        found = _BLOCK.match(name)
        if found:
            part = f"conv {found[3]}" if found[3] else "shortcut"
            labels[name] = f"block {1 + blocks.index(found[1])}, {part}"
        else:
            labels[name] = "first conv" if name == names[0] else name.removeprefix("encoder.").removesuffix(".weight")
    return labels


_BLOCK = re.compile(r"encoder\.(\d+)\.(conv(\d)|shortcut\.0)\.weight$")


def extremes(frame: pd.DataFrame, rung: int) -> pd.DataFrame:
    """The layers that each method spares most and least at one rung of `densities`, and how many have collapsed.

    By method: most spared and least spared (layer), spread (how many times denser the one is than the other; infinite
    where a layer has collapsed), collapsed (how many layers).
    """
    layers = frame[frame["rung"] == rung].set_index("layer").groupby("method", sort=False)
    relative = layers["relative"]
    ends = {"most spared": relative.idxmax(), "least spared": relative.idxmin()}
    return pd.DataFrame(ends).assign(spread=relative.max() / relative.min(), collapsed=layers["collapsed"].sum())


def _ladders(zoo_folder: Path) -> list[tuple[Path, zoo.Manifest]]:
    """Folder and manifest of the zoo's ladders of `METHODS`, in their order; the first seed of each."""
    found = {}
    for path in sorted(zoo_folder.glob(f"*/{zoo.MANIFEST}")):
        about = zoo.manifest(path.parent)
        choose("method of the zoo", about.method, METHODS)
        if about.method not in found or about.seed < found[about.method][1].seed:
            found[about.method] = path.parent, about
    return [found[method] for method in METHODS if method in found]


def accuracy_chart(frame: pd.DataFrame) -> alt.TopLevelMixin:
    """`curves` of source and transfer accuracy against sparsity, one row of panels for each question.

    Menus choose the target, and a method to highlight.
    """
    frame = prepared(frame, ["method", "rung", "sparsity", "seeds", "target", "accuracy"])
    targets = [name for name in dict.fromkeys(frame["target"]) if name not in (SOURCE, ALL_TARGETS)]
    target = charts.menu("target", [ALL_TARGETS, *targets], label="Transfer to")
    lit = charts.menu("lit", [ALL_METHODS, *_present(frame)], label="Highlight")
    opacity = alt.when(f"lit == '{ALL_METHODS}' || lit == datum.method").then(alt.value(1)).otherwise(alt.value(0.12))

    def panel(part: pd.DataFrame, methods: list[str], source: bool) -> alt.LayerChart:
        # One frame for all panels, filtered in the chart: it is stored once.
        wanted = f"datum.target == {SOURCE!r}" if source else "datum.target == target"
        colour = alt.Color("method:N", title=None).scale(domain=methods, range=charts.colours(methods))
        shape = alt.Shape("method:N", title=None).scale(domain=methods, range=charts.shapes(methods))
        base = (
            alt.Chart(part, title=charts.panel_title("source task" if source else "transfer"))
            .transform_filter(f"{wanted} && indexof({methods}, datum.method) >= 0")
            .encode(
                x=_sparsity(frame),
                y=alt.Y("accuracy:Q", title="source accuracy" if source else "probe accuracy").scale(domain=[0, 1]),
                color=colour.legend(columns=3, labelLimit=220),
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
            base.mark_point(filled=True, size=45).encode(shape=shape),
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


def density_chart(frame: pd.DataFrame, rung: int) -> alt.TopLevelMixin:
    """`densities` as a coloured table of methods and layers; a switch for the sparsity, which begins at a rung.

    The number is the percentage of the layer's weights that remains, the colour how much denser or sparser the layer
    is than the network. A collapsed layer is framed and crossed.
    """
    columns = ["method", "rung", "sparsity", "layer", "position", "size", "density", "relative", "collapsed"]
    frame = prepared(frame, columns)
    frame = frame[frame["rung"] > 0]
    frame["words"] = [_percent(value) for value in frame["density"]]
    levels = {level: f"{100 * sparsity:.1f} %" for level, sparsity in _levels(frame).items()}
    frame["level"] = frame["rung"].map(levels)
    level = charts.menu("level", list(levels.values()), levels.get(rung), label="Sparsity", switch=True)
    layers = list(dict.fromkeys(frame.sort_values("position", kind="stable")["layer"]))
    base = (
        alt.Chart(frame)
        .transform_filter("datum.level == level")
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
            base.mark_rect().encode(color=colour),
            base.transform_filter("!datum.collapsed").mark_text(fontSize=10).encode(text="words:N", color=dark),
            gone.mark_rect(fill="white", stroke=PALETTE[1], strokeWidth=2, aria=False),
            gone.mark_point(shape="cross", angle=45, size=80, filled=True, color=PALETTE[1], opacity=1, aria=False),
        )
        .add_params(level)
        .properties(width=WIDTH - 190, height=24 * frame["method"].nunique())
    )


def cost_chart(frame: pd.DataFrame) -> alt.TopLevelMixin:
    """All `costs` against sparsity, as stored and shrunk; one method in colour, chosen by a menu, the others grey."""
    frame = prepared(frame, ["method", "rung", "sparsity", "field", "quantity", "unit", "stored", "shrunk"])
    methods = [method for method in _present(frame) if method != STRUCTURED]
    chosen = charts.menu("chosen", methods, REFERENCE, label="In blue")
    [structured] = charts.colours([STRUCTURED])
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
        base = alt.Chart(part, title=charts.panel_title(title)).encode(
            x=_sparsity(frame), y=y, tooltip=told, order="rung:Q"
        )
        others = base.transform_filter(f"datum.method != {STRUCTURED!r} && datum.method != chosen")
        lit = base.transform_filter("datum.method == chosen")
        cut = base.transform_filter(f"datum.method == {STRUCTURED!r}")
        return alt.layer(
            others.mark_line(strokeWidth=1, color=INK, opacity=0.25).encode(detail="method:N"),
            cut.mark_line(strokeWidth=2, color=structured),
            cut.mark_point(filled=True, size=40, shape="square", color=structured, opacity=1),
            lit.mark_line(strokeWidth=1.5, strokeDash=[5, 4], color=PALETTE[0]).encode(y=stored),
            lit.mark_line(strokeWidth=2, color=PALETTE[0]),
            lit.mark_point(filled=True, size=40, color=PALETTE[0], opacity=1),
        ).properties(width=PANEL["width"], height=150)

    order = [quantity for quantity, _, _ in COSTS.values()]
    panels = [panel(frame[frame["quantity"] == name], name) for name in order]
    return alt.concat(*panels, columns=2, bounds="flush", spacing={"row": 70, "column": 66}).add_params(chosen)


def pair_chart(accuracy: pd.DataFrame, difference: pd.DataFrame, method: str, over: str) -> alt.TopLevelMixin:
    """Two methods seed by seed, as `pair` gives them: accuracies, and differences with their interval."""
    accuracy = prepared(accuracy, ["measured", "seed", "method", "rung", "sparsity", "accuracy"])
    difference = prepared(difference, ["measured", "seed", "rung", "sparsity", "difference", "mean", "low", "high"])
    methods = [method, over]
    x = _sparsity(accuracy)
    seeds = sorted(set(accuracy["seed"]))
    shape = alt.Shape("seed:N", title="seed").scale(domain=seeds, range=SHAPES)
    colour = (
        alt.Color("method:N", title="pruning")
        .scale(domain=methods, range=charts.colours(methods))
        .legend(labelLimit=220)
    )
    told = ["method:N", "seed:N", alt.Tooltip("sparsity:Q", format=".2%"), alt.Tooltip("accuracy:Q", format=".4f")]

    def lines(measured: str) -> alt.LayerChart:
        part = accuracy[accuracy["measured"] == measured]
        kind = "source accuracy" if measured == SOURCE else "probe accuracy"
        base = alt.Chart(part, title=charts.panel_title(measured)).encode(
            x=x, y=alt.Y("accuracy:Q", title=kind).scale(domain=[0, 1]), color=colour, tooltip=told
        )
        return alt.layer(
            base.mark_line(strokeWidth=1.2).encode(detail="seed:N", order="rung:Q"),
            base.mark_point(filled=True, size=40, opacity=0.9).encode(shape=shape),
        ).properties(**PANEL)

    def differences(measured: str) -> alt.LayerChart:
        part = difference[difference["measured"] == measured]
        y = alt.Y("difference:Q", title="accuracy points")
        base = alt.Chart(part, title=charts.panel_title("difference, same seed")).encode(x=x)
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
            mean.mark_rule(strokeWidth=7, opacity=0.22).encode(y="low:Q", y2="high:Q"),
            seed.mark_line(strokeWidth=1, color=INK, opacity=0.5).encode(detail="seed:N", order="rung:Q"),
            seed.mark_point(filled=True, size=40, color=INK, opacity=0.6).encode(shape=shape),
            mean.mark_tick(thickness=2.5, size=20, color=INK, orient="horizontal").encode(y="mean:Q"),
        ).properties(**PANEL)

    panels = [chart for name in (SOURCE, ALL_TARGETS) for chart in (lines(name), differences(name))]
    return alt.concat(*panels, columns=2, bounds="flush", spacing={"row": 74, "column": 66})


def _present(frame: pd.DataFrame) -> list[str]:
    return [method for method in METHODS if method in set(frame["method"])]


def _levels(frame: pd.DataFrame) -> dict[int, float]:
    """Sparsity of each rung; methods that remove whole channels overshoot it a little, and do not count."""
    return {int(rung): float(part.min()) for rung, part in frame.groupby("rung")["sparsity"]}


def _sparsity(frame: pd.DataFrame) -> alt.X:
    """The shared axis with a tick at each rung."""
    return charts.sparsity_axis(frame, ticks=[round(1 - level, 6) for level in _levels(frame).values()])


def _percent(fraction: float) -> str:
    """A percentage in two digits: 100, 12, 3.4, 0.21; no digit before it is needed."""
    percent = 100 * fraction
    if percent >= 9.95:
        return f"{percent:.0f}"
    digits = 2 if percent < 0.995 else 1
    return f"{percent:.{digits}f}" if percent >= 0.005 or percent == 0 else f"{percent:.1g}"


_TIMES = "datum.value < 1 ? '1/' + format(1 / datum.value, '.0f') : format(datum.value, '.0f')"
