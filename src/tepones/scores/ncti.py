"""NCTI: how far the features are from neural collapse, as its three raw parts."""

from typing import Any

import numpy as np
from scipy.linalg import eigh, svdvals

from tepones.scores.base import Behaviour, Score
from tepones.scores.discriminant import discriminant, ridge
from tepones.scores.moments import ClassMoments
from tepones.scores.rows import blocks, by_class, prepare
from tepones.scores.summary import NOISE

COMPONENTS = 64
#: Components with less than this fraction of the largest variance are rounding.
RANK = 1e-10


def ncti(features: Any, labels: Any, moments: ClassMoments | None = None) -> dict[str, float]:
    """Raw parts SELI, NCC and VC; `tepones.scores.pool.ncti` makes a ranking of a pool of models from them.

    Wang et al. (2023), "How far pre-trained models are from neural collapse on the target dataset informs their
    transferability", ICCV, as released: 64 principal components, discriminant analysis with the ridge
    λ = exp(−variance of the first 32). Principal components come from the moments, not from random projections.

    Returns
    -------
    dict of str to float
        ``seli``, the nuclear norm of the features projected on min(C − 1, 64) discriminant vectors, in [0, ∞); ``ncc``,
        the mean posterior of the right class, in (0, 1]; ``vc``, the logarithm of the summed nuclear norms of each
        class's posteriors, where *lower* is better. 0, Σ π_c² and ½ log Σ π_c² + log Σ √n_c if no feature is active.
        Cost after the pass: one eigendecomposition O(d³), shared with other scores; N·d·64; N·C².
    """
    features, codes, summary = prepare(features, labels, moments)
    if not summary.n_active:
        squared = float(summary.priors @ summary.priors)
        nuclear = np.log(squared) / 2 + np.log(np.sqrt(summary.counts).sum())
        return {"seli": 0.0, "ncc": squared, "vc": float(nuclear)}
    variances, vectors = summary.spread.eigen
    # Components that are rounding would leave the choice of discriminant vectors to chance.
    kept = np.flatnonzero(variances > RANK * variances[-1])[::-1][:COMPONENTS]
    variances, vectors = variances[kept], vectors[:, kept]
    means = summary.deviations @ vectors
    between = (summary.priors * means.T) @ means
    within = np.asfortranarray(np.diag(variances) - between)
    intensity = float(np.exp(-variances[:32].sum() * summary.n / (summary.n - 1)))
    factor = ridge(within, intensity, least=NOISE * variances.mean())

    # Discriminant vectors W (Wᵀ S_W W = I) of the between-class covariance with the same ridge, as released.
    # The nuclear norm of the projected rows is the sum of the roots of the eigenvalues of N Wᵀ S_T W.
    shrunk = (1 - intensity) * between + intensity * np.trace(between) / len(between) * np.eye(len(between))
    directions = np.linalg.solve(factor.T, eigh(_both_sides(factor, shrunk))[1][:, ::-1])
    directions = directions[:, : summary.n_classes - 1]
    seli = np.sqrt(np.maximum(np.linalg.eigvalsh(summary.n * (directions.T * variances) @ directions), 0)).sum()

    model = discriminant(factor, means, summary.priors)
    posteriors = np.concatenate([model.posteriors(rows @ vectors) for _, rows in blocks(features, summary.spread)])
    nuclear = sum(svdvals(posteriors[rows]).sum() for rows in by_class(codes))
    return {
        "seli": float(seli),
        "ncc": float(posteriors[np.arange(summary.n), codes].mean()),
        "vc": float(np.log(nuclear)),
    }


def _both_sides(factor: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """L⁻¹ M L⁻ᵀ."""
    half = np.linalg.solve(factor, matrix)
    return np.linalg.solve(factor, half.T)


NCTI = Score(
    ncti,
    title="NCTI, raw parts",
    range="seli [0, ∞), ncc (0, 1], vc (−∞, ∞)",
    units="none",
    behaviour=Behaviour(scaling="changes", duplicates="changes", empty="0, Σ π_c², ½ log Σ π_c² + log Σ √n_c"),
)
