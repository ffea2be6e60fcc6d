"""PARC against scipy and scikit-learn."""

import numpy as np
import pytest
from labelled_features import labelled, one_hot
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from tepones.scores.parc import parc

pytestmark = pytest.mark.usefixtures("small_blocks")


@pytest.mark.parametrize("d", [10, 60])
def test_parc_is_spearmans_correlation_of_the_distances(d):
    x, y = labelled(n=120, d=d, apart=0.5)
    reduced = StandardScaler().fit_transform(PCA(min(32, d), svd_solver="full").fit_transform(x))
    lower = np.tril_indices(120, -1)
    first, second = 1 - np.corrcoef(reduced), 1 - np.corrcoef(one_hot(y))
    expected = 100 * stats.spearmanr(first[lower], second[lower])[0]
    assert parc(x, y) == pytest.approx(expected, rel=1e-6)


def test_parc_samples_by_its_seed():
    x, y = labelled(n=900, d=5, apart=0.5)
    assert parc(x, y, seed=1) == parc(x, y, seed=1) != parc(x, y, seed=2)
