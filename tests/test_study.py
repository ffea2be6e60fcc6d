"""The study, on the tiny profile: complete, the same each time, and never trusting damage."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from tepones import agreement, plan, profiles, study
from tepones.errors import TeponesError, UsageError
from tepones.experiments import load_rung
from tepones.pruning.masks import sparsity


@pytest.fixture
def tiny(tiny_checkout, monkeypatch):
    monkeypatch.setenv("TEPONES_ROOT", str(tiny_checkout))
    return profiles.load("tiny")


def run_tiny(root, *arguments):
    environment = {**os.environ, "TEPONES_ROOT": str(root)}
    command = [sys.executable, "-m", "tepones", "run", "--profile", "tiny", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_the_tables_are_complete(tiny):
    tables = study.load("tiny", "live")
    n_rungs = len(tiny.ladders) * (1 + len(tiny.sparsities))
    assert len(tables["rungs"]) == n_rungs
    assert len(tables["transfer"]) == n_rungs * len(tiny.targets)
    assert len(tables["scores"]) == n_rungs * len(tiny.targets) * len(tiny.scores)
    assert np.isfinite(tables["scores"]["value"]).all()
    assert tables["transfer"]["accuracy"].between(0, 1).all()
    agreement.summary(study.tidy(tables))


def test_sparsities_are_those_of_the_profile(tiny):
    rungs = study.load("tiny", "live")["rungs"]
    for _, ladder in rungs.groupby("ladder"):
        total = ladder["nonzero_weights"].iloc[0]
        expected = [0, *tiny.sparsities]
        assert list(ladder["nonzero_weights"]) == [round((1 - s) * total) for s in expected]
        assert np.allclose(ladder["sparsity"], expected, atol=1 / total)


def test_recorded_masks_are_nested_and_hold(tiny):
    store = plan.store(tiny)
    for ladder in tiny.ladders:
        before = None
        for cell in plan.rungs(tiny, ladder):
            backbone, masks = load_rung(store, cell)
            weights = dict(backbone.named_parameters())
            assert all(not weights[name][~mask].any() for name, mask in masks.items())
            assert before is None or not any((masks[name] & ~before[name]).any() for name in masks)
            assert sparsity(masks) == pytest.approx(store.require(cell).values["sparsity"])
            before = masks


def test_the_controls_point_the_right_way(tiny):
    frame = study.tidy(study.load("tiny", "live"))
    control = frame[frame["score"] == "sparsity"]
    assert np.allclose(control["value"], -control["sparsity"])
    source = frame[frame["score"] == "source_accuracy"]
    assert np.allclose(source["value"], source["source_accuracy"])


def test_another_run_with_another_number_of_workers_gives_the_same_records(tiny_checkout, checkout):
    run = run_tiny(checkout, "--workers", "1")
    assert run.returncode == 0, run.stderr
    for name in study.TABLES:
        there, here = (root / "build" / "records" / "tiny" / f"{name}.csv" for root in (tiny_checkout, checkout))
        first, second = (pd.read_csv(path).drop(columns="seconds", errors="ignore") for path in (there, here))
        pd.testing.assert_frame_equal(first, second)


def test_finished_records_are_reused_and_damage_is_repaired(tiny_checkout, checkout):
    import shutil

    shutil.copytree(tiny_checkout / "build", checkout / "build")
    assert "0 records computed" in run_tiny(checkout).stdout
    records = checkout / "build" / "records" / "tiny"
    damaged = [next((records / kind).glob("*.json")) for kind in ("rung", "transfer")]
    for path in damaged:
        path.write_bytes(path.read_bytes()[:-40])
    run = run_tiny(checkout)
    assert run.returncode == 0 and "2 records computed" in run.stdout
    assert all(f"{path} is damaged" in run.stderr for path in damaged)
    before = pd.read_csv(tiny_checkout / "build" / "records" / "tiny" / "transfer.csv")
    after = pd.read_csv(records / "transfer.csv")
    pd.testing.assert_frame_equal(before.drop(columns="seconds"), after.drop(columns="seconds"))


def test_missing_records_are_told_with_the_command_that_makes_them(checkout):
    with pytest.raises(TeponesError, match="tepones run --profile tiny"):
        study.load("tiny", "live")
    with pytest.raises(UsageError, match="choose from: live, published"):
        study.load("tiny", "imagined")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("epochs: 2", "epochs: many", "tiny.yaml: pretraining.epochs: .* number.*'many'"),
        ("epochs: 2", "epochs: -1", "tiny.yaml: pretraining.epochs: .*greater than 0"),
        ("task: arrows", "task: klingon", "unknown task 'klingon'; choose from: .*arrows"),
        ("backbone: small-resnet", "backbone: huge", "unknown backbone 'huge'; choose from: .*small-resnet"),
        ("criterion: magnitude", "criterion: taste", "unknown criterion 'taste'; choose from: .*magnitude"),
        ("[0.5, 0.9, 0.99]", "[0.5, 0.9, 1.0]", "tiny.yaml: sparsities.2: .*less than 1"),
        ("[0.5, 0.9, 0.99]", "[0.9, 0.5]", "tiny.yaml: sparsities: .*must rise"),
        ("gaussian", "horoscope", "unknown score 'horoscope'; choose from: .*gaussian"),
        ("backbone:", "colour: red\nbackbone:", "tiny.yaml: colour: Extra inputs"),
        ("backbone: small-resnet", "", "tiny.yaml: backbone: Field required"),
        ("backbone:", "- backbone: [", "tiny.yaml: not valid YAML"),
    ],
)
def test_a_bad_profile_is_refused_in_one_line(checkout, old, new, complaint):
    path = checkout / "data" / "profiles" / "tiny.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(UsageError, match=complaint) as caught:
        profiles.load("tiny")
    assert "\n" not in str(caught.value)
