"""SFDA: self-challenging Fisher discriminant analysis."""

from typing import Any

import numpy as np
from scipy.linalg.blas import dsyrk
from scipy.sparse import csr_array
from scipy.sparse.linalg import eigsh
from scipy.special import softmax

from tepones.scores.base import Behaviour, Score
from tepones.scores.discriminant import discriminant, ridge, within_covariance
from tepones.scores.moments import ClassMoments
from tepones.scores.rows import blocks, prepare
from tepones.scores.summary import NOISE, mirror


def sfda(features: Any, labels: Any, moments: ClassMoments | None = None) -> float:
    """Mean posterior of the right class after the classes were pushed towards each other.

    Shao et al. (2022), "Not all models are equal: predicting model transferability in a self-challenging Fisher
    space", arXiv 2207.03036. Fisher discriminant analysis with the ridge λ = exp(−5 l), l the largest eigenvalue
    of the within-class covariance, gives posteriors p; q = softmax(p) of the right class; every row x becomes
    q x + (1 − q) m, m the mean of the other classes' means (ConfMix); the mean posterior of the right class under
    a second analysis of these rows, with the same λ, is the score. This is the released variant, which takes the
    mean probability where the paper has its logarithm. With all discriminant vectors V, V Vᵀ is the inverse of
    the ridged within-class covariance, so each analysis is one Cholesky factorisation. The eigenvalue is computed,
    not approximated by three power iterations.

    Returns
    -------
    float
        In (0, 1]; 1 for any labels if N ≤ D. Depends on the scale of the features through λ. The frequencies' Σ π_c² if
        no feature is active. Cost: two passes of N·d², two factors d³/3, 4·N·d·C for the rows; memory of two passes.
    """
    features, codes, summary = prepare(features, labels, moments)
    if not summary.n_active:
        return float(summary.priors @ summary.priors)
    within = within_covariance(summary)
    least = NOISE * summary.spread.variance.mean()
    intensity = float(np.exp(-5 * _largest_eigenvalue(within, least)))
    model = discriminant(ridge(within, intensity, least), summary.deviations, summary.priors)

    confidence = np.empty(summary.n)
    others = (summary.deviations.sum(0) - summary.deviations) / (summary.n_classes - 1)
    gram = np.zeros((summary.n_active,) * 2, order="F")
    sums = np.zeros_like(summary.deviations)
    for where, rows in blocks(features, summary.spread):
        own = codes[where]
        soft = np.exp(model.posteriors(rows))
        confidence[where] = _right(soft, own) / soft.sum(1)
        rows -= others[own]
        rows *= confidence[where, None]
        rows += others[own]
        gram = dsyrk(1.0, rows.T, beta=1.0, c=gram, lower=1, overwrite_c=1)
        sums += csr_array((np.ones(len(rows)), (own, np.arange(len(rows)))), shape=(len(sums), len(rows))) @ rows

    # Σ x′x′ᵀ/N less the class means' part is the within-class covariance of the mixed rows.
    means = sums / summary.counts[:, None]
    gram = dsyrk(-1.0, (np.sqrt(summary.counts)[:, None] * means).T, beta=1.0, c=gram, lower=1, overwrite_c=1)
    gram /= summary.n
    mirror(gram)
    model = discriminant(ridge(gram, intensity, least), means, summary.priors)
    total, far = 0.0, others @ model.coefficients
    for where, rows in blocks(features, summary.spread):
        own = codes[where]
        # The logits of a mixed row are the mixture of the logits: the rows need not be mixed again.
        logits = far[own] + confidence[where, None] * (rows @ model.coefficients - far[own])
        total += _right(softmax(logits + model.intercepts, axis=1), own).sum()
    return float(total / summary.n)


def _largest_eigenvalue(matrix: np.ndarray, least: float) -> float:
    # Lanczos iterations need a matrix that is larger than a few rows and is not zero but for rounding.
    if len(matrix) < 32 or np.trace(matrix) < least * len(matrix):
        return float(np.linalg.eigvalsh(matrix)[-1])
    start = np.random.default_rng(0).normal(size=len(matrix))
    return float(eigsh(matrix, k=1, v0=start, return_eigenvectors=False)[0])


def _right(posteriors: np.ndarray, codes: np.ndarray) -> np.ndarray:
    return posteriors[np.arange(len(codes)), codes]


SFDA = Score(
    sfda,
    title="SFDA",
    range="(0, 1]",
    units="probability",
    behaviour=Behaviour(scaling="changes", duplicates="changes", few_rows="blind", empty="Σ π_c²"),
    maximum=lambda n_classes: 1.0,
)
