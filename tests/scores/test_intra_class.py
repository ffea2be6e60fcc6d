"""The estimators of TEP-ones against their definitions, enumerations and known mutual informations."""

import numpy as np
import pytest
from labelled_features import labelled, moments, scatter_between, shrunk_within, uneven
from scipy import integrate, linalg, special, stats

from tepones.scores.h_score import shrunk_h_score
from tepones.scores.intra_class import binary, gaussian, posterior


def slow_gaussian(x, y):
    z = (x - x.mean(0)) / x.std(0)
    total, b = np.cov(z.T, bias=True).reshape(z.shape[1], -1), scatter_between(z, y)
    within = total - b
    d, n, trace, square = len(b), len(x) - len(set(y)), np.trace(within), np.trace(within @ within)
    bottom = (n + 1 - 2 / d) * (square - trace**2 / d)
    a = min(1.0, ((1 - 2 / d) * square + trace**2) / bottom) if bottom > 0 else 1.0
    shrunk = (1 - a) * within + (a * trace / d + 1e-8) * np.eye(d)
    rho = linalg.eigh(b, b + shrunk, eigvals_only=True)
    return -np.log(1 - rho**2).sum() / 2


@pytest.mark.parametrize(("n", "d"), [(300, 12), (40, 60), (200, 2)])
@pytest.mark.parametrize("apart", [0.3, 3.0])
def test_gaussian_is_the_definition(n, d, apart):
    x, y = labelled(n=n, d=d, apart=apart, mean=3.0)
    assert gaussian(moments(x, y)) == pytest.approx(slow_gaussian(x, y), rel=1e-8)


def test_gaussian_is_the_mutual_information_of_gaussian_pairs():
    # Class means drawn from N(0, B), 2 000 classes: (Z, Z′) is jointly Gaussian with cross-covariance B.
    rng = np.random.default_rng(0)
    b = np.array([[2.0, 0.5, 0], [0.5, 1, 0], [0, 0, 0.3]])
    w = np.array([[1.0, -0.3, 0.2], [-0.3, 2, 0], [0.2, 0, 1]])
    means = rng.multivariate_normal(np.zeros(3), b, 2000)
    y = np.repeat(np.arange(2000), 200)
    x = means[y] + rng.multivariate_normal(np.zeros(3), w, len(y))
    joint = np.block([[b + w, b], [b, b + w]])
    exact = np.linalg.slogdet(b + w)[1] - np.linalg.slogdet(joint)[1] / 2
    # The standard error of −½ log(1 − ρ²) from 2 000 means is about 0.02 for each of three directions.
    assert gaussian(moments(x, y)) == pytest.approx(exact, abs=0.06)


@pytest.mark.parametrize(("m", "expected"), [(0.6, 0.0363), (1, 0.1438), (2, 0.5108), (3, 0.8304)])
def test_gaussian_of_two_classes(m, expected):
    rng = np.random.default_rng(0)
    y = np.arange(400_000) % 2
    x = (m * (2 * y - 1) + rng.normal(size=len(y)))[:, None]
    assert gaussian(moments(x, y)) == pytest.approx(expected, abs=0.002)


@pytest.mark.parametrize(("n", "d"), [(50, 3), (30, 30), (20, 40)])
def test_gaussian_stays_finite_when_classes_collapse_to_points(n, d):
    x, y = labelled(n=n, d=d, c=3)
    collapsed = np.array([x[y == c].mean(0) for c in range(3)])[y]
    value = gaussian(moments(collapsed, y))
    assert np.isfinite(value) and value > gaussian(moments(x, y))


def test_two_balanced_collapsed_classes_are_where_ledoit_wolfs_intensity_is_zero():
    x = np.array([[1.0, 2.0], [-1.0, -2.0]] * 10)
    assert np.isfinite(gaussian(moments(x, [0, 1] * 10)))
    assert shrunk_h_score(moments(x, [0, 1] * 10)) == pytest.approx(1, abs=1e-6)


def test_binary_is_an_exhaustive_enumeration_of_pairs():
    x, y = uneven(n=60, d=6)
    x -= 0.3
    expected = 0.0
    for column in range(x.shape[1]):
        on, joint = x[:, column] > 0, np.zeros((2, 2))
        if len(set(x[:, column])) == 1:
            continue
        for c in set(y):
            rows = np.flatnonzero(y == c)
            for i in rows:
                for j in rows:
                    joint[int(on[i]), int(on[j])] += (len(rows) / len(y)) / len(rows) ** 2
        alone = np.outer(joint.sum(1), joint.sum(0))
        seen = joint > 0
        expected += np.sum(joint[seen] * np.log(joint[seen] / alone[seen]))
    assert expected > 0
    assert binary(moments(x, y)) == pytest.approx(expected, rel=1e-9)


def slow_left_out_posteriors(x, y):
    """Every row's posterior from a fit without it; intensity, target and divisor are those of all rows."""
    z = (x - x.mean(0)) / x.std(0)
    _, a, target = shrunk_within(z, y)
    classes, n = np.unique(y), len(z)
    posteriors = np.zeros((n, len(classes)))
    for i in range(n):
        keep = np.arange(n) != i
        scatter = np.zeros((z.shape[1],) * 2)
        for c in classes:
            rows = z[keep & (y == c)]
            if len(rows):
                scatter += (rows - rows.mean(0)).T @ (rows - rows.mean(0))
        covariance = (1 - a) * scatter / n + target
        for k, c in enumerate(classes):
            rows = z[keep & (y == c)]
            if len(rows):
                density = stats.multivariate_normal(rows.mean(0), covariance)
                posteriors[i, k] = np.log(len(rows) / (n - 1)) + density.logpdf(z[i])
            else:
                posteriors[i, k] = -np.inf
    return special.softmax(posteriors, axis=1)


def slow_pairs(posteriors, y):
    classes, counts = np.unique(y, return_counts=True)
    pi, n = counts / len(y), len(y)
    posteriors = (1 - 1 / n) * posteriors + pi / n
    total, weight = 0.0, 0.0
    for c, count in zip(classes, counts, strict=True):
        rows = np.flatnonzero(y == c)
        if count > 1:
            values = [np.log(np.sum(posteriors[i] * posteriors[j] / pi)) for i in rows for j in rows if i != j]
            total += count * np.mean(values)
            weight += count
    return total / weight


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(("n", "d"), [(60, 4), (25, 40)])
def test_posterior_leaves_every_row_out_of_its_own_fit(n, d):
    x, y = labelled(n=n, d=d, c=3, apart=0.8)
    y[0] = 7
    assert posterior(x, y) == pytest.approx(slow_pairs(slow_left_out_posteriors(x, y), y), rel=1e-8)


def exact_mixture_information(m):
    """I(Z; Z′) of two classes N(±m, 1), by quadrature over both."""

    def integrand(b, a):
        up, down = stats.norm.pdf(a - m) * stats.norm.pdf(b - m), stats.norm.pdf(a + m) * stats.norm.pdf(b + m)
        joint = (up + down) / 2
        alone = (stats.norm.pdf(a - m) + stats.norm.pdf(a + m)) * (stats.norm.pdf(b - m) + stats.norm.pdf(b + m)) / 4
        return joint * np.log(joint / alone)

    grid = np.linspace(-m - 7, m + 7, 401)
    a, b = np.meshgrid(grid, grid)
    return integrate.trapezoid(integrate.trapezoid(integrand(b, a), grid), grid)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(("m", "table"), [(0.6, 0.0393), (1, 0.1736), (2, 0.5789), (3, 0.6855)])
def test_posterior_is_the_mutual_information_of_a_mixture(m, table):
    exact = exact_mixture_information(m)
    assert exact == pytest.approx(table, abs=1e-4)
    rng = np.random.default_rng(0)
    y = np.arange(4000) % 2
    x = (m * (2 * y - 1) + rng.normal(size=4000))[:, None]
    # The standard error of the mean over rows is about 0.01.
    assert posterior(x, y) == pytest.approx(exact, abs=0.03)


@pytest.mark.usefixtures("small_blocks")
def test_posterior_of_nothing_is_close_to_nothing():
    x, y = labelled(n=2000, d=5, apart=0)
    assert posterior(x, y) == pytest.approx(0, abs=0.02)
