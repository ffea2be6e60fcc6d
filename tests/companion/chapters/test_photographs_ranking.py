"""The chapter on ranking photographs' backbones: its frames by hand, its charts, and that its sentences are guarded."""

import numpy as np
import pandas as pd
import pytest
from chapter_cells import committed, run_cells
from simulated_photographs import simulate

from tepones import agreement
from tepones.common.errors import TeponesError
from tepones.companion import charts, study
from tepones.companion import photographs as photos
from tepones.companion.chapters import photographs_ranking as chapter

NAME = "photographs-ranking"
GUARDS = {
    "trained-none-better",
    "trained-most-open",
    "released-none-better",
    "released-most-open",
    "released-takes-away",
    "between-most",
    "full-none-resolved",
}
TARGETS = ("cifar10", "flowers102", "eurosat", "pacs-photo", "pacs-sketch", "gtsrb")
SCORES = ("gaussian", "posterior", "h_score", "logme", "nce", "energy", "lda", "ncti", "probe", "random")
FINE_TUNED = ("magnitude iterative 0", "diagonal iterative 0")
NAMES = (
    "magnitude iterative 0",
    "magnitude iterative 1",
    "magnitude iterative 2",
    "random iterative 0",
    "mobilenet magnitude one-shot 0",
    "mobilenet diagonal one-shot 0",
)


@pytest.fixture(scope="module")
def tables():
    return simulate(NAMES, TARGETS, fine_tuning=FINE_TUNED, scores=SCORES)


@pytest.fixture(scope="module")
def cells(tables):
    return {judged: agreement.within_ladder(frame) for judged, frame in chapter.frames(tables).items()}


def test_frames_keep_groups_and_protocols_apart(tables):
    frames = chapter.frames(tables)
    assert list(frames) == [
        chapter.PROBED,
        chapter.PROBED_RELEASED,
        chapter.FINE_TUNED,
    ]
    assert "source_accuracy" in set(frames[chapter.PROBED]["score"])
    assert "source_accuracy" not in set(frames[chapter.PROBED_RELEASED]["score"])
    assert frames[chapter.FINE_TUNED]["ladder"].nunique() == 1
    for frame in frames.values():
        agreement.check(frame)


@pytest.mark.parametrize("lacks", ["rung", "repeat"])
def test_pairs_that_lack_a_rung_or_a_repeat_are_left_out(tables, lacks):
    transfer = tables["transfer"]
    gone = (transfer["ladder"] == NAMES[0]) & (transfer["protocol"] == study.FULL)
    gone &= (transfer["target"] == "eurosat") & (transfer["rung"] == 5)
    if lacks == "repeat":
        gone &= transfer["repeat"] == 1
    frames = chapter.frames(tables | {"transfer": transfer[~gone]})
    assert "eurosat" not in set(frames[chapter.FINE_TUNED]["target"])
    assert frames[chapter.FINE_TUNED]["target"].nunique() == 3


def test_a_ladder_that_was_fine_tuned_in_part_is_left_out(tables):
    transfer = tables["transfer"]
    late = (transfer["ladder"] == NAMES[0]) & (transfer["protocol"] == study.FULL) & (transfer["rung"] > 2)
    assert chapter.FINE_TUNED not in chapter.frames(tables | {"transfer": transfer[~late]})


def test_ladders_are_compared_within_the_network_that_most_share(tables):
    rungs = tables["rungs"]
    other = rungs["ladder"] == NAMES[3]
    mixed = tables | {"rungs": rungs.assign(backbone=rungs["backbone"].mask(other, "small-vit"))}
    frame = chapter.of_one_network(mixed)
    assert set(frame["ladder"]) == set(NAMES[:3])
    # A score that needs a pool spans one pool on each target, not one for each ladder.
    values = frame[frame["score"] == "ncti"].groupby("target")["value"]
    assert (values.max() - values.min() > 0).all()
    assert frame[frame["score"] == "ncti"].groupby(["target", "ladder"])["value"].max().nunique() > len(TARGETS)
    none = rungs["backbone"].str.startswith("torchvision:")
    assert chapter.of_one_network({**tables, "rungs": rungs[none]}).empty


def test_comparison_has_a_difference_to_every_other_score(cells):
    table = chapter.compared(cells[chapter.PROBED], "gaussian").set_index("score")
    assert np.isnan(table.loc["gaussian", "difference"])
    expected = table.loc["gaussian", "weighted_tau"] - table["weighted_tau"]
    others = table.index != "gaussian"
    assert table["difference"][others].to_numpy() == pytest.approx(expected[others].to_numpy())
    assert table.loc["h_score", "kind"] == photos.RIVAL
    assert table.loc["posterior", "kind"] == photos.OWN
    assert table.loc["random", "kind"] == photos.CONTROL


def test_ladders_at_equal_sparsity_have_no_dense_rung(tables):
    own = chapter.matched(chapter.of_one_network(tables))
    assert own["ladder"].nunique() == 4
    assert own["rung"].min() == 1
    assert agreement.between_summary(own)["levels"].iloc[0] == 11
    two = chapter.frames(simulate(NAMES[:2], TARGETS, scores=SCORES))[chapter.PROBED]
    assert chapter.matched(two).empty


def test_noise_of_repeats(tables):
    found = chapter.noise(tables)
    assert len(found) == 4
    assert found["sd_points"].between(0.3, 3).all()
    assert chapter.noise(simulate(NAMES[:1], TARGETS, scores=SCORES)).empty
    transfer = tables["transfer"]
    partial = tables | {"transfer": transfer[(transfer["protocol"] != study.FULL) | (transfer["rung"] > 0)]}
    assert chapter.noise(partial).empty


def test_what_was_judged_is_a_key_and_can_be_read(cells):
    assert str(chapter.Judged("probe", photos.TRAINED)) == "probe, trained here"
    assert chapter.Judged("probe", photos.TRAINED) == chapter.PROBED
    basis = chapter.basis(cells)
    assert basis["backbones"].tolist() == [photos.TRAINED, photos.RELEASED, photos.TRAINED]
    assert basis[["ladders", "targets"]].to_numpy().tolist() == [[4, 6], [2, 6], [1, 4]]


def verdict(*rows):
    """A comparison of scores: name, mean weighted τ, difference to it and its p."""
    frame = pd.DataFrame(rows, columns=["score", "weighted_tau", "difference", "p_difference"])
    frame["kind"] = frame["score"].map(photos.kind)
    bounds = {"weighted_tau_low": 0.1, "weighted_tau_high": 0.9, "regret_1": 1.5, "regret_3": 0.5}
    return {chapter.PROBED: frame.assign(ladders=3, targets=7, **bounds)}


def test_a_score_stands_where_resolved_differences_put_it():
    rows = [
        ("logme", 0.8, -0.3, 0.01),
        ("wilks", 0.6, -0.1, 0.2),
        ("gaussian", 0.5, np.nan, np.nan),
        ("h_score", 0.45, 0.05, 0.06),
        ("sparsity", 0.1, 0.4, 0.04),
    ]
    found = chapter.standing(verdict(*rows), chapter.PROBED, "gaussian")
    assert (found["rank"], found["n"], found["ladders"], found["targets"]) == (3, 5, 3, 7)
    assert (found["best"], found["best-tau"], found["regret"], found["regret-3"]) == ("logme", "+0.80", "1.5", "0.5")
    assert found["tau"].startswith("+0.50 [+0.10,")
    assert (found["better"], found["n-resolved"], found["n-worse"]) == ("sparsity", 2, 1)
    assert (found["rivals"], found["open"]) == (3, 2)
    nothing = chapter.standing({}, chapter.PROBED, "gaussian")
    assert set(nothing) == set(found)
    assert (nothing["n"], nothing["rivals"], nothing["tau"]) == (0, 0, photos.UNKNOWN)


def test_a_table_says_that_nothing_was_judged(cells):
    verdicts = {judged: chapter.compared(own, "gaussian") for judged, own in cells.items()}
    shown = chapter.shown(verdicts, chapter.PROBED).set_index("score")
    assert shown.loc["gaussian", "difference of τ"] == "–" and "[" in shown.loc["gaussian", "weighted τ"]
    assert chapter.shown({}, chapter.PROBED)["score"].tolist() == ["no ladder yet"]


def test_a_score_leads_where_no_other_is_higher():
    rows = [("s", "x", 0.5), ("t", "x", 0.4), ("s", "y", 0.2), ("t", "y", 0.3), ("s", "z", 0.4), ("t", "z", 0.4)]
    table = pd.DataFrame(rows, columns=["score", "target", "tau"])
    found = chapter.spread(table, "s")
    assert (found["most"], found["least"], found["leads"], found["items"]) == ("x", "y", 2, 3)
    assert chapter.spread(table.iloc[:0], "s")["items"] == 0


def test_between_values_name_the_best_and_count_who_is_clear(tables):
    table = chapter.between(chapter.of_one_network(tables))
    found = chapter.between_values(table, "gaussian")
    assert (found["ladders"], found["levels"], found["best"]) == (4, 11, table["score"].iloc[0])
    assert found["clear"] == (table["p_holm"] < 0.05).sum()
    clear = table.assign(p_holm=0.01, weighted_tau=[-0.1, *[0.1] * (len(table) - 1)])
    assert chapter.between_values(clear, "gaussian")["clear"] == len(table) - 1
    nothing = chapter.between_values(table.iloc[:0], "gaussian")
    assert (nothing["n"], nothing["best"], nothing["tau"]) == (0, photos.UNKNOWN, photos.UNKNOWN)


def rivals_know(tables):
    """Records on which the rivals are almost the accuracy itself, ours is its opposite, and pruning helps."""
    transfer = tables["transfer"]
    released = transfer["ladder"].str.startswith("mobilenet") & (transfer["rung"] > 0)
    transfer = transfer.assign(accuracy=transfer["accuracy"].mask(released, transfer["accuracy"] + 0.5).clip(0, 1))
    mean = transfer.groupby(["ladder", "rung", "target"])["accuracy"].mean().rename("accuracy")
    scores = tables["scores"].join(mean, on=["ladder", "rung", "target"])
    sign = scores["score"].map({"gaussian": -1, "h_score": 1, "logme": 1})
    noisy = sign * scores["accuracy"] + np.random.default_rng(0).normal(0, 0.01, len(scores))
    scores = scores.assign(value=noisy.fillna(scores["value"])).drop(columns="accuracy")
    rungs = tables["rungs"].assign(method=photos.groups(tables["rungs"]))
    return {"rungs": rungs, "transfer": transfer, "scores": scores}


@pytest.fixture
def few():
    scores = ("gaussian", "h_score", "logme", "random")
    return simulate((*NAMES, "diagonal iterative 0"), TARGETS, fine_tuning=FINE_TUNED, scores=scores)


def test_the_sentences_hold_on_the_published_records():
    glued = committed(NAME)
    assert {glued[key] for key in GUARDS} == {""}
    assert {"fig-photo-tau-target", "tab-photo-trained", "tab-photo-released", "tab-photo-full"} <= set(glued)


def test_sentences_that_records_contradict_fall(few, monkeypatch):
    glued = run_cells(NAME, monkeypatch, rivals_know(few))
    assert {key for key in GUARDS if glued[key]} == GUARDS


def test_a_contradicted_sentence_is_not_published(few, monkeypatch):
    monkeypatch.setenv(charts.GUARDS, charts.STRICT)
    with pytest.raises(TeponesError, match="trained-none-better"):
        run_cells(NAME, monkeypatch, rivals_know(few))


@pytest.mark.parametrize("names", [NAMES[:1], NAMES[4:5], (*FINE_TUNED, "mobilenet block one-shot 0")])
def test_the_chapter_runs_on_any_ladders(names, monkeypatch):
    scores = ("gaussian", "posterior", "h_score", "nce", "probe")
    tables = simulate(names, ("cifar10", "pacs-photo"), fine_tuning=FINE_TUNED[1:], scores=scores)
    glued = run_cells(NAME, monkeypatch, tables)
    assert glued["n-there"] == len(names)
    assert "magnitude lottery 0" in glued["absent"]
    assert (glued["full-noise"] == photos.UNKNOWN) == (FINE_TUNED[1] not in names)
    assert ("no ladder yet" in glued["tab-photo-full"]) == (FINE_TUNED[1] not in names)
