"""TransRate against its definition with determinants."""

import numpy as np
import pytest
from labelled_features import labelled

from tepones.scores.transrate import transrate

pytestmark = pytest.mark.usefixtures("small_blocks")


@pytest.mark.parametrize("d", [6, 90])
def test_transrate_is_the_definition(d):
    x, y = labelled(n=160, d=d, scale=0.1, mean=3.0)
    y[:60] = 2
    z = x - x.mean(0)

    def rate(rows):
        return np.linalg.slogdet(np.eye(d) + rows.T @ rows / (len(rows) * 1e-4))[1] / 2

    expected = rate(z) - sum((y == c).mean() * rate(z[y == c]) for c in range(4))
    assert transrate(x, y) == pytest.approx(expected, rel=1e-8)
