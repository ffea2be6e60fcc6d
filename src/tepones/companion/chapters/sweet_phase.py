"""The chapter *The sweet phase*: accuracy along the ladders, what is gained over dense, and README's picture of it."""

from pathlib import Path

import altair as alt
import pandas as pd

from tepones.common import paths
from tepones.common.files import write_atomically
from tepones.companion import charts, figures, study
from tepones.companion.claims import statistic

PROFILE = "embedded"
"""Whose published records README's picture shows."""

FAR = "digits"
"""The target that is not drawn from the fonts of the source: scanned handwriting."""

FIRST_METHOD, CONTROL = "magnitude iterative", "control"
"""The method that the front of the book shows first; and the trainings of a ladder with nothing pruned."""

FRONT_DEPTH = 10
"""Points below dense that the front of the book shows."""

DEPTH = 0.2
"""Accuracy shown below the dense models: a hump of two points would vanish beside the collapse to chance."""


def ends(judged: pd.DataFrame) -> pd.DataFrame:
    """Accuracy at the dense rung, at the best and at the sparsest one, from one row for each ladder, rung and target.

    Columns ladder, method, target, dense, best, last.
    """
    ladders = judged.sort_values("rung").groupby(["ladder", "method", "target"], sort=False)["accuracy"]
    return ladders.agg(dense="first", best="max", last="last").reset_index()


def gains(frame: pd.DataFrame) -> pd.DataFrame:
    """Accuracy points won over the dense rung, at the rung that the other ladders of the method choose.

    From a frame of `study.tidy`, one row for each method with several ladders and target: method, target, dense
    accuracy (of all ladders, in per cent), and over the ladders of the method mean gain, smallest, largest.
    """
    dense = frame[frame["rung"] == 0].drop_duplicates(["ladder", "target"]).groupby("target")["accuracy"].mean()
    by_target = statistic.gain_over_dense(frame).groupby(["method", "target"], sort=False)["value"]
    found = by_target.agg(**{"mean gain": "mean", "smallest": "min", "largest": "max"}).reset_index()
    found.insert(2, "dense accuracy", 100 * found["target"].map(dense))
    return found


def accuracy_chart(frame: pd.DataFrame) -> alt.ConcatChart:
    """Accuracy against sparsity, one panel per target, one line per ladder.

    The dashed line is the accuracy of the ladder's dense model, the ring its best rung. A panel ends `DEPTH`
    below the lowest dense accuracy; the collapse goes on beneath it.

    Parameters
    ----------
    frame : DataFrame
        Columns `ladder`, `method`, `rung`, `sparsity`, `target`, `accuracy`; a ladder's lowest rung is dense.
    """
    frame = charts.prepared(frame, ["ladder", "method", "rung", "sparsity", "target", "accuracy"])
    first = frame.groupby(["target", "ladder"], sort=False)
    frame["isDense"] = frame["rung"] == first["rung"].transform("first")
    frame["dense"] = first["accuracy"].transform("first")
    frame["gain"] = (frame["accuracy"] - frame["dense"]).map(charts.rounded)
    frame["best"] = charts.is_best(frame, "accuracy")
    x, colour, shape = charts.sparsity_axis(frame), charts.method_colour(frame), charts.method_shape(frame)
    ladder = charts.pointed("ladder")
    lit = charts.lit(ladder)

    def panel(part: pd.DataFrame, title: str) -> alt.LayerChart:
        low = max(0.0, part["dense"].min() - DEPTH)
        high = part["accuracy"].max() + 0.05 * (part["accuracy"].max() - low)
        y = alt.Y("accuracy:Q", title="accuracy").scale(domain=[charts.rounded(low), charts.rounded(high)])
        base = alt.Chart(part, title=title).encode(
            color=colour,
            detail="ladder:N",
            tooltip=[
                "ladder:N",
                alt.Tooltip("sparsity:Q", format=".2%"),
                alt.Tooltip("accuracy:Q", format=".4f"),
                alt.Tooltip("gain:Q", format="+.4f", title="gain over dense"),
            ],
        )
        dense = base.transform_filter("datum.isDense").mark_rule(strokeDash=[5, 4])
        best = base.transform_filter("datum.best").mark_point(size=150, strokeWidth=2, filled=False)
        return alt.layer(
            dense.encode(y=y, opacity=charts.lit(ladder, 0.6)),
            base.mark_line(clip=True, strokeWidth=1.5).encode(x=x, y=y, order="rung:Q", opacity=lit),
            base.mark_point(clip=True, filled=True, size=28).encode(x=x, y=y, shape=shape, opacity=lit),
            best.encode(x=x, y=y, opacity=lit),
        ).properties(**charts.PANEL)

    return charts.linked(charts.panels(frame, ["target"], panel), ladder)


def front_chart(frame: pd.DataFrame) -> alt.LayerChart:
    """Gain over the dense encoder against sparsity, of the target and the method that the reader chooses.

    A thin line for each ladder and a thick one for their mean; the mean of the control, where there is one. It
    ends `FRONT_DEPTH` below zero; the collapse goes on beneath it.

    Parameters
    ----------
    frame : DataFrame
        Columns `ladder`, `method`, `rung`, `sparsity`, `target`, `accuracy`; a ladder's lowest rung is dense.
    """
    frame = charts.prepared(frame, ["ladder", "method", "rung", "sparsity", "target", "accuracy"])
    dense = frame.groupby(["target", "ladder"], sort=False)["accuracy"].transform("first")
    frame["gain"] = 100 * (frame["accuracy"] - dense)
    means = frame.groupby(["target", "method", "rung"], sort=False)[["remaining", "sparsity", "gain"]].mean()
    means = means.reset_index()
    for part in (frame, means):
        part["gain"] = part["gain"].map(charts.rounded)
    control = means[means["method"] == CONTROL]
    methods = sorted(set(frame["method"]) - {CONTROL}, key=lambda method: method != FIRST_METHOD)
    chosen = [
        charts.menu("target", sorted(set(frame["target"]), key=lambda target: target != FAR), label="target"),
        charts.menu("method", methods, label="pruning"),
    ]
    y = alt.Y("gain:Q", title="gain over dense (accuracy points)").scale(
        domain=[-FRONT_DEPTH, charts.rounded(1.2 * max(frame["gain"].max(), 1))]
    )
    x, of_target = charts.sparsity_axis(frame), "datum.target == target"
    tooltip = [alt.Tooltip("sparsity:Q", format=".2%"), alt.Tooltip("gain:Q", format="+.2f")]

    def lines(part: pd.DataFrame, **mark: object) -> alt.Chart:
        return alt.Chart(part).mark_line(clip=True, **mark).encode(x=x, y=y, order="rung:Q", tooltip=tooltip)

    def of_method(part: pd.DataFrame, **mark: object) -> alt.Chart:
        shown = lines(part, **mark).transform_filter(f"{of_target} && datum.method == method")
        return shown.encode(color=charts.method_colour(frame).legend(None))

    zero = alt.Chart(pd.DataFrame({"gain": [0.0]})).mark_rule(strokeDash=[5, 4]).encode(y=y)
    layers = [
        zero,
        of_method(frame, strokeWidth=1, opacity=0.5).encode(detail="ladder:N", tooltip=["ladder:N", *tooltip]),
        of_method(means, strokeWidth=3, point={"size": 45}),
    ]
    if not control.empty:
        layers.append(lines(control, strokeWidth=3, color=charts.METHODS[CONTROL][0]).transform_filter(of_target))
    return alt.layer(*layers).add_params(*chosen).properties(width=charts.WIDTH - 60, height=300)


def write_readme_picture() -> Path:
    """Draw the sweet phase on the far target, from the published records, into `book/_static/sweet-phase.svg`."""
    judged = study.tidy(study.load(PROFILE)).drop_duplicates(["ladder", "rung", "target"])
    chart = accuracy_chart(judged[judged["target"] == FAR])
    path = paths.book() / "_static" / "sweet-phase.svg"
    write_atomically(path, figures.picture(chart.to_dict()).encode())
    return path
