"""TMI: entropy of the features within classes."""

from typing import Any

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import digamma

from tepones.scores.base import Behaviour, Score
from tepones.scores.moments import ClassMoments
from tepones.scores.rows import by_class, centred, prepare

NEIGHBOURS = 3
#: Least distance to a neighbour, as a fraction of the features' scale: rows that coincide have entropy −∞.
LEAST = 1e-3
ROWS = 256


def tmi(features: Any, labels: Any, moments: ClassMoments | None = None) -> float:
    """Mean over classes of π_c h(Z | Y = c), h the nearest-neighbour estimate of the differential entropy.

    Xu and Kang (2023), "Fast and accurate transferability measurement by evaluating intra-class feature variance",
    ICCV, arXiv 2308.05986, written from the definition: h = ψ(n) − ψ(k) + (d/n) Σ_i log 2 ε_i (Kozachenko and
    Leonenko), ε_i the distance of row i to its k-th neighbour of the same class in the maximum norm, k = 3.
    ε is at least 10⁻³ of the features' root mean square deviation; the authors' code has the absolute limit 1,
    below which its value is a constant. Classes of k rows or fewer take the neighbours they have; classes of one
    row have none and are left out.

    Returns
    -------
    float
        Nats divided by C, in (−∞, ∞). Grows with the number of active features and with the logarithm of their scale,
        and tends to be higher for shuffled labels. If no feature is active, that of d = 0. Cost after the pass: Σ_c
        n_c²·d; memory of one class.
    """
    features, codes, summary = prepare(features, labels, moments)
    d = summary.n_active
    least = LEAST * np.sqrt(summary.spread.variance.mean()) if d else 1.0
    entropies, weights = [], []
    for rows in by_class(codes):
        n = len(rows)
        if n == 1:
            continue
        k = min(NEIGHBOURS, n - 1)
        z = centred(features[rows], summary.spread)
        logs = 0.0
        for start in range(0, n, ROWS) if d else ():
            distances = cdist(z[start : start + ROWS], z, "chebyshev")
            # The nearest is the row itself.
            nearest = np.partition(distances, k, axis=1)[:, k]
            logs += np.log(2 * np.maximum(nearest, least)).sum()
        entropies.append(digamma(n) - digamma(k) + d / n * logs)
        weights.append(n)
    if not weights:
        return 0.0
    return float(np.average(entropies, weights=weights) / summary.n_classes)


TMI = Score(
    tmi,
    title="TMI",
    range="(−∞, ∞)",
    units="nats / C",
    behaviour=Behaviour(scaling="up", duplicates="changes", few_rows="reversed", empty="Σ π_c (ψ(n_c) − ψ(k))/C"),
)
