"""How well scores rank the ladders of the profile `natural`: agreement by group of ladders and by protocol."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from tepones import agreement
from tepones.companion import study
from tepones.companion.charts import bracketed
from tepones.companion.photographs import RELEASED, TRAINED, groups
from tepones.scores import pool

#: Estimators of the intra-class information: our reconstruction.
OURS = ("gaussian", "binary", "posterior")
#: What a score has to beat: looks at no label, or at no target image, or is a small training itself.
CONTROLS = (
    "source_accuracy",
    "sparsity",
    "nonzero_weights",
    "feature_norm",
    "effective_rank",
    "active_features",
    "knn",
    "probe",
    "random",
)
KINDS = OWN, RIVAL, CONTROL = "our reconstruction", "rival", "control"


def kind(score: str) -> str:
    """Our reconstruction, rival or control."""
    return OWN if score in OURS else CONTROL if score in CONTROLS else RIVAL


def pooled(scores: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Table of scores with those that need a pool of models made from their parts: `ncti` and `etran`.

    Parameters
    ----------
    scores : DataFrame
        That of `tepones.companion.study.load`, where `ncti` has three parts.
    by : list of str
        Columns that say what a pool is: its models are the rungs that agree in them.

    Returns
    -------
    DataFrame
        One row for each ladder, rung, target and score: columns of these names, and value.
    """
    key = ["ladder", "rung", "target"]
    whole = scores[scores["part"].isna()][[*key, "score", "value"]]
    found = [whole]
    parts = scores[scores["score"] == "ncti"].pivot(index=key, columns="part", values="value")
    pairs = whole[whole["score"].isin(("energy", "lda"))].pivot(index=key, columns="score", values="value")
    for name, wide, columns in (("ncti", parts, ("seli", "ncc", "vc")), ("etran", pairs, ("energy", "lda"))):
        if not wide.empty and set(columns) <= set(wide):
            made = wide.reset_index()
            for _, part in made.groupby(by, sort=False):
                made.loc[part.index, "value"] = getattr(pool, name)(*(part[column] for column in columns))
            found.append(made[[*key, "value"]].assign(score=name))
    return pd.concat(found, ignore_index=True)


def frames(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Tidy frames to rank in, by what they are: a group of ladders and a protocol. Those without data are left out.

    Full fine-tuning was done on part of the targets of part of the ladders: pairs of ladder and target of which a
    rung or a repeat is missing are left out, and then ladders that lack a target which another has.
    """
    rungs, transfer = tables["rungs"], tables["transfer"]
    repeats = transfer.groupby(["ladder", "rung", "target", "protocol"])["repeat"].transform("nunique")
    every = repeats == repeats.groupby(transfer["protocol"]).transform("max")
    whole = {**tables, "transfer": transfer[every], "scores": pooled(tables["scores"], ["ladder", "target"])}
    released = rungs["ladder"][groups(rungs) == RELEASED].unique()
    found = {}
    for protocol in study.PROTOCOLS:
        frame = study.tidy(whole, protocol)
        for group in (TRAINED, RELEASED):
            own = complete(frame[frame["ladder"].isin(released) == (group == RELEASED)], rungs)
            if not own.empty:
                found[f"{protocol}, {group}"] = own
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
    scores = pooled(tables["scores"][tables["scores"]["ladder"].isin(shared)], ["target"])
    frame = study.tidy({**tables, "scores": scores}, study.PROBE)
    return complete(frame[frame["ladder"].isin(shared)], rungs)


def complete(frame: pd.DataFrame, rungs: pd.DataFrame) -> pd.DataFrame:
    """Ladders and targets of which every rung is there, every ladder with every target; scores that all of them have.

    `rungs` is the table of all rungs. A source accuracy that is not known is replaced by 0, the same for all rungs of
    a ladder: no score named here looks at it.
    """
    n_rungs = frame["ladder"].map(rungs.groupby("ladder")["rung"].nunique())
    frame = frame[frame.groupby(["ladder", "target", "score"])["rung"].transform("nunique") == n_rungs]
    n_targets = frame.groupby("ladder")["target"].transform("nunique")
    frame = frame[n_targets == n_targets.max()]
    cells = frame.drop_duplicates(["ladder", "target", "score"]).groupby("score").size()
    whole = frame.drop_duplicates(["ladder", "target"])
    frame = frame[frame["score"].isin(cells.index[cells == len(whole)])]
    return frame.fillna({"source_accuracy": 0.0}).reset_index(drop=True)


def within(frames: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """`agreement.within_ladder` of each frame: two milliseconds for each ladder, target and score."""
    return {name: agreement.within_ladder(frame) for name, frame in frames.items()}


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


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """`compared` as a table for readers."""
    measures = {"weighted τ": ("weighted_tau", ".2f"), "regret@1": ("regret_1", ".1f"), "regret@3": ("regret_3", ".1f")}
    return pd.DataFrame(
        {
            "score": table["score"],
            **{
                title: bracketed(table[name], table[f"{name}_low"], table[f"{name}_high"], form)
                for title, (name, form) in measures.items()
            },
            "difference of τ": bracketed(table["difference"], table["low"], table["high"], "+.2f"),
            "p (Holm)": ["–" if pd.isna(p) else "< 0.001" if p < 0.001 else f"{p:.3f}" for p in table["p_difference"]],
        }
    )


def cells_by(cells: Mapping[str, pd.DataFrame], by: str) -> pd.DataFrame:
    """Mean weighted τ and regret of each score on each target, or for each method.

    Parameters
    ----------
    cells : mapping of str to DataFrame
        `within`.
    by : {"target", "method"}

    Returns
    -------
    DataFrame
        Columns judged (the frame's name), score, item, tau, regret, cells (how many were averaged). A cell without a
        ranking counts as 0.
    """
    parts = []
    for name, frame in cells.items():
        grouped = frame.fillna({"weighted_tau": 0.0}).groupby(["score", by], sort=False)
        part = grouped.agg(tau=("weighted_tau", "mean"), regret=("regret_1", "mean"), cells=("regret_1", "size"))
        parts.append(part.reset_index().rename(columns={by: "item"}).assign(judged=name))
    columns = ["judged", "score", "item", "tau", "regret", "cells"]
    return pd.concat(parts, ignore_index=True)[columns]


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


def rank_of(table: pd.DataFrame, score: str) -> int:
    """Place of a score among all by mean weighted τ, 1 = best."""
    return int(np.flatnonzero(table["score"] == score)[0]) + 1
