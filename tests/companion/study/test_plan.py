"""The plan of the tiny profile: in order, in parts, the same each time, and never trusting damage."""

import datetime
import platform
import shutil

import numpy as np
import pandas as pd
import pytest

from tepones import tasks
from tepones.common.files import write_sums
from tepones.companion import study
from tepones.companion.study import plan, profiles
from tepones.companion.study.cells import Entropies, Scoring
from tepones.companion.study.profiles import FullFineTuning, TrainingSize


def test_jobs_come_after_those_that_they_need(tiny):
    done = set()
    for job in plan.jobs(tiny, tiny.ladders[1:]):
        for cell in job:
            assert all(needed in done for needed in cell.requires())
            done.add(cell)


@pytest.mark.parametrize(("name", "parts"), [("tiny", 1), ("tiny", 2), ("photographs", 5), ("photographs", 18)])
def test_shards_are_all_ladders_each_once_and_share_no_dense_backbone(name, parts):
    profile = profiles.load(name)
    shards = [plan.shard(profile, part, parts) for part in range(1, parts + 1)]
    assert sorted(ladder.name for shard in shards for ladder in shard) == sorted(own.name for own in profile.ladders)
    dense = [{plan.rungs(ladder)[0] for ladder in shard} for shard in shards]
    assert sum(map(len, dense)) == len(set.union(*dense))
    # Every part has as many of them as another one, but for one.
    assert max(map(len, dense)) - min(map(len, dense)) <= 1


def test_a_shard_for_which_there_is_no_dense_backbone_is_refused(checkout, command):
    """Else it would be computed as if no shard had been asked for."""
    run = command("run", "--profile", "tiny", "--shard", "3/3")
    assert run.returncode == 2 and len(run.stderr.splitlines()) == 1
    assert "shard 3/3: profile tiny has 2 dense backbones" in run.stderr
    assert plan.compute(profiles.load("tiny"), ladders=[]) == 0


@pytest.mark.parametrize("shard", ["0/3", "4/3", "3", "a/b", "1/0"])
def test_a_bad_shard_is_refused_in_one_line(checkout, shard, command):
    run = command("run", "--profile", "tiny", "--shard", shard)
    assert run.returncode == 2 and len(run.stderr.splitlines()) == 1 and "expected PART/PARTS" in run.stderr


def test_another_run_with_another_number_of_workers_gives_the_same_records(
    tiny_checkout, checkout, command, monkeypatch
):
    run = command("run", "--profile", "tiny", "--workers", "1")
    assert run.returncode == 0, run.stderr
    second = study.load("tiny", "live")
    monkeypatch.setenv("TEPONES_ROOT", str(tiny_checkout))
    first = study.load("tiny", "live")
    assert first.keys() == second.keys() == {*study.TABLES, study.CORRECT, study.TEST_IMAGES}
    for name in first:
        one, other = (tables[name].drop(columns=["seconds", "when"], errors="ignore") for tables in (first, second))
        pd.testing.assert_frame_equal(one, other)


def test_the_provenance_tells_when_and_on_what_the_records_were_made(tiny_checkout):
    table = pd.read_csv(tiny_checkout / "build" / "records" / "tiny" / "provenance.csv", dtype=str)
    made = dict(table.to_numpy())
    first, *last = made["computed"].split(" to ")
    assert all(datetime.date.fromisoformat(day) <= datetime.datetime.now(datetime.UTC).date() for day in (first, *last))
    assert made["machine"] == f"{platform.system()} {platform.machine()}"


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
    pd.testing.assert_frame_equal(*(table.drop(columns=["seconds", "when"]) for table in (before, after)))


def test_a_shard_keeps_the_published_ladders_and_says_which_are_not_of_this_code(published_tiny, checkout, command):
    rungs = pd.read_csv(published_tiny / "rungs.csv")
    old = rungs["ladder"] == "magnitude iterative 1"
    rungs.loc[old, "cell"] = "0" * 20
    rungs.to_csv(published_tiny / "rungs.csv", index=False)
    write_sums(study.files(published_tiny))
    run = command("run", "--profile", "tiny", "--shard", "1/2", "--workers", "1")
    assert run.returncode == 0, run.stderr
    found = study.load("tiny", "live")
    marks = found["rungs"].groupby("ladder", sort=False)["current"].all()
    assert marks.to_dict() == {
        "magnitude iterative 0": True,
        "magnitude iterative 1": False,
        "random iterative 0": True,
    }
    published = study.load("tiny")
    for name in (*study.TABLES, study.CORRECT):
        assert set(found[name]["ladder"]) == set(rungs["ladder"])
        there, here = (table[table["ladder"] == "magnitude iterative 1"] for table in (published[name], found[name]))
        kept = there.columns.drop("current", errors="ignore")
        pd.testing.assert_frame_equal(here[kept].reset_index(drop=True), there[kept].reset_index(drop=True))
    pd.testing.assert_frame_equal(found[study.TEST_IMAGES], published[study.TEST_IMAGES])


def test_published_tables_of_the_first_study_are_kept_as_they_are_and_marked(published_tiny, checkout):
    """They have no correctness of test images, and no machine here needs to have the images."""
    for name in (study.CORRECT, study.TEST_IMAGES):
        for path in published_tiny.glob(f"{name}.*"):
            path.unlink()
    rungs = pd.read_csv(published_tiny / "rungs.csv")
    rungs.assign(cell="0" * 20).to_csv(published_tiny / "rungs.csv", index=False)
    write_sums(study.files(published_tiny))
    plan.write_tables(profiles.load("tiny"))
    found, published = study.load("tiny", "live"), study.load("tiny")
    assert found.keys() == published.keys() == set(study.TABLES)
    assert not found["rungs"]["current"].any()
    pd.testing.assert_frame_equal(found["transfer"], published["transfer"])


def scored_by(profile, ladder, level):
    """Kinds of the cells that judge a rung on each target: by protocol and repeat, and what scores it."""
    return {
        target.task: ([run[:2] for run in judged], [type(cell) for cell in scored])
        for target, judged, scored in plan.evaluations(profile, ladder, plan.rungs(ladder)[level])
    }


def test_layers_are_scored_where_the_entropy_of_the_output_is(tiny):
    probe = [("probe", 0)]
    assert scored_by(tiny, tiny.ladders[0], 1) == dict.fromkeys(("digits", "arrows"), (probe, [Scoring]))
    wanted = tiny.model_copy(update={"scores": ("entropi", "gaussian")})
    assert scored_by(wanted, tiny.ladders[0], 0) == dict.fromkeys(("digits", "arrows"), (probe, [Scoring, Entropies]))
    rung = plan.rungs(tiny.ladders[0])[0]
    jobs = plan.jobs(wanted, tiny.ladders[:1])
    assert sum(Entropies(rung, plan.images(size, 32)) in job for job in jobs for size in tiny.targets) == 2


def test_all_weights_are_trained_on_the_rungs_up_to_the_most_of_the_named_ladders_and_targets(tiny):
    full = FullFineTuning(
        targets=("arrows",),
        ladders=("random iterative 0",),
        most=0.9,
        training=TrainingSize(epochs=1, learning_rate=0.1),
        repeats=2,
    )
    wanted = tiny.model_copy(update={"full_fine_tuning": full})
    probe, tuned = [("probe", 0)], [("fine-tuning", 0), ("fine-tuning", 1)]
    assert tiny.ladders[2].sparsities == (0.5, 0.9, 0.99)
    for level, more in enumerate((tuned, tuned, tuned, [])):
        found = scored_by(wanted, tiny.ladders[2], level)
        assert (found["digits"][0], found["arrows"][0]) == (probe, [*probe, *more])
        assert all(judged == probe for judged, _ in scored_by(wanted, tiny.ladders[0], level).values())


def test_the_correctness_of_every_test_image_is_in_the_tables(tiny):
    """Packed as recorded, in the order of the test images of the table of these."""
    tables, store = study.load("tiny", "live"), plan.store(tiny)
    images = tables[study.TEST_IMAGES]
    for size in tiny.targets:
        task = tasks.load(size.task, size.train_per_class, size.test_per_class)
        own = images[images["target"] == size.task]
        assert np.array_equal(own["label"], task.test_labels) and np.array_equal(own["group"], task.test_groups)
    correct = tables[study.CORRECT].set_index(["ladder", "rung", "target"])["correct"]
    assert len(correct) == len(tables["transfer"])
    for ladder in tiny.ladders:
        for level, rung in enumerate(plan.rungs(ladder)):
            for target, [(_, _, cell)], _ in plan.evaluations(tiny, ladder, rung):
                packed = store.require(cell).tensors()["correct"].tobytes()
                assert correct[ladder.name, level, target.task] == packed


def test_transfer_accuracy_is_the_mean_over_classes_of_what_is_classified_right(tiny):
    tables = study.load("tiny", "live")
    judged = tables["transfer"].merge(tables[study.CORRECT])
    assert len(judged) == len(tables["transfer"])
    for row in judged.itertuples():
        images = tables[study.TEST_IMAGES].query("target == @row.target")
        right = np.unpackbits(np.frombuffer(row.correct, np.uint8))[: len(images)]
        by_class = pd.Series(right).groupby(images["label"].to_numpy()).mean()
        assert row.accuracy == pytest.approx(by_class.mean(), abs=1e-6)
    assert 0 < judged["accuracy"].mean() < 1
