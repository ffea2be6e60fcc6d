"""The MANOVA family against statsmodels, scikit-learn and projections: no code is shared."""

import numpy as np
import pytest
from labelled_features import labelled, moments, one_hot, scatter_between
from scipy import linalg
from sklearn.covariance import ledoit_wolf
from statsmodels.multivariate.manova import MANOVA

from tepones.scores.h_score import h_score, shrunk_h_score, wilks


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("apart", [0.0, 0.5, 3.0])
def test_h_score_is_pillais_trace_and_wilks_is_wilks_lambda(seed, apart):
    x, y = labelled(n=150, d=7, c=4, seed=seed, apart=apart, mean=5.0)
    design = np.column_stack([np.ones(len(x)), one_hot(y)[:, 1:]])
    contrast = np.eye(4)[1:]
    table = MANOVA(x, design).mv_test([("class", contrast)])["class"]["stat"]["Value"]
    assert h_score(moments(x, y)) == pytest.approx(table["Pillai's trace"], rel=1e-8)
    assert wilks(moments(x, y)) == pytest.approx(-np.log(table["Wilks' lambda"]) / 2, rel=1e-8, abs=1e-10)


@pytest.mark.parametrize(("n", "d"), [(150, 7), (20, 30), (30, 30)])
def test_h_score_is_a_projection_on_the_features(n, d):
    x, y = labelled(n=n, d=d)
    x = np.column_stack([x, x[:, :2], x[:, :1] + 2 * x[:, 1:2], np.full(n, 3.0)])
    left = linalg.orth(x - x.mean(0), rcond=1e-9)
    labels = one_hot(y) - one_hot(y).mean(0)
    onto_labels = linalg.orth(labels, rcond=1e-9)
    assert h_score(moments(x, y)) == pytest.approx(np.sum((left.T @ onto_labels) ** 2), rel=1e-8)


def test_shuffled_labels_get_the_expected_pillai_trace():
    x, y = labelled(n=2000, d=40, c=10, apart=0)
    assert h_score(moments(x, y)) == pytest.approx(9 * 40 / 1999, rel=0.15)


@pytest.mark.parametrize(("n", "d"), [(300, 12), (40, 60), (200, 1)])
def test_shrunk_h_score_is_the_definition_with_scikit_learns_ledoit_wolf(n, d):
    x, y = labelled(n=n, d=d, mean=2.0, scale=3.0)
    covariance, intensity = ledoit_wolf(x)
    expected = np.trace(np.linalg.solve(covariance, (1 - intensity) * scatter_between(x, y)))
    assert shrunk_h_score(moments(x, y)) == pytest.approx(expected, rel=1e-8)


def test_a_feature_that_is_a_rounded_combination_of_others_changes_no_h_score():
    x, y = labelled(n=60, d=5, apart=0.5, dtype=np.float32)
    wider = np.column_stack([x, (0.1 * x[:, :1] + 0.7 * x[:, 1:2]).astype(np.float32)])
    assert h_score(moments(wider, y)) == pytest.approx(h_score(moments(x, y)), rel=1e-5)
