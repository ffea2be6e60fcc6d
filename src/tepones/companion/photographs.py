"""What the chapters on photographs share: the groups of ladders and scores, and the records read without gaps.

Every function takes the tables of `study.load` and copes with any part of the profile's ladders: which are there is
said (`coverage`), never assumed. Ladders trained here and ladders of weights that others released on ImageNet are kept
apart, because the latter were pruned without any training afterwards and see other images.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from tepones.companion import study
from tepones.companion.charts import bracketed
from tepones.companion.claims import statistic
from tepones.companion.study import profiles
from tepones.scores import pool

PROFILE = "natural"

#: What a ladder's weights are; and how keys of glued values name it.
GROUPS = TRAINED, RELEASED = "trained here", "released on ImageNet"
SHORT = {TRAINED: "trained", RELEASED: "released"}

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
OWN, RIVAL, CONTROL = "our reconstruction", "rival", "control"

#: Stands in a sentence for what the records do not hold.
UNKNOWN = "–"


def coverage(tables: Mapping[str, pd.DataFrame], profile: profiles.Profile) -> dict[str, int | str]:
    """Which ladders of the profile the tables hold, as values to glue.

    ``n-planned`` and ``n-there``: ladders of the profile, and those in the tables; ``absent``: names of the others;
    ``outdated``: names of ladders whose records were computed by another version of the code.
    """
    rungs = tables["rungs"]
    there = set(rungs["ladder"])
    missing = [ladder.name for ladder in profile.ladders if ladder.name not in there]
    outdated = rungs.loc[~rungs["current"].astype(bool), "ladder"].unique() if "current" in rungs else []
    n_planned = len(profile.ladders)
    return {
        "n-planned": n_planned,
        "n-there": n_planned - len(missing),
        "absent": listed(missing),
        "outdated": listed(outdated),
    }


def listed(names: Iterable[str]) -> str:
    """Names as a list in a sentence, or *none*."""
    return ", ".join(names) or "none"


def written(value: float, low: float = np.nan, high: float = np.nan, form: str = "+.2f") -> str:
    """A number with its interval, if it has one, for a sentence: ``+1.70 [−0.18, +3.45]``; `UNKNOWN` for NaN."""
    return bracketed([value], [low], [high], form)[0]


def extremes(values: pd.Series, form: str = "+.2f") -> dict[str, str]:
    """Names of the highest and lowest values, as values to glue: ``most``, ``most-value``, ``least``, ``least-value``.

    Of equals the one that comes last is the highest, and the one that comes first the lowest.
    """
    ordered = values.dropna().sort_values(kind="stable")
    if ordered.empty:
        return dict.fromkeys(("most", "most-value", "least", "least-value"), UNKNOWN)
    return {
        "most": ordered.index[-1],
        "most-value": written(ordered.iloc[-1], form=form),
        "least": ordered.index[0],
        "least-value": written(ordered.iloc[0], form=form),
    }


def rungs_of(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """One row for each ladder, rung and target: what a linear probe says, and no score.

    Columns ladder, unit (its dense backbone), group (`TRAINED` or `RELEASED`), method, seed, rung, sparsity, target,
    accuracy, gain (accuracy points over the ladder's dense rung).
    """
    rungs, transfer = tables["rungs"], tables["transfer"]
    judged = transfer.loc[transfer["protocol"] == study.PROBE, ["ladder", "rung", "target", "accuracy"]]
    about = rungs[["ladder", "rung", "method", "seed", "sparsity"]]
    about = about.assign(group=groups(rungs), unit=rungs["ladder"].map(study.units(rungs)))
    found = statistic.gains(judged.merge(about, on=["ladder", "rung"]))
    return found[["ladder", "unit", "group", "method", "seed", "rung", "sparsity", "target", "accuracy", "gain"]]


def groups(rungs: pd.DataFrame) -> pd.Series:
    """`TRAINED` or `RELEASED`, for each row of the table of rungs."""
    released = rungs["backbone"].str.startswith(("torchvision:", "timm:"))
    return pd.Series(np.where(released, RELEASED, TRAINED), index=rungs.index)


def method_order(rungs: pd.DataFrame) -> list[str]:
    """Methods as they appear, those trained here first."""
    ordered = rungs.sort_values("group", key=lambda group: group != TRAINED, kind="stable")
    return list(dict.fromkeys(ordered["method"]))


def kind(score: str) -> str:
    """Our reconstruction, rival or control."""
    return OWN if score in OURS else CONTROL if score in CONTROLS else RIVAL


def with_pool_scores(scores: pd.DataFrame, by: list[str]) -> pd.DataFrame:
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
        Columns ladder, rung, target, score, value.
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


def complete(frame: pd.DataFrame, rungs: pd.DataFrame) -> pd.DataFrame:
    """Drop from a tidy frame whatever has gaps, so that all ladders and scores in it can be compared.

    Records may have been computed in part. Means over ladders and targets are fair only if every ladder has the same
    targets and every score has all of both. Three steps see to that, in this order:

    1. A score of a ladder on a target stays if it is there for every rung of the ladder, of which `rungs`, the table of
       all rungs, says how many there are.
    2. A ladder stays if it has as many targets as the ladder that has most.
    3. A score stays if it is there for every ladder and target that stayed.

    A source accuracy that is not known, as of released weights, becomes 0: the same at all rungs of a ladder, so that
    it ranks nothing where it serves as a control.
    """
    n_rungs = frame["ladder"].map(rungs.groupby("ladder")["rung"].nunique())
    frame = frame[frame.groupby(["ladder", "target", "score"])["rung"].transform("nunique") == n_rungs]
    n_targets = frame.groupby("ladder")["target"].transform("nunique")
    frame = frame[n_targets == n_targets.max()]
    cells = frame.drop_duplicates(["ladder", "target", "score"]).groupby("score").size()
    whole = frame.drop_duplicates(["ladder", "target"])
    frame = frame[frame["score"].isin(cells.index[cells == len(whole)])]
    return frame.fillna({"source_accuracy": 0.0}).reset_index(drop=True)
