"""Closed-form scores against slow references that share no code with them."""

import numpy as np
import pytest
from labelled_features import labelled, one_hot, uneven
from scipy import linalg, optimize, stats
from sklearn.covariance import ledoit_wolf
from statsmodels.multivariate.manova import MANOVA

from tepones.common.errors import TeponesError, UsageError
from tepones.scores.entropi import entropi
from tepones.scores.gbc import gbc_diagonal, gbc_spherical
from tepones.scores.h_score import h_score, shrunk_h_score, wilks
from tepones.scores.intra_class import binary, gaussian, tep_ones
from tepones.scores.logme import logme
from tepones.scores.moments import ClassMoments
from tepones.scores.summary import cholesky, oracle_approximating


def moments(features, labels):
    return ClassMoments().update(features, labels)


def between(z, labels):
    centred = z - z.mean(0)
    projector = one_hot(labels) / one_hot(labels).sum(0)
    fitted = one_hot(labels) @ (projector.T @ centred)
    return fitted.T @ fitted / len(z)


# --- the MANOVA family


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
    expected = np.trace(np.linalg.solve(covariance, (1 - intensity) * between(x, y)))
    assert shrunk_h_score(moments(x, y)) == pytest.approx(expected, rel=1e-8)


# --- TEP-ones


def slow_gaussian(x, y):
    z = (x - x.mean(0)) / x.std(0)
    total, b = np.cov(z.T, bias=True).reshape(z.shape[1], -1), between(z, y)
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


def test_tep_ones_is_one_name_for_its_estimators():
    x, y = labelled()
    assert tep_ones(x, y) == tep_ones(x, y, estimator="gaussian") == gaussian(moments(x, y))
    assert tep_ones(x, y, estimator="binary") == binary(moments(x, y))
    with pytest.raises(UsageError, match="choose from: binary, gaussian, posterior"):
        tep_ones(x, y, estimator="exact")


# --- LogME


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
    variances = np.geomspace(1e-3, 10, 40), np.geomspace(0.02, 2, 60)
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


# --- GBC


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


# --- activation entropy


def test_entropi_is_the_mean_entropy_of_on():
    x, y = uneven(n=100)
    expected = np.mean([stats.entropy([p, 1 - p], base=2) for p in (x > 0).mean(0)])
    assert entropi(moments(x, y)) == pytest.approx(expected, rel=1e-12)


def test_what_is_not_positive_definite_fails_in_one_line():
    with pytest.raises(TeponesError, match="a covariance of 2 features is not positive definite"):
        cholesky(np.asfortranarray([[1.0, 2], [2, 1]]))


def test_a_feature_that_is_a_rounded_combination_of_others_changes_no_h_score():
    x, y = labelled(n=60, d=5, apart=0.5, dtype=np.float32)
    wider = np.column_stack([x, (0.1 * x[:, :1] + 0.7 * x[:, 1:2]).astype(np.float32)])
    assert h_score(moments(wider, y)) == pytest.approx(h_score(moments(x, y)), rel=1e-5)
