"""Charts of numbers that others published: tidy frames of `tepones.companion.published` in, Altair charts out."""

import altair as alt
import pandas as pd

from tepones.companion.charts import PALETTE, SHAPES, WIDTH, tidy

PROTOCOL_NAMES = {"linear": "frozen encoder", "full": "full fine-tuning"}

ALL_TARGETS = "mean of the twelve"
"""Name of the mean over the data sets in `sparse_curves`."""

GAIN_SHOWN = 5.0
"""Points at which the colour of a heat map ends: lottery tickets with a frozen encoder lose more than fifty."""

CURVE_SHOWN = (-12, 9)
"""Accuracy points that a curve panel shows; what falls deeper leaves it."""

_VERDICTS = {"follows": PALETTE[0], "follows up to ties": PALETTE[4], "does not follow": PALETTE[1]}
_OUTCOMES = {
    "above, beyond the seeds": PALETTE[0],
    "above, within the seeds": PALETTE[5],
    "below, within the seeds": "#f3c9a5",
    "below, beyond the seeds": PALETTE[1],
}


def printed_against_recomputed(frame: pd.DataFrame) -> alt.TopLevelMixin:
    """Weighted τ as printed (ring) and as it follows from the rows (dot, with a bar where ties leave it open).

    Parameters
    ----------
    frame : DataFrame
        `tepones.companion.published.tllib_correlations`: one panel for each `metric`, one line for each `dataset`.

    Returns
    -------
    altair chart

    Raises
    ------
    UsageError
        If a column is missing or the frame is empty.
    """
    columns = ["dataset", "metric", "wtau_reported", "wtau", "wtau_lowest", "wtau_highest", "verdict"]
    frame = tidy(frame, columns)
    colour = alt.Color("verdict:N", title="printed value").scale(domain=list(_VERDICTS), range=list(_VERDICTS.values()))

    def panel(part: pd.DataFrame, metric: str) -> alt.LayerChart:
        base = alt.Chart(part, title=metric).encode(
            y=alt.Y("dataset:N", title=None, sort=list(dict.fromkeys(frame["dataset"]))),
            color=colour,
            tooltip=[
                "dataset:N",
                alt.Tooltip("wtau_reported:Q", format="+.3f", title="printed"),
                alt.Tooltip("wtau:Q", format="+.3f", title="recomputed"),
                "verdict:N",
            ],
        )
        x = alt.X("wtau:Q", title="weighted τ").scale(domain=[-0.4, 1])
        return alt.layer(
            base.mark_rule(opacity=0.5).encode(x=x, x2="wtau_reported:Q"),
            base.mark_rule(strokeWidth=5, opacity=0.35).encode(x="wtau_lowest:Q", x2="wtau_highest:Q"),
            base.mark_point(filled=True, size=60, opacity=1).encode(x=x),
            base.mark_point(filled=False, size=120, strokeWidth=1.8).encode(x="wtau_reported:Q"),
        ).properties(width=215, height=170)

    charts = [panel(part, str(metric)) for metric, part in frame.groupby("metric", sort=False)]
    return alt.concat(*charts, columns=2, bounds="flush", spacing={"row": 64, "column": 110})


def rankers(frame: pd.DataFrame) -> alt.TopLevelMixin:
    """Weighted τ of every method: a tick for each data set, a dot for the mean; best mean on top.

    Parameters
    ----------
    frame : DataFrame
        `tepones.companion.published.sfda_scores`: columns `method`, `kind`, `dataset`, `weighted_tau`.

    Returns
    -------
    altair chart

    Raises
    ------
    UsageError
        If a column is missing or the frame is empty.
    """
    frame = tidy(frame, ["method", "kind", "dataset", "weighted_tau"])
    means = frame.groupby(["method", "kind"], sort=False)["weighted_tau"].mean().round(6).reset_index()
    order = list(means.sort_values("weighted_tau", ascending=False, kind="stable")["method"])
    names = ["reported", "baseline"]
    colour = alt.Color("kind:N", title=None).scale(domain=names, range=PALETTE[:2])
    y = alt.Y("method:N", title=None, sort=order).axis(labelLimit=230)
    x = alt.X("weighted_tau:Q", title="weighted τ").scale(domain=[-0.4, 1])
    told = ["method:N", alt.Tooltip("weighted_tau:Q", format="+.3f", title="weighted τ")]
    each = alt.Chart(frame).mark_tick(thickness=2, size=16, opacity=0.55)
    mean = alt.Chart(means).mark_point(filled=True, size=130, opacity=1)
    return alt.layer(
        each.encode(x=x, y=y, color=colour, tooltip=[*told, "dataset:N"]),
        mean.encode(
            x=x, y=y, color=colour, shape=alt.Shape("kind:N").scale(domain=names, range=SHAPES[:2]), tooltip=told
        ),
    ).properties(width=WIDTH - 230, height=30 * len(order))


def sparse_heatmap(frame: pd.DataFrame) -> alt.TopLevelMixin:
    """Accuracy points above dense for every method, sparsity and data set; a switch for the protocol.

    Parameters
    ----------
    frame : DataFrame
        `published.sparse_cells` of one architecture: columns `protocol`, `method`, `sparsity`, `dataset`,
        `accuracy`, `gain`, `noise`, `outcome`.

    Returns
    -------
    altair chart

    Raises
    ------
    UsageError
        If a column is missing or the frame is empty.
    """
    columns = ["protocol", "method", "sparsity", "dataset", "accuracy", "gain", "noise", "outcome"]
    frame = tidy(frame, columns)
    frame["backbone"] = frame["method"] + " " + (100 * frame["sparsity"]).map("{:g} %".format)
    labels = [f" {name} " for name in PROTOCOL_NAMES.values()]
    protocol = alt.param(
        name="protocol",
        value="linear",
        bind=alt.binding_radio(options=list(PROTOCOL_NAMES), labels=labels, name="Protocol: "),
    )
    base = (
        alt.Chart(frame)
        .transform_filter("datum.protocol == protocol")
        .encode(
            x=alt.X("dataset:N", title=None, sort=sorted(set(frame["dataset"]), key=str.lower)).axis(
                labelAngle=-40, domain=False, ticks=False
            ),
            y=alt.Y("backbone:N", title=None, sort=list(dict.fromkeys(frame["backbone"]))).axis(
                domain=False, ticks=False
            ),
        )
    )
    colour = alt.Color("gain:Q", title="points above dense").scale(
        scheme="blueorange", domain=[-GAIN_SHOWN, GAIN_SHOWN], reverse=True, clamp=True
    )
    told = [
        "backbone:N",
        "dataset:N",
        alt.Tooltip("accuracy:Q", format=".2f", title="accuracy (%)"),
        alt.Tooltip("gain:Q", format="+.2f", title="points above dense"),
        alt.Tooltip("noise:Q", format=".2f", title="standard error from seeds"),
        alt.Tooltip("outcome:N", title="beyond the seeds"),
    ]
    dark = alt.when(f"abs(datum.gain) > {0.7 * GAIN_SHOWN}").then(alt.value("white")).otherwise(alt.value("black"))
    return (
        alt.layer(
            base.mark_rect(stroke="white").encode(color=colour, tooltip=told),
            base.mark_text(fontSize=10).encode(text=alt.Text("gain:Q", format="+.1f"), color=dark),
        )
        .add_params(protocol)
        .properties(width=WIDTH - 140, height=21 * frame["backbone"].nunique())
    )


def sparse_curves(frame: pd.DataFrame) -> alt.TopLevelMixin:
    """Accuracy points above dense against sparsity, one panel for each protocol; a menu for the data set.

    A bar is two standard errors from the seeds to either side. What falls below the panel leaves it.

    Parameters
    ----------
    frame : DataFrame
        `published.sparse_cells` of one architecture: columns `protocol`, `method`, `sparsity`, `dataset`,
        `gain`, `noise`.

    Returns
    -------
    altair chart

    Raises
    ------
    UsageError
        If a column is missing or the frame is empty.
    """
    frame = tidy(frame, ["protocol", "method", "sparsity", "dataset", "gain", "noise"])
    mean = frame.groupby(["protocol", "method", "sparsity"], sort=False)["gain"].mean().reset_index()
    frame = pd.concat([mean.assign(dataset=ALL_TARGETS), frame], ignore_index=True)
    dense = frame.drop_duplicates(["protocol", "method", "dataset"]).assign(sparsity=0.0, gain=0.0, noise=0.0)
    frame = pd.concat([dense, frame], ignore_index=True).sort_values("sparsity", kind="stable")
    frame = frame.assign(low=frame["gain"] - 2 * frame["noise"], high=frame["gain"] + 2 * frame["noise"])
    frame["level"] = [f"{100 * level:g} %" if level else "dense" for level in frame["sparsity"]]
    frame = tidy(frame, list(frame))
    data_sets = sorted(set(frame["dataset"]) - {ALL_TARGETS}, key=str.lower)
    target = alt.param(
        name="target",
        value=ALL_TARGETS,
        bind=alt.binding_select(options=[ALL_TARGETS, *data_sets], name="Data set: "),
    )
    methods = sorted(set(frame["method"]), key=str.lower)
    levels = list(dict.fromkeys(frame["level"]))

    def panel(part: pd.DataFrame, title: str) -> alt.LayerChart:
        base = (
            alt.Chart(part, title=title)
            .transform_filter("datum.dataset == target")
            .encode(
                x=alt.X("level:N", title="sparsity", sort=levels).axis(labelAngle=0).scale(padding=0.3),
                color=alt.Color("method:N", title="method").scale(domain=methods, range=PALETTE),
                tooltip=["method:N", "dataset:N", "level:N", alt.Tooltip("gain:Q", format="+.2f")],
            )
        )
        y = alt.Y("gain:Q", title="points above dense").scale(domain=list(CURVE_SHOWN))
        shape = alt.Shape("method:N", title="method").scale(domain=methods, range=SHAPES)
        return alt.layer(
            alt.Chart().mark_rule(strokeDash=[5, 4], opacity=0.6).encode(y=alt.datum(0)),
            base.mark_rule(clip=True, opacity=0.5).encode(y="low:Q", y2="high:Q"),
            base.mark_line(clip=True, strokeWidth=1.5).encode(y=y, order="sparsity:Q"),
            base.mark_point(clip=True, filled=True, size=45, opacity=1).encode(y=y, shape=shape),
        ).properties(width=265, height=260)

    charts = [panel(part, PROTOCOL_NAMES[str(name)]) for name, part in frame.groupby("protocol", sort=False)]
    return alt.concat(*charts, columns=2, bounds="flush", spacing={"column": 70}).add_params(target)


def sparse_outcomes(frame: pd.DataFrame) -> alt.TopLevelMixin:
    """How many cells of every method lie above dense, and how many of those by more than the seeds explain.

    Parameters
    ----------
    frame : DataFrame
        `published.sparse_cells` of one architecture whose cells have repeats: columns `protocol`,
        `method`, `gain`, `outcome`.

    Returns
    -------
    altair chart

    Raises
    ------
    UsageError
        If a column is missing or the frame is empty.
    """
    frame = tidy(frame, ["protocol", "method", "gain", "outcome"])
    side = frame["gain"].gt(0).map({True: "above", False: "below"})
    within = frame["outcome"].eq("unresolved").map({True: "within the seeds", False: "beyond the seeds"})
    frame = frame.assign(cells=side + ", " + within, rank=(side + ", " + within).map(list(_OUTCOMES).index))
    counts = frame.groupby(["protocol", "method", "cells", "rank"], sort=False).size().rename("number").reset_index()
    methods = sorted(set(frame["method"]), key=str.lower)

    def panel(part: pd.DataFrame, title: str) -> alt.Chart:
        return (
            alt.Chart(part, title=title)
            .mark_bar()
            .encode(
                x=alt.X("number:Q", title="cells").axis(tickMinStep=12),
                y=alt.Y("method:N", title=None, sort=methods).axis(labelLimit=100),
                color=alt.Color("cells:N", title=None)
                .scale(domain=list(_OUTCOMES), range=list(_OUTCOMES.values()))
                .legend(columns=2, labelLimit=220),
                order="rank:Q",
                tooltip=["method:N", "cells:N", "number:Q"],
            )
            .properties(width=215, height=26 * len(methods))
        )

    charts = [panel(part, PROTOCOL_NAMES[str(name)]) for name, part in counts.groupby("protocol", sort=False)]
    return alt.concat(*charts, columns=2, bounds="flush", spacing={"column": 105})


def tep_ones_curves(theirs: pd.DataFrame, ours: pd.DataFrame) -> alt.TopLevelMixin:
    """Accuracy change against sparsity: the TEP-ones paper's ladders in colour, ours behind them in grey.

    Changes are from the lowest sparsity that is given of a ladder, which need not be its dense backbone.

    Parameters
    ----------
    theirs : DataFrame
        `tepones.companion.published.tep_ones`.
    ours : DataFrame
        `tepones.companion.study.tidy`.

    Returns
    -------
    altair chart

    Raises
    ------
    UsageError
        If a column is missing or a frame is empty.
    """
    ladder = ["backbone", "pretraining", "pruning_method"]
    theirs = tidy(theirs, [*ladder, "target", "protocol", "sparsity", "accuracy_percent"]).drop_duplicates()
    theirs = theirs.assign(ladder=theirs[ladder].agg(" ".join, axis=1), accuracy=theirs["accuracy_percent"])
    ours = tidy(ours, ["ladder", "target", "sparsity", "accuracy"]).drop_duplicates()
    ours = ours.assign(accuracy=100 * ours["accuracy"], protocol="linear")
    theirs, ours = _change(theirs), _change(ours)

    def panel(part: pd.DataFrame, title: str) -> alt.LayerChart:
        x = alt.X("sparsity:Q").axis(format="%").scale(domain=[0, 1])
        y = alt.Y("change:Q", title="accuracy points from the densest").scale(domain=list(CURVE_SHOWN))
        told = ["ladder:N", "target:N", alt.Tooltip("sparsity:Q", format=".2%"), alt.Tooltip("change:Q", format="+.2f")]
        behind = ours[ours["protocol"] == part["protocol"].iloc[0]]
        base = alt.Chart(part, title=title).encode(
            x=x, y=y, color=alt.Color("target:N"), detail="ladder:N", tooltip=told
        )
        return alt.layer(
            alt.Chart(behind)
            .mark_line(clip=True, color="#bbbbbb", opacity=0.5)
            .encode(x=x, y=y, detail=["ladder:N", "target:N"]),
            base.mark_line(clip=True).encode(order="sparsity:Q"),
            base.mark_point(clip=True, filled=True, size=45).encode(shape="ladder:N"),
        ).properties(width=265, height=240)

    charts = [panel(part, PROTOCOL_NAMES[str(name)]) for name, part in theirs.groupby("protocol", sort=False)]
    return alt.concat(*charts, columns=2, bounds="flush", spacing={"column": 70})


def tep_ones_agreement(theirs: pd.DataFrame, ours: pd.DataFrame) -> alt.TopLevelMixin:
    """Weighted τ of every score inside ladders: from the TEP-ones paper's numbers, and in our study.

    Parameters
    ----------
    theirs : DataFrame
        `tepones.companion.published.tep_ones_agreement`.
    ours : DataFrame
        `tepones.agreement.within_ladder`.

    Returns
    -------
    altair chart

    Raises
    ------
    UsageError
        If a column is missing or there is nothing to draw.
    """
    columns = ["score", "target", "weighted_tau"]
    sources = {"TEP-ones, recomputed from its numbers": theirs, "this companion": ours}
    frame = pd.concat([part.assign(source=name) for name, part in sources.items()], ignore_index=True)
    frame = tidy(frame.dropna(subset=["weighted_tau"]), [*columns, "source"])
    means = frame.groupby(["source", "score"], sort=False)["weighted_tau"].mean().round(6).reset_index()
    colour = (
        alt.Color("source:N", title=None)
        .scale(domain=list(sources), range=[PALETTE[1], PALETTE[0]])
        .legend(labelLimit=300)
    )
    y = alt.Y("score:N", title=None, sort=list(dict.fromkeys(frame["score"])))
    offset = alt.YOffset("source:N", sort=list(sources))
    x = alt.X("weighted_tau:Q", title="weighted τ inside a ladder").scale(domain=[-1, 1])
    each = alt.Chart(frame).mark_tick(thickness=2, size=12, opacity=0.5)
    mean = alt.Chart(means).mark_point(filled=True, size=110, opacity=1)
    told = ["score:N", "source:N", alt.Tooltip("weighted_tau:Q", format="+.3f", title="weighted τ")]
    return alt.layer(
        each.encode(x=x, y=y, yOffset=offset, color=colour, tooltip=[*told, "target:N"]),
        mean.encode(x=x, y=y, yOffset=offset, color=colour, tooltip=told),
    ).properties(width=WIDTH - 180, height=44 * frame["score"].nunique())


def _change(frame: pd.DataFrame) -> pd.DataFrame:
    """Add the accuracy change from the first backbone of a ladder on a target."""
    frame = frame.sort_values("sparsity", kind="stable")
    first = frame.groupby(["ladder", "target", "protocol"])["accuracy"].transform("first")
    changed = frame.assign(change=frame["accuracy"] - first)[["ladder", "target", "protocol", "sparsity", "change"]]
    return tidy(changed, list(changed))
