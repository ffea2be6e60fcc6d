"""Records of mixed widths: what is computed in the row space is what the scores say; the rule on drawn-up tables."""

import numpy as np
import pandas as pd
import pytest

from tepones import scores
from tepones.companion.study import widths


def _features(n, d, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 5
    features = np.maximum(rng.normal(size=(5, d))[labels] * 0.4 + rng.normal(size=(n, d)) @ rng.normal(size=(d, d)), 0)
    features[:, 3] = 2.0
    return features.astype(np.float32), labels


@pytest.mark.parametrize(("n", "d"), [(40, 90), (40, 41), (120, 30)])
def test_the_row_space_gives_what_the_scores_give(n, d):
    features, labels = _features(n, d)
    found = widths.statistics(features, labels)
    names = ["gaussian", "logme", "shrunk_h_score", "h_score", "posterior", "lda_accuracy", "probe"]
    expected = scores.score(features, labels, names, null=False).set_index("score")["value"]
    for name in names:
        assert found[name] == pytest.approx(expected[name], rel=1e-4, abs=1e-6), name
    assert widths.accuracy(features, labels) == pytest.approx(expected["probe"])
    orders = [np.random.default_rng(number).permutation(labels) for number in range(widths.SHUFFLES)]
    nulls = [scores.score(features, order, ["gaussian"], null=False)["value"][0] for order in orders]
    assert found["gaussian null"] == pytest.approx(np.mean(nulls), rel=1e-4)
    assert found["gaussian sd"] == pytest.approx(np.std(nulls, ddof=1), rel=1e-2)


def test_projections_have_the_same_number_of_directions_whatever_the_width():
    """So the null of what was projected does not grow with the width; that of all features does."""
    nulls = {d: widths.statistics(*_features(60, d)) for d in (64, 1000)}
    assert nulls[1000]["gaussian null"] > 1.5 * nulls[64]["gaussian null"]
    for name in ("gaussian_random null", "h_score_principal null", "h_score_random null"):
        assert nulls[1000][name] == pytest.approx(nulls[64][name], rel=0.3), name


def test_draws_are_balanced_and_disjoint_where_they_can_be():
    labels = np.repeat([0, 1], [30, 12])
    first, second = (widths.draw(labels, 5, number) for number in range(2))
    assert np.bincount(labels[first]).tolist() == np.bincount(labels[second]).tolist() == [5, 5]
    assert not set(first) & set(second)
    assert np.bincount(labels[widths.draw(labels, 20, 1)]).tolist() == [20, 12]


def _records(values):
    """Records of one cell: three trained and two untrained networks, and one statistic's values."""
    names, accuracy = ["good", "fair", "poor", "wide", "narrow"], [0.9, 0.7, 0.42, 0.4, 0.2]
    frame = pd.DataFrame({"target": "t", "per_class": 5, "draw": 0, "network": names, "accuracy": accuracy})
    frame["trained"], frame["features"] = [True, True, True, False, False], [4, 4, 4, 99, 2]
    for name in widths.SHUFFLED:
        frame[name], frame[f"{name} null"], frame[f"{name} sd"] = [5.0, 3, 2.5, 9, 1], [0.0, 0, 0, 8, 0], 1.0
    for name in (*widths.PLAIN, widths.CONTROL):
        frame[name] = accuracy
    return frame.assign(**values)


def test_a_wide_untrained_network_refuses_the_raw_value_but_not_the_one_above_its_null():
    found = widths.verdicts(widths.candidates(_records({}))).set_index("candidate")
    wrong = widths.pairs(widths.candidates(_records({}))).query("candidate == 'gaussian' and wrong")
    assert sorted(wrong["trained"]) == ["fair", "good"]  # `poor` is not five points ahead of `wide`
    assert found.loc["gaussian", "refused"] and not found.loc["gaussian − null", "refused"]
    # All that is left orders the trained networks alike: what needs no shuffling and no second pass is chosen first.
    assert found["chosen"].sum() == 1 and found.index[found["chosen"]][0] in widths.PLAIN
    assert found.index[-1] == widths.CONTROL and not found.loc[widths.CONTROL, "chosen"]


def test_the_cheapest_of_the_best_is_chosen_and_a_worse_order_is_not():
    worse = {"posterior": [0.7, 0.9, 0.8, 0.1, 0.1], "lda_accuracy": [0.7, 0.9, 0.8, 0.1, 0.1]}
    found = widths.verdicts(widths.candidates(_records({"logme": [5.0, 3, 2.5, 0, 0]} | worse)))
    assert found["candidate"][0] == "logme" and found["chosen"][0] and found["cost"][0] == 0


def test_if_all_are_refused_the_fewest_pairs_decide():
    worst = {name: [1.0, 2, 3, 9, 9] for name in (*widths.PLAIN, *widths.SHUFFLED)}
    worst |= {f"{name} null": [0.0] * 5 for name in widths.SHUFFLED} | {"lda_accuracy": [5.0, 4, 3, 4.5, 1]}
    found = widths.verdicts(widths.candidates(_records(worst)))
    assert found["refused"][:-1].all()
    assert found["candidate"][0] == "lda_accuracy" and found["against"][0] == 1
