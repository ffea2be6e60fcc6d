"""The nearest neighbour's class against scikit-learn, by hand where neighbours tie, and with distances left out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_features import labelled, moments
from sklearn.neighbors import NearestNeighbors

from tepones.scores import knn as module
from tepones.scores.knn import knn

pytestmark = pytest.mark.usefixtures("small_blocks")

#: Features by kind, from standard normal ones and a generator. None has distances that rounding alone would tie or not.
KINDS = {
    "gaussian": lambda x, _: x,
    "one factor": lambda x, _: x[:, :1] * x[0],
    "falling spectrum": lambda x, _: x * np.exp(-np.arange(x.shape[1])),
    "repeated rows": lambda x, rng: x[rng.integers(0, len(x) // 3 + 1, len(x))],
    "grid": lambda x, _: np.round(x),
    "scaled columns": lambda x, rng: x * 10 ** rng.uniform(-6, 6, x.shape[1]),
    "scaled rows": lambda x, rng: x * 10 ** rng.uniform(-2, 2, (len(x), 1)),
    "far from zero": lambda x, _: x + 1e4,
    "mostly zero": lambda x, _: np.maximum(x - 1.5, 0),
    "two tight clusters": lambda x, rng: 1e-3 * x + 10 * rng.integers(0, 2, (len(x), 1)),
    "one far row": lambda x, _: np.concatenate([1e30 * x[:1], 1e-5 * x[1:]]),
}


def leave_out(monkeypatch):
    """Let the search leave distances out however few the rows are."""
    monkeypatch.setattr(module, "FEW", 0)
    monkeypatch.setattr(module, "FEW_PER_FEATURE", 0)
    monkeypatch.setattr(module, "TOGETHER", 7)


@pytest.fixture(params=["all distances", "some left out"])
def both_ways(request, monkeypatch):
    if request.param == "some left out":
        leave_out(monkeypatch)


@pytest.mark.usefixtures("both_ways")
def test_knn_is_the_nearest_neighbours_class():
    x, y = labelled(n=250, d=5, apart=0.8)
    _, neighbours = NearestNeighbors(n_neighbors=2).fit(x).kneighbors(x)
    assert knn(x, y) == pytest.approx(np.mean(y[neighbours[:, 1]] == y))


@pytest.mark.usefixtures("both_ways")
def test_knn_of_tied_neighbours_counts_each_alike():
    x = np.array([[0.0], [0], [0], [5], [5]])
    # Row 0 has the neighbours 1 (right) and 2 (wrong); row 2 has two wrong ones; rows 3 and 4 are right.
    assert knn(x, [0, 0, 1, 2, 2]) == pytest.approx((0.5 + 0.5 + 0 + 1 + 1) / 5)


@pytest.mark.usefixtures("both_ways")
def test_knn_never_takes_a_row_for_its_own_neighbour():
    assert knn(np.array([[-5.0], [0], [5]]), [0, 1, 0]) == 0


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(list(KINDS)), st.integers(2, 200), st.integers(1, 50), st.booleans(), st.integers(0, 10**6))
def test_no_neighbour_is_left_out(kind, n, d, single, seed):
    rng = np.random.default_rng(seed)
    x = KINDS[kind](rng.normal(size=(n, d)), rng).astype(np.float32 if single else np.float64)
    y = np.concatenate([[0, 1], rng.integers(0, 3, n - 2)])
    expected = knn(x, y)
    with pytest.MonkeyPatch.context() as monkeypatch:
        leave_out(monkeypatch)
        assert knn(x, y) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_bounds_are_never_above_the_distance(kind):
    rng = np.random.default_rng(0)
    x = KINDS[kind](rng.normal(size=(300, 64)), rng).astype(np.float32)
    spread = moments(x, np.arange(300) % 2).summary.spread
    search = module._Bounded(x, spread)
    active = x[:, spread.active].astype(np.float64)
    squared = ((active[:, None] - active) ** 2).sum(2)
    rows = np.arange(300)
    for bound in search.bounds:
        lower = bound.left(rows) @ bound.right.T
        assert (
            lower
            <= (squared - search.norms[:, None]) / search.unit
            + 1e-12 * (search.norms[:, None] + search.norms) / search.unit
        ).all()


def test_most_distances_are_left_out_where_components_tell_rows_apart():
    rng = np.random.default_rng(0)
    x = 10 * rng.normal(size=(100, 64))[np.arange(2000) % 100] + rng.normal(size=(2000, 64))
    search = module._Bounded(x, moments(x, np.arange(2000) % 100).summary.spread)
    ((rows, others, distances),) = search.near(np.arange(0, 500, 100))
    assert len(search.bounds) > 1
    assert rows.tolist() == [0, 100, 200, 300, 400]
    assert distances.shape == (5, len(others))
    assert len(others) < 30


def test_bounds_that_leave_too_many_are_given_up():
    x = np.random.default_rng(0).normal(size=(2000, 64))
    search = module._Bounded(x, moments(x, np.arange(2000) % 2).summary.spread)
    assert len(search.bounds) < len(module.PARTS)
