"""The study of the second-order paper at the smallest scale: its rungs, shards, tables and what is made again."""

import pandas as pd
import pytest
import yaml

from tepones.common import paths
from tepones.common.errors import TeponesError, UsageError
from tepones.companion import study
from tepones.companion.claims import ledger
from tepones.companion.study import second_order
from tepones.companion.study.records import Store

SMALL = {
    "source": {"task": "digits", "train_per_class": 12, "test_per_class": 6, "classes": 10},
    "seen": 5,
    "per_task": 5,
    "criteria": ["magnitude", "block"],
    "sparsities": [0.5, 0.9],
    "networks": [
        {
            "label": "supervised",
            "backbone": "small-resnet",
            "pretraining": {"epochs": 1, "learning_rate": 0.05},
            "fine_tuning": {"epochs": 0.5, "learning_rate": 0.02},
            "seeds": [0, 1],
        }
    ],
}


@pytest.fixture
def small(checkout):
    (paths.data() / "second-order.yaml").write_text(yaml.safe_dump(SMALL))
    return second_order.load()


def test_tasks_are_cut_from_the_classes_seen_ones_first(small):
    assert [(part.first, part.last) for part in second_order.tasks(small)] == [(0, 5), (5, 10)]
    for _, start in second_order.dense(small):
        assert (start.source.first, start.source.last) == (0, 5)


def test_every_criterion_is_judged_right_after_pruning_and_fine_tuned_and_the_careful_one_with_made_up_weights(small):
    network, start = second_order.dense(small)[0]
    made = [(rung.criterion, rung.schedule, rung.sparsities) for rung in second_order.rungs(small, network, start)]
    expected = {(None, "control", (0.5,))}
    for level in (0.5, 0.9):
        expected |= {
            (name, schedule, (level,)) for name in ("magnitude", "block") for schedule in ("one-shot", "iterative")
        }
        expected |= {("block", "surgeon", (level,))}
    assert set(made) == expected and len(made) == len(expected)


def test_a_job_comes_after_those_that_it_needs(small):
    done = set()
    for job in second_order.jobs(small, second_order.dense(small)):
        for cell in job:
            assert set(cell.requires()) <= done
            done.add(cell)


@pytest.mark.parametrize(
    ("field", "complaint"),
    [({"seen": 0}, "seen"), ({"seen": 4}, "seen must be whole tasks of 5 classes"), ({"per_task": 2}, "per_task")],
)
def test_a_wrong_field_is_told_in_one_line(checkout, field, complaint):
    (paths.data() / "second-order.yaml").write_text(yaml.safe_dump(SMALL | field))
    with pytest.raises(UsageError, match=rf"^second-order\.yaml: .*{complaint}") as told:
        second_order.load()
    assert "\n" not in str(told.value)


def test_shards_compute_dense_backbones_and_the_tables_hold_those_that_are_whole(small, command):
    with pytest.raises(TeponesError, match="no dense backbone of the study second-order is complete"):
        second_order.write_tables()
    run = command("run", "--profile", "second-order", "--shard", "2/2", "--workers", "2")
    assert run.returncode == 0, run.stderr
    folder = paths.records(second_order.NAME)
    tables = study.stored(folder)
    rows = tables["zero_shot"]
    assert set(rows["seed"]) == {1} and rows["unit"].nunique() == 1
    # Dense, control, two criteria at two levels in two ways, one more way: 1 + 1 + 8 + 2; two tasks and the source.
    assert len(rows) == 12 * 3
    dense = rows[rows["when"].isna() & rows["criterion"].isna()]
    [(_, start)] = second_order.dense(small)[1:]
    record = Store(folder).require(start)
    assert dense.set_index("task").loc["source", "zero_shot"] == pytest.approx(
        record.values["source_accuracy"], rel=1e-6
    )
    # Heads of the dense backbone are its own.
    own = dense[dense["task"] != "source"]
    assert own["zero_shot"].tolist() == own["refitted"].tolist()
    assert rows.set_index("task").loc["1", "seen"].isin([False]).all() and rows.set_index("task").loc["0", "seen"].all()
    assert len(tables["landscape"]) == 1 and len(tables["lines"]) == 4 * 2 * 5
    again = command("run", "--profile", "second-order", "--shard", "2/2")
    assert again.stdout == "study second-order: 0 records computed, the rest reused\n"
    # Half of the study is not judged.
    with pytest.raises(ledger.Unfinished, match="1 of the 2 dense backbones"):
        ledger.measurements(second_order.NAME, "live")

    # What was published before and is not here stays, and one of its records is made again.
    published = paths.published_records(second_order.NAME)
    study.write(published, "zero_shot", rows)
    cell = rows["cell"].iloc[-1]
    run = command("run", "--profile", "second-order", "--cell", cell[:12])
    assert run.returncode == 0, run.stderr
    shown = pd.DataFrame([line.rsplit(maxsplit=2) for line in run.stdout.splitlines()[1:]])
    assert shown[0].str.strip().tolist() == ["task 0", "task 1"]
    assert shown[1].astype(float).tolist() == pytest.approx(shown[2].astype(float).tolist(), rel=1e-5)
    run = command("run", "--profile", "second-order", "--cell", "zzz")
    assert run.returncode == 2
    assert run.stderr == "tepones: 0 published records of profile second-order are named zzz…; expected one\n"
