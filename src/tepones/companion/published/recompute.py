"""What follows from the published tables when it is computed again, and what does not.

Accuracies of these tables are per cent and their differences accuracy points, as in the sources.
"""

from itertools import permutations, product

import numpy as np
import pandas as pd
from scipy import stats

from tepones.agreement import holm, kendall, weighted_tau
from tepones.common.errors import choose
from tepones.companion.published.tables import PROTOCOLS, TLLIB_METRICS, load, tep_ones

# A printed value has three decimals: the exact one lies within half a unit of the last, plus rounding.
_PRINTED = 0.0005 + 1e-9
_SIGNIFICANT = 0.05
_CELL = ["architecture", "protocol", "dataset"]


def tllib_correlations() -> pd.DataFrame:
    """Weighted τ of tllib's table from its own rows, beside the values printed with it.

    Returns
    -------
    DataFrame
        One row per data set and metric: ``wtau_reported``, ``wtau`` (recomputed), ``wtau_lowest`` and
        ``wtau_highest`` (over all ways in which unrounded scores could break the ties that printing with
        three decimals made), ``copy_of`` (another metric whose column holds the same numbers, or empty) and
        ``verdict``: "follows" (equal to three decimals), "follows up to ties" (inside the range) or "does not
        follow".
    """
    raw, printed = load("tllib_model_selection_raw"), load("tllib_reported_vs_recomputed")
    rows = []
    for dataset, metric, tau in printed[["dataset", "metric", "wtau_reported"]].itertuples(index=False):
        models = raw[raw["dataset"] == dataset]
        score, accuracy = models[metric].to_numpy(), models["finetuned_acc"].to_numpy()
        ours, ties = weighted_tau(score, accuracy), weighted_tau(_untied(score), accuracy)
        if abs(ours - tau) <= _PRINTED:
            verdict = "follows"
        elif ties.min() - _PRINTED <= tau <= ties.max() + _PRINTED and len(ties) > 1:
            verdict = "follows up to ties"
        else:
            verdict = "does not follow"
        copies = [m for m in TLLIB_METRICS if m != metric and np.array_equal(models[m], score)]
        rows.append((dataset, metric, tau, ours, ties.min(), ties.max(), ", ".join(copies), verdict))
    columns = ["dataset", "metric", "wtau_reported", "wtau", "wtau_lowest", "wtau_highest", "copy_of", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def _untied(score: np.ndarray) -> np.ndarray:
    """Every strict order that agrees with the score where it is not tied, as rows of ranks."""
    ranks = stats.rankdata(score, method="min")
    groups = [np.flatnonzero(ranks == rank) for rank in np.unique(ranks)]
    orders = []
    for choice in product(*(permutations(range(len(group))) for group in groups)):
        row = ranks.astype(float)
        for group, order in zip(groups, choice, strict=True):
            row[group] += order
        orders.append(row)
    return np.array(orders)


def sfda_scores() -> pd.DataFrame:
    """Weighted τ on SFDA's eleven data sets: the five scores its authors report, and three trivial rankers.

    The rankers know nothing of the target: ImageNet top-1 and parameter count of the models (torchvision),
    and the models' mean rank on the ten *other* data sets. One row per method and data set: ``method``, ``kind``
    ("reported" or "baseline"), ``dataset``, ``weighted_tau``.
    """
    reported = load("sfda_readme_wtau_supervised").melt("Method", var_name="dataset", value_name="weighted_tau")
    reported = reported.rename(columns={"Method": "method"}).assign(kind="reported")
    reported["dataset"] = reported["dataset"].str.lower()
    accuracy = load("sfda_group1_finetuned_acc").pivot(index="dataset", columns="model", values="finetuned_acc")
    models = load("torchvision_v1").set_index("model").loc[accuracy.columns]
    ranks = accuracy.rank(axis=1)
    rows = []
    for dataset, truth in accuracy.iterrows():
        rankers = {
            "mean rank on the other data sets": ranks.drop(dataset).mean(),
            "ImageNet top-1": models["imagenet_top1_percent"],
            "parameter count": models["parameters"],
        }
        rows += [(name, "baseline", dataset, weighted_tau(by, truth)) for name, by in rankers.items()]
    columns = ["method", "kind", "dataset", "weighted_tau"]
    return pd.concat([reported[columns], pd.DataFrame(rows, columns=columns)], ignore_index=True)


def sfda_comparison(reference: str = "SFDA") -> pd.DataFrame:
    """One method of `sfda_scores` against every other over the eleven data sets.

    One row per other method, best mean first: ``method``, ``kind``, ``mean`` (its mean weighted τ), ``difference``
    (the reference's mean minus it), ``wins`` (data sets, of 11, on which the reference is better), ``p`` (two-sided
    Wilcoxon signed-rank test) and ``p_holm``.
    """
    scores = sfda_scores()
    choose("method", reference, set(scores["method"]))
    wide = scores.pivot(index="dataset", columns="method", values="weighted_tau")
    others = wide.drop(columns=reference)
    ahead = -others.sub(wide[reference], axis="index")
    table = pd.DataFrame(
        {
            "kind": scores.drop_duplicates("method").set_index("method")["kind"].drop(reference),
            "mean": others.mean(),
            "difference": ahead.mean(),
            "wins": (ahead > 0).sum(),
            "p": ahead.apply(lambda differences: stats.wilcoxon(differences).pvalue),
        }
    )
    table = table.sort_values("mean", ascending=False).rename_axis("method").reset_index()
    return table.assign(p_holm=holm(table["p"]))


def sparse_cells() -> pd.DataFrame:
    """Every sparse cell of the sparse-transfer table against its dense one, with the noise of the seeds.

    The spread is that of transfer runs from *one* pruned checkpoint on one test set, so a resolved gain
    belongs to this checkpoint; another pruning seed may differ.

    Returns
    -------
    DataFrame
        One row per sparse cell: ``architecture``, ``protocol``, ``dataset``, ``method``, ``sparsity``,
        ``accuracy`` (per cent), ``gain`` (points above dense), ``relative_error_increase``, ``noise``
        (standard error of the gain from the spread of the runs, points), ``p`` (two-sided Welch test of no
        gain), ``p_holm`` (over the cells of its architecture and protocol) and ``outcome``: "above", "below"
        or "unresolved" at 5 % family-wise. Cells with single runs have no spread: NaN and "no repeats".
    """
    table = _sparse()
    cells = table[table["method"] != "Dense"].copy()
    cells["noise"] = np.sqrt(cells["sd"] ** 2 / cells["runs"] + cells["sd_dense"] ** 2 / cells["runs_dense"])
    sides = ("accuracy", "sd", "runs", "accuracy_dense", "sd_dense", "runs_dense")
    cells["p"] = stats.ttest_ind_from_stats(*(cells[side].to_numpy() for side in sides), equal_var=False).pvalue
    cells["p_holm"] = cells.groupby(["architecture", "protocol"])["p"].transform(holm)
    cells["outcome"] = np.select(
        [cells["p"].isna(), cells["p_holm"] >= _SIGNIFICANT, cells["gain"] > 0],
        ["no repeats", "unresolved", "above"],
        "below",
    )
    measured = ["accuracy", "gain", "relative_error_increase", "noise", "p", "p_holm", "outcome"]
    return cells[[*_CELL, "method", "sparsity", *measured]].reset_index(drop=True)


def sparse_above_dense() -> pd.DataFrame:
    """How many sparse cells exceed dense, and how many of them by more than the seeds explain.

    One row per architecture and protocol: ``cells``, ``above`` (larger mean than dense), ``above_resolved``,
    ``below_resolved`` and ``no_repeats`` (outcomes of `sparse_cells`), ``largest_gain`` (points) and ``where`` it is.
    """
    cells = sparse_cells()
    cells["above"] = cells["gain"] > 0
    for outcome in ("above", "below"):
        cells[f"{outcome}_resolved"] = cells["outcome"] == outcome
    cells["no_repeats"] = cells["outcome"] == "no repeats"
    grouped = cells.groupby(["architecture", "protocol"], sort=False)
    counts = grouped[["above", "above_resolved", "below_resolved", "no_repeats"]].sum()
    counts.insert(0, "cells", grouped.size())
    top = cells.loc[grouped["gain"].idxmax()]
    where = [f"{row.dataset}, {row.method}, {row.sparsity:g}" for row in top.itertuples()]
    return counts.assign(largest_gain=grouped["gain"].max(), where=where).reset_index()


def sparse_means() -> pd.DataFrame:
    """Means over the twelve data sets for every method and sparsity: the sparse-transfer table.

    One row per architecture, protocol, method and sparsity: ``accuracy`` (mean, per cent), ``relative_error_increase``
    (mean over data sets of (error − dense error)/dense error), ``above`` (data sets, of 12, on which it exceeds dense)
    and ``p_sign`` (two-sided binomial test of above against one half, ties left out; NaN for dense).
    """
    table = _sparse()
    table["above"], table["below"] = table["gain"] > 0, table["gain"] < 0
    grouped = table.groupby(["architecture", "protocol", "method", "sparsity"], sort=False)
    means = grouped[["accuracy", "relative_error_increase"]].mean()
    counts = grouped[["above", "below"]].sum()
    sign = [stats.binomtest(n, n + m).pvalue if n + m else np.nan for n, m in counts.itertuples(index=False)]
    return means.assign(above=counts["above"], p_sign=sign).reset_index()


def sparse_best_levels() -> pd.DataFrame:
    """On how many of the 12 data sets each level of a method is the best one, dense included.

    One row per architecture, protocol, method and sparsity (0 is dense): ``best``, the number of data sets on which
    this level has the highest accuracy (the sparser one of an exact tie).
    """
    table = _sparse()
    pruned = table[table["method"] != "Dense"]
    methods = pruned[["architecture", "protocol", "method"]].drop_duplicates()
    dense = table[table["method"] == "Dense"].drop(columns="method").merge(methods)
    ladders = pd.concat([dense, pruned]).sort_values(["accuracy", "sparsity"])
    ladders["best"] = ~ladders.duplicated([*_CELL, "method"], keep="last")
    return ladders.groupby(["architecture", "protocol", "method", "sparsity"])["best"].sum().reset_index()


def sparse_linear_against_full() -> pd.DataFrame:
    """How alike the frozen encoder and full fine-tuning rank the ResNet-50 backbones, the dense one included.

    One row per data set: ``kendall`` between the two rankings, and for each protocol ``dense_…``, ``dense_rank_…``
    (1 = best), ``best_…`` (per cent) and ``best_backbone_…``.
    """
    table = _sparse()
    table = table[table["architecture"] == "resnet50"]
    rows = []
    for dataset, cells in table.groupby("dataset", sort=False):
        wide = cells.pivot(index=["method", "sparsity"], columns="protocol", values="accuracy")
        row = {"dataset": dataset, "kendall": kendall(wide["linear"], wide["full"])}
        for protocol in PROTOCOLS:
            accuracy = wide[protocol]
            method, sparsity = accuracy.idxmax()
            row |= {
                f"dense_{protocol}": accuracy["Dense", 0.0],
                f"dense_rank_{protocol}": 1 + int((accuracy > accuracy["Dense", 0.0]).sum()),
                f"best_{protocol}": accuracy.max(),
                f"best_backbone_{protocol}": method if method == "Dense" else f"{method} {sparsity:g}",
            }
        rows.append(row)
    return pd.DataFrame(rows)


def _sparse() -> pd.DataFrame:
    """The sparse-transfer table with short names, each cell beside the dense one of its data set."""
    short = {
        "transfer_protocol": "protocol",
        "pruning_method": "method",
        "nominal_sparsity": "sparsity",
        "mean_accuracy_percent": "accuracy",
        "sd_accuracy_percent": "sd",
        "n_runs": "runs",
    }
    columns = [*_CELL, "method", "sparsity", "accuracy", "sd", "runs"]
    table = load("sparse-imagenet-transfer").rename(columns=short)[columns]
    dense = table[table["method"] == "Dense"].set_index(_CELL)[["accuracy", "sd", "runs"]]
    table = table.join(dense.add_suffix("_dense"), on=_CELL)
    table["gain"] = table["accuracy"] - table["accuracy_dense"]
    table["relative_error_increase"] = -table["gain"] / (100 - table["accuracy_dense"])
    return table


def tep_ones_agreement() -> pd.DataFrame:
    """Agreement recomputed from the TEP-ones paper's own numbers, once they are filled in.

    One row per backbone, pre-training, method, target, protocol and score of `tep_ones`: ``rungs`` (how many),
    ``weighted_tau``.
    """
    keys = ["backbone", "pretraining", "pruning_method", "target", "protocol", "score"]
    rows = [
        (*names, len(rungs), weighted_tau(rungs["value"], rungs["accuracy_percent"]))
        for names, rungs in tep_ones().groupby(keys, sort=False)
    ]
    return pd.DataFrame(rows, columns=[*keys, "rungs", "weighted_tau"])
