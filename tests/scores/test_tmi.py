"""The nearest-neighbour entropy against scikit-learn and a known entropy."""

import numpy as np
import pytest
from labelled_features import uneven
from scipy import special
from sklearn.neighbors import NearestNeighbors

from tepones.scores.tmi import tmi

pytestmark = pytest.mark.usefixtures("small_blocks")


def test_tmi_is_the_nearest_neighbour_entropy():
    x, y = uneven(n=300, d=6)
    x = x[:, [0, 5]] + 0.01 * np.random.default_rng(0).normal(size=(300, 2))
    least = 1e-3 * np.sqrt(x.var(0).mean())
    total, weight = 0.0, 0
    for c in np.unique(y):
        rows = x[y == c]
        n, k = len(rows), min(3, len(rows) - 1)
        if n == 1:
            continue
        distances, _ = NearestNeighbors(n_neighbors=k + 1, metric="chebyshev").fit(rows).kneighbors(rows)
        entropy = special.digamma(n) - special.digamma(k)
        entropy += 2 * np.mean(np.log(2 * np.maximum(distances[:, k], least)))
        total += n * entropy
        weight += n
    assert tmi(x, y) == pytest.approx(total / weight / len(np.unique(y)), rel=1e-9)


def test_tmi_estimates_the_entropy_of_a_uniform_class():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 8, size=(4000, 1)), np.arange(4000) % 2
    assert 2 * tmi(x, y) == pytest.approx(np.log(8), abs=0.05)
