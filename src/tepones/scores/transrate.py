"""TransRate: the coding rate of all features less that of the features of each class."""

from typing import Any

import numpy as np
from scipy.linalg.blas import dsyrk

from tepones.scores import policy
from tepones.scores.base import Behaviour, Score
from tepones.scores.moments import ClassMoments
from tepones.scores.rows import by_class, centred, prepare
from tepones.scores.summary import cholesky

DISTORTION = 1e-4


def transrate(features: Any, labels: Any, moments: ClassMoments | None = None) -> float:
    """R(Z) − Σ_c π_c R(Z_c) with the coding rate R(Z) = ½ log det(I + Zᵀ Z/(n ε)), ε = 10⁻⁴.

    Huang et al. (2022), "Frustratingly easy transferability estimation", ICML, arXiv 2106.09362. Z is centred once,
    about the mean of all rows. Released codes weight the classes by 1/C or by their frequency π_c; this is the
    frequency, as in the coding rates of Yu et al. (2020), arXiv 2006.08558. Which one the paper has was not
    checked.

    Returns
    -------
    float
        Nats, in [0, ∞); depends on the scale of the features. Almost the same for any labels where classes have fewer
        rows than there are features. 0 if no feature is active. Cost after the pass: Σ_c n_c·d·m_c + (m_c³ + d³)/3 with
        m_c = min(n_c, d); memory of m_c² and one block.
    """
    features, codes, summary = prepare(features, labels, moments)
    if not summary.n_active:
        return 0.0
    rate = _rate(summary.spread.covariance())
    size = policy.rows_per_block(summary.spread.n_features)
    for rows in by_class(codes):
        if len(rows) < summary.n_active:
            # The same determinant from the smaller side: I + Z Zᵀ/(n ε).
            gram = dsyrk(1.0, centred(features[rows], summary.spread).T, trans=1, lower=1)
        else:
            gram = np.zeros((summary.n_active,) * 2, order="F")
            for start in range(0, len(rows), size):
                part = centred(features[rows[start : start + size]], summary.spread)
                gram = dsyrk(1.0, part.T, beta=1.0, c=gram, lower=1, overwrite_c=1)
        gram /= len(rows)
        rate -= len(rows) / summary.n * _rate(gram)
    # The rate is concave in the covariance, so only rounding can leave less than nothing.
    return max(float(rate), 0.0)


def _rate(gram: np.ndarray) -> float:
    """½ log det(I + gram/ε) from the lower triangle, which is overwritten."""
    gram /= DISTORTION
    np.einsum("ii->i", gram)[:] += 1
    return float(np.log(np.diagonal(cholesky(gram))).sum())


TRANSRATE = Score(
    transrate,
    title="TransRate",
    range="[0, ∞)",
    units="nats",
    behaviour=Behaviour(scaling="changes", duplicates="changes"),
)
