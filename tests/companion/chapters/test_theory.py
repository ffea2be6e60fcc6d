"""Exact information: against the closed forms and an independent quadrature, and the chain of bounds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from tepones.companion.chapters import theory
from tepones.companion.chapters.theory import gaussian_classes


def test_the_label_information_against_adaptive_quadrature():
    for m in (0.6, 1.0, 2.0, 3.0):

        def entropy_of_mixture(z, m=m):
            p = 0.5 * (stats.norm.pdf(z, m) + stats.norm.pdf(z, -m))
            return -p * np.log(p)

        mixture = integrate.quad(entropy_of_mixture, -m - 12, m + 12, limit=200)[0]
        expected = mixture - 0.5 * np.log(2 * np.pi * np.e)
        assert gaussian_classes([-m, m]).with_label == pytest.approx(expected, abs=1e-7)


def test_the_intra_class_information_against_simulation():
    m, n = 1.0, 400_000
    rng = np.random.default_rng(0)
    y = rng.choice([-m, m], n)
    z, other = y + rng.normal(size=n), y + rng.normal(size=n)
    posterior, posterior_other = 1 / (1 + np.exp(-2 * m * z)), 1 / (1 + np.exp(-2 * m * other))
    ratio = 2 * (posterior * posterior_other + (1 - posterior) * (1 - posterior_other))
    found = np.log(ratio)
    assert gaussian_classes([-m, m]).intra_class == pytest.approx(found.mean(), abs=4 * found.std() / np.sqrt(n))


def test_a_finer_grid_changes_nothing(monkeypatch):
    coarse = gaussian_classes([-1, 0.5, 3], [0.2, 0.5, 0.3])
    monkeypatch.setattr(theory, "STEP", theory.STEP / 2)
    assert np.allclose(coarse, gaussian_classes([-1, 0.5, 3], [0.2, 0.5, 0.3]), atol=1e-10)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-4, 4), min_size=2, max_size=4), st.integers(0, 1000))
def test_the_chain_of_bounds(means, seed):
    priors = np.random.default_rng(seed).dirichlet(np.full(len(means), 3.0))
    found = gaussian_classes(means, priors)
    assert -1e-9 <= found.intra_class <= found.with_label + 1e-9
    assert found.with_label <= found.label_entropy + 1e-9 <= found.log_classes + 2e-9


def test_equal_means_carry_nothing_and_distant_means_everything():
    assert gaussian_classes([2, 2, 2])[:2] == pytest.approx((0, 0), abs=1e-9)
    assert gaussian_classes([-20, 0, 20]).intra_class == pytest.approx(np.log(3), abs=1e-9)


def test_samples_have_the_means_they_should():
    features, labels = theory.sample([-2, 5], 20_000, seed=0)
    assert features.shape == (40_000, 1) and features.dtype == np.float32
    assert features[labels == 1].mean() == pytest.approx(5, abs=0.04)
