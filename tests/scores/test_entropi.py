"""The entropy of activations against scipy."""

import numpy as np
import pytest
from labelled_features import moments, uneven
from scipy import stats

from tepones.scores.entropi import entropi


def test_entropi_is_the_mean_entropy_of_on():
    x, y = uneven(n=100)
    expected = np.mean([stats.entropy([p, 1 - p], base=2) for p in (x > 0).mean(0)])
    assert entropi(moments(x, y)) == pytest.approx(expected, rel=1e-12)
