"""The chapter *Photographs: ranking*: how well scores rank the rungs of each ladder, and ladders at equal sparsity.

Agreement is computed apart for each group of ladders and each protocol, which together are what was `Judged`. Frames
come first, then charts, which refuse a frame without rows. Every function copes with any part of the profile's ladders.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import altair as alt
import numpy as np
import pandas as pd

from tepones import agreement
from tepones.companion import study
from tepones.companion.charts import PALETTE, PANEL, WIDTH, bracketed, heat_map, label_room, menu, prepared
from tepones.companion.photographs import (
    CONTROL,
    GROUPS,
    KINDS,
    OWN,
    RELEASED,
    RIVAL,
    TRAINED,
    UNKNOWN,
    complete,
    extremes,
    groups,
    kind,
    listed,
    with_pool_scores,
    written,
)

#: Level at which a difference, corrected for the number of scores, counts as resolved.
LEVEL = 0.05

_KIND_COLOURS = {OWN: PALETTE[0], RIVAL: PALETTE[4], CONTROL: "#777777"}
_KIND_SHAPES = {OWN: "circle", RIVAL: "square", CONTROL: "diamond"}
_MEASURES = {"weighted_tau": "weighted τ", "regret_1": "regret of the first (points)"}
_MEAN = "mean"


@dataclass(frozen=True)
class Judged:
    """What scores were compared with, and on which ladders; in menus and tables its `str`.

    Parameters
    ----------
    protocol : {"probe", "fine-tuning"}
        What transfer accuracy was measured by, one of `study.PROTOCOLS`.
    group : {"trained here", "released on ImageNet"}
        Ladders, one of `photographs.GROUPS`.
    """

    protocol: str
    group: str

    def __str__(self) -> str:
        return f"{self.protocol}, {self.group}"


#: What the text speaks of.
PROBED, PROBED_RELEASED, FINE_TUNED = (
    Judged(study.PROBE, TRAINED),
    Judged(study.PROBE, RELEASED),
    Judged(study.FULL, TRAINED),
)


def frames(tables: Mapping[str, pd.DataFrame]) -> dict[Judged, pd.DataFrame]:
    """Tidy frames to rank in, by what was judged; those without data are left out.

    Full fine-tuning was done on part of the targets of part of the ladders: pairs of ladder and target of which a
    rung or a repeat is missing are left out, and then ladders that lack a target which another has.
    """
    rungs, transfer = tables["rungs"], tables["transfer"]
    repeats = transfer.groupby(["ladder", "rung", "target", "protocol"])["repeat"].transform("nunique")
    every = repeats == repeats.groupby(transfer["protocol"]).transform("max")
    whole = {**tables, "transfer": transfer[every], "scores": with_pool_scores(tables["scores"], ["ladder", "target"])}
    released = rungs["ladder"][groups(rungs) == RELEASED].unique()
    found = {}
    for protocol in study.PROTOCOLS:
        frame = study.tidy(whole, protocol)
        for group in GROUPS:
            own = complete(frame[frame["ladder"].isin(released) == (group == RELEASED)], rungs)
            if not own.empty:
                found[Judged(protocol, group)] = own
    return found


def of_one_network(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Tidy frame, judged by a linear probe, of the network trained here that most ladders share.

    For comparisons between ladders: scores that need a pool are computed over all rungs of a target.
    """
    rungs = tables["rungs"]
    trained = rungs[groups(rungs) == TRAINED].drop_duplicates("ladder")
    if trained.empty:
        return pd.DataFrame(columns=["ladder", "rung", "target", "score", "value", "sparsity"])
    shared = trained.loc[trained["backbone"] == trained["backbone"].mode()[0], "ladder"]
    scores = with_pool_scores(tables["scores"][tables["scores"]["ladder"].isin(shared)], ["target"])
    frame = study.tidy({**tables, "scores": scores}, study.PROBE)
    return complete(frame[frame["ladder"].isin(shared)], rungs)


def within(frames: Mapping[Judged, pd.DataFrame]) -> dict[Judged, pd.DataFrame]:
    """`agreement.within_ladder` of each frame: two milliseconds for each ladder, target and score."""
    return {name: agreement.within_ladder(frame) for name, frame in frames.items()}


def basis(cells: Mapping[Judged, pd.DataFrame]) -> pd.DataFrame:
    """How many ladders and targets were judged: columns judged by, backbones, ladders, targets."""
    rows = [
        (judged.protocol, judged.group, own["ladder"].nunique(), own["target"].nunique())
        for judged, own in cells.items()
    ]
    return pd.DataFrame(rows, columns=["judged by", "backbones", "ladders", "targets"])


def compared(cells: pd.DataFrame, score: str) -> pd.DataFrame:
    """Agreement of every score with its interval, and the difference of `score` to it; best first.

    Returns
    -------
    DataFrame
        `agreement.summary` with kind, difference (weighted τ of `score` minus that of the row), low, high, and
        p_difference, corrected for the number of scores (Holm); NaN in the row of `score` itself.
    """
    table = agreement.summary(cells)
    table.insert(1, "kind", [kind(name) for name in table["score"]])
    differences = agreement.paired_differences(cells, reference=score).rename(columns={"p_holm": "p_difference"})
    return table.merge(
        differences[["second", "difference", "low", "high", "p_difference"]],
        left_on="score",
        right_on="second",
        how="left",
    ).drop(columns="second")


def shown(verdicts: Mapping[Judged, pd.DataFrame], judged: Judged) -> pd.DataFrame:
    """`compared` of what was judged as a table for readers; it says so if there is none."""
    if judged not in verdicts:
        return pd.DataFrame({"score": ["no ladder yet"]})
    table = verdicts[judged]
    measures = {"weighted τ": ("weighted_tau", ".2f"), "regret@1": ("regret_1", ".1f"), "regret@3": ("regret_3", ".1f")}
    return pd.DataFrame(
        {
            "score": table["score"],
            **{
                title: bracketed(table[name], table[f"{name}_low"], table[f"{name}_high"], form)
                for title, (name, form) in measures.items()
            },
            "difference of τ": bracketed(table["difference"], table["low"], table["high"], "+.2f"),
            "p (Holm)": [
                UNKNOWN if pd.isna(p) else "< 0.001" if p < 0.001 else f"{p:.3f}" for p in table["p_difference"]
            ],
        }
    )


def reached(verdicts: Mapping[Judged, pd.DataFrame], judged: Judged, score: str) -> dict[str, str]:
    """What a score reaches, as values to glue; `UNKNOWN` if nothing was judged.

    Parameters
    ----------
    verdicts : mapping of Judged to DataFrame
        `compared`.
    judged : Judged
    score : str

    Returns
    -------
    dict
        ``tau``, the mean weighted τ with its interval; ``regret`` and ``regret-3``, in points.
    """
    table = verdicts.get(judged, pd.DataFrame(columns=["score", "weighted_tau"])).set_index("score")
    columns = ["weighted_tau", "weighted_tau_low", "weighted_tau_high", "regret_1", "regret_3"]
    tau, low, high, first, third = table.reindex(index=[score], columns=columns).astype(float).iloc[0]
    return {
        "tau": written(tau, low, high),
        "regret": written(first, form=".1f"),
        "regret-3": written(third, form=".1f"),
    }


def standing(verdicts: Mapping[Judged, pd.DataFrame], judged: Judged, score: str) -> dict[str, int | str]:
    """Where a score stands among all others, as values to glue.

    Parameters
    ----------
    verdicts : mapping of Judged to DataFrame
        `compared` with this score.
    judged : Judged
    score : str

    Returns
    -------
    dict
        `reached`; ``ladders``, ``targets``; ``rank`` of ``n`` scores; ``best`` and ``best-tau``, the highest mean;
        ``better``, the names of those that it is resolved (`LEVEL`) to rank better than; ``n-worse``, the number of
        those that it is resolved to rank worse than, and ``n-resolved``, of both; ``rivals``, how many there are, and
        ``open``, how many of them are not resolved. Zero and `UNKNOWN` if nothing was judged.
    """
    found = reached(verdicts, judged, score)
    if judged not in verdicts:
        counts = ("ladders", "targets", "rank", "n", "n-resolved", "n-worse", "rivals", "open")
        return found | dict.fromkeys(counts, 0) | dict.fromkeys(("best", "best-tau", "better"), UNKNOWN)
    table = verdicts[judged]
    others = table[table["score"] != score]
    resolved = others[others["p_difference"] < LEVEL]
    rivals = others.loc[others["kind"] == RIVAL, "score"]
    return found | {
        "ladders": table["ladders"].iloc[0],
        "targets": table["targets"].iloc[0],
        "rank": int(np.flatnonzero(table["score"] == score)[0]) + 1,
        "n": len(table),
        "best": table["score"].iloc[0],
        "best-tau": written(table["weighted_tau"].iloc[0]),
        "better": listed(resolved.loc[resolved["difference"] > 0, "score"]),
        "n-resolved": len(resolved),
        "n-worse": int((resolved["difference"] < 0).sum()),
        "rivals": len(rivals),
        "open": int((~rivals.isin(resolved["score"])).sum()),
    }


def cells_by(cells: Mapping[Judged, pd.DataFrame], by: str) -> pd.DataFrame:
    """Mean weighted τ and regret of each score on each target, or for each method.

    Parameters
    ----------
    cells : mapping of Judged to DataFrame
        `within`.
    by : {"target", "method"}

    Returns
    -------
    DataFrame
        Columns judged (its name), score, item, tau, regret, cells (how many were averaged). A cell without a
        ranking counts as 0.
    """
    parts = []
    for judged, frame in cells.items():
        grouped = frame.fillna({"weighted_tau": 0.0}).groupby(["score", by], sort=False)
        part = grouped.agg(tau=("weighted_tau", "mean"), regret=("regret_1", "mean"), cells=("regret_1", "size"))
        parts.append(part.reset_index().rename(columns={by: "item"}).assign(judged=str(judged)))
    columns = ["judged", "score", "item", "tau", "regret", "cells"]
    return pd.concat(parts, ignore_index=True)[columns]


def spread(cells: pd.DataFrame, score: str) -> dict[str, int | str]:
    """Where a score ranks best and worst, and how often it leads, for what the text speaks of, as values to glue.

    Parameters
    ----------
    cells : DataFrame
        `cells_by`.
    score : str

    Returns
    -------
    dict
        `photographs.extremes` of the score's mean τ for backbones trained here and a linear probe; ``items``, how many
        there are, and ``leads``, on how many of them no score has a higher τ.
    """
    wide = cells[cells["judged"] == str(PROBED)].pivot(index="score", columns="item", values="tau")
    row = wide.loc[score] if score in wide.index else pd.Series(dtype=float)
    return extremes(row) | {"items": len(row), "leads": int((row >= wide.max() - 1e-12).sum())}


def matched(frame: pd.DataFrame) -> pd.DataFrame:
    """Pruned rungs of the ladders that share their levels of sparsity, or most of them, with most other ladders.

    For `agreement.between_summary`, which compares ladders at equal sparsity; empty if fewer than three share any.
    Dense rungs are left out, because ladders of one seed have the same.
    """
    rungs = frame.drop_duplicates(["ladder", "rung"]).assign(level=lambda rungs: rungs["sparsity"].round(3))
    levels = rungs[rungs["rung"] > 0].groupby("ladder", sort=False)["level"].agg(frozenset)
    if levels.empty:
        return frame.iloc[:0]
    common = levels.value_counts().index[0]
    close = levels.index[[common <= own or len(common & own) >= 0.75 * len(common) for own in levels]]
    if len(close) < 3 or not frozenset.intersection(*levels[close]):
        return frame.iloc[:0]
    return frame[frame["ladder"].isin(close) & (frame["rung"] > 0)].reset_index(drop=True)


def between(frame: pd.DataFrame) -> pd.DataFrame:
    """`agreement.between_summary` of the ladders that can be compared at equal sparsity; empty if there are none.

    Parameters
    ----------
    frame : DataFrame
        `of_one_network`.
    """
    own = matched(frame)
    if own.empty:
        return pd.DataFrame(columns=["score", "ladders", "levels", "weighted_tau", "low", "high", "p_holm"])
    return agreement.between_summary(own)


def between_values(table: pd.DataFrame, score: str) -> dict[str, int | str]:
    """What `between` says of a score, of the best one and of source accuracy, as values to glue.

    Returns
    -------
    dict
        ``ladders`` and ``levels`` that are compared; ``tau``, ``best-tau`` and ``source-tau`` with their intervals, and
        ``best``, whose name it is; ``n`` scores, of which ``clear`` rank better than chance (Holm-corrected).
    """
    rows = table.set_index("score")[["weighted_tau", "low", "high"]].astype(float)
    best = table["score"].iloc[0] if len(table) else UNKNOWN
    named = {"tau": score, "best-tau": best, "source-tau": "source_accuracy"}
    return {key: written(*rows.reindex([name]).iloc[0]) for key, name in named.items()} | {
        "best": best,
        "ladders": table["ladders"].max() if len(table) else 0,
        "levels": table["levels"].max() if len(table) else 0,
        "n": len(table),
        "clear": int(((table["p_holm"] < LEVEL) & (table["weighted_tau"] > 0)).sum()),
    }


def noise(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Agreement of repeated fine-tunings with each other, for each ladder and target of which every rung has repeats.

    Returns
    -------
    DataFrame
        Columns ladder, target, tau (weighted, mean over pairs of repeats), sd_points; empty without repeats.
    """
    full = tables["transfer"][tables["transfer"]["protocol"] == study.FULL]
    n_rungs = tables["rungs"].groupby("ladder")["rung"].nunique()
    rows = []
    for (ladder, target), part in full.groupby(["ladder", "target"], sort=False):
        wide = part.pivot(index="repeat", columns="rung", values="accuracy").dropna(axis=1)
        if len(wide) > 1 and wide.shape[1] == n_rungs[ladder]:
            ceiling = agreement.noise_ceiling(wide.to_numpy())
            rows.append({"ladder": ladder, "target": target, "tau": ceiling.tau, "sd_points": ceiling.sd_points})
    return pd.DataFrame(rows, columns=["ladder", "target", "tau", "sd_points"])


def scores_chart(tables: pd.DataFrame) -> alt.TopLevelMixin:
    """Weighted τ and regret of every score with their intervals, best τ on top; a switch for what was judged.

    Parameters
    ----------
    tables : DataFrame
        `compared` of one or more frames, one below the other, with a column `judged`.
    """
    measures = [column for name in _MEASURES for column in (name, f"{name}_low", f"{name}_high")]
    frame = prepared(
        tables[tables["weighted_tau"].notna()], ["judged", "score", "kind", *measures, "ladders", "targets"]
    )
    switch = _judged(frame)
    n_rows = int(frame.groupby("judged")["score"].size().max())
    kinds = [name for name in KINDS if name in set(frame["kind"])]
    colour = alt.Color("kind:N", title=None).scale(domain=kinds, range=[_KIND_COLOURS[name] for name in kinds])
    colour = colour.legend(symbolOpacity=1)
    shape = alt.Shape("kind:N", title=None).scale(domain=kinds, range=[_KIND_SHAPES[name] for name in kinds])
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


def tau_heat_map(cells: pd.DataFrame, items: Sequence[str], *, upright: bool = True) -> alt.TopLevelMixin:
    """Mean weighted τ of each score on each target or method, with a mean column; a switch for what was judged.

    Parameters
    ----------
    cells : DataFrame
        `cells_by`.
    items : sequence of str
        Targets or methods, in their order.
    upright : bool
        Whether the labels of the columns stand upright, as long ones must.
    """
    cells = prepared(cells, ["judged", "score", "item", "tau", "regret", "cells"])
    grouped = cells.groupby(["judged", "score"], sort=False)
    means = grouped.agg(tau=("tau", "mean"), regret=("regret", "mean"), cells=("cells", "sum")).reset_index()
    means = means.assign(item=_MEAN)
    ranks = means.groupby("judged")["tau"].rank(ascending=False, method="first")
    frame = pd.concat([cells, means], ignore_index=True)
    frame = frame.merge(means[["judged", "score"]].assign(place=ranks), on=["judged", "score"])
    frame = prepared(frame, ["judged", "score", "item", "tau", "regret", "cells", "place"])
    shown = [item for item in items if item in set(frame["item"])]
    n_rows = int(cells.groupby("judged")["score"].nunique().max())
    switch = _judged(frame)
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
    width = min(52 * (len(shown) + 1), WIDTH - label_room(list(frame["score"])))
    size = 11 if width / (len(shown) + 1) > 34 else 9
    chart = heat_map(base, "tau", "weighted τ", 1, "+.2f", size)
    return chart.properties(width=width, height=22 * n_rows).add_params(switch)


def _judged(frame: pd.DataFrame) -> alt.Parameter:
    """A menu for what was judged."""
    return menu("judged", list(dict.fromkeys(frame["judged"])), label="Judged by")
