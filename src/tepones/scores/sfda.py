"""SFDA: self-challenging Fisher discriminant analysis."""

from typing import Any

import numpy as np
from scipy.sparse.linalg import eigsh

from tepones.scores.base import Behaviour, Score
from tepones.scores.discriminant import Discriminant, discriminant, ridge, within_covariance
from tepones.scores.moments import ClassMoments
from tepones.scores.rows import blocks, prepare
from tepones.scores.summary import NOISE, Summary


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

    Parameters
    ----------
    features : ndarray or torch tensor, shape (N, D)
    labels : sequence of N hashable classes
    moments : ClassMoments, optional
        Of these rows, if they are known already.

    Returns
    -------
    float
        In (0, 1]; 1 for any labels if N ≤ D. Depends on the scale of the features through λ. The frequencies'
        Σ π_c² if no feature is active.

    Notes
    -----
    Cost: two passes of N·d², two factors d³/3, 4·N·d·C for the rows; memory of two passes.
    """
    features, codes, summary = prepare(features, labels, moments)
    if not summary.n_active:
        return float(summary.priors @ summary.priors)
    within = within_covariance(summary)
    start = np.random.default_rng(0).normal(size=len(within))
    largest = eigsh(within, k=1, v0=start, return_eigenvectors=False)[0] if len(within) > 1 else within[0, 0]
    intensity = float(np.exp(-5 * largest))

    confidence = np.empty(summary.n)
    model = _fit(summary, within, intensity)
    others = (summary.deviations.sum(0) - summary.deviations) / (summary.n_classes - 1)
    mixed = ClassMoments()
    for where, rows in blocks(features, summary.spread):
        soft = np.exp(model.posteriors(rows))
        confidence[where] = _right(soft, codes[where]) / soft.sum(1)
        mixed.update(_mix(rows, confidence[where], others[codes[where]]), codes[where])

    total = 0.0
    second = mixed.summary
    codes_of_mixed = mixed.encode(codes)
    model = _fit(second, within_covariance(second), intensity)
    for where, rows in blocks(features, summary.spread):
        rows = _mix(rows, confidence[where], others[codes[where]])[:, second.spread.active] - second.spread.mean
        total += _right(model.posteriors(rows), codes_of_mixed[where]).sum()
    return float(total / summary.n)


def _fit(summary: Summary, within: np.ndarray, intensity: float) -> Discriminant:
    factor = ridge(within, intensity, least=NOISE * summary.spread.variance.mean())
    return discriminant(factor, summary.deviations, summary.priors)


def _mix(rows: np.ndarray, confidence: np.ndarray, others: np.ndarray) -> np.ndarray:
    return others + confidence[:, None] * (rows - others)


def _right(posteriors: np.ndarray, codes: np.ndarray) -> np.ndarray:
    return posteriors[np.arange(len(codes)), codes]


SFDA = Score(
    sfda,
    title="SFDA",
    source="Shao et al. 2022, arXiv 2207.03036; released variant without the logarithm",
    range="(0, 1]",
    units="probability",
    cost="2 N·D² passes, then 2/3 d³ and 4·N·d·C",
    behaviour=Behaviour(scaling="changes", duplicates="changes", few_rows="blind", empty="Σ π_c²"),
    maximum=lambda n_classes: 1.0,
)
