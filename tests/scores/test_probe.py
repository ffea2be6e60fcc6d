"""The ridge probe against a refit without each row."""

import numpy as np
import pytest
from labelled_features import labelled, one_hot

from tepones.scores.probe import PENALTIES, probe

pytestmark = pytest.mark.usefixtures("small_blocks")


@pytest.mark.parametrize(("n", "d"), [(60, 5), (20, 30)])
def test_probe_refits_without_each_row(n, d):
    x, y = labelled(n=n, d=d, c=3, apart=0.7, mean=3.0)
    z = (x - x.mean(0)) / x.std(0)
    errors, accuracies = [], []
    for penalty in PENALTIES:
        predictions = []
        for i in range(n):
            keep = np.arange(n) != i
            design = np.column_stack([np.ones(n), z])
            ridge = n * penalty * np.diag([0, *np.ones(d)])
            gram = design[keep].T @ design[keep] + ridge
            predictions.append(design[i] @ np.linalg.solve(gram, design[keep].T @ one_hot(y)[keep]))
        errors.append(np.sum((np.array(predictions) - one_hot(y)) ** 2))
        accuracies.append(np.mean(np.argmax(predictions, axis=1) == y))
    assert probe(x, y) == pytest.approx(accuracies[int(np.argmin(errors))])
