"""Scores that read the rows again, against slow references that share no code with them."""

import numpy as np
import pytest
from labelled_features import labelled, one_hot, uneven
from scipy import integrate, linalg, special, stats
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from tepones.scores import policy, pool
from tepones.scores.energy import energy
from tepones.scores.intra_class import posterior
from tepones.scores.knn import knn
from tepones.scores.lda import lda
from tepones.scores.leep import leep, n_leep, nce
from tepones.scores.ncti import ncti
from tepones.scores.parc import parc
from tepones.scores.probe import PENALTIES, probe
from tepones.scores.sfda import sfda
from tepones.scores.summary import oracle_approximating
from tepones.scores.tmi import tmi
from tepones.scores.transrate import transrate


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Several blocks even of small arrays."""
    monkeypatch.setattr(policy, "BLOCK", 800)


def shrunk_within(z, y):
    within = sum((y == c).mean() * np.cov(z[y == c].T, bias=True) for c in np.unique(y) if (y == c).sum() > 1)
    a = oracle_approximating(within, len(z) - len(np.unique(y)))
    target = (a * np.trace(within) / len(within) + 1e-8) * np.eye(len(within))
    return within, a, target


# --- TEP-ones, posterior


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


@pytest.mark.parametrize(("m", "table"), [(0.6, 0.0393), (1, 0.1736), (2, 0.5789), (3, 0.6855)])
def test_posterior_is_the_mutual_information_of_a_mixture(m, table):
    exact = exact_mixture_information(m)
    assert exact == pytest.approx(table, abs=1e-4)
    rng = np.random.default_rng(0)
    y = np.arange(4000) % 2
    x = (m * (2 * y - 1) + rng.normal(size=4000))[:, None]
    # The standard error of the mean over rows is about 0.01.
    assert posterior(x, y) == pytest.approx(exact, abs=0.03)


def test_posterior_of_nothing_is_close_to_nothing():
    x, y = labelled(n=2000, d=5, apart=0)
    assert posterior(x, y) == pytest.approx(0, abs=0.02)


# --- discriminants


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


def test_ncti_is_scikit_learns_discriminant_on_principal_components():
    x, y = labelled(n=300, d=80, c=5, apart=0.3, scale=0.05)
    pca = PCA(n_components=64, svd_solver="full").fit(x)
    ridge = np.exp(-pca.explained_variance_[:32].sum())
    assert ridge > 1e-3
    model = LinearDiscriminantAnalysis(solver="eigen", shrinkage=ridge)
    projected = model.fit_transform(pca.transform(x), y)
    p = model.predict_proba(pca.transform(x))
    parts = ncti(x, y)
    assert parts["seli"] == pytest.approx(np.linalg.norm(projected - projected.mean(0), "nuc"), rel=1e-6)
    assert parts["ncc"] == pytest.approx(p[np.arange(300), y].mean(), rel=1e-6)
    nuclear = sum(np.linalg.norm(p[y == c], "nuc") for c in range(5))
    assert parts["vc"] == pytest.approx(np.log(nuclear), rel=1e-6)


# --- coding rate, energy, correlation


@pytest.mark.parametrize("d", [6, 90])
def test_transrate_is_the_definition(d):
    x, y = labelled(n=160, d=d, scale=0.1, mean=3.0)
    y[:60] = 2
    z = x - x.mean(0)

    def rate(rows):
        return np.linalg.slogdet(np.eye(d) + rows.T @ rows / (len(rows) * 1e-4))[1] / 2

    expected = rate(z) - sum((y == c).mean() * rate(z[y == c]) for c in range(4))
    assert transrate(x, y) == pytest.approx(expected, rel=1e-8)


def test_energy_is_the_mean_over_the_lowest_rows():
    x, y = labelled(n=1000, d=7)
    logs = np.sort(special.logsumexp(x, axis=1))
    assert energy(x, y) == pytest.approx(logs[:5].mean(), rel=1e-12)
    assert energy(x[:50], y[:50]) == pytest.approx(special.logsumexp(x[:50], axis=1).min(), rel=1e-12)


@pytest.mark.parametrize("d", [10, 60])
def test_parc_is_spearmans_correlation_of_the_distances(d):
    x, y = labelled(n=120, d=d, apart=0.5)
    reduced = StandardScaler().fit_transform(PCA(min(32, d), svd_solver="full").fit_transform(x))
    lower = np.tril_indices(120, -1)
    first, second = 1 - np.corrcoef(reduced), 1 - np.corrcoef(one_hot(y))
    expected = 100 * stats.spearmanr(first[lower], second[lower])[0]
    assert parc(x, y) == pytest.approx(expected, rel=1e-6)


def test_parc_samples_by_its_seed():
    x, y = labelled(n=900, d=5, apart=0.5)
    assert parc(x, y, seed=1) == parc(x, y, seed=1) != parc(x, y, seed=2)


# --- source probabilities


def source(n=120, c_source=7, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 4, n)
    logits = rng.normal(size=(n, c_source)) + 2 * one_hot(y)[:, [0, 1, 2, 3, 0, 1, 2]][:, :c_source]
    p = special.softmax(logits, axis=1)
    p[:, 3] = 0
    return (p / p.sum(1, keepdims=True)).astype(dtype), y


def test_leep_is_the_definition():
    p, y = source()
    joint = np.zeros((4, 7))
    for row, label in zip(p, y, strict=True):
        joint[label] += row / len(y)
    total = 0.0
    for row, label in zip(p, y, strict=True):
        total += np.log(sum(joint[label, z] / joint[:, z].sum() * row[z] for z in range(7) if joint[:, z].sum()))
    assert leep(p, y) == pytest.approx(total / len(y), rel=1e-10)
    assert leep(p.astype(np.float32), y) == pytest.approx(total / len(y), rel=1e-5)


def test_nce_is_the_definition():
    p, y = source()
    decided = p.argmax(1)
    expected = 0.0
    for z in set(decided):
        labels = y[decided == z]
        expected -= len(labels) / len(y) * stats.entropy(np.bincount(labels))
    assert nce(p, y) == pytest.approx(expected, rel=1e-10)


def test_a_collapsed_head_tells_nothing():
    y = np.arange(40) % 4
    p = np.zeros((40, 10))
    p[:, 3] = 1
    assert leep(p, y) == pytest.approx(-np.log(4))
    assert nce(p, y) == pytest.approx(-np.log(4))


def test_a_head_that_is_right_tells_all():
    y = np.arange(40) % 4
    assert leep(one_hot(y), y) == pytest.approx(0)
    assert nce(one_hot(y), y) == pytest.approx(0)


def test_n_leep_is_leep_of_a_mixture_on_principal_components():
    x, y = labelled(n=300, d=8, c=3, apart=2)
    reduced = PCA(0.8, svd_solver="full").fit_transform(x)
    reduced /= reduced[:, 0].std()
    clusters = GaussianMixture(15, covariance_type="diag", random_state=3).fit(reduced).predict_proba(reduced)
    assert n_leep(x, y, seed=3) == pytest.approx(leep(clusters, y), rel=1e-6)


def test_n_leep_of_more_clusters_than_rows():
    x, y = labelled(n=12, d=4, c=6)
    assert -np.log(6) <= n_leep(x, y) <= 0


# --- neighbours and probes


def test_tmi_is_the_nearest_neighbour_entropy():
    x, y = uneven(n=300, d=6)
    x = x[:, [0, 5]] + 0.01 * np.random.default_rng(0).normal(size=(300, 2))
    least = 1e-3 * np.sqrt(x.var(0).mean())
    total, weight = 0.0, 0
    for c in np.unique(y):
        rows = x[y == c]
        n, k = len(rows), min(3, len(rows) - 1)
        if n == 1:
            continue
        distances, _ = NearestNeighbors(n_neighbors=k + 1, metric="chebyshev").fit(rows).kneighbors(rows)
        entropy = special.digamma(n) - special.digamma(k)
        entropy += 2 * np.mean(np.log(2 * np.maximum(distances[:, k], least)))
        total += n * entropy
        weight += n
    assert tmi(x, y) == pytest.approx(total / weight / len(np.unique(y)), rel=1e-9)


def test_tmi_estimates_the_entropy_of_a_uniform_class():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 8, size=(4000, 1)), np.arange(4000) % 2
    assert 2 * tmi(x, y) == pytest.approx(np.log(8), abs=0.05)


def test_knn_is_the_nearest_neighbours_class():
    x, y = labelled(n=250, d=5, apart=0.8)
    _, neighbours = NearestNeighbors(n_neighbors=2).fit(x).kneighbors(x)
    assert knn(x, y) == pytest.approx(np.mean(y[neighbours[:, 1]] == y))


def test_knn_of_tied_neighbours_counts_each_alike():
    x = np.array([[0.0], [0], [0], [5], [5]])
    # Row 0 has the neighbours 1 (right) and 2 (wrong); row 2 has two wrong ones; rows 3 and 4 are right.
    assert knn(x, [0, 0, 1, 2, 2]) == pytest.approx((0.5 + 0.5 + 0 + 1 + 1) / 5)


def test_knn_never_takes_a_row_for_its_own_neighbour():
    assert knn(np.array([[-5.0], [0], [5]]), [0, 1, 0]) == 0


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


# --- pools


def test_pools_normalise_outside_of_the_scores():
    assert pool.min_max([2.0, 4, 3]).tolist() == [0, 1, 0.5]
    assert pool.min_max([5.0, 5]).tolist() == [0, 0]
    assert pool.ncti([1, 2, 3], [0.1, 0.3, 0.2], [5, 5, 6]).tolist() == [0, 1.5, 0.5]
    assert pool.etran([0, 1], [1, 0]).tolist() == [0.85, 0.15]
