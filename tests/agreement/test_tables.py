"""The functions on the tidy table: by hand on small tables, and everything that a table may get wrong."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tepones import agreement
from tepones.common.errors import UsageError

SPARSITY = np.array([0.0, 0.5, 0.8, 0.9, 0.95])


def study(ladders=3, targets=2, seed=0, scores=("good", "noise", "constant")):
    """Rungs whose accuracy falls after a hump; one score knows it, one is noise, one says nothing."""
    rng = np.random.default_rng(seed)
    rows = []
    for ladder in range(ladders):
        for target in range(targets):
            accuracy = 0.8 - 0.3 * (SPARSITY - 0.3 * rng.uniform()) ** 2 + 0.01 * rng.normal(size=5)
            values = {
                "good": accuracy + 0.01 * rng.normal(size=5),
                "noise": rng.normal(size=5),
                "constant": np.zeros(5),
            }
            rows += [
                {
                    "ladder": f"ladder{ladder}",
                    "method": "magnitude",
                    "seed": ladder,
                    "rung": rung,
                    "sparsity": SPARSITY[rung],
                    "source_accuracy": 0.9 - 0.2 * SPARSITY[rung],
                    "target": f"target{target}",
                    "score": score,
                    "value": values[score][rung],
                    "accuracy": accuracy[rung],
                    "bytes": 1000 * (1 - SPARSITY[rung]) + ladder,
                }
                for score in scores
                for rung in range(5)
            ]
    return pd.DataFrame(rows)


def one(frame, **where):
    for name, value in where.items():
        frame = frame[frame[name] == value]
    assert len(frame) == 1
    return frame.iloc[0]


def test_within_ladder_is_each_ladder_by_itself():
    frame = study()
    cells = agreement.within_ladder(frame)
    assert len(cells) == 3 * 2 * 3
    rungs = frame[(frame.ladder == "ladder1") & (frame.target == "target0") & (frame.score == "good")]
    row = one(cells, ladder="ladder1", target="target0", score="good")
    assert row["weighted_tau"] == pytest.approx(stats.weightedtau(rungs["value"], rungs["accuracy"]).statistic)
    assert row["regret_1"] == pytest.approx(
        100 * (rungs["accuracy"].max() - rungs.set_index("value")["accuracy"][rungs["value"].max()])
    )
    assert row["rungs"] == 5 and row["method"] == "magnitude" and row["reason"] == ""
    silent = cells[cells["score"] == "constant"]
    assert (silent["reason"] == "score is constant").all() and silent["weighted_tau"].isna().all()


def test_the_order_of_the_rows_does_not_matter():
    frame = study()
    shuffled = frame.sample(frac=1, random_state=1)
    keys = ["ladder", "target", "score"]
    left, right = (agreement.within_ladder(f).set_index(keys).sort_index() for f in (frame, shuffled))
    pd.testing.assert_frame_equal(left, right)


def test_budget_regret_picks_among_all_ladders():
    frame = study(ladders=2, targets=1, scores=("good",))
    found = agreement.budget_regret(frame, [200.5, 10])
    fits = frame[frame["bytes"] <= 200.5]
    best = fits.loc[fits["value"].idxmax()]
    assert list(found["candidates"]) == [len(fits), 0]
    assert found["regret"][0] == pytest.approx(100 * (fits["accuracy"].max() - best["accuracy"]))
    assert np.isnan(found["regret"][1])
    with pytest.raises(UsageError, match="bytes"):
        agreement.budget_regret(frame.drop(columns="bytes"), [1])


def test_summary():
    frame = study(ladders=5, targets=3)
    cells = agreement.within_ladder(frame)
    table = agreement.summary(frame, replicates=500)
    pd.testing.assert_frame_equal(table, agreement.summary(cells, replicates=500))
    good, silent = one(table, score="good"), one(table, score="constant")
    assert table["score"].iloc[0] == "good"
    assert good["weighted_tau"] == pytest.approx(cells[cells.score == "good"]["weighted_tau"].mean())
    for name, (low, high) in agreement.MEASURES.items():
        assert low <= good[f"{name}_low"] <= good[name] <= good[f"{name}_high"] <= high
    assert good["p"] == 2**-5 and good["p_holm"] == 2 * 2**-5 and good["note"] == ""
    assert silent["note"] == "no ranking" and silent["no_ranking"] == 15
    assert silent[["weighted_tau", "weighted_tau_low", "weighted_tau_high", "p", "p_holm"]].isna().all()
    assert silent["regret_1"] > 0  # the regret of a blind choice


def test_a_cell_without_a_ranking_counts_as_zero():
    frame = study(ladders=3, targets=2, scores=("good",))
    where = (frame["ladder"] == "ladder0") & (frame["target"] == "target0")
    frame.loc[where, "value"] = 1.0
    cells = agreement.within_ladder(frame)
    row = agreement.summary(frame, replicates=100).iloc[0]
    assert row["no_ranking"] == 1
    assert row["weighted_tau"] == pytest.approx(cells["weighted_tau"].sum() / 6)


def test_one_ladder_has_no_interval():
    row = one(agreement.summary(study(ladders=1), replicates=100), score="good")
    assert row["note"] == "one ladder: no interval" and np.isnan(row["weighted_tau_low"])
    assert np.isfinite(row["weighted_tau"])


def test_paired_differences():
    frame = study(ladders=6, targets=3)
    table = agreement.paired_differences(frame, replicates=500)
    summary = agreement.summary(frame, replicates=100).set_index("score")["weighted_tau"].fillna(0)
    assert len(table) == 3
    row = one(table, first="good", second="noise")
    assert row["difference"] == pytest.approx(summary["good"] - summary["noise"])
    assert row["low"] > 0 and row["p"] < 0.01 and table["p_holm"].min() == pytest.approx(3 * table["p"].min())
    against = agreement.paired_differences(frame, reference="noise", replicates=500)
    assert list(against["first"]) == ["noise", "noise"]
    assert one(against, second="good")["difference"] == pytest.approx(-row["difference"])
    with pytest.raises(UsageError, match="unknown score 'best'"):
        agreement.paired_differences(frame, reference="best")
    with pytest.raises(UsageError, match="needs two"):
        agreement.paired_differences(frame[frame.score == "good"])


def test_two_scores_that_rank_alike_differ_by_nothing():
    frame = study(scores=("good",))
    same = frame.assign(score="twice", value=2 * frame["value"])
    row = agreement.paired_differences(pd.concat([frame, same], ignore_index=True)).iloc[0]
    assert (row["difference"], row["low"], row["high"], row["p"]) == (0, 0, 0, 1)


@pytest.mark.parametrize(
    "change,words",
    [
        (lambda f: f.drop(columns="sparsity"), "column 'sparsity'"),
        (lambda f: f.iloc[:0], "no rows"),
        (lambda f: f.assign(value=f["value"].where(f.index != 7)), "row 7 .*value is nan"),
        (lambda f: f.assign(accuracy=f["accuracy"].where(f.index != 7, np.inf)), "row 7 .*accuracy is inf"),
        (lambda f: f.assign(target=f["target"].where(f.index != 7)), "row 7 .*target is"),
        (lambda f: f.assign(accuracy=100 * f["accuracy"]), "row 0 .*accuracy .*not per cent"),
        (lambda f: f.assign(sparsity=1.0), "row 0 .*sparsity 1.0 is out of range"),
        (lambda f: pd.concat([f, f.iloc[[3]]], ignore_index=True), "row 90 .*repeated"),
        (lambda f: f.assign(seed=f["rung"]), "a second seed"),
        (lambda f: f.assign(accuracy=f["accuracy"].where(f.index != 7, 0.5)), "a second accuracy"),
        (lambda f: f.drop(index=7), "ladder ladder0, rung 2, target target0: score 'noise' is missing"),
        (lambda f: f.assign(value="high"), "row 0 .*value is high"),
    ],
)
def test_a_damaged_table_is_refused_in_one_line(change, words):
    with pytest.raises(UsageError, match=words) as caught:
        agreement.check(change(study()))
    assert "\n" not in str(caught.value)


def test_a_target_that_one_ladder_lacks_is_refused():
    frame = study()
    frame = frame[(frame["ladder"] != "ladder2") | (frame["target"] != "target1")]
    with pytest.raises(UsageError, match="ladder ladder2 has no target target1"):
        agreement.summary(frame)
