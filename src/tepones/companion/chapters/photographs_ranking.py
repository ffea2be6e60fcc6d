"""The chapter *Photographs: ranking*: how well scores rank the rungs of each ladder, and ladders at equal sparsity.

Agreement is computed apart for each group of ladders and each protocol, which together are what was `Judged`. Every
function copes with any part of the profile's ladders.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tepones import agreement
from tepones.companion import study
from tepones.companion.chapters import ranking
from tepones.companion.charts import bracketed
from tepones.companion.photographs import (
    GROUPS,
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


@dataclass(frozen=True)
class Judged:
    """What scores were compared with (of `study.PROTOCOLS`), and on which ladders (of `photographs.GROUPS`)."""

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

    So are pairs of ladder and target of which a rung or a repeat is missing, and then ladders that lack a target which
    another has: full fine-tuning was done on part of the targets of part of the ladders.
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


def basis(cells: Mapping[Judged, pd.DataFrame]) -> pd.DataFrame:
    """How many ladders and targets were judged: columns judged by, backbones, ladders, targets."""
    rows = [
        (judged.protocol, judged.group, own["ladder"].nunique(), own["target"].nunique())
        for judged, own in cells.items()
    ]
    return pd.DataFrame(rows, columns=["judged by", "backbones", "ladders", "targets"])


def compared(cells: pd.DataFrame, score: str) -> pd.DataFrame:
    """Agreement of every score with its interval, and the difference of `score` to it; best first.

    Columns of `agreement.summary`, kind, difference (weighted τ of `score` minus that of the row), low, high, and
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
    found = ranking.agreement_table(table).set_axis(["score", "weighted τ", "regret@1", "regret@3"], axis="columns")
    found["difference of τ"] = bracketed(table["difference"], table["low"], table["high"], "+.2f")
    found["p (Holm)"] = [
        UNKNOWN if pd.isna(p) else "< 0.001" if p < 0.001 else f"{p:.3f}" for p in table["p_difference"]
    ]
    return found


def reached(verdicts: Mapping[Judged, pd.DataFrame], judged: Judged, score: str) -> dict[str, str]:
    """What a score reaches in `compared`, as values to glue; `UNKNOWN` if nothing was judged.

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
    """Where a score stands among all others in `compared` with it, as values to glue.

    `reached`; ``ladders``, ``targets``; ``rank`` of ``n`` scores; ``best`` and ``best-tau``, the highest mean. Of the
    differences that are resolved (`LEVEL`): ``better``, the names of those that it ranks better than, ``n-worse``, how
    many rank better, ``n-resolved``, how many there are. ``rivals``, how many there are, and ``open``, how many of them
    are not resolved. Zero and `UNKNOWN` if nothing was judged.
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


def spread(by_target: pd.DataFrame, score: str) -> dict[str, int | str]:
    """On which targets a score ranks best and worst, and how often it leads, as values to glue.

    `photographs.extremes` of the score's mean τ in `ranking.by_target`; ``items``, how many targets there are, and
    ``leads``, on how many of them no score has a higher τ.
    """
    wide = by_target.pivot(index="score", columns="target", values="tau")
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
    """`agreement.between_summary` of the ladders of `of_one_network` that are `matched`; empty if there are none."""
    own = matched(frame)
    if own.empty:
        return pd.DataFrame(columns=["score", "ladders", "levels", "weighted_tau", "low", "high", "p_holm"])
    return agreement.between_summary(own)


def between_values(table: pd.DataFrame, score: str) -> dict[str, int | str]:
    """What `between` says of a score, of the best one and of source accuracy, as values to glue.

    ``ladders`` and ``levels`` that are compared; ``tau``, ``best-tau`` and ``source-tau`` with their intervals, and the
    name of the ``best``; ``n`` scores, of which ``clear`` rank better than chance (Holm-corrected).
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
