"""LogME against a search for the maximum of the evidence."""

import numpy as np
import pytest
from labelled_features import labelled, moments, one_hot
from scipy import optimize, stats

from tepones.scores.logme import logme


def direct_evidence(x, t):
    """The largest evidence, by a search over both hyper-parameters with an N × N covariance."""
    n = len(x)
    values, vectors = np.linalg.eigh(x @ x.T)
    z2 = (vectors.T @ t) ** 2

    def negative(logs):
        variance = np.exp(-logs[0]) * np.maximum(values, 0) + np.exp(-logs[1])
        return (n * np.log(2 * np.pi) + np.log(variance).sum() + np.sum(z2 / variance)) / (2 * n)

    starts = [(a, b) for a in (-6.0, 0.0, 6.0) for b in (-2.0, 2.0, 6.0)]
    options = {"xatol": 1e-10, "fatol": 1e-14, "maxiter": 4000}
    found = [optimize.minimize(negative, start, method="Nelder-Mead", options=options).fun for start in starts]
    return -min(found)


@pytest.mark.parametrize(
    ("n", "d", "rank", "mean"),
    [(120, 8, 8, 0), (120, 8, 8, 30), (40, 90, 90, 0.5), (60, 60, 60, 0), (100, 30, 5, 1), (30, 80, 10, 0)],
)
def test_logme_is_the_maximum_of_the_evidence(n, d, rank, mean):
    x, y = labelled(n=n, d=d, c=3, apart=0.4, mean=mean)
    if rank < d:
        x = x[:, :rank] @ np.random.default_rng(0).normal(size=(rank, d))
    expected = np.mean([direct_evidence(x, t) for t in one_hot(y).T])
    assert logme(moments(x, y)) == pytest.approx(expected, rel=1e-6)


def test_logme_by_the_n_by_n_likelihood_at_its_own_optimum():
    # The same number from scipy's Gaussian density: no eigenvalues, no identities.
    x, y = labelled(n=40, d=5, c=2, apart=0.5)
    variances = np.geomspace(1e-3, 10, 30), np.geomspace(0.05, 0.5, 30)
    best = np.full(2, -np.inf)
    for weight in variances[0]:
        for noise in variances[1]:
            density = stats.multivariate_normal(np.zeros(40), weight * x @ x.T + noise * np.eye(40))
            best = np.maximum(best, density.logpdf(one_hot(y).T) / 40)
    assert best.mean() <= logme(moments(x, y)) <= best.mean() + 2e-3


def test_logme_of_a_perfect_fit_is_finite_and_better():
    x, y = labelled(n=60, d=4, c=3)
    perfect = np.column_stack([x, one_hot(y)])
    assert logme(moments(x, y)) < logme(moments(perfect, y)) < 20
