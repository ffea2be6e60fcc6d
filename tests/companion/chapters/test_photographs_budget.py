"""The chapter on choosing under a budget: its frames by hand, its charts, and that its sentences are guarded."""

import numpy as np
import pandas as pd
import pytest
from chapter_cells import committed, run_cells
from chart_checks import check_chart
from simulated_photographs import simulate

from tepones import agreement
from tepones.common.errors import TeponesError
from tepones.companion import charts
from tepones.companion import photographs as photos
from tepones.companion.chapters import photographs_budget as chapter

NAME = "photographs-budget"
GUARDS = {"largest-loses", "score-cheap"}
TARGETS = ("cifar10", "flowers102", "eurosat", "gtsrb")
SCORES = ("gaussian", "h_score", "logme", "nce", "random")
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


def test_controls_under_a_budget(tables):
    pool = chapter.candidates(tables, photos.TRAINED)
    assert {chapter.LARGEST, chapter.USUAL, chapter.BLIND} <= set(pool["score"])
    assert chapter.USUAL not in set(chapter.candidates(tables, photos.RELEASED)["score"])
    assert pool["bytes"].max() == 4 * 1_100_000
    usual = pool[(pool["score"] == chapter.USUAL) & (pool["target"] == "gtsrb")]
    assert usual.loc[usual["value"].idxmax(), "method"] == "magnitude iterative"
    assert (usual["value"][usual["method"] != "magnitude iterative"] < 0).all()


def test_no_ladder_of_a_group_is_an_empty_pool():
    assert chapter.candidates(simulate(NAMES[:1], TARGETS, scores=SCORES), photos.RELEASED).empty


def test_the_bootstrap_computes_the_same_regret_as_the_package(tables):
    pool = chapter.candidates(tables, photos.TRAINED)
    ladders = list(dict.fromkeys(pool["ladder"]))
    for size in chapter.budgets(pool, 4):
        for score in ("gaussian", chapter.BLIND, chapter.LARGEST):
            part = pool[(pool["score"] == score) & (pool["target"] == "gtsrb")]
            # Every ladder, then all but the first.
            there = np.array([[True] * len(ladders), [False] + [True] * (len(ladders) - 1)])
            found = chapter._regret_in_draws(part, size, ladders, there)
            for drawn, value in zip((part, part[part["ladder"] != ladders[0]]), found, strict=True):
                columns = (drawn[name].to_numpy(float) for name in ("value", "accuracy", "bytes"))
                assert value == pytest.approx(agreement.regret_under_budget(*columns, size))


def test_regret_has_intervals_with_several_ladders_only(tables):
    pool = chapter.candidates(tables, photos.TRAINED)
    sizes = chapter.budgets(pool, 5)
    found = chapter.with_intervals(chapter.regrets(pool, sizes), pool, ["gaussian", chapter.BLIND])
    assert len(found) == 10
    assert (found["low"] <= found["high"]).all()
    one = pool[pool["ladder"] == NAMES[0]]
    assert chapter.with_intervals(chapter.regrets(one, sizes), one, ["gaussian"])["low"].isna().all()


def test_costs_are_medians_of_the_records(tables):
    trained, released = (chapter.seconds(tables, "h_score", group) for group in photos.GROUPS)
    assert trained["score"] == pytest.approx(0.002) and np.isfinite(trained["tuning"])
    assert np.isnan(released["tuning"])
    own = tables["transfer"].query("protocol == 'probe' and ladder == @NAMES[4]")["seconds"]
    assert released["probe"] == pytest.approx(own.median())
    assert chapter.seconds(simulate(NAMES[:1], TARGETS, scores=SCORES), "h_score", photos.RELEASED).isna().all()


def test_lines_to_draw_are_those_named_and_the_best_rivals():
    regret = {"gaussian": 2, "knn": 0, "logme": 3, "h_score": 4, "wilks": 1, chapter.BLIND: 9}
    found = pd.DataFrame([(name, size, value) for name, value in regret.items() for size in (1, 2)])
    found = found.set_axis(["score", "budget", "regret"], axis=1)
    assert chapter.drawn(found, "gaussian") == ["gaussian", chapter.BLIND, "h_score", "wilks", "logme"]
    assert chapter.drawn(found, "h_score")[0] == "h_score"
    many = pd.concat([found.assign(score=found["score"] + "x"), found])
    assert len(chapter.drawn(many, "gaussian")) == len(charts.PALETTE)


def test_losses_are_counted_budget_by_budget():
    regret = {"gaussian": (1, 2, 3), chapter.LARGEST: (2, 2, 1), "h_score": (0, 1, 2), "wilks": (9, 9, 9)}
    rows = [(name, size, value) for name, values in regret.items() for size, value in enumerate(values)]
    found = chapter.losses(pd.DataFrame(rows, columns=["score", "budget", "regret"]), "gaussian")
    assert (found["budgets"], found["ways"], found["rank"]) == (3, 4, 3)
    assert (found["loss"], found["loss-all"], found["best"], found["best-loss"]) == ("2.0", "3.0", "h_score", "1.0")
    assert (found["largest"], found["largest-more"], found["largest-less"]) == ("1.7", 1, 1)
    assert (found["usual"], found["usual-more"]) == (photos.UNKNOWN, 0)
    nothing = chapter.losses(None, "gaussian")
    assert set(nothing) == set(found) and nothing["loss"] == photos.UNKNOWN


def test_times_are_read_to_two_digits():
    assert [chapter.two_digits(value) for value in (0.00123, 17.4, 123)] == ["0.0012", "17", "120"]
    assert chapter.two_digits(np.nan) == photos.UNKNOWN


def test_the_chart_fits_the_column_and_is_the_same_on_every_machine(tables):
    pool, drawn = chapter.candidates(tables, photos.TRAINED), ["gaussian", chapter.LARGEST]
    regrets = chapter.with_intervals(chapter.regrets(pool, chapter.budgets(pool, 4)), pool, drawn)
    check_chart(lambda frame: chapter.regret_chart(frame, drawn), regrets.assign(pool=photos.TRAINED))


def size_is_all(tables):
    """Records on which the larger backbone is the better one, and a score takes seconds."""
    size = tables["rungs"].set_index(["ladder", "rung"])["nonzero_weights"].rename("size")
    transfer = tables["transfer"].join(size, on=["ladder", "rung"])
    transfer = transfer.assign(accuracy=transfer["size"] / size.max()).drop(columns="size")
    return tables | {"transfer": transfer, "scores": tables["scores"].assign(seconds=2.0)}


def test_the_sentences_hold_on_the_published_records():
    glued = committed(NAME)
    assert {glued[key] for key in GUARDS} == {""} and {"fig-photo-budget", "trained-score-ms"} <= set(glued)


def test_sentences_that_records_contradict_fall(tables, monkeypatch):
    glued = run_cells(NAME, monkeypatch, size_is_all(tables))
    assert {key for key in GUARDS if glued[key]} == GUARDS


def test_a_contradicted_sentence_is_not_published(tables, monkeypatch):
    monkeypatch.setenv(charts.GUARDS, charts.STRICT)
    with pytest.raises(TeponesError, match="largest-loses"):
        run_cells(NAME, monkeypatch, size_is_all(tables))


@pytest.mark.parametrize("names", [NAMES[:1], NAMES[4:5], (*FINE_TUNED, "mobilenet block one-shot 0")])
def test_the_chapter_runs_on_any_ladders(names, monkeypatch):
    tables = simulate(names, ("cifar10", "pacs-photo"), fine_tuning=FINE_TUNED, scores=("gaussian", "h_score", "nce"))
    glued = run_cells(NAME, monkeypatch, tables)
    assert glued["n-there"] == len(names)
    assert "magnitude lottery 0" in glued["absent"]
    there = {photos.RELEASED if name.startswith("mobilenet") else photos.TRAINED for name in names}
    for group, short in photos.SHORT.items():
        assert (glued[f"{short}-loss"] == photos.UNKNOWN) == (group not in there)
