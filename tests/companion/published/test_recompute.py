"""What follows from the published tables when it is computed again, and what does not."""

import numpy as np
import pytest
from filled_tables import ROWS, fill
from scipy import stats

from tepones import agreement
from tepones.common import paths
from tepones.common.errors import UsageError
from tepones.companion import published

# tllib ------------------------------------------------------------------------------------------------

FOLLOW = {
    "CIFAR10": (0.800, 0.638, 0.785, 0.714),
    "SUN397": (0.918, 0.581, 0.748, 0.873),
    "StanfordCars": (0.638, 0.703, 0.654, 0.750),
}


@pytest.fixture(scope="module")
def tllib():
    return published.tllib_correlations().set_index(["dataset", "metric"])


@pytest.mark.parametrize("dataset", FOLLOW)
def test_reproducible_tllib_cells_to_three_decimals(tllib, dataset):
    rows = tllib.loc[dataset].loc[["hscore", "leep", "logme", "nce"]]
    assert tuple(rows["wtau"].round(3)) == FOLLOW[dataset] == tuple(rows["wtau_reported"])
    assert (rows["verdict"] == "follows").all()


def test_which_tllib_columns_do_not_follow(tllib):
    wrong = tllib.index[tllib["verdict"] == "does not follow"]
    metrics = ("hscore", "leep", "logme", "nce")
    assert set(wrong) == {(d, m) for d in ("Aircraft", "OxfordIIITPets") for m in metrics} | {("DTD", "nce")}
    ties = tllib.index[tllib["verdict"] == "follows up to ties"]
    assert set(ties) == {(d, "logme") for d in ("Caltech101", "CIFAR100", "DTD")}
    assert tuple(tllib.loc["Aircraft"]["wtau"].round(3)) == (0.343, -0.056, 0.530, 0.448)
    assert tuple(tllib.loc["OxfordIIITPets"]["wtau"].round(3)) == (0.591, 0.701, 0.604, 0.709)
    assert tllib.loc[("DTD", "nce"), "copy_of"] == "logme"
    assert (tllib["copy_of"] != "").sum() == 2


def test_recomputed_columns_of_the_file_follow_from_the_rows(tllib):
    file = published.load("tllib_reported_vs_recomputed").set_index(["dataset", "metric"]).loc[tllib.index]
    raw = published.load("tllib_model_selection_raw").set_index("dataset")
    for name, statistic in (("pearson", agreement.pearson), ("kendall", agreement.kendall)):
        ours = [statistic(raw.loc[d, metric], raw.loc[d, "finetuned_acc"]) for d, metric in tllib.index]
        assert np.abs(ours - file[f"{name}_recomputed"]).max() <= 0.0005 + 1e-9
    assert np.abs(tllib["wtau"] - file["wtau_recomputed_rankTrue"]).max() <= 0.0005 + 1e-9


def test_the_range_over_ties_contains_the_value_and_has_no_width_without_ties(tllib):
    assert (tllib["wtau_lowest"] <= tllib["wtau"] + 1e-9).all()
    assert (tllib["wtau"] <= tllib["wtau_highest"] + 1e-9).all()
    row = tllib.loc[("CIFAR10", "hscore")]
    assert row["wtau_lowest"] == row["wtau_highest"] == row["wtau"]


# SFDA, PED --------------------------------------------------------------------------------------------


def test_trivial_rankers_on_the_sfda_table():
    means = published.sfda_scores().groupby("method")["weighted_tau"].mean().round(3)
    assert means.to_dict() == {
        "SFDA": 0.710,
        "NLEEP": 0.611,
        "LogME": 0.509,
        "PARC": 0.467,
        "LEEP": 0.410,
        "mean rank on the other data sets": 0.837,
        "ImageNet top-1": 0.654,
        "parameter count": 0.578,
    }


def test_tests_over_the_sfda_data_sets():
    table = published.sfda_comparison().set_index("method")
    p = table["p"].round(3)
    assert (p["LogME"], p["PARC"], p["LEEP"], p["NLEEP"]) == (0.005, 0.019, 0.001, 0.054)
    assert table.loc["LogME", "wins"] == 9
    assert round(table.loc["mean rank on the other data sets", "p"], 2) == 0.10
    assert table.loc["mean rank on the other data sets", "difference"] < 0
    reported = published.load("sfda_readme_wtau_supervised").drop(columns="Method")
    assert round(stats.friedmanchisquare(*reported.to_numpy()).pvalue, 4) == 0.0013
    with pytest.raises(UsageError, match="unknown method 'TMI'"):
        published.sfda_comparison("TMI")


def test_means_of_the_ped_table():
    table = published.load("ped_readme_wtau_selfsup").set_index("Method").drop(columns="Reference")
    means = table.mean(axis=1).round(4)
    assert means.to_dict() == pytest.approx(
        {
            **{"NLEEP": 0.365, "PARC": 0.314, "LogME": 0.358, "LogME+PED": 0.627, "SFDA": 0.582},
            **{"SFDA+PED": 0.628, "GBC": 0.1515, "GBC+PED": 0.4065},
        },
        abs=0.0005 + 1e-9,
    )


# sparse transfer --------------------------------------------------------------------------------------

MEANS = {  # architecture, method → per sparsity: linear mean, linear relative, full mean, full relative
    ("resnet50", "Dense"): [(0.0, 74.48, 0.0, 85.46, 0.0)],
    ("resnet50", "AC/DC"): [
        (0.8, 75.53, -0.032, 84.65, 0.077),
        (0.9, 75.33, -0.020, 84.09, 0.120),
        (0.95, 74.80, 0.017, 83.01, 0.213),
    ],
    ("resnet50", "LTH-T"): [
        (0.8, 60.46, 0.794, 84.44, 0.093),
        (0.9, 40.70, 2.206, 81.86, 0.368),
        (0.95, 15.94, 4.016, 75.77, 1.104),
    ],
    ("resnet50", "RigL ERK 1x"): [
        (0.8, 74.53, 0.028, 82.57, 0.224),
        (0.9, 73.59, 0.071, 81.52, 0.323),
        (0.95, 72.32, 0.143, 80.51, 0.419),
    ],
    ("resnet50", "RigL ERK 5x"): [
        (0.8, 74.97, 0.008, 82.75, 0.209),
        (0.9, 75.25, 0.002, 82.74, 0.209),
        (0.95, 74.46, 0.036, 81.91, 0.273),
    ],
    ("resnet50", "STR"): [
        (0.8, 75.09, -0.009, 83.22, 0.201),
        (0.9, 74.11, 0.035, 82.39, 0.266),
        (0.95, 72.07, 0.136, 80.63, 0.417),
        (0.98, 67.55, 0.381, 76.14, 0.814),
    ],
    ("resnet50", "WoodFisher"): [
        (0.8, 70.78, 0.153, 85.23, 0.007),
        (0.9, 71.26, 0.140, 84.81, 0.040),
        (0.95, 70.68, 0.169, 83.75, 0.134),
    ],
    ("mobilenetv1", "Dense"): [(0.0, 72.91, 0.0, 82.41, 0.0)],
    ("mobilenetv1", "AC/DC"): [
        (0.3, 72.77, 0.011, 81.92, 0.032),
        (0.4, 72.73, 0.018, 82.00, 0.031),
        (0.5, 72.62, 0.019, 81.80, 0.043),
        (0.75, 72.37, 0.027, 80.82, 0.113),
        (0.9, 70.76, 0.102, 79.08, 0.227),
    ],
    ("mobilenetv1", "M-FAC"): [(0.75, 72.16, 0.042, 79.79, 0.199), (0.89, 70.92, 0.109, 77.50, 0.361)],
    ("mobilenetv1", "STR"): [(0.75, 70.39, 0.115, 77.78, 0.332), (0.9, 67.66, 0.244, 75.95, 0.449)],
}


@pytest.fixture(scope="module")
def means():
    return published.sparse_means().set_index(["architecture", "method", "protocol", "sparsity"])


@pytest.mark.parametrize("architecture,method", MEANS)
def test_sparse_transfer_means_to_two_decimals(architecture, method, means):
    for sparsity, linear, linear_rise, full, full_rise in MEANS[architecture, method]:
        for protocol, mean, rise in (("linear", linear, linear_rise), ("full", full, full_rise)):
            row = means.loc[(architecture, method, protocol, sparsity)]
            # Half a unit of the second decimal; a mean on the edge (74.485) may be printed either way.
            assert row["accuracy"] == pytest.approx(mean, abs=0.005 + 2e-4)
            assert row["relative_error_increase"] == pytest.approx(rise, abs=0.0005 + 2e-5)


def test_derived_columns_of_the_sparse_file_follow_from_its_means():
    file = published.load("sparse-imagenet-transfer")
    file = file[file["pruning_method"] != "Dense"].reset_index(drop=True)
    ours = published.sparse_cells()
    assert np.abs(ours["gain"] - file["accuracy_minus_dense_points"]).max() < 2e-4
    assert np.abs(ours["relative_error_increase"] - file["relative_error_increase"]).max() < 5e-5


def test_cells_above_dense():
    table = published.sparse_above_dense().set_index(["architecture", "protocol"])
    assert table["above"].to_dict() == {
        ("resnet50", "linear"): 50,
        ("resnet50", "full"): 16,
        ("mobilenetv1", "linear"): 16,
        ("mobilenetv1", "full"): 8,
    }
    assert list(table["cells"]) == [228, 228, 108, 108]
    row = table.loc["resnet50", "linear"]
    assert round(row["largest_gain"], 3) == 7.784 and row["where"] == "aircraft, RigL ERK 5x, 0.95"
    assert (table["above_resolved"] <= table["above"]).all()
    assert table.loc[("mobilenetv1", "full"), "no_repeats"] == 108
    cells = published.sparse_cells()
    linear = cells[(cells.architecture == "resnet50") & (cells.protocol == "linear") & (cells.gain > 0)]
    counts = linear.groupby("method")["dataset"].nunique()
    assert counts.to_dict() == {"AC/DC": 9, "STR": 8, "RigL ERK 1x": 4, "RigL ERK 5x": 3}


def test_noise_of_the_seeds_is_welchs_test():
    file = published.load("sparse-imagenet-transfer").set_index(
        ["architecture", "transfer_protocol", "dataset", "pruning_method", "nominal_sparsity"]
    )
    cells = published.sparse_cells()
    row = cells[(cells.gain > 0) & (cells.outcome == "unresolved")].iloc[0]
    key = (row["architecture"], row["protocol"], row["dataset"])
    sparse, dense = file.loc[(*key, row["method"], row["sparsity"])], file.loc[(*key, "Dense", 0.0)]
    noise = np.hypot(*(side["sd_accuracy_percent"] / side["n_runs"] ** 0.5 for side in (sparse, dense)))
    runs = []
    for side in (sparse, dense):  # runs with exactly this mean and spread
        shape = stats.zscore(np.arange(side["n_runs"]), ddof=1)
        runs.append(side["mean_accuracy_percent"] + side["sd_accuracy_percent"] * shape)
    assert row["noise"] == pytest.approx(noise)
    assert row["p"] == pytest.approx(stats.ttest_ind(*runs, equal_var=False).pvalue)
    assert 0.05 <= row["p_holm"] <= 1


def test_best_levels():
    table = published.sparse_best_levels()
    table = table[(table["best"] > 0) & (table["architecture"] == "resnet50")]
    counts = {
        protocol: {
            method: dict(zip(rows["sparsity"], rows["best"], strict=True))
            for method, rows in part.groupby("method", sort=False)
        }
        for protocol, part in table.groupby("protocol")
    }
    assert counts["linear"] == {
        "AC/DC": {0: 3, 0.8: 4, 0.9: 2, 0.95: 3},
        "LTH-T": {0: 12},
        "RigL ERK 1x": {0: 8, 0.8: 4},
        "RigL ERK 5x": {0: 9, 0.9: 1, 0.95: 2},
        "STR": {0: 4, 0.8: 7, 0.9: 1},
        "WoodFisher": {0: 12},
    }
    assert counts["full"]["WoodFisher"] == {0: 6, 0.8: 5, 0.9: 1}


def test_linear_against_full():
    table = published.sparse_linear_against_full().set_index("dataset")
    expected = {
        **{"aircraft": -0.237, "birds": 0.211, "caltech101": 0.600, "caltech256": 0.679, "cars": -0.074},
        **{"cifar10": 0.232, "cifar100": 0.237, "dtd": 0.305, "food101": 0.116, "pets": 0.558, "SUN": 0.358},
        "flowers": 0.147,
    }
    # Means of four decimals tie where those of the raw rows do not, which moves tau-b by 0.002.
    assert table["kendall"].to_dict() == pytest.approx(expected, abs=0.0025)
    aircraft = table.loc["aircraft"]
    assert (aircraft["dense_rank_linear"], aircraft["dense_rank_full"]) == (13, 6)
    assert (aircraft["best_backbone_linear"], aircraft["best_backbone_full"]) == (
        "RigL ERK 5x 0.95",
        "LTH-T 0.9",
    )


# the TEP-ones paper's own numbers ---------------------------------------------------------------------


def test_agreement_with_the_papers_own_numbers_once_they_are_filled_in(tmp_path, monkeypatch):
    assert published.tep_ones_agreement().empty
    (tmp_path / "published").mkdir()
    fill(tmp_path / "published", ROWS)
    monkeypatch.setattr(paths, "data", lambda: tmp_path)
    row = published.tep_ones_agreement().iloc[0]
    assert (row["target"], row["rungs"], row["weighted_tau"]) == ("flowers", 4, 1)
