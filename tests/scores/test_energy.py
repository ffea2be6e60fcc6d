"""The energy score against its definition."""

import numpy as np
import pytest
from labelled_features import labelled
from scipy import special

from tepones.scores.energy import energy

pytestmark = pytest.mark.usefixtures("small_blocks")


def test_energy_is_the_mean_over_the_lowest_rows():
    x, y = labelled(n=1000, d=7)
    logs = np.sort(special.logsumexp(x, axis=1))
    assert energy(x, y) == pytest.approx(logs[:5].mean(), rel=1e-12)
    assert energy(x[:50], y[:50]) == pytest.approx(special.logsumexp(x[:50], axis=1).min(), rel=1e-12)
