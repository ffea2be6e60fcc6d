"""Stored features of rungs: of which images, whether today's code makes the committed files, and how they are read."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import tepones
from tepones.common.errors import TeponesError, UsageError
from tepones.common.files import Damaged
from tepones.companion.study import rung_features
from tepones.companion.study.ablations import by_shrinkage


def test_more_images_are_the_same_ones_and_others_as_many_of_each_class():
    labels = np.repeat([0, 1, 2], [30, 12, 3])
    few, more = rung_features.chosen(labels, 4), rung_features.chosen(labels, 10)
    assert np.bincount(labels[few]).tolist() == [4, 4, 3] and np.bincount(labels[more]).tolist() == [10, 10, 3]
    assert set(few) < set(more) and few.tolist() == sorted(few)
    assert few.tolist() != [0, 1, 2, 3, 30, 31, 32, 33, 42, 43, 44], "not the first ones of the file"


def test_the_committed_features_are_what_the_zoo_makes_of_the_images(monkeypatch):
    monkeypatch.setattr(rung_features, "METHODS", ("magnitude structured",))
    labels, rungs = rung_features.load("digits", "magnitude structured")
    made = rung_features.compute("digits")
    assert np.array_equal(made.pop("digits/labels"), labels)
    assert [rung.shape[1] for rung in rungs] == [128, 63, 36, 19, 10]
    for features, rung in zip(made.values(), rungs, strict=True):
        # Half precision has eleven bits, and another processor may round otherwise.
        assert np.allclose(features, rung, rtol=2e-3, atol=1e-4)


def test_the_committed_scores_are_those_of_the_committed_features():
    table = rung_features.table()
    assert len(table) == len(table.drop_duplicates([*rung_features.CHOICE, "rung"])) == 8 * 3 * 3 * (6 + 6 + 6 + 5)
    for row in table.sample(24, random_state=0).to_dict("records"):
        labels, rungs = rung_features.load(row["target"], row["method"])
        rows = rung_features.chosen(labels, row["per_class"])
        (found,) = tepones.score(rungs[row["rung"]][rows], labels[rows], [row["score"]]).to_dict("records")
        assert (found["value"], found["null"]) == pytest.approx((row["value"], row["null"]), rel=1e-5, abs=1e-7)


def test_all_ladders_begin_at_one_backbone():
    (first, *others) = (rung_features.load("arrows", method)[1][0] for method in rung_features.METHODS)
    assert all(np.array_equal(first, other) for other in others)


def test_the_truth_is_that_of_the_records():
    truth = rung_features.truth().set_index(["target", "method", "rung"])
    assert len(truth) == 3 * 23 and truth.loc[("digits", "magnitude iterative", 2), "accuracy"] == 0.94625
    assert truth["sparsity"].groupby(["target", "method"]).first().eq(0).all()


@pytest.fixture
def labelled():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    return rng.normal(size=(60, 5)) + 0.8 * labels[:, None], labels


def test_a_score_is_that_of_tepones(labelled):
    for name in rung_features.SCORES:
        (row,) = tepones.score(*labelled, [name]).to_dict("records")
        assert rung_features.scored(*labelled, name) == {"value": row["value"], "null": row["null"]}


def test_a_given_shrinkage_is_that_of_the_ablations_and_shrinks_the_null_too(labelled):
    expected = {row["level"]: row["value"] for row in by_shrinkage(*labelled)}
    found = {level: rung_features.scored(*labelled, "gaussian", level) for level in (0.0, 0.1, 1.0)}
    assert [found[level]["value"] for level in found] == pytest.approx([expected[x] for x in ("0", "0.1", "1")])
    shuffled = np.random.default_rng(0).permutation(labelled[1])
    null = {row["level"]: row["value"] for row in by_shrinkage(labelled[0], shuffled)}
    assert [found[level]["null"] for level in found] == pytest.approx([null[x] for x in ("0", "0.1", "1")])


def test_what_has_no_shrinkage_is_given_none(labelled):
    with pytest.raises(UsageError, match="'knn'; choose from: gaussian"):
        rung_features.scored(*labelled, "knn", 0.1)


def test_what_is_too_large_is_refused_with_a_given_shrinkage_too():
    with pytest.raises(UsageError, match="would take"):
        rung_features.scored(np.zeros((4, 40_000), np.float32), [0, 0, 1, 1], "gaussian", 0.1)


def test_agreement_against_independent_references():
    frame = pd.DataFrame(
        {
            "score": ["a"] * 5 + ["b"] * 2,
            "value": [3, 5, 1, 4, 9, 1, 1],
            "accuracy": [0.5, 0.7, 0.2, 0.8, np.nan, 0.4, 0.6],
        }
    )
    first, second = rung_features.agreement(frame, ["score"]).to_dict("records")
    assert first["tau"] == pytest.approx(stats.weightedtau([3, 5, 1, 4], [0.5, 0.7, 0.2, 0.8])[0])
    assert first["regret"] == pytest.approx(10)
    assert np.isnan(second["tau"]) and second["regret"] == pytest.approx(10), "of a tie the mean over both"


def test_what_is_written_is_read_again_and_what_is_damaged_is_refused(tmp_path, monkeypatch):
    labels = np.repeat([0, 1], 20).astype(np.int16)
    features = np.random.default_rng(0).normal(size=(40, 3)) + labels[:, None]
    arrays = {"digits/labels": labels, "digits/dense": features.astype(np.float16), "digits/m/1": features[:, :2]}
    monkeypatch.setattr(rung_features, "folder", lambda: tmp_path)
    monkeypatch.setattr(rung_features, "compute", lambda target: arrays)
    monkeypatch.setattr(rung_features, "TARGETS", ("digits",))
    monkeypatch.setattr(rung_features, "METHODS", ("m",))
    rung_features._stored.cache_clear()
    with pytest.raises(TeponesError, match=r"features.npz is missing; `git checkout"):
        rung_features.load("digits", "m")
    names = [path.name for path in rung_features.write()]
    assert names == ["features.npz", "scores.csv", "SHA256SUMS"]
    found, (dense, rung) = rung_features.load("digits", "m")
    assert found.tolist() == labels.tolist() and dense.dtype == rung.dtype == np.float32 and rung.shape == (40, 2)
    before = (tmp_path / "features.npz").read_bytes()
    rung_features.write()
    assert (tmp_path / "features.npz").read_bytes() == before
    (tmp_path / "features.npz").write_bytes(b"none")
    rung_features._stored.cache_clear()
    with pytest.raises(Damaged, match=r"features\.npz is damaged"):
        rung_features.load("digits", "m")
    rung_features._stored.cache_clear()


def test_an_unknown_target_is_refused():
    with pytest.raises(UsageError, match="unknown target 'cats'; choose from: arrows, digits, symbols"):
        rung_features.images("cats")
