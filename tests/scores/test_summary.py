"""Shrinkage of a covariance, and what cannot be factored."""

import numpy as np
import pytest

from tepones.common.errors import TeponesError
from tepones.scores.summary import cholesky, oracle_approximating


@pytest.mark.parametrize(("d", "n"), [(2, 50), (10, 8), (10, 1000), (40, 30)])
def test_the_oracle_approximating_intensity_is_the_limit_of_its_recursion(d, n):
    # As Chen et al. (2010) derive it: shrink, estimate the oracle's intensity from the result, repeat.
    x = np.random.default_rng(0).normal(size=(n, d)) * np.arange(1, d + 1)
    s = x.T @ x / n
    target, intensity = np.trace(s) / d * np.eye(d), 0.5
    for _ in range(2000):
        shrunk = (1 - intensity) * s + intensity * target
        product, square = np.trace(shrunk @ s), np.trace(shrunk) ** 2
        top = (1 - 2 / d) * product + square
        intensity = min(1, top / ((n + 1 - 2 / d) * product + (1 - n / d) * square))
    assert oracle_approximating(s, n) == pytest.approx(intensity, rel=1e-6)


def test_what_is_not_positive_definite_fails_in_one_line():
    with pytest.raises(TeponesError, match="a covariance of 2 features is not positive definite"):
        cholesky(np.asfortranarray([[1.0, 2], [2, 1]]))
