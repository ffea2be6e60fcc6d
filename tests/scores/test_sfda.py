"""SFDA against its two generalised eigenproblems."""

import numpy as np
import pytest
from labelled_features import labelled
from scipy import linalg, special

from tepones.scores.sfda import sfda

pytestmark = pytest.mark.usefixtures("small_blocks")


def slow_sfda(x, y):
    classes, n = np.unique(y), len(x)
    codes = np.searchsorted(classes, y)
    priors = np.bincount(codes) / n

    def analyse(rows, intensity, least):
        means = np.array([rows[codes == c].mean(0) for c in range(len(classes))])
        within = sum(priors[c] * np.cov(rows[codes == c].T, bias=True) for c in range(len(classes)))
        if intensity is None:
            intensity, least = np.exp(-5 * np.linalg.eigvalsh(within)[-1]), 1e-8 * rows.var(0).mean()
        d = len(within)
        ridged = (1 - intensity) * within + max(intensity * np.trace(within) / d, least) * np.eye(d)
        scatter = np.cov(rows.T, bias=True) - within
        _, vectors = linalg.eigh(scatter, ridged)
        projected, centres = rows @ vectors, means @ vectors
        logits = -np.sum((projected[:, None] - centres) ** 2, 2) / 2 + np.log(priors)
        return special.softmax(logits, axis=1), means, intensity, least

    first, means, intensity, least = analyse(x, None, None)
    q = special.softmax(first, axis=1)[np.arange(n), codes]
    others = np.array([np.delete(means, c, 0).mean(0) for c in range(len(classes))])[codes]
    second, *_ = analyse(q[:, None] * x + (1 - q[:, None]) * others, intensity, least)
    return second[np.arange(n), codes].mean(), intensity


@pytest.mark.parametrize("scale", [0.1, 0.3, 3.0])
def test_sfda_is_the_generalised_eigenproblem(scale):
    x, y = labelled(n=150, d=8, c=5, apart=0.6, scale=scale, mean=2.0)
    y[y == 4] = 9
    expected, intensity = slow_sfda(x, y)
    assert (intensity > 1e-3) == (scale < 1)
    assert sfda(x, y) == pytest.approx(expected, rel=1e-8)
