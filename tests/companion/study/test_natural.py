"""The published study on photographs: what it says of itself, and a random sample made again where the data are."""

import os
import random

import numpy as np
import pytest

from tepones.common import paths
from tepones.companion import study
from tepones.companion.claims import reproduction
from tepones.companion.study import plan, profiles, records

#: Seconds that making a record and all that it needs may have taken to be in the sample.
CHEAP = 90
SAMPLE = 3

#: Between machines rounding may turn the class of a few test images, and moves scores in their third digit.
ACCURACY, SCORE = 0.02, 0.01


@pytest.fixture(scope="module")
def tables():
    return study.load("natural")


@pytest.fixture(scope="module")
def natural():
    return profiles.load("natural")


def test_there_are_ten_ladders_on_ten_targets(tables):
    judged = tables["transfer"].query("protocol == 'probe'").groupby("ladder")["target"].nunique()
    assert (judged >= 10).sum() >= 10


def test_marks_say_which_ladders_are_of_this_code(tables, natural):
    ladders = {ladder.name: ladder for ladder in natural.ladders}
    for name, rungs in tables["rungs"].groupby("ladder"):
        expected = {records.identity(cell) for cell in plan.cells(natural, ladders[name])}
        parts = [table[table["ladder"] == name] for key, table in tables.items()]
        found = {cell for part in parts for cell in part["cell"]}
        assert (rungs["current"] == (found <= expected)).all(), f"{name}: tepones publish --profile natural"


def test_transfer_accuracies_and_scores_are_complete(tables, natural):
    n_targets, n_scores = len(natural.targets), len(natural.scores)
    probes = tables["transfer"].query("protocol == 'probe'")
    assert len(probes) == len(tables["rungs"]) * n_targets
    assert tables["scores"].groupby(["ladder", "rung", "target"])["score"].nunique().eq(n_scores).all()
    assert np.isfinite(tables["transfer"]["accuracy"]).all()


@pytest.mark.skipif(not (paths.datasets() / "weights").is_dir(), reason="needs the photographs: TEPONES_DATA")
def test_a_random_sample_of_records_is_made_again(tables, natural, checkout, monkeypatch):
    monkeypatch.setenv("TEPONES_ROOT", str(checkout))
    seconds = dict(zip(tables["rungs"]["cell"], tables["rungs"]["seconds"], strict=True))
    current = set(tables["rungs"].query("current")["ladder"])
    cheap = {}
    for ladder in natural.ladders:
        for cell in plan.cells(natural, ladder) if ladder.name in current else ():
            needs = {records.identity(needed) for needed in plan.closure(cell)}
            if sum(seconds.get(needed, 0) for needed in needs) < CHEAP:
                cheap[records.identity(cell)] = cell
    published = {cell for name in study.TABLES for cell in tables[name]["cell"]}
    seed = int(os.environ.get("TEPONES_SAMPLE", random.SystemRandom().randrange(10**6)))
    names = random.Random(seed).sample(sorted(cheap.keys() & published), SAMPLE)
    for name in names:
        rows = reproduction.again(natural, name, workers=2)
        assert len(rows)
        for row in rows.itertuples():
            tolerance = ACCURACY if "accuracy" in row.quantity else max(SCORE, SCORE * abs(row.published))
            assert row.here == pytest.approx(row.published, abs=tolerance), f"TEPONES_SAMPLE={seed}: {name}"
