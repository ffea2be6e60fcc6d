"""Posteriors under shrunk Gaussians against scipy."""

import numpy as np
import pytest
from labelled_features import labelled, shrunk_within
from scipy import special, stats

from tepones.scores.lda import lda

pytestmark = pytest.mark.usefixtures("small_blocks")


@pytest.mark.parametrize(("n", "d"), [(200, 8), (30, 50)])
def test_lda_is_the_posterior_under_shrunk_gaussians(n, d):
    x, y = labelled(n=n, d=d, apart=0.5, mean=4.0)
    z = (x - x.mean(0)) / x.std(0)
    within, a, target = shrunk_within(z, y)
    logs = [
        np.log(np.mean(y == c)) + stats.multivariate_normal(z[y == c].mean(0), (1 - a) * within + target).logpdf(z)
        for c in range(4)
    ]
    expected = special.softmax(logs, axis=0)[y, np.arange(n)].mean()
    assert lda(x, y) == pytest.approx(expected, rel=1e-8)
