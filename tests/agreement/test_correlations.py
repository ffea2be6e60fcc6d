"""The correlations against scipy and brute force, and the traps of scipy's weighted tau."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tepones.agreement import kendall, no_ranking, partial_tau, pearson, spearman, weighted_tau
from tepones.common.errors import UsageError

# Few distinct values, so that ties are common.
tied = st.integers(-3, 3).map(float)
rankings = st.integers(2, 12).flatmap(
    lambda n: st.tuples(st.lists(tied, min_size=n, max_size=n), st.lists(tied, min_size=n, max_size=n))
)


def by_definition(x, y):
    """Vigna's tau, pair by pair."""

    def with_rank(a, b):
        order = sorted(range(len(a)), key=lambda i: (-a[i], -b[i]))
        rank = {model: place for place, model in enumerate(order)}
        dot = xx = yy = 0.0
        for i in range(len(a)):
            for j in range(i):
                weight = 1 / (rank[i] + 1) + 1 / (rank[j] + 1)
                dot += weight * np.sign(a[i] - a[j]) * np.sign(b[i] - b[j])
                xx += weight * (a[i] != a[j])
                yy += weight * (b[i] != b[j])
        return dot / np.sqrt(xx * yy)

    return (with_rank(x, y) + with_rank(y, x)) / 2


@given(rankings)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_correlations_equal_their_references(pair):
    x, y = map(np.array, pair)
    if no_ranking(x, y):
        assert np.isnan([weighted_tau(x, y), kendall(x, y), pearson(x, y), spearman(x, y)]).all()
        return
    assert weighted_tau(x, y) == pytest.approx(stats.weightedtau(x, y).statistic, abs=1e-12)
    assert weighted_tau(x, y) == pytest.approx(by_definition(x, y), abs=1e-12)
    assert kendall(x, y) == pytest.approx(stats.kendalltau(x, y).statistic, abs=1e-12)
    assert pearson(x, y) == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-9)
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)


@given(rankings, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_weighted_tau_is_symmetric_and_ignores_order_scale_and_shift(pair, random):
    x, y = map(np.array, pair)
    tau = weighted_tau(x, y)
    order = list(range(len(x)))
    random.shuffle(order)
    for other in (weighted_tau(y, x), weighted_tau(x[order], y[order]), weighted_tau(np.exp(x) * 3 - 1, y)):
        assert other == pytest.approx(tau, abs=1e-12, nan_ok=True)
    assert np.isnan(tau) or -1 <= tau <= 1


def test_many_rankings_at_once_equal_one_at_a_time():
    rng = np.random.default_rng(0)
    scores, accuracy = rng.integers(0, 6, (3, 700, 40)), rng.normal(size=(700, 40))
    many = weighted_tau(scores, accuracy)  # more pairs than one chunk holds
    assert many.shape == (3, 700)
    for i, j in [(0, 0), (1, 350), (2, 699)]:
        assert many[i, j] == pytest.approx(stats.weightedtau(scores[i, j] * 1.0, accuracy[j]).statistic)


def test_mistakes_at_the_top_cost_most_and_negating_turns_that_around():
    accuracy = np.arange(10) / 10
    top, bottom = accuracy.copy(), accuracy.copy()
    top[[-1, -2]], bottom[[0, 1]] = top[[-2, -1]], bottom[[1, 0]]
    assert round(weighted_tau(top, accuracy), 3) == 0.886
    assert round(weighted_tau(bottom, accuracy), 3) == 0.984
    assert round(weighted_tau(-top, -accuracy), 3) == 0.984
    assert round(kendall(top, accuracy), 3) == round(kendall(bottom, accuracy), 3) == 0.956
    # The element order that rank=False of scipy takes for importance plays no part here.
    assert weighted_tau(top[::-1], accuracy[::-1]) == weighted_tau(top, accuracy)


@pytest.mark.parametrize("function", [weighted_tau, kendall, pearson, spearman])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_refused_by_position(function, bad):
    score = np.array([0.1, 0.2, bad, 0.4, 0.5, 0.6])
    with pytest.raises(UsageError, match=r"score\[2\]"):
        function(score, np.arange(6.0))
    with pytest.raises(UsageError, match=r"accuracy\[2\]"):
        function(np.arange(6.0), score)


def test_the_reason_for_no_ranking_is_told():
    assert no_ranking([1, 1, 1], [1, 2, 3]) == "score is constant"
    assert no_ranking([1, 2, 3], [1, 1, 1]) == "accuracy is constant"
    assert no_ranking([1], [1]) == "fewer than two models"
    assert no_ranking([1, 2], [2, 1]) == ""
    with pytest.raises(UsageError, match="same models"):
        weighted_tau([1, 2], [1, 2, 3])


def test_partial_tau_removes_what_the_controls_explain():
    rng = np.random.default_rng(1)
    sparsity = np.linspace(0, 0.95, 40)
    accuracy = 0.8 - 0.5 * sparsity + 0.05 * rng.normal(size=40)
    follower = -sparsity + 0.1 * rng.normal(size=40)
    assert kendall(follower, accuracy) > 0.6
    assert abs(partial_tau(follower, accuracy, sparsity)) < 0.3
    knows_more = accuracy + 0.001 * rng.normal(size=40)
    assert partial_tau(knows_more, accuracy, sparsity) > 0.8
    # A score that the controls determine has no order left: no tau made of rounding errors.
    assert np.isnan(partial_tau(-sparsity, accuracy, np.vstack([sparsity, accuracy])))
    assert np.isnan(partial_tau(np.ones(40), accuracy, sparsity))


def test_partial_tau_equals_a_regression_by_hand():
    score, accuracy = [3.0, 1, 4, 2, 6, 5], [0.2, 0.1, 0.6, 0.3, 0.4, 0.5]
    control = [1.0, 2, 3, 4, 5, 6]

    def residual(values):
        ranks = stats.rankdata(values)
        line = stats.linregress(control, ranks)
        return ranks - line.intercept - line.slope * np.array(control)

    expected = stats.kendalltau(residual(score).round(9), residual(accuracy).round(9)).statistic
    assert partial_tau(score, accuracy, control) == pytest.approx(expected)


# Reference values of the null distribution: quantiles of random orders, two decimals.
CRITICAL = {
    **{5: (0.72, 0.82), 6: (0.66, 0.76), 8: (0.55, 0.64), 10: (0.49, 0.57), 11: (0.48, 0.55)},
    **{12: (0.45, 0.52), 15: (0.40, 0.47), 20: (0.36, 0.42), 30: (0.30, 0.36), 50: (0.25, 0.30)},
}


@pytest.mark.parametrize("n", CRITICAL)
def test_null_critical_values(n):
    # The reference agrees with enumeration to 0.01; two draws of 10,000 orders differ by as much again.
    if n <= 8:
        orders = np.array(list(permutations(range(n))))
    else:
        orders = np.random.default_rng(0).permuted(np.tile(np.arange(n), (10_000, 1)), axis=1)
    assert np.quantile(weighted_tau(orders, np.arange(n)), [0.95, 0.975]) == pytest.approx(CRITICAL[n], abs=0.02)
