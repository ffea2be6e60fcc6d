"""The chapter *Published numbers*: its tables and charts, from the frames of `tepones.companion.published`."""

import altair as alt
import pandas as pd

from tepones.companion import charts, published
from tepones.companion.charts import PALETTE, SHAPES, WIDTH, prepared

PROTOCOL_NAMES = {"linear": "frozen encoder", "full": "full fine-tuning"}

SCORE_NAMES = {"hscore": "H-score", "leep": "LEEP", "logme": "LogME", "nce": "NCE"}
"""How readers know the scores of the Transfer Learning Library."""

_SHORT = {"linear": "frozen", "full": "full"}
"""The protocols where a column is narrow."""

GAIN_SHOWN = 5.0
"""Points at which the colour of a heat map ends, so that small differences show beside losses of tens of points."""

CURVE_SHOWN = (-12, 9)
"""Accuracy points that a curve panel shows; what falls deeper leaves it."""

_VERDICTS = {"follows": PALETTE[0], "follows up to ties": PALETTE[4], "does not follow": PALETTE[1]}


def means_table(architecture: str) -> tuple[pd.DataFrame, dict[str, str]]:
    """Means over the twelve data sets for every model of an architecture, dense first, protocols side by side.

    Returns
    -------
    table : DataFrame
        Columns model and for each protocol the accuracy, the relative increase of the error (rel.) and on how many
        data sets the model exceeds dense (above).
    formats : dict
        The format of each column, as for `tepones.companion.charts.table`.
    """
    means = published.sparse_means()
    means = means[means["architecture"] == architecture].sort_values("sparsity", kind="stable")
    means = means.sort_values("method", key=lambda name: name.where(name != "Dense", ""), kind="stable")
    means["above"] = means["above"].where(means["sparsity"] > 0)
    means["model"] = [
        f"{row.method} {100 * row.sparsity:g} %".replace(" ", "\N{NO-BREAK SPACE}") if row.sparsity else row.method
        for row in means.itertuples()
    ]
    wide = means.pivot(index="model", columns="protocol").reindex(dict.fromkeys(means["model"]))
    shown, formats = pd.DataFrame({"model": wide.index}), {}
    for protocol, word in _SHORT.items():
        for value, what, form in (
            ("accuracy", "", ".2f"),
            ("relative_error_increase", ", rel.", "+.3f"),
            ("above", ", above", ".0f"),
        ):
            shown[word + what] = wide[value, protocol].to_numpy()
            formats[word + what] = form
    return shown, formats


def best_levels_table(levels: pd.DataFrame) -> pd.DataFrame:
    """`published.sparse_best_levels` of one architecture, a row for each protocol and method."""
    levels = levels.sort_values("sparsity", kind="stable")
    names = [f"{100 * level:.0f} %" if level else "dense" for level in levels["sparsity"]]
    levels = levels.assign(level=names, protocol=levels["protocol"].map(PROTOCOL_NAMES))
    wide = levels.pivot(index=["protocol", "method"], columns="level", values="best")
    return wide[list(dict.fromkeys(names))].rename_axis(columns=None).reset_index()


def protocols_table(both: pd.DataFrame) -> pd.DataFrame:
    """`published.sparse_linear_against_full` as readers see it, least alike data sets first."""
    both = both.sort_values("kendall", kind="stable")
    shown = pd.DataFrame({"data set": both["dataset"]})
    for protocol, word in _SHORT.items():
        dense = zip(both[f"dense_{protocol}"], both[f"dense_rank_{protocol}"], strict=True)
        best = zip(both[f"best_{protocol}"], both[f"best_backbone_{protocol}"], strict=True)
        shown[f"{word}: dense (rank)"] = [f"{accuracy:.2f} ({rank})" for accuracy, rank in dense]
        shown[f"{word}: best"] = [f"{accuracy:.2f} {backbone}" for accuracy, backbone in best]
    return shown.assign(τ=both["kendall"])


def printed_chart(frame: pd.DataFrame) -> alt.TopLevelMixin:
    """`published.tllib_correlations`, one panel for each metric.

    A ring is the weighted τ as printed, a dot as it follows from the rows, with a bar where ties leave it open.
    """
    columns = ["dataset", "metric", "wtau_reported", "wtau", "wtau_lowest", "wtau_highest", "verdict"]
    frame = prepared(frame, columns)
    colour = alt.Color("verdict:N", title="printed value").scale(domain=list(_VERDICTS), range=list(_VERDICTS.values()))

    dataset = charts.pointed("dataset")

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
            base.mark_rule().encode(x=x, x2="wtau_reported:Q", opacity=charts.lit(dataset, 0.5)),
            base.mark_rule(strokeWidth=5).encode(
                x="wtau_lowest:Q", x2="wtau_highest:Q", opacity=charts.lit(dataset, 0.35)
            ),
            base.mark_point(filled=True, size=60).encode(x=x, opacity=charts.lit(dataset)),
            base.mark_point(filled=False, size=120, strokeWidth=1.8).encode(
                x="wtau_reported:Q", opacity=charts.lit(dataset)
            ),
        ).properties(width=215, height=170)

    panels = [panel(part, str(metric)) for metric, part in frame.groupby("metric", sort=False)]
    drawn = alt.concat(*panels, columns=2, bounds="flush", spacing={"row": 64, "column": 110})
    return charts.linked(drawn, dataset)


def rankers_chart(frame: pd.DataFrame) -> alt.TopLevelMixin:
    """`published.sfda_scores`: a tick for each data set, a dot for the mean of a method; best mean on top."""
    frame = prepared(frame, ["method", "kind", "dataset", "weighted_tau"])
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


def heat_map_chart(frame: pd.DataFrame) -> alt.TopLevelMixin:
    """Points above dense of all `published.sparse_cells` of one architecture; a switch for the protocol."""
    columns = ["protocol", "method", "sparsity", "dataset", "accuracy", "gain", "noise", "outcome"]
    frame = prepared(frame, columns)
    frame["backbone"] = frame["method"] + " " + (100 * frame["sparsity"]).map("{:g} %".format)
    frame["protocol"] = frame["protocol"].map(PROTOCOL_NAMES)
    protocol = charts.menu("protocol", list(PROTOCOL_NAMES.values()), label="Protocol", switch=True)
    told = [
        "backbone:N",
        "dataset:N",
        alt.Tooltip("accuracy:Q", format=".2f", title="accuracy (%)"),
        alt.Tooltip("gain:Q", format="+.2f", title="points above dense"),
        alt.Tooltip("noise:Q", format=".2f", title="standard error from seeds"),
        alt.Tooltip("outcome:N", title="beyond the seeds"),
    ]
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
            tooltip=told,
        )
    )
    return (
        charts.heat_map(base, "gain", "points above dense", GAIN_SHOWN, "+.1f", size=10)
        .add_params(protocol)
        .properties(width=WIDTH - 140, height=21 * frame["backbone"].nunique())
    )


def tep_ones_curves_chart(theirs: pd.DataFrame, ours: pd.DataFrame) -> alt.TopLevelMixin:
    """Accuracy change against sparsity: ladders of `published.tep_ones` in colour, of `study.tidy` behind them in grey.

    Changes are from the lowest sparsity that is given of a ladder, which need not be its dense backbone.
    """
    ladder = theirs[["backbone", "pretraining", "pruning_method"]].agg(" ".join, axis=1)
    theirs = _change(theirs.assign(ladder=ladder, accuracy=theirs["accuracy_percent"]))
    ours = _change(ours.assign(accuracy=100 * ours["accuracy"], protocol="linear"))
    x = alt.X("sparsity:Q").axis(format="%").scale(domain=[0, 1])
    y = alt.Y("change:Q", title="accuracy points from the densest").scale(domain=list(CURVE_SHOWN))
    told = ["ladder:N", "target:N", alt.Tooltip("sparsity:Q", format=".2%"), alt.Tooltip("change:Q", format="+.2f")]

    target = charts.pointed("target")

    def panel(part: pd.DataFrame, protocol: str) -> alt.LayerChart:
        behind = alt.Chart(ours[ours["protocol"] == protocol]).mark_line(clip=True, color=charts.INK)
        base = alt.Chart(part, title=PROTOCOL_NAMES[protocol]).encode(
            x=x, y=y, color=alt.Color("target:N"), detail="ladder:N", tooltip=told
        )
        return alt.layer(
            behind.encode(x=x, y=y, detail=["ladder:N", "target:N"], opacity=charts.lit(target, 0.15)),
            base.mark_line(clip=True).encode(order="sparsity:Q", opacity=charts.lit(target)),
            base.mark_point(clip=True, filled=True, size=45).encode(shape="ladder:N", opacity=charts.lit(target)),
        ).properties(width=265, height=240)

    panels = [panel(part, str(name)) for name, part in theirs.groupby("protocol", sort=False)]
    return charts.linked(alt.concat(*panels, columns=2, bounds="flush", spacing={"column": 70}), target)


def tep_ones_agreement_chart(theirs: pd.DataFrame, ours: pd.DataFrame) -> alt.TopLevelMixin:
    """Weighted τ inside ladders: `published.tep_ones_agreement` beside `agreement.within_ladder` of our study."""
    columns = ["score", "target", "weighted_tau"]
    sources = {"TEP-ones, recomputed from its numbers": theirs, "this companion": ours}
    frame = pd.concat([part.assign(source=name) for name, part in sources.items()], ignore_index=True)
    frame = prepared(frame.dropna(subset=["weighted_tau"]), [*columns, "source"])
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
    """The accuracy change from the first backbone of a ladder on a target, once for each backbone."""
    keys = ["ladder", "target", "protocol"]
    frame = prepared(frame, [*keys, "sparsity", "accuracy"]).drop_duplicates()
    frame = frame.sort_values("sparsity", kind="stable")
    first = frame.groupby(keys)["accuracy"].transform("first")
    return prepared(frame.assign(change=frame["accuracy"] - first), [*keys, "sparsity", "change"])
