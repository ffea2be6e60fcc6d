"""The ablations' table: what a changed choice does to agreement, on the same rungs only."""

import numpy as np
import pandas as pd
import pytest
from chapter_cells import committed, run_cells

from tepones.common.errors import TeponesError
from tepones.companion import charts, study
from tepones.companion.chapters import photographs_ablations as chapter

NAME = "photographs-ablations"
GUARDS = {"abl-falls", "abl-none-better", "abl-estimators-worse", "abl-null", "abl-layers-worse"}
LADDERS, TARGETS, RUNGS = ("a 0", "a 1", "b 0"), ("near", "far", "other"), range(8)
KEYS = ["ladder", "rung", "target"]


@pytest.fixture(scope="module")
def tables():
    """Three ladders on three targets: `gaussian` ranks much as accuracy does, `binary` the other way round."""
    rng = np.random.default_rng(0)
    grid = pd.MultiIndex.from_product([LADDERS, RUNGS, TARGETS], names=KEYS).to_frame(index=False)
    accuracy = rng.permuted(np.tile(np.linspace(0.2, 0.9, len(grid)), 1))
    scores = pd.concat(
        [grid.assign(score="gaussian", value=accuracy), grid.assign(score="binary", value=-accuracy)],
        ignore_index=True,
    )
    other = scores[scores["score"] == "binary"].assign(score="h_score")
    layers = [
        grid.assign(choice="layer", level="block 4", value=accuracy),
        grid.assign(choice="layer", level="block 1", value=rng.normal(size=len(grid))),
        grid.assign(choice="layer", level="block 3", value=3 * accuracy),
    ]
    few = grid.assign(choice="samples per class", level="2", value=-accuracy)
    samples = [grid.assign(choice="samples per class", level="all", value=accuracy), few[few["target"] == "near"]]
    ablations = pd.concat([*layers, *samples], ignore_index=True)
    measured = accuracy + rng.normal(0, 0.05, len(grid))
    frame = grid.assign(score="gaussian", value=accuracy, accuracy=measured, source_accuracy=0.5, seed=0)
    frame = frame.assign(sparsity=frame["rung"] / 10, method=frame["ladder"].str[:1], nonzero_weights=100)
    return {"scores": pd.concat([scores, other]), "ablations": ablations, "frame": frame}


def test_estimators_are_one_more_choice_and_rivals_are_not(tables):
    table = chapter.choices(tables)
    assert list(table["choice"].unique()) == ["estimator", "layer", "samples per class"]
    assert set(table.loc[table["choice"] == "estimator", "level"]) == {"gaussian", "binary"}
    only = chapter.choices({**tables, "ablations": tables["ablations"].query("ladder == 'a 0'")})
    assert set(only["ladder"]) == {"a 0"}


@pytest.fixture(scope="module")
def levels(tables):
    return chapter.by_level(chapter.choices(tables), tables["frame"])


def test_a_level_is_compared_with_the_score_on_the_same_rungs(levels):
    levels = levels.set_index(["choice", "level"])
    own = levels.loc[("layer", "block 4")]
    assert own["weighted_tau"] > 0.6 and own["difference"] == 0 and np.isnan(own["difference_low"])
    same = levels.loc[("layer", "block 3")]
    assert same["weighted_tau"] == own["weighted_tau"] and same["difference"] == 0
    worse = levels.loc[("layer", "block 1")]
    assert worse["difference"] == pytest.approx(worse["weighted_tau"] - own["weighted_tau"])
    assert worse["difference_low"] < worse["difference"] < worse["difference_high"] < 0
    opposite = levels.loc[("estimator", "binary")]
    assert opposite["weighted_tau"] < -0.6 and opposite["difference_high"] < -1
    assert levels.loc[("samples per class", "2"), "targets"] == 1
    assert list(levels.loc["samples per class"].index) == ["2", "all"]


def test_the_table_gives_no_difference_to_the_score_itself(levels):
    shown = chapter.shown(levels).set_index(["choice", "level"])
    assert shown.loc[("layer", "block 4"), "difference"] == "–"
    assert shown.loc[("layer", "block 1"), "difference"].startswith("−")
    assert "[" in shown.loc[("layer", "block 3"), "weighted τ"]


def other_choices_know(tables):
    """Some published records, on which every other choice is almost the accuracy itself and ours the opposite."""
    ladders, targets = ["magnitude iterative 0", "diagonal iterative 0"], ["cifar10", "dtd", "eurosat"]
    tables = {name: table[table["ladder"].isin(ladders)] for name, table in tables.items()}
    tables = tables | {
        name: tables[name][tables[name]["target"].isin(targets)] for name in ("transfer", "scores", "ablations")
    }
    probe = tables["transfer"].query("protocol == 'probe'").set_index(KEYS)["accuracy"]

    def known(table, ours):
        values = table.join(probe, on=KEYS)["accuracy"].to_numpy()
        noise = np.random.default_rng(0).normal(0, 0.01, len(table))
        return table.assign(value=np.where(ours, -values, values) + noise)

    scores, ablations = tables["scores"], tables["ablations"]
    changed = known(ablations, ablations["level"] == ablations["choice"].map(chapter.DEFAULTS))
    changed["value"] -= changed["level"].eq("2")
    return tables | {"scores": known(scores, scores["score"] == "gaussian"), "ablations": changed}


def test_the_sentences_hold_on_the_published_records():
    glued = committed(NAME)
    assert {glued[key] for key in GUARDS} == {""} and "tab-ablations" in glued
    assert set(chapter.NAMED) <= {key.removeprefix("abl-") for key in glued}


@pytest.fixture(scope="module")
def contradicted():
    """Records on which no sentence holds, and what they say of every level, which takes seconds."""
    records = other_choices_know(study.load("natural"))
    return records, chapter.by_level(chapter.choices(records), study.tidy(records))


@pytest.fixture
def records(contradicted, monkeypatch):
    tables, levels = contradicted
    monkeypatch.setattr(chapter, "by_level", lambda *_: levels.copy())
    return tables


def test_sentences_that_records_contradict_fall(records, monkeypatch):
    glued = run_cells(NAME, monkeypatch, records)
    assert {key for key in GUARDS if glued[key]} == GUARDS


def test_a_contradicted_sentence_is_not_published(records, monkeypatch):
    monkeypatch.setenv(charts.GUARDS, charts.STRICT)
    with pytest.raises(TeponesError, match="abl-falls"):
        run_cells(NAME, monkeypatch, records)
