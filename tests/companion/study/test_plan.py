"""The plan of the tiny profile: in order, in parts, the same each time, and never trusting damage."""

import shutil

import pandas as pd
import pytest

from tepones.companion import study
from tepones.companion.study import plan


def test_jobs_come_after_those_that_they_need(tiny):
    done = set()
    for job in plan.jobs(tiny, tiny.ladders[1:]):
        for cell in job:
            assert all(needed in done for needed in cell.requires())
            done.add(cell)


def test_shards_are_all_ladders_each_once(tiny):
    parts = [plan.shard(tiny, part, 2) for part in (1, 2)]
    assert sorted(ladder.name for part in parts for ladder in part) == sorted(ladder.name for ladder in tiny.ladders)


@pytest.mark.parametrize("shard", ["0/3", "4/3", "3", "a/b", "1/0"])
def test_a_bad_shard_is_refused_in_one_line(checkout, shard, command):
    run = command("run", "--profile", "tiny", "--shard", shard)
    assert run.returncode == 2 and len(run.stderr.splitlines()) == 1 and "expected PART/PARTS" in run.stderr


def test_another_run_with_another_number_of_workers_gives_the_same_records(tiny_checkout, checkout, command):
    run = command("run", "--profile", "tiny", "--workers", "1")
    assert run.returncode == 0, run.stderr
    for name in study.TABLES:
        there, here = (root / "build" / "records" / "tiny" / f"{name}.csv" for root in (tiny_checkout, checkout))
        first, second = (pd.read_csv(path).drop(columns="seconds", errors="ignore") for path in (there, here))
        pd.testing.assert_frame_equal(first, second)


def test_finished_records_are_reused_and_damage_is_repaired(tiny_checkout, checkout, command):
    shutil.copytree(tiny_checkout / "build", checkout / "build")
    assert "0 records computed" in command("run", "--profile", "tiny").stdout
    records = checkout / "build" / "records" / "tiny"
    damaged = [next((records / kind).glob("*.json")) for kind in ("rung", "transfer")]
    for path in damaged:
        path.write_bytes(path.read_bytes()[:-40])
    run = command("run", "--profile", "tiny")
    assert run.returncode == 0 and "2 records computed" in run.stdout
    assert all(f"{path} is damaged" in run.stderr for path in damaged)
    before = pd.read_csv(tiny_checkout / "build" / "records" / "tiny" / "transfer.csv")
    after = pd.read_csv(records / "transfer.csv")
    pd.testing.assert_frame_equal(before.drop(columns="seconds"), after.drop(columns="seconds"))


def test_a_shard_keeps_the_published_ladders_and_says_which_are_not_of_this_code(published_tiny, checkout, command):
    rungs = pd.read_csv(published_tiny / "rungs.csv")
    old = rungs["ladder"] == "random iterative 0"
    rungs.loc[old, "cell"] = "0" * 20
    rungs.to_csv(published_tiny / "rungs.csv", index=False)
    run = command("run", "--profile", "tiny", "--shard", "1/3", "--workers", "1")
    assert run.returncode == 0, run.stderr
    found = pd.read_csv(checkout / "build" / "records" / "tiny" / "rungs.csv")
    assert list(found["ladder"].unique()) == list(rungs["ladder"].unique())
    marks = found.groupby("ladder")["current"].all()
    assert marks.to_dict() == {
        "magnitude iterative 0": True,
        "magnitude iterative 1": True,
        "random iterative 0": False,
    }
