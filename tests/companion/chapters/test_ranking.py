"""The chapter *Ranking*: its sentences follow from the records, its tables and charts show them."""

import pandas as pd
import pytest
from chapter_cells import committed, run_cells
from drawn import rows_of, svg_of, width_of
from small_ladders import TARGETS, small_ladders

from tepones import agreement
from tepones.common.errors import TeponesError, UsageError
from tepones.companion import charts, study
from tepones.companion.chapters import ranking

GUARDS = ("guard-hardest", "guard-controls", "guard-sparsity-within", "guard-sparsity-between")


@pytest.fixture
def tables():
    """Records of two scores: the chapter's is needed, the others cost time."""
    tables = study.load("embedded")
    scores = tables["scores"]
    return tables | {"scores": scores[scores["score"].isin(["gaussian", "h_score"])]}


def test_on_the_published_records_every_sentence_holds():
    glued = committed("ranking")
    assert [glued[guard] for guard in GUARDS] == [""] * 4
    assert glued["hardest"] == "digits"


def a_score_that_fails_on_greek(tables):
    scores = tables["scores"]
    greek = (scores["target"] == "greek") & (scores["score"] == "h_score")
    tables["scores"] = scores.assign(value=scores["value"].where(~greek, -scores["value"]))


def a_score_below_the_controls_on_digits(tables):
    scores = tables["scores"]
    digits = (scores["target"] == "digits") & (scores["score"] == "h_score")
    accuracy = scores.merge(tables["transfer"], on=["ladder", "rung", "target"], how="left")["accuracy"]
    tables["scores"] = scores.assign(value=scores["value"].where(~digits, -accuracy.to_numpy()))


def sparser_is_better(tables):
    transfer = tables["transfer"]
    tables["transfer"] = transfer.assign(accuracy=0.5 + 0.01 * transfer["rung"])


def ladders_of_different_sparsity(tables):
    rungs = tables["rungs"]
    shift = rungs["ladder"].astype("category").cat.codes * 1e-4
    tables["rungs"] = rungs.assign(sparsity=(rungs["sparsity"] - shift).clip(lower=0))


@pytest.mark.parametrize(
    ("change", "remarks"),
    [
        (a_score_that_fails_on_greek, ["guard-hardest"]),
        (a_score_below_the_controls_on_digits, ["guard-controls"]),
        (sparser_is_better, ["guard-hardest", "guard-controls", "guard-sparsity-within"]),
        (ladders_of_different_sparsity, ["guard-sparsity-between"]),
    ],
)
def test_records_that_contradict_a_sentence_put_a_remark_behind_it(change, remarks, tables, monkeypatch):
    change(tables)
    glued = run_cells("ranking", monkeypatch, tables)
    assert [guard for guard in GUARDS if glued[guard]] == remarks


def test_a_contradicted_sentence_is_not_published(tables, monkeypatch):
    a_score_that_fails_on_greek(tables)
    monkeypatch.setenv(charts.GUARDS, charts.STRICT)
    with pytest.raises(TeponesError, match="guard-hardest"):
        run_cells("ranking", monkeypatch, tables)


def test_the_table_of_agreement_keeps_order_and_leaves_out_intervals_that_are_unknown():
    columns = ("weighted_tau", "regret_1", "regret_3")
    row = {name + end: value for name in columns for end, value in (("", 0.5), ("_low", -0.25), ("_high", 1.0))}
    summary = pd.DataFrame([{"score": "b"} | row, {"score": "a"} | row | {"weighted_tau_low": float("nan")}])
    found = ranking.agreement_table(summary.set_index(pd.Index([7, 3])))
    assert found["score"].tolist() == ["b", "a"]
    assert found["weighted τ"].tolist() == ["0.50 [−0.25,\N{NO-BREAK SPACE}1.00]", "0.50"]
    assert found["regret (points)"][0] == "0.5 [−0.2,\N{NO-BREAK SPACE}1.0]"


def test_a_score_that_ranks_perfectly_has_tau_one_on_its_target_alone():
    frame = small_ladders()
    backwards = frame["target"] == "greek"
    within = agreement.within_ladder(
        frame.assign(seed=0, source_accuracy=0.5, value=frame["accuracy"].where(~backwards, -frame["accuracy"]))
    )
    found = ranking.by_target(within).set_index("target")["tau"]
    assert found["cyrillic"] == pytest.approx(1) and found["greek"] < -0.5
    silent = within.assign(weighted_tau=within["weighted_tau"].mask(within["ladder"] == "random-0"))
    assert ranking.by_target(silent).set_index("target")["tau"]["cyrillic"] == pytest.approx(0.5)


def test_the_heat_map_fits_the_column_shows_every_number_and_puts_the_best_score_on_top():
    scores = ["a score with a rather long name", "H-score"]
    targets = [f"{target} {i}" for i in range(4) for target in TARGETS]
    frame = pd.DataFrame([{"score": s, "target": t, "tau": 0.5 - len(s) / 40} for s in scores for t in targets])
    chart = ranking.agreement_chart(frame)
    assert width_of(chart) <= charts.WIDTH
    assert svg_of(chart).count(">+0.33<") == 12 and svg_of(chart).count(">−0.28<") == 12
    assert chart.to_dict()["layer"][0]["encoding"]["y"]["sort"] == ["H-score", "a score with a rather long name"]


def test_the_scatter_has_a_panel_for_each_target_and_all_rungs():
    chart = ranking.scatter_chart(small_ladders())
    assert len(chart.to_dict()["concat"]) == len(TARGETS)
    assert len(rows_of(chart)) == len(small_ladders())
    assert width_of(chart) <= charts.WIDTH
    with pytest.raises(UsageError, match=r"column 'value' is missing"):
        ranking.scatter_chart(small_ladders().drop(columns="value"))
