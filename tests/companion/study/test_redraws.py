"""Records of how sure rankings are: rows of a cell, what is told of drawn-up records, what the real ones promise."""

import numpy as np
import pandas as pd
import pytest

from tepones.companion.study import redraws, widths


def test_no_image_of_a_ranking_is_fresh_or_in_the_rest():
    labels = np.repeat([0, 1, 2], [30, 12, 1])
    ranking, fresh, rest = redraws.draw(labels, 10, 0)
    assert np.bincount(labels[ranking]).tolist() == np.bincount(labels[fresh]).tolist() == [10, 6]
    assert set(ranking) | set(rest) == set(range(43)) and not set(ranking) & set(rest) and set(fresh) <= set(rest)
    assert not np.array_equal(redraws.draw(labels, 10, 1)[0], ranking)


@pytest.fixture
def records():
    """Two draws of three networks of which the rest has a above b above c."""
    one = pd.DataFrame({"target": "t", "per_class": 5, "network": list("abc"), "rest": [0.9, 0.87, 0.5]})
    right = one.assign(draw=0, value=[0.9, 0.8, 0.4], fresh=[0.7, 0.8, 0.4], first=[0.6, 0.4, 0.0])
    wrong = one.assign(draw=1, value=[0.8, 0.8, 0.9], fresh=[0.7, 0.6, 0.4], first=[0.1, 0.1, 0.8])
    right, wrong = (
        right.assign(rank_low=[1, 1, 3], rank_high=[2, 2, 3]),
        wrong.assign(rank_low=[2, 2, 1], rank_high=[3, 3, 1]),
    )
    return pd.concat([right, wrong], ignore_index=True)


def test_pairs_are_counted_by_how_far_apart_the_rest_has_them(records):
    table = redraws.ordered(records).set_index("apart")
    assert table["right"].to_dict() == {0.02: 0.75, 0.1: 0.5} and table["pairs"].to_dict() == {0.02: 2, 0.1: 4}


def test_calibration_holds_what_was_promised_against_what_came(records):
    [row] = redraws.calibration(records).to_dict("records")
    assert row["per_class"] == 5 and row["cells"] == 2 and row["tau"] == pytest.approx((1 - (2 / 3) ** 0.5) / 2)
    assert row["rest"] == pytest.approx(4 / 6) and row["fresh"] == pytest.approx(4 / 6)
    assert row["width"] == pytest.approx(10 / 6)
    assert row["claimed"] == pytest.approx(0.7) and row["came_first"] == 0.5
    assert row["alike"] == 1.5 and row["hold_first"] == 0.5


def test_records_are_computed_from_features_alone(monkeypatch, tmp_path):
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 30)
    known = [widths.Network(name, name != "untrained", None) for name in ("good", "poor", "untrained")]
    monkeypatch.setattr(widths, "networks", lambda: known)
    monkeypatch.setattr(redraws, "PER_CLASS", (5, 10))

    def features(folder, networks, targets, pool):
        assert folder == tmp_path and targets == redraws.TARGETS
        for network in networks:
            yield (
                "t",
                network,
                rng.normal(size=(60, 3)) + {"good": 4, "poor": 0.2}[network.name] * labels[:, None],
                labels,
            )

    monkeypatch.setattr(widths, "features", features)
    table = redraws.compute(tmp_path)
    assert list(table.columns) == list(redraws.load().columns) and len(table) == 2 * 2 * redraws.DRAWS
    best = table[table["network"] == "good"]
    assert (best["first"] > 0.9).all() and (best["value"] > 0.9).all() and (best["rest"] > 0.9).all()
    assert table.groupby(redraws.CELL)["first"].sum().tolist() == pytest.approx([1.0] * 2 * redraws.DRAWS)


def test_on_the_records_intervals_hold_and_probabilities_are_what_came():
    """What `tepones.ranking.certainty` promises, on photographs."""
    table = redraws.calibration(redraws.load())
    assert table["per_class"].tolist() == list(redraws.PER_CLASS)
    assert (table[["rest", "fresh"]] >= 0.9).all(axis=None)
    assert abs(table["claimed"].mean() - table["came_first"].mean()) < 0.1
