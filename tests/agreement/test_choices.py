"""Regret against brute force over every way of breaking ties."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tepones.agreement import optimum_distance, regret, regret_under_budget
from tepones.common.errors import UsageError

pools = st.integers(1, 6).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 2), min_size=n, max_size=n),
        st.lists(st.integers(0, 10).map(lambda i: i / 10), min_size=n, max_size=n),
        st.integers(1, 4),
    )
)


def by_enumeration(score, accuracy, k):
    found = []
    for order in permutations(range(len(score))):
        chosen = sorted(order, key=lambda i: -score[i])[:k]  # stable: the order breaks ties
        found.append(max(accuracy) - max(accuracy[i] for i in chosen))
    return 100 * np.mean(found)


@given(pools)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_regret_is_the_mean_over_all_ways_of_breaking_ties(pool):
    score, accuracy, k = pool
    assert regret(score, accuracy, k) == pytest.approx(by_enumeration(score, accuracy, k), abs=1e-9)


@given(pools)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_more_tries_never_cost_and_the_truth_has_no_regret(pool):
    score, accuracy, k = pool
    assert 0 <= regret(score, accuracy, k + 1) <= regret(score, accuracy, k) + 1e-9 <= 100 + 1e-9
    assert regret(accuracy, accuracy, k) == 0


def test_regret_in_points_and_under_a_budget():
    score, accuracy, size = [3, 2, 1, 0], [0.70, 0.75, 0.80, 0.60], [40, 30, 20, 10]
    assert regret(score, accuracy) == pytest.approx(10)
    assert regret(score, accuracy, k=3) == 0
    assert regret_under_budget(score, accuracy, size, 30) == pytest.approx(5)
    assert regret_under_budget(score, accuracy, size, 20) == 0
    assert np.isnan(regret_under_budget(score, accuracy, size, 5))


def test_optimum_distance():
    sparsity = [0.0, 0.5, 0.8, 0.9]
    assert optimum_distance([1, 2, 3, 0], [0.1, 0.4, 0.2, 0.1], sparsity) == pytest.approx(0.3)
    assert optimum_distance([1, 3, 3, 0], [0.1, 0.4, 0.2, 0.1], sparsity) == pytest.approx(0.15)
    assert optimum_distance([0, 0, 1, 0], [0.4, 0.1, 0.2, 0.4], sparsity) == pytest.approx(0.1)


def test_bad_use_is_refused():
    with pytest.raises(UsageError, match="fractions"):
        regret([1, 2], [70.0, 75.0])
    with pytest.raises(UsageError, match="k is 0"):
        regret([1, 2], [0.7, 0.8], k=0)
    with pytest.raises(UsageError, match="at least one"):
        regret([], [])
    with pytest.raises(UsageError, match=r"score\[1\]"):
        regret([1, np.nan], [0.7, 0.8])
