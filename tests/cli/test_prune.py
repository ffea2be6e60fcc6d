"""`tepones prune` as a user meets it: a folder of pictures in, a ladder out that `tepones rank` takes."""

import re

import pytest
import torch
from PIL import Image

from tepones.backbones.small_resnet import small_resnet
from tepones.ranking import checkpoints, pruner, zoo


@pytest.fixture
def place(images, tmp_path):
    """A folder with pictures of four classes and a checkpoint of a network for them."""
    for number, (picture, label) in enumerate(zip(*images, strict=True)):
        file = tmp_path / "pictures" / f"class-{label}" / f"{number:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(file)
    (tmp_path / "pictures" / "class-0" / "notes.txt").write_text("no picture")
    torch.manual_seed(0)
    checkpoints.write(tmp_path / "net.safetensors", small_resnet(4), "small-resnet")
    return tmp_path


@pytest.fixture
def prune(place, command):
    def prune(*options, sparsities="0,0.5,0.9"):
        where = ["--data", place / "pictures", "--output", place / "ladder", "--sparsities", sparsities]
        return command("prune", place / "net.safetensors", *where, *options)

    return prune


def test_a_folder_and_a_checkpoint_become_a_ladder_that_can_be_ranked(place, prune, command):
    run = prune("--epochs", 2, "--learning-rate", 0.05, "--batch-size", 16, "--pixels", 24)
    assert run.returncode == 0, run.stderr
    assert "4 classes, 64 pictures: class-0 16" in run.stderr and "1 file skipped: class-0/notes.txt" in run.stderr
    assert "rung 1, sparsity 0.5: 8/8 steps" in run.stderr and "rung 2, sparsity 0.9: 8/8 steps" in run.stderr
    header, *rows, written = run.stdout.splitlines()
    assert header.split() == ["rung", "sparsity", "training_accuracy"] and written == str(place / "ladder")
    assert [row.split()[:3] for row in rows] == [["0", "0", "%"], ["1", "50", "%"], ["2", "90", "%"]]
    assert all(0 <= float(row.split()[3]) <= 100 for row in rows)
    about = zoo.manifest(place / "ladder")
    assert (about.method, about.side, about.task["task"]) == ("magnitude iterative", 24, "pictures")
    assert about.config["training"]["learning_rate"] == 0.05
    ranked = command("rank", "--task", place / "pictures", "--backbones", place / "ladder")
    assert ranked.returncode == 0
    assert set(re.findall(r"ladder/rung-\d+", ranked.stdout)) == {f"ladder/rung-0{level}" for level in range(3)}


def test_without_epochs_nothing_is_trained(place, prune):
    run = prune("--criterion", "snip", "--schedule", "one-shot", sparsities="0.5")
    assert run.returncode == 0 and "steps" not in run.stderr
    assert zoo.manifest(place / "ladder").config["training"] is None


def test_a_new_head_and_early_weights(place, prune):
    early = ["--schedule", "lottery", "--early", place / "net.safetensors"]
    assert prune("--epochs", 1, "--new-head", *early, sparsities="0.5").returncode == 0
    assert zoo.manifest(place / "ladder").config["new_head"]


def test_a_damaged_picture_is_told_and_left_out(place, prune):
    (place / "pictures" / "class-1" / "01.png").write_bytes(b"no picture")
    run = prune("--schedule", "one-shot")
    assert run.returncode == 0
    (line,) = [line for line in run.stderr.splitlines() if "damaged" in line]
    assert line.startswith("tepones: 1 damaged left out: ")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--learning-rate", 0.1], "options of a training: give --epochs"),
        (["--batch-size", 16], "options of a training: give --epochs"),
        (["--epochs", 0], "--epochs"),
        (["--new-head"], "new_head (--new-head) needs a training (--epochs)"),
        (["--criterion", "size"], "unknown criterion 'size'; choose from: block"),
        (["--schedule", "slowly"], "unknown schedule 'slowly'; choose from: acdc"),
        (
            ["--schedule", "rigl"],
            "rigl prunes while it trains: it needs training=Training(...) (--epochs)",
        ),
        (["--schedule", "lottery"], "give them as early (--early)"),
        (["--sparsities", "0.5,much"], "expected numbers in [0, 1), rising"),
        (["--data", "nowhere"], "nowhere"),
    ],
)
def test_wrong_use_is_one_line_and_nothing_is_written(place, prune, options, complaint):
    run = prune(*options)
    told = [line for line in run.stderr.splitlines() if line.startswith("tepones: ")]
    assert run.returncode in (1, 2) and len(told) == 1 and complaint in told[0]
    assert "Traceback" not in run.stderr and not list(place.glob("*ladder*"))


def test_an_interruption_is_one_line_and_leaves_nothing_that_looks_whole(place, prune, monkeypatch):
    whole = pruner.climb

    def until_the_last_rung(*arguments):
        rungs = whole(*arguments)
        yield next(rungs)
        yield next(rungs)
        raise KeyboardInterrupt

    monkeypatch.setattr(pruner, "climb", until_the_last_rung)
    run = prune("--schedule", "one-shot")
    assert run.returncode == 130
    assert run.stderr.splitlines()[-1] == "tepones: interrupted; no ladder was written"
    assert not list(place.glob("*ladder*"))
