"""NCE, LEEP and N-LEEP: how well the labels follow from the source classifier's output, or from clusters."""

import warnings
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from sklearn.cluster import KMeans, kmeans_plusplus
from sklearn.exceptions import ConvergenceWarning

from tepones.common.errors import UsageError
from tepones.scores import policy
from tepones.scores.base import Behaviour, Score
from tepones.scores.moments import ClassMoments
from tepones.scores.rows import blocks, prepare

ENERGY = 0.8
COMPONENTS_PER_CLASS = 5
#: Of the mixture: most steps, least gain of the mean log likelihood, what is added to variances, least log posterior.
STEPS, TOLERANCE, REGULARISATION, LEAST = 100, 1e-3, 1e-6, -60
#: A row of probabilities may miss 1 by this much: what half precision does to a softmax over 1000 classes.
SUM_TOLERANCE = 1e-2


def nce(probabilities: Any, labels: Any) -> float:
    """Negative conditional entropy −H(Y | Z) of the labels given the source classifier's decisions z = argmax θ(x).

    Tran, Nguyen and Hassner (2019), "Transferability and hardness of supervised classification tasks",
    arXiv 1908.08142. Source classes that are never predicted contribute nothing; a tie goes to the first class.

    Returns
    -------
    float
        Nats, in [−H(Y), 0]. Cost: N·C_s; memory C·C_s.
    """
    probabilities, codes, n_classes = _checked(probabilities, labels)
    n_rows, n_source = probabilities.shape
    decided = np.argmax(probabilities, axis=1)
    joint = np.bincount(codes * n_source + decided, minlength=n_classes * n_source).reshape(n_classes, n_source)
    seen = joint > 0
    given = joint / np.maximum(joint.sum(0), 1)
    return float(np.sum(joint[seen] * np.log(given[seen])) / n_rows)


def leep(probabilities: Any, labels: Any) -> float:
    """Mean log probability of the labels under the expected empirical predictor Σ_z P(y | z) θ_z(x).

    Nguyen et al. (2020), "LEEP: a new measure to evaluate transferability of learned representations",
    arXiv 2002.12462, with θ the source classifier's probabilities and P(y, z) the mean of θ_z(x) over rows of class y.
    Source classes without mass contribute nothing.

    Returns
    -------
    float
        Nats, in [−log C, 0]. Cost: 2·N·C_s; memory C·C_s and one block.
    """
    probabilities, codes, n_classes = _checked(probabilities, labels)
    return _leep(probabilities, codes, n_classes)


def n_leep(features: Any, labels: Any, moments: ClassMoments | None = None, seed: int = 0) -> float:
    """LEEP with the clusters of a Gaussian mixture in the place of source classes.

    Li et al. (2021), "Ranking neural checkpoints", CVPR, arXiv 2011.11200: principal components up to 80 % of the
    variance, a mixture of 5·C Gaussians (at most N/2 here) that starts as the seed says, the components' posteriors as
    θ. The components are diagonal here: a full covariance from N/(5·C) rows would be singular.

    Returns
    -------
    float
        Nats, in [−log C, 0]; −H(Y) if no feature is active. Cost after the pass: one eigendecomposition O(d³), shared;
        up to 100 steps of N·5·C·d′ with d′ components; memory N·(d′ + 5·C).
    """
    features, codes, summary = prepare(features, labels, moments)
    if not summary.n_active:
        return float(summary.priors @ np.log(summary.priors))
    variances, vectors = summary.spread.eigen
    kept = 1 + np.searchsorted(np.cumsum(variances[::-1]), ENERGY * variances.sum())
    # One scale for all components, so that the mixture's constant regularisation does not depend on it.
    axes = vectors[:, ::-1][:, :kept] / np.sqrt(variances[-1])
    projected = np.concatenate([rows @ axes for _, rows in blocks(features, summary.spread)])
    n_clusters = max(1, min(COMPONENTS_PER_CLASS * summary.n_classes, summary.n // 2))
    return _leep(_mixture(projected, n_clusters, seed), codes, summary.n_classes)


def _mixture(rows: np.ndarray, n_clusters: int, seed: int) -> np.ndarray:
    """Posteriors (N, clusters), float32, of a mixture of diagonal Gaussians that starts from k-means.

    Expectation maximisation with the start, the regularisation and the end of scikit-learn's GaussianMixture, but block
    by block, with products in float32 and totals in float64.
    """
    with warnings.catch_warnings():
        # Rows that coincide leave clusters empty; those get no mass and so no say.
        warnings.simplefilter("ignore", ConvergenceWarning)
        centres, _ = kmeans_plusplus(rows, n_clusters, random_state=seed)
        labels = KMeans(n_clusters, init=centres, n_init=1).fit(rows.astype(np.float32)).labels_
    # A Gaussian's log density is linear in these, and its parameters are quotients of their totals.
    terms = np.concatenate([rows**2, rows, np.ones((len(rows), 1))], axis=1).astype(np.float32)
    totals = csr_array((np.ones(len(rows)), (labels, np.arange(len(rows)))), shape=(n_clusters, len(rows))) @ terms
    posteriors = np.empty((len(rows), n_clusters), np.float32)
    before = -np.inf
    for _ in range(STEPS):
        totals, likelihood = _step(terms, totals, posteriors)
        if abs(likelihood - before) < TOLERANCE:
            break
        before = likelihood
    _step(terms, totals, posteriors)
    return posteriors


def _step(terms: np.ndarray, totals: np.ndarray, posteriors: np.ndarray) -> tuple[np.ndarray, float]:
    """Write the posteriors under the parameters that the totals give; return new totals and the mean log likelihood."""
    mass = totals[:, -1:] + 10 * np.finfo(np.float64).eps
    squares, means = np.split(totals[:, :-1] / mass, 2, axis=1)
    variances = np.maximum(squares - means**2, 0) + REGULARISATION
    constants = (
        np.log(mass / mass.sum()) - np.sum(means**2 / variances + np.log(2 * np.pi * variances), 1, keepdims=True) / 2
    )
    weights = np.concatenate([-0.5 / variances, means / variances, constants], axis=1).T.astype(np.float32)
    totals, likelihood = np.zeros_like(totals), 0.0
    size = policy.rows_per_block(len(totals))
    for start in range(0, len(terms), size):
        own, out = terms[start : start + size], posteriors[start : start + size]
        np.matmul(own, weights, out=out)
        highest = out.max(1, keepdims=True)
        out -= highest
        # What is smaller counts for nothing in float32, and would be slow: it is denormal.
        np.maximum(out, LEAST, out=out)
        np.exp(out, out=out)
        evidence = out.sum(1, keepdims=True)
        out /= evidence
        totals += out.T @ own
        likelihood += float(np.sum(highest + np.log(evidence), dtype=np.float64))
    return totals, likelihood / len(terms)


def _leep(probabilities: np.ndarray, codes: np.ndarray, n_classes: int) -> float:
    n_rows, n_source = probabilities.shape
    size = policy.rows_per_block(n_source)
    starts = range(0, n_rows, size)
    joint = np.zeros((n_classes, n_source))
    # Blocks are added up in the input's precision, their totals in float64.
    for start in starts:
        rows, own = probabilities[start : start + size], codes[start : start + size]
        ones = np.ones(len(rows), probabilities.dtype)
        joint += csr_array((ones, (own, np.arange(len(rows)))), shape=(n_classes, len(rows))) @ rows
    mass = joint.sum(0)
    given = np.divide(joint, mass, out=np.zeros_like(joint), where=mass > 0).astype(probabilities.dtype)
    # Row by row, the right class's row of P(y | z): a product with all classes would cost C times as much.
    total = 0.0
    for start in starts:
        right = given[codes[start : start + size]]
        total += np.log(np.einsum("nz,nz->n", probabilities[start : start + size], right)).sum(dtype=np.float64)
    return float(total / n_rows)


def _checked(probabilities: Any, labels: Any) -> tuple[np.ndarray, np.ndarray, int]:
    probabilities = policy.as_array(probabilities)
    if probabilities.ndim != 2 or not probabilities.size:
        raise UsageError(f"probabilities have shape {probabilities.shape}; expected (rows, source classes)")
    if probabilities.dtype not in (np.float32, np.float64):
        probabilities = probabilities.astype(np.float32 if probabilities.dtype == np.float16 else np.float64)
    codes, classes = policy.encode(labels, len(probabilities))
    policy.check_classes(len(classes))
    sums = probabilities.sum(1)
    # A NaN fails both comparisons.
    bad = ~((np.abs(sums - 1) <= SUM_TOLERANCE) & (probabilities.min(1) >= 0))
    if bad.any():
        row = int(np.argmax(bad))
        raise UsageError(
            f"probabilities: row {row} has the sum {sums[row]:.4g} and the smallest entry "
            f"{probabilities[row].min():.4g}; expected probabilities, not logits"
        )
    return probabilities, codes, len(classes)


_OUTPUTS = Behaviour("no part", "no part", "no part", "no part", "no part", "no part")
NCE = Score(
    nce,
    title="NCE",
    range="[−H(Y), 0]",
    units="nats",
    behaviour=_OUTPUTS,
    maximum=lambda n_classes: 0.0,
)
LEEP = Score(
    leep,
    title="LEEP",
    range="[−log C, 0]",
    units="nats",
    behaviour=_OUTPUTS,
    maximum=lambda n_classes: 0.0,
)
N_LEEP = Score(
    n_leep,
    title="N-LEEP",
    range="[−log C, 0]",
    units="nats",
    behaviour=Behaviour(empty="−H(Y)"),
    maximum=lambda n_classes: 0.0,
)
