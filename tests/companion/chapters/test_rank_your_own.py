"""The chapter *Rank your own*: its tutorial runs, and names the backbone that its table has on top."""

import contextlib
import io
import os

import pytest
from chapter_cells import run_cells
from drawn import width_of

from tepones.common.errors import TeponesError
from tepones.companion import charts
from tepones.companion.study import widths


@pytest.fixture
def own_environment(monkeypatch):
    """The chapter sets variables of its kernel's environment; here they are set back."""
    for name in ("PATH", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, os.environ.get(name, "1"))


SMALL = {"sparsities": [0.5, 0.9], "source_images": 4, "target_images": 6, "epochs": 1}


@pytest.fixture(scope="module")
def tutorial():
    """What the tutorial glues and prints on few images, with the guards of a chapter as it is committed."""
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        for name in ("PATH", "OMP_NUM_THREADS"):
            patch.setenv(name, os.environ.get(name, "1"))
        patch.setenv(charts.GUARDS, charts.STRICT)
        return run_cells("rank-your-own", patch, parameters=SMALL), printed.getvalue()


def test_the_tutorial_ranks_what_it_made(tutorial):
    glued, printed = tutorial
    assert "checkpoints: dense.safetensors pruned-50.safetensors pruned-90.safetensors" in printed
    first, *others = glued["tab-rank-own"].splitlines()[2:]
    assert glued["rank-own-n"] == 1 + len(others) == 3
    assert first.startswith(f"| 1 | {glued['rank-own-best']} |")


def test_on_the_records_every_sentence_about_the_default_holds(tutorial):
    glued, _ = tutorial
    assert glued["widths-chosen"] == "lda_accuracy" and glued["widths-networks"] == 18
    assert [glued[f"guard-{key}"] for key in ("default", "all-refused", "enough-images", "raw")] == [""] * 4
    assert width_of(glued["fig-widths"]) <= charts.WIDTH


def test_on_the_records_every_sentence_about_the_number_of_images_holds(tutorial):
    glued, printed = tutorial
    assert [glued[f"guard-redraws-{key}"] for key in ("held", "far", "close")] == [""] * 3
    assert glued["redraws-networks"] == 10 and glued["redraws-least"] > 90
    heading, _, *rows = glued["tab-redraws-pairs"].splitlines()
    assert "| 0 to 2 points | 2 to 5 points | 5 to 10 points | 10 points and more |" in heading
    assert [row.split()[1] for row in rows] == ["5", "10", "20", "50", "100"]
    assert "of these 60 images" in printed or "with these 60 images" in printed


def test_records_that_contradict_the_default_stop_the_chapter(own_environment, monkeypatch):
    records = widths.load()
    records["lda_accuracy"] = -records["lda_accuracy"]
    monkeypatch.setattr(widths, "load", lambda: records)
    monkeypatch.setenv(charts.GUARDS, charts.STRICT)
    with pytest.raises(TeponesError, match="guard-default"):
        run_cells("rank-your-own", monkeypatch, parameters=SMALL | {"sparsities": []})
