"""Bhattacharyya coefficients of classes against full determinants."""

import numpy as np
import pytest
from labelled_features import labelled, moments

from tepones.scores.gbc import gbc_diagonal, gbc_spherical


def slow_gbc(x, y, spherical):
    total = x.var(0)
    classes = []
    for c in np.unique(y):
        variance = x[y == c].var(0)
        if spherical:
            variance = np.full(x.shape[1], max(variance.mean(), 1e-4 * total.mean()))
        classes.append((x[y == c].mean(0), np.diag(np.maximum(variance, 1e-4 * total if not spherical else 0))))
    value = 0.0
    for i, (mean_i, s_i) in enumerate(classes):
        for j, (mean_j, s_j) in enumerate(classes):
            if i != j:
                s = (s_i + s_j) / 2
                log_dets = [np.linalg.slogdet(matrix)[1] for matrix in (s, s_i, s_j)]
                apart = (mean_i - mean_j) @ np.linalg.solve(s, mean_i - mean_j) / 8
                value -= np.exp(-apart - (log_dets[0] - (log_dets[1] + log_dets[2]) / 2) / 2)
    return value


@pytest.mark.parametrize("spherical", [False, True])
def test_gbc_is_the_definition_with_full_determinants(spherical):
    x, y = labelled(n=100, d=6, apart=0.7)
    x[y == 1] *= 2
    y[0] = 9
    value = (gbc_spherical if spherical else gbc_diagonal)(moments(x, y))
    assert -np.exp(-value) == pytest.approx(slow_gbc(x, y, spherical), rel=1e-9)


def test_gbc_does_not_underflow():
    x, y = labelled(n=200, d=512, apart=10)
    assert 1000 < gbc_diagonal(moments(x, y)) < 1e6
