"""Posteriors under shrunk Gaussians against scipy; left-out accuracy against refits, by chance alike at any width."""

import numpy as np
import pytest
from labelled_features import labelled, shrunk_within
from scipy import special, stats

from tepones.scores.lda import lda, lda_accuracy

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


@pytest.mark.parametrize(("n", "d", "apart"), [(60, 4, 0.8), (25, 40, 0.3)])
def test_every_row_is_classified_by_a_fit_without_it(n, d, apart):
    x, y = labelled(n=n, d=d, c=3, apart=apart)
    z = (x - x.mean(0)) / x.std(0)
    _, a, target = shrunk_within(z, y)
    right = []
    for row in range(n):
        kept = np.arange(n) != row
        own = [z[kept & (y == c)] for c in range(3)]
        scatter = sum((part - part.mean(0)).T @ (part - part.mean(0)) for part in own)
        covariance = (1 - a) * scatter / n + target
        logits = [
            np.log(len(part)) + stats.multivariate_normal(part.mean(0), covariance).logpdf(z[row]) for part in own
        ]
        right.append(np.argmax(logits) == y[row])
    assert 0.4 < np.mean(right) < 1
    assert lda_accuracy(x, y) == pytest.approx(np.mean(right))


@pytest.mark.parametrize("d", [4, 40, 400])
def test_features_that_carry_nothing_are_right_by_chance_at_any_width(d):
    rng = np.random.default_rng(d)
    found = [lda_accuracy(rng.normal(size=(60, d)), np.arange(60) % 4) for _ in range(20)]
    # Leaving a row out makes its class a little rarer: at most chance.
    assert 0.15 < np.mean(found) < 0.28
