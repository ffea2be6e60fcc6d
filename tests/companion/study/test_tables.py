"""The tables of a study: complete, tidied the right way, and told where they are missing."""

import io

import numpy as np
import pandas as pd
import pytest

from tepones import agreement
from tepones.common import paths
from tepones.common.errors import TeponesError, UsageError
from tepones.companion import study
from tepones.companion.study import plan, profiles, records
from tepones.tasks.glyphs import ALPHABETS


def test_the_tables_are_complete(tiny):
    tables = study.load("tiny", "live")
    n_rungs = sum(1 + len(ladder.sparsities) for ladder in tiny.ladders)
    assert len(tables["rungs"]) == n_rungs
    assert len(tables["transfer"]) == n_rungs * len(tiny.targets)
    assert len(tables["scores"]) == n_rungs * len(tiny.targets) * len(tiny.scores)
    assert len(tables[study.CORRECT]) == len(tables["transfer"])
    # Ten digits and as many arrows as there are, of each as many test images as the profile says.
    n_images = tables[study.TEST_IMAGES]["target"].value_counts()
    assert n_images.to_dict() == {"digits": 10 * 10, "arrows": 5 * len(ALPHABETS["arrows"])}
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
    run = command("run", "--profile", "tiny", "--shard", "1/2", "--workers", "1")
    assert run.returncode == 0, run.stderr
    tables = study.load("tiny", "live")
    for name in (*study.TABLES, study.CORRECT):
        tables[name] = tables[name][tables[name]["ladder"] == "random iterative 0"]
    by = tables["transfer"].groupby(["protocol", "target"])["repeat"].apply(lambda rows: sorted(set(rows)))
    assert by.to_dict() == {("fine-tuning", "digits"): [0, 1], ("probe", "arrows"): [0], ("probe", "digits"): [0]}
    probe, tuned = (study.tidy(tables, protocol) for protocol in study.PROTOCOLS)
    assert set(tuned["target"]) == {"digits"} and set(probe["target"]) == {"digits", "arrows"}
    first = tables["transfer"].query("protocol == 'fine-tuning' and rung == 1")
    assert tuned.query("rung == 1")["accuracy"].to_numpy() == pytest.approx(first["accuracy"].mean())
    # Of single test images the first repeat is looked at.
    packed = tables[study.CORRECT].query("protocol == 'fine-tuning' and rung == 1").set_index("repeat")["correct"]
    assert set(packed.index) == {0, 1}
    with_images = study.with_correctness(tuned, tables, study.FULL).query("rung == 1")
    assert set(with_images["correct"]) == {packed[0]} != {packed[1]}


CELLS = {"one 0": "aaa", "two 0": "aaa", "one 1": "bbb"}


def small(parts=False):
    """Tables of three ladders, two of them from one dense backbone: of two rungs, on two targets, by two protocols."""
    places = [(ladder, rung) for ladder in CELLS for rung in range(2)]
    about = {"method": "m", "seed": 0, "sparsity": 0.5, "source_accuracy": 0.75}
    rungs = [
        {"ladder": ladder, "rung": rung, "cell": f"{ladder} {rung}" if rung else CELLS[ladder]} | about
        for ladder, rung in places
    ]
    transfer, correct, scores = [], [], []
    for number, (ladder, rung) in enumerate(places):
        for target in ("near", "far"):
            place = {"ladder": ladder, "rung": rung, "target": target}
            for protocol, repeat in (("probe", 0), ("fine-tuning", 0), ("fine-tuning", 1)):
                run = place | {"protocol": protocol, "repeat": repeat, "cell": "t"}
                transfer.append(run | {"accuracy": (number + repeat) / 10})
                # Five images near and nine far, of which number + repeat are right, counted from the first.
                right = [image < number + repeat for image in range(5 if target == "near" else 9)]
                correct.append(run | {"correct": np.packbits(right).tobytes()})
            scores.append(place | {"score": "s", "value": float(number), "cell": "s"})
            if parts:
                scores += [scores[-1] | {"part": part, "value": 9.0} for part in ("p", "q")]
    images = [{"target": "near", "label": n % 2, "group": n} for n in range(5)]
    images += [{"target": "far", "label": n % 3, "group": n // 3} for n in range(9)]
    made = {"rungs": rungs, "transfer": transfer, "scores": scores, study.CORRECT: correct}
    shuffled = {name: pd.DataFrame(rows).sample(frac=1, random_state=0) for name, rows in made.items()}
    return shuffled | {study.TEST_IMAGES: pd.DataFrame(images)}


def test_ladders_of_one_dense_backbone_are_one_unit():
    assert study.units(small()["rungs"]) == CELLS
    tidy = study.tidy(small())
    assert (tidy["unit"] == tidy["ladder"].map(CELLS)).all()


def test_parts_of_a_score_are_no_scores():
    key = ["ladder", "rung", "target", "score"]
    without, with_parts = (study.tidy(small(parts)).sort_values(key, ignore_index=True) for parts in (False, True))
    pd.testing.assert_frame_equal(with_parts, without)
    assert set(without["score"]) == {"s", "source_accuracy", "sparsity"}


def test_of_repeats_the_mean_counts():
    probe, tuned = (study.tidy(small(), protocol).query("score == 's'") for protocol in study.PROTOCOLS)
    assert probe["accuracy"].to_numpy() == pytest.approx(probe["value"] / 10)
    assert tuned["accuracy"].to_numpy() == pytest.approx(tuned["value"] / 10 + 0.05)


@pytest.mark.parametrize("protocol", study.PROTOCOLS)
def test_each_row_knows_which_test_images_its_rung_classifies_right(protocol):
    tables = small()
    frame = study.tidy(tables, protocol)
    found = study.with_correctness(frame, tables, protocol)
    pd.testing.assert_frame_equal(found[frame.columns], frame)
    for row in found.query("score == 's'").itertuples():
        n = {"near": 5, "far": 9}[row.target]
        # Of repeats of full fine-tuning the first: as many are right as by the probe.
        assert study.unpacked([row.correct], row.images).tolist() == [[image < row.value for image in range(n)]]
        labels, groups = row.images
        assert labels.tolist() == [image % {"near": 2, "far": 3}[row.target] for image in range(n)]
        assert groups.tolist() == [image // {"near": 1, "far": 3}[row.target] for image in range(n)]


def test_correctness_of_a_single_target_is_there_too():
    tables = small()
    one = {name: table[table["target"] == "near"] if "target" in table else table for name, table in tables.items()}
    found = study.with_correctness(study.tidy(one), one)
    assert len(found) and all(len(images.labels) == 5 for images in found["images"])


def test_rungs_are_unpacked_to_rows_and_images_to_columns():
    images = study.TestImages(np.zeros(11, int), np.arange(11))
    right = np.random.default_rng(0).random((4, 11)) < 0.5
    unpacked = study.unpacked([np.packbits(row).tobytes() for row in right], images)
    assert unpacked.dtype == bool and np.array_equal(unpacked, right)


def test_records_of_the_first_study_have_no_correctness():
    tables = small()
    del tables[study.CORRECT]
    with pytest.raises(TeponesError, match="records of the first study, which did not keep which test images"):
        study.with_correctness(study.tidy(tables), tables)


def numbers(n, seed=0):
    generator = np.random.default_rng(seed)
    names = generator.choice(["far", "near", "so so"], n)
    return pd.DataFrame({"name": names, "count": generator.integers(9, size=n), "value": generator.normal(size=n)})


def test_a_small_table_is_text_to_be_looked_at(tmp_path):
    table = pd.DataFrame(
        {"name": ["a", "b"], "value": [1 / 3, 2e-9 / 3], "part": [None, "p"], "current": [True, False]}
    )
    path = study.write(tmp_path, "few", table)
    assert path == tmp_path / "few.csv"
    assert path.read_bytes() == b"name,value,part,current\na,0.3333333,,True\nb,6.666667e-10,p,False\n"
    found = study.read(path)
    assert found["part"].isna().tolist() == [True, False] and found["current"].dtype == bool
    assert found["value"].tolist() == [0.3333333, 6.666667e-10]


@pytest.mark.parametrize("kind", ["long", "bytes"])
def test_a_long_table_and_one_with_bytes_are_stored_as_parquet_with_the_digits_of_text(tmp_path, monkeypatch, kind):
    table = numbers(1000).assign(value=lambda own: own["value"].where(own.index != 7))
    if kind == "bytes":
        table["packed"] = [bytes([row % 256, 0]) for row in range(1000)]
    else:
        monkeypatch.setattr("tepones.companion.study.tables.LARGEST_CSV", len(study.to_csv(table).encode()) - 1)
    path = study.write(tmp_path, "many", table)
    assert path == tmp_path / "many.parquet"
    found = study.read(path)
    assert list(found.columns) == list(table.columns)
    text = pd.read_csv(io.StringIO(study.to_csv(table.drop(columns="packed", errors="ignore"))))
    pd.testing.assert_frame_equal(found.drop(columns="packed", errors="ignore"), text, check_exact=True)
    if kind == "bytes":
        assert found["packed"].tolist() == table["packed"].tolist()


def test_the_largest_text_is_a_megabyte(tmp_path):
    rows = 2**20 // len(study.to_csv(numbers(1000)).encode()) * 1000
    assert study.write(tmp_path, "t", numbers(rows)).suffix == ".csv"
    assert study.write(tmp_path, "t", numbers(rows + 2000)).suffix == ".parquet"


def test_a_table_has_one_file(tmp_path):
    """That of the other kind, of an earlier run, would be read in its place."""
    other = study.write(tmp_path, "another", numbers(2))
    for table in (numbers(2), numbers(3).assign(packed=b"x"), numbers(4)):
        path = study.write(tmp_path, "t", table)
        assert study.files(tmp_path) == sorted([other, path])
        assert len(study.read(path)) == len(table)


def test_a_table_is_written_the_same_each_time(tmp_path):
    table = numbers(50).assign(packed=b"x")
    first = study.write(tmp_path, "t", table).read_bytes()
    assert study.write(tmp_path, "t", table).read_bytes() == first


def test_files_are_those_of_tables_and_no_others(tmp_path):
    study.write(tmp_path, "b", numbers(2))
    study.write(tmp_path, "a", numbers(2).assign(packed=b"x"))
    for name in ("notes.md", "a.parquet.part"):
        (tmp_path / name).write_text("x")
    (tmp_path / "images").mkdir()
    assert [path.name for path in study.files(tmp_path)] == ["a.parquet", "b.csv"]


def test_a_study_is_read_from_whatever_files_its_tables_have(checkout, monkeypatch):
    folder = paths.records("tiny")
    made = small()
    for largest in (2**20, 0):
        monkeypatch.setattr("tepones.companion.study.tables.LARGEST_CSV", largest)
        for name, table in made.items():
            study.write(folder, name, table)
        assert {path.suffix for path in study.files(folder)} == ({".csv", ".parquet"} if largest else {".parquet"})
        found = study.load("tiny", "live")
        assert found.keys() == made.keys()
        for name, table in made.items():
            pd.testing.assert_frame_equal(found[name], table.reset_index(drop=True), check_dtype=False)
    (folder / "transfer.parquet").unlink()
    with pytest.raises(TeponesError, match="no live records of profile tiny: transfer is missing in"):
        study.load("tiny", "live")


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
        parts = [table[table["ladder"] == name] for table in tables.values() if "ladder" in table]
        found = {cell for part in parts for cell in part["cell"]}
        assert (rungs["current"] == (found <= expected)).all(), f"{name}: tepones publish --profile natural"


def test_transfer_accuracies_and_scores_of_the_photographs_are_complete(natural):
    profile, tables = natural
    probes = tables["transfer"].query("protocol == 'probe'")
    assert len(probes) == len(tables["rungs"]) * len(profile.targets)
    n_scores = tables["scores"].groupby(["ladder", "rung", "target"])["score"].nunique()
    assert n_scores.eq(len(profile.scores)).all()
    assert np.isfinite(tables["transfer"]["accuracy"]).all()
