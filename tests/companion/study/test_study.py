"""The study, on the tiny profile: complete, the same each time, and never trusting damage."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from tepones import agreement
from tepones.common.errors import TeponesError, UsageError
from tepones.companion import study
from tepones.companion.study import plan, profiles
from tepones.companion.study.cells import load_rung
from tepones.companion.study.records import Store
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
    n_rungs = sum(1 + len(ladder.sparsities) for ladder in tiny.ladders)
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
        expected = [0, *tiny.ladders[0].sparsities]
        assert list(ladder["nonzero_weights"]) == [round((1 - s) * total) for s in expected]
        assert np.allclose(ladder["sparsity"], expected, atol=1 / total)


def test_recorded_masks_are_nested_and_hold(tiny):
    store = plan.store(tiny)
    for ladder in tiny.ladders:
        before = None
        for cell in plan.rungs(ladder):
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
        ("seed: 0}", "seed: 0, scope: wide}", "tiny.yaml: ladders.0.scope: .*'global' or 'layer'"),
        ("seed: 0}", "seed: 0, weights: some}", "tiny.yaml: ladders.0: .*give one of the two"),
        ("seed: 1}", "seed: 0}", "two ladders are called 'magnitude iterative 0'"),
        ("{task: digits,", "{task: digits, classes: none,", "tiny.yaml: targets.0.classes"),
        ("backbone:", "- backbone: [", "tiny.yaml: not valid YAML"),
        ("backbone:", "backbone: medium-resnet\nbackbone:", "tiny.yaml: not valid YAML: 'backbone' is given twice"),
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


def test_a_ladder_takes_from_the_profile_what_it_does_not_say(checkout):
    path = checkout / "data" / "profiles" / "tiny.yaml"
    text = path.read_text().replace("seed: 1}", "seed: 1, label: wide, sparsities: [0.25], pixels: 64}")
    path.write_text(text)
    first, second, _ = profiles.load("tiny").ladders
    assert (second.name, second.sparsities, second.pixels) == ("wide magnitude iterative 1", (0.25,), 64)
    assert (first.sparsities, first.pixels) == ((0.5, 0.9, 0.99), 32)
    assert first.source == second.source and first.fine_tuning == second.fine_tuning


def test_shards_are_all_ladders_each_once(tiny):
    parts = [plan.shard(tiny, part, 2) for part in (1, 2)]
    assert sorted(ladder.name for part in parts for ladder in part) == sorted(ladder.name for ladder in tiny.ladders)


def test_jobs_come_after_those_that_they_need(tiny):
    done = set()
    for job in plan.jobs(tiny, tiny.ladders[1:]):
        for cell in job:
            assert all(needed in done for needed in cell.requires())
            done.add(cell)


def publish_tiny(checkout, tiny_checkout):
    """Give a checkout the tiny study as its published records."""
    folder = checkout / "data" / "records" / "tiny"
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*study.TABLES, study.PROVENANCE):
        content = (tiny_checkout / "build" / "records" / "tiny" / f"{name}.csv").read_bytes()
        (folder / f"{name}.csv").write_bytes(content)
    return folder


def test_a_shard_keeps_the_published_ladders_and_says_which_are_not_of_this_code(tiny_checkout, checkout):
    folder = publish_tiny(checkout, tiny_checkout)
    rungs = pd.read_csv(folder / "rungs.csv")
    old = rungs["ladder"] == "random iterative 0"
    rungs.loc[old, "cell"] = "0" * 20
    rungs.to_csv(folder / "rungs.csv", index=False)
    run = run_tiny(checkout, "--shard", "1/3")
    assert run.returncode == 0, run.stderr
    found = pd.read_csv(checkout / "build" / "records" / "tiny" / "rungs.csv")
    assert list(found["ladder"].unique()) == list(rungs["ladder"].unique())
    marks = found.groupby("ladder")["current"].all()
    assert marks.to_dict() == {
        "magnitude iterative 0": True,
        "magnitude iterative 1": True,
        "random iterative 0": False,
    }


def test_a_single_record_is_made_again(tiny_checkout, checkout):
    folder = publish_tiny(checkout, tiny_checkout)
    transfer, scores = pd.read_csv(folder / "transfer.csv"), pd.read_csv(folder / "scores.csv")
    for cell, row in ((transfer["cell"][0], "accuracy"), (scores["cell"][0], "gaussian")):
        run = run_tiny(checkout, "--cell", cell[:12])
        assert run.returncode == 0, run.stderr
        name, before, here = next(line.split() for line in run.stdout.splitlines() if row in line)
        assert name == row and float(before) == pytest.approx(float(here), rel=1e-4)
    for name, complaint in (("zzz", "0 published records"), ("", "published records")):
        run = run_tiny(checkout, "--cell", name or transfer["cell"][0][:1])
        if not name and run.returncode == 0:
            continue  # the first digit alone may name one record only
        assert run.returncode == 2 and complaint in run.stderr and len(run.stderr.splitlines()) == 1


@pytest.mark.parametrize("shard", ["0/3", "4/3", "3", "a/b", "1/0"])
def test_a_bad_shard_is_refused_in_one_line(checkout, shard):
    run = run_tiny(checkout, "--shard", shard)
    assert run.returncode == 2 and len(run.stderr.splitlines()) == 1 and "expected PART/PARTS" in run.stderr


def test_full_fine_tuning_is_repeated_and_kept_apart_from_the_probe(checkout, monkeypatch):
    path = checkout / "data" / "profiles" / "tiny.yaml"
    full = "{targets: [digits], ladders: [random iterative 0], training: {epochs: 3, learning_rate: 0.1}, repeats: 2}"
    path.write_text(path.read_text() + f"full_fine_tuning: {full}\n")
    run = run_tiny(checkout, "--shard", "3/3")
    assert run.returncode == 0, run.stderr
    monkeypatch.setenv("TEPONES_ROOT", str(checkout))
    tables = study.load("tiny", "live")
    by = tables["transfer"].groupby(["protocol", "target"])["repeat"].apply(lambda rows: sorted(set(rows)))
    assert by.to_dict() == {("fine-tuning", "digits"): [0, 1], ("probe", "arrows"): [0], ("probe", "digits"): [0]}
    probe, tuned = (study.tidy(tables, protocol) for protocol in study.PROTOCOLS)
    assert set(tuned["target"]) == {"digits"} and set(probe["target"]) == {"digits", "arrows"}
    first = tables["transfer"].query("protocol == 'fine-tuning' and rung == 1")
    assert tuned.query("rung == 1")["accuracy"].to_numpy() == pytest.approx(first["accuracy"].mean())


def test_scores_and_the_choice_of_the_probe_never_see_the_test_split(tiny_checkout, tiny, tmp_path, monkeypatch):
    rung = plan.rungs(tiny.ladders[0])[1]
    target, judged, scoring = next(iter(plan.evaluations(tiny, tiny.ladders[0], rung)))
    shutil.copytree(tiny_checkout / "build" / "records" / "tiny", tmp_path, dirs_exist_ok=True)
    before, after = plan.store(tiny), Store(tmp_path)
    values, tensors = target.compute(before)
    for cell in (target, judged[0][2], scoring):
        after.path(cell).unlink()
    swapped = {**tensors, "test_images": 255 - tensors["test_images"]}
    monkeypatch.setattr(type(target), "compute", lambda self, store: (values, swapped))
    after.compute(target)
    scores = [[row["value"] for row in store.compute(scoring).values["rows"]] for store in (before, after)]
    probes = [store.compute(judged[0][2]).values for store in (before, after)]
    assert scores[0] == scores[1]
    assert probes[0]["regularisation"] == probes[1]["regularisation"]
    assert probes[0]["accuracy"] != probes[1]["accuracy"]
