"""The tables of a study: complete, tidied the right way, and told where they are missing."""

import numpy as np
import pytest

from tepones import agreement
from tepones.common.errors import TeponesError, UsageError
from tepones.companion import study
from tepones.companion.study import plan, profiles, records


def test_the_tables_are_complete(tiny):
    tables = study.load("tiny", "live")
    n_rungs = sum(1 + len(ladder.sparsities) for ladder in tiny.ladders)
    assert len(tables["rungs"]) == n_rungs
    assert len(tables["transfer"]) == n_rungs * len(tiny.targets)
    assert len(tables["scores"]) == n_rungs * len(tiny.targets) * len(tiny.scores)
    assert np.isfinite(tables["scores"]["value"]).all()
    assert tables["transfer"]["accuracy"].between(0, 1).all()
    agreement.summary(study.tidy(tables))


def test_the_controls_point_the_right_way(tiny):
    frame = study.tidy(study.load("tiny", "live"))
    control = frame[frame["score"] == "sparsity"]
    assert np.allclose(control["value"], -control["sparsity"])
    source = frame[frame["score"] == "source_accuracy"]
    assert np.allclose(source["value"], source["source_accuracy"])


def test_missing_records_are_told_with_the_command_that_makes_them(checkout):
    with pytest.raises(TeponesError, match="tepones run --profile tiny"):
        study.load("tiny", "live")
    with pytest.raises(UsageError, match="choose from: live, published"):
        study.load("tiny", "imagined")


def test_full_fine_tuning_is_repeated_and_kept_apart_from_the_probe(checkout, command):
    path = checkout / "data" / "profiles" / "tiny.yaml"
    full = "{targets: [digits], ladders: [random iterative 0], training: {epochs: 1, learning_rate: 0.1}, repeats: 2}"
    short = path.read_text().replace("sparsities: [0.5, 0.9, 0.99]", "sparsities: [0.5]")
    path.write_text(short + f"full_fine_tuning: {full}\n")
    run = command("run", "--profile", "tiny", "--shard", "3/3", "--workers", "1")
    assert run.returncode == 0, run.stderr
    tables = study.load("tiny", "live")
    by = tables["transfer"].groupby(["protocol", "target"])["repeat"].apply(lambda rows: sorted(set(rows)))
    assert by.to_dict() == {("fine-tuning", "digits"): [0, 1], ("probe", "arrows"): [0], ("probe", "digits"): [0]}
    probe, tuned = (study.tidy(tables, protocol) for protocol in study.PROTOCOLS)
    assert set(tuned["target"]) == {"digits"} and set(probe["target"]) == {"digits", "arrows"}
    first = tables["transfer"].query("protocol == 'fine-tuning' and rung == 1")
    assert tuned.query("rung == 1")["accuracy"].to_numpy() == pytest.approx(first["accuracy"].mean())


@pytest.fixture(scope="module")
def natural():
    """Profile and published tables of the study on photographs."""
    return profiles.load("natural"), study.load("natural")


def test_the_photographs_have_ten_ladders_on_ten_targets(natural):
    judged = natural[1]["transfer"].query("protocol == 'probe'").groupby("ladder")["target"].nunique()
    assert (judged >= 10).sum() >= 10


def test_marks_say_which_ladders_of_the_photographs_are_of_this_code(natural):
    profile, tables = natural
    ladders = {ladder.name: ladder for ladder in profile.ladders}
    for name, rungs in tables["rungs"].groupby("ladder"):
        expected = {records.identity(cell) for cell in plan.cells(profile, ladders[name])}
        parts = [table[table["ladder"] == name] for table in tables.values()]
        found = {cell for part in parts for cell in part["cell"]}
        assert (rungs["current"] == (found <= expected)).all(), f"{name}: tepones publish --profile natural"


def test_transfer_accuracies_and_scores_of_the_photographs_are_complete(natural):
    profile, tables = natural
    probes = tables["transfer"].query("protocol == 'probe'")
    assert len(probes) == len(tables["rungs"]) * len(profile.targets)
    n_scores = tables["scores"].groupby(["ladder", "rung", "target"])["score"].nunique()
    assert n_scores.eq(len(profile.scores)).all()
    assert np.isfinite(tables["transfer"]["accuracy"]).all()
