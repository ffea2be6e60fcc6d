"""Left-out accuracy of the discriminant: against refits, and the same by chance whatever the width."""

import numpy as np
import pytest
from labelled_features import labelled, shrunk_within
from scipy import stats

from tepones.scores.lda_accuracy import lda_accuracy


@pytest.mark.usefixtures("small_blocks")
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


@pytest.mark.parametrize("d", [4, 40, 1000])
def test_features_that_carry_nothing_are_right_by_chance_at_any_width(d):
    rng = np.random.default_rng(d)
    found = [lda_accuracy(rng.normal(size=(60, d)), np.arange(60) % 4) for _ in range(20)]
    # Leaving a row out makes its class a little rarer: at most chance.
    assert 0.15 < np.mean(found) < 0.28
