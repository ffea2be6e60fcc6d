"""LEEP, NCE and 𝒩LEEP against their definitions in loops."""

import numpy as np
import pytest
from labelled_features import labelled, one_hot
from scipy import special, stats
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

from tepones.scores.leep import leep, n_leep, nce

pytestmark = pytest.mark.usefixtures("small_blocks")


def source(n=120, c_source=7, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 4, n)
    logits = rng.normal(size=(n, c_source)) + 2 * one_hot(y)[:, [0, 1, 2, 3, 0, 1, 2]][:, :c_source]
    p = special.softmax(logits, axis=1)
    p[:, 3] = 0
    return (p / p.sum(1, keepdims=True)).astype(dtype), y


def test_leep_is_the_definition():
    p, y = source()
    joint = np.zeros((4, 7))
    for row, label in zip(p, y, strict=True):
        joint[label] += row / len(y)
    total = 0.0
    for row, label in zip(p, y, strict=True):
        total += np.log(sum(joint[label, z] / joint[:, z].sum() * row[z] for z in range(7) if joint[:, z].sum()))
    assert leep(p, y) == pytest.approx(total / len(y), rel=1e-10)
    assert leep(p.astype(np.float32), y) == pytest.approx(total / len(y), rel=1e-5)


def test_nce_is_the_definition():
    p, y = source()
    decided = p.argmax(1)
    expected = 0.0
    for z in set(decided):
        labels = y[decided == z]
        expected -= len(labels) / len(y) * stats.entropy(np.bincount(labels))
    assert nce(p, y) == pytest.approx(expected, rel=1e-10)


def test_a_collapsed_head_tells_nothing():
    y = np.arange(40) % 4
    p = np.zeros((40, 10))
    p[:, 3] = 1
    assert leep(p, y) == pytest.approx(-np.log(4))
    assert nce(p, y) == pytest.approx(-np.log(4))


def test_a_head_that_is_right_tells_all():
    y = np.arange(40) % 4
    assert leep(one_hot(y), y) == pytest.approx(0)
    assert nce(one_hot(y), y) == pytest.approx(0)


@pytest.mark.parametrize("decimals", [8, 0])
@pytest.mark.parametrize("seed", [0, 3])
def test_n_leep_is_leep_of_a_mixture_on_principal_components(decimals, seed):
    x, y = labelled(n=300, d=8, c=3, apart=2)
    x = np.round(x, decimals)
    reduced = PCA(0.8, svd_solver="full").fit_transform(x)
    reduced /= reduced[:, 0].std()
    clusters = GaussianMixture(15, covariance_type="diag", random_state=seed).fit(reduced).predict_proba(reduced)
    assert n_leep(x, y, seed=seed) == pytest.approx(leep(clusters, y), rel=1e-6)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_n_leep_of_rows_that_coincide_is_that_of_their_clusters():
    rows = np.random.default_rng(0).normal(size=(6, 5))
    place, y = np.arange(120) % 6, np.arange(120) % 4
    assert n_leep(rows[place], y) == pytest.approx(leep(one_hot(place), y), rel=1e-6)


def test_n_leep_of_more_clusters_than_rows():
    x, y = labelled(n=12, d=4, c=6)
    assert -np.log(6) <= n_leep(x, y) <= 0
