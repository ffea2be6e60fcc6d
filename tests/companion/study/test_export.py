"""The command that writes computed ladders as the zoo, on the tiny profile."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tepones import cli
from tepones.backbones.features import accuracy, extract
from tepones.companion.study import plan, profiles
from tepones.companion.study.cells import load_rung
from tepones.ranking import zoo


@pytest.fixture(scope="module")
def root(tiny_checkout, tmp_path_factory):
    """A checkout with the records of the tiny profile, one of whose ladders has a label, and an empty zoo."""
    root = tmp_path_factory.mktemp("checkout")
    shutil.copytree(tiny_checkout, root, dirs_exist_ok=True)
    shutil.rmtree(root / "data" / "zoo")
    path = root / "data" / "profiles" / "tiny.yaml"
    text = path.read_text()
    labelled = text.replace("ladders:\n", "ladders:\n  - {criterion: random, schedule: one-shot, label: cheap}\n")
    assert labelled != text
    path.write_text(labelled)
    return root


@pytest.fixture(scope="module")
def written(root):
    """What the command prints."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEPONES_ROOT", str(root))
        run = CliRunner().invoke(cli.commands, ["zoo", "--profile", "tiny"], catch_exceptions=False)
    assert run.exit_code == 0
    return run.stdout


@pytest.fixture
def here(root, written, monkeypatch):
    monkeypatch.setenv("TEPONES_ROOT", str(root))


def test_the_first_ladder_of_each_method_without_a_label_is_written(root, written, here):
    assert zoo.names() == ["magnitude-iterative-0", "random-iterative-0"]
    assert written.splitlines() == [str(root / "data" / "zoo" / name) for name in zoo.names()]


def test_rungs_and_manifest_are_those_of_the_records(here):
    tiny = profiles.load("tiny")
    ladder = next(ladder for ladder in tiny.ladders if ladder.name == "random iterative 0")
    store = plan.store(tiny)
    images = store.require(plan.images(ladder.source, ladder.pixels)).tensors()
    folder = zoo.folder() / "random-iterative-0"
    about = zoo.manifest(folder)
    assert (about.architecture, about.side, about.seed) == (ladder.backbone, ladder.pixels, ladder.seed)
    assert (about.method, about.task) == ("random iterative", ladder.source.model_dump())
    assert about.config["criterion"] == "random" and about.config["fine_tuning"] == {"epochs": 1, "learning_rate": 0.05}
    assert [rung.sparsity for rung in about.rungs] == pytest.approx([0, *ladder.sparsities], abs=1e-5)
    for rung, cell in zip(about.rungs, plan.rungs(ladder), strict=True):
        recorded, _ = load_rung(store, cell)
        model = zoo.load(folder, rung.file).model
        features = extract(model, images["test_images"])
        # Half precision of the weights is all that sets them apart.
        np.testing.assert_allclose(features, extract(recorded, images["test_images"]), rtol=0.02, atol=0.02)
        assert rung.source_accuracy == accuracy(model, images["test_images"], images["test_labels"])


def test_a_ladder_that_was_not_computed_is_told_in_one_line(root, written, tmp_path, command):
    copy = shutil.copytree(root, tmp_path / "copy")
    shutil.rmtree(copy / "build" / "records" / "tiny" / "rung")
    before = json.dumps(sorted(str(path) for path in (copy / "data" / "zoo").rglob("*")))
    run = command("zoo", "--profile", "tiny", root=copy)
    assert run.returncode == 1 and len(run.stderr.splitlines()) == 1
    assert "ladder magnitude iterative 0 is not computed: tepones run --profile tiny" in run.stderr
    assert json.dumps(sorted(str(path) for path in (copy / "data" / "zoo").rglob("*"))) == before


def test_a_ladder_of_another_study_is_not_replaced(root, written, tmp_path, command):
    """The committed zoo has ladders of the same names, of another number of images."""
    copy = shutil.copytree(root, tmp_path / "copy")
    shutil.rmtree(copy / "data" / "zoo")
    committed = Path(__file__).resolve().parents[3] / "data" / "zoo"
    shutil.copytree(committed, copy / "data" / "zoo")
    run = command("zoo", "--profile", "tiny", root=copy)
    assert run.returncode == 2 and len(run.stderr.splitlines()) == 1
    assert "magnitude-iterative-0: holds a ladder of another task" in run.stderr
    for path in committed.rglob("*.*"):
        assert (copy / "data" / "zoo" / path.relative_to(committed)).read_bytes() == path.read_bytes()
