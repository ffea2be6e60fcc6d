"""TEP-ones: the intra-class mutual information between the features of two images of one class.

Our reconstruction from the abstract of "TEP-ones: a simple yet effective approach for transferability
estimation of pruned backbones" (Neurocomputing 668, 2026, 132209); the formula of the paper was not available to
us. Y is the class, Z and Z′ the features of two images drawn independently from it; the quantity is I(Z; Z′) in
nats, which is at most I(Z; Y) ≤ log C and is 0 if and only if the features carry nothing about the class.
"""

from typing import Any

import numpy as np
from scipy.linalg import solve_triangular, svdvals
from scipy.special import entr

from tepones.scores.base import Behaviour, Score
from tepones.scores.discriminant import left_out_posteriors
from tepones.scores.moments import ClassMoments
from tepones.scores.rows import by_class, prepare

PAIRED_ROWS = 1024


def gaussian(moments: ClassMoments) -> float:
    """Intra-class mutual information as if all were Gaussian: −½ Σ_k log(1 − ρ_k²).

    The ρ_k are the eigenvalues of Σ_T^(-½) Σ_B Σ_T^(-½), the squared canonical correlations between the
    standardised active features and the classes, with Σ_T = Σ_B + Σ_W* and a shrunk within-class covariance Σ_W*
    (`tepones.scores.summary.Summary.within_factor`). Our reconstruction from the paper's abstract; the paper's
    formula was not available.

    Returns
    -------
    float
        Nats, in [0, ∞): a Gaussian model does not know that classes are discrete, so it may pass log C and ranks
        without being calibrated. 0 if no feature is active. Cost after the pass: d³/3 for the factor and C·d² for the
        classes.
    """
    summary = moments.summary
    if not summary.n_active:
        return 0.0
    factor, _ = summary.within_factor()
    # v, the eigenvalues of Σ_W*⁻¹ Σ_B, give ρ = v/(1 + v) and 1 − ρ² = (1 + 2v)/(1 + v)² without cancellation.
    v = svdvals(solve_triangular(factor, summary.standardised_means().T, lower=True)) ** 2
    return float(np.sum(np.log1p(v) - np.log1p(2 * v) / 2))


def binary(moments: ClassMoments) -> float:
    """Intra-class mutual information of ON/OFF states (x > 0), unit by unit, summed over units.

    Two samples of one class are both ON with p₁₁ = Σ_c π_c p_c², each with p = Σ_c π_c p_c; the term of a unit
    is the mutual information of this 2 × 2 table. A unit that is always ON or always OFF has none. Our
    reconstruction from the paper's abstract; the paper's formula was not available.

    Returns
    -------
    float
        Nats, in [0, D log 2]; 0 if no feature is active. Cost after the pass: C·D.
    """
    summary = moments.summary
    rates = summary.on_rates[:, summary.spread.active]
    p, both = summary.priors @ rates, summary.priors @ rates**2
    one, neither = np.maximum(p - both, 0.0), np.maximum(1 - 2 * p + both, 0.0)
    information = 2 * (entr(p) + entr(1 - p)) - entr(both) - 2 * entr(one) - entr(neither)
    return float(np.maximum(information, 0.0).sum())


def posterior(features: Any, labels: Any, moments: ClassMoments | None = None) -> float:
    """Intra-class mutual information from class posteriors: mean of log Σ_y p̂(y|z) p̂(y|z′)/π_y over pairs.

    The identity p(z, z′)/(p(z) p(z′)) = Σ_y p(y|z) p(y|z′)/π_y makes this exact for exact posteriors. These come from
    `tepones.scores.discriminant.left_out_posteriors`, mixed with the class frequencies in the ratio N − 1 : 1, for N
    rows cannot tell a rarer event from an impossible one. Pairs are all ordered pairs of different rows of a class,
    classes weighted by their frequency; classes of one row have no pair. Our reconstruction from the paper's abstract;
    the paper's formula was not available.

    Returns
    -------
    float
        Nats, in [log(1/N), −log min π_c]; close to I(Z; Z′) ≤ log C where the discriminant is right, and below 0 where
        it is worse than none. 0 if no feature is active or no class has two rows. Cost after the pass: N·d² + d³/3, and
        Σ_c n_c²·C for the pairs; memory 8·N·C bytes.
    """
    features, codes, summary = prepare(features, labels, moments)
    if not summary.n_active:
        return 0.0
    posteriors = left_out_posteriors(features, codes, summary)
    posteriors *= 1 - 1 / summary.n
    posteriors += summary.priors / summary.n
    total, weight = 0.0, 0
    for rows in by_class(codes):
        n = len(rows)
        if n == 1:
            continue
        p = posteriors[rows]
        pairs = 0.0
        for start in range(0, n, PAIRED_ROWS):
            pairs += np.log((p[start : start + PAIRED_ROWS] / summary.priors) @ p.T).sum()
        pairs -= np.log(np.einsum("ny,ny->n", p / summary.priors, p)).sum()
        total += n * pairs / (n * (n - 1))
        weight += n
    return float(total / weight) if weight else 0.0


GAUSSIAN = Score(
    gaussian,
    title="TEP-ones, Gaussian",
    range="[0, ∞)",
    units="nats",
    behaviour=Behaviour(duplicates="changes"),
)
BINARY = Score(
    binary,
    title="TEP-ones, binary",
    range="[0, D log 2]",
    units="nats",
    behaviour=Behaviour(shifting="changes", duplicates="up"),
)
POSTERIOR = Score(
    posterior,
    title="TEP-ones, posterior",
    range="[−log N, −log min π]",
    units="nats",
    behaviour=Behaviour(duplicates="changes"),
)
