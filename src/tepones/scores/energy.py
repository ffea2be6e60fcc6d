"""ETran's energy of the features."""

from typing import Any

import numpy as np
from scipy.special import logsumexp

from tepones.scores.base import Behaviour, Score
from tepones.scores.moments import ClassMoments
from tepones.scores.rows import blocks, prepare

LOWEST = 0.005


def energy(features: Any, labels: Any, moments: ClassMoments | None = None) -> float:
    """Mean log Σ_j exp(x_j) over the 0.5 % of rows where it is lowest (one row at least).

    The energy term of ETran (Gholami et al., 2023, arXiv 2308.02027) as released, on active features: a zero
    column would add e⁰ = 1. The raw part of a score that its authors normalise over the pool of models
    (`tepones.scores.pool.etran`). Labels play no part.

    Returns
    -------
    float
        Nats; grows with the number and the scale of the features. 0 if no feature is active. Cost after the pass: N·d
        exponentials.
    """
    features, _, summary = prepare(features, labels, moments)
    if not summary.n_active:
        return 0.0
    energies = np.concatenate(
        [logsumexp(rows + summary.spread.mean, axis=1) for _, rows in blocks(features, summary.spread)]
    )
    lowest = max(1, int(LOWEST * summary.n))
    return float(np.partition(energies, lowest - 1)[:lowest].mean())


ENERGY = Score(
    energy,
    title="ETran energy",
    range="(−∞, ∞)",
    units="nats",
    behaviour=Behaviour(scaling="changes", shifting="changes", duplicates="up", few_rows="no part"),
    uses_labels=False,
)
