"""The nearest neighbour's class against scikit-learn, and by hand where neighbours tie."""

import numpy as np
import pytest
from labelled_features import labelled
from sklearn.neighbors import NearestNeighbors

from tepones.scores.knn import knn

pytestmark = pytest.mark.usefixtures("small_blocks")


def test_knn_is_the_nearest_neighbours_class():
    x, y = labelled(n=250, d=5, apart=0.8)
    _, neighbours = NearestNeighbors(n_neighbors=2).fit(x).kneighbors(x)
    assert knn(x, y) == pytest.approx(np.mean(y[neighbours[:, 1]] == y))


def test_knn_of_tied_neighbours_counts_each_alike():
    x = np.array([[0.0], [0], [0], [5], [5]])
    # Row 0 has the neighbours 1 (right) and 2 (wrong); row 2 has two wrong ones; rows 3 and 4 are right.
    assert knn(x, [0, 0, 1, 2, 2]) == pytest.approx((0.5 + 0.5 + 0 + 1 + 1) / 5)


def test_knn_never_takes_a_row_for_its_own_neighbour():
    assert knn(np.array([[-5.0], [0], [5]]), [0, 1, 0]) == 0
