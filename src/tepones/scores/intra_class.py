"""TEP-ones: the intra-class mutual information between the features of two images of one class.

Our reconstruction from the abstract of "TEP-ones: a simple yet effective approach for transferability
estimation of pruned backbones" (Neurocomputing 668, 2026, 132209); the formula of the paper was not available to
us. Y is the class, Z and Z′ the features of two images drawn independently from it; the quantity is I(Z; Z′) in
nats, which is at most I(Z; Y) ≤ log C and is 0 if and only if the features carry nothing about the class.
"""

from typing import Any

import numpy as np
from scipy.linalg import solve_triangular, svdvals
from scipy.special import entr, softmax

from tepones.common.errors import choose
from tepones.scores.base import Behaviour, Score
from tepones.scores.moments import ClassMoments
from tepones.scores.rows import blocks, by_class, prepare

RECONSTRUCTION = "our reconstruction from the abstract of TEP-ones; the paper's formula was not available"
PAIRED_ROWS = 1024


def tep_ones(features: Any, labels: Any, estimator: str = "gaussian") -> float:
    """Intra-class mutual information I(Z; Z′) of features, by one of three estimators.

    Our reconstruction from the paper's abstract; the paper's formula was not available.

    Parameters
    ----------
    features : ndarray (may be memory-mapped) or torch tensor, shape (N, D)
    labels : sequence of N hashable classes
    estimator : str
        ``"gaussian"``, ``"binary"`` or ``"posterior"``: see the functions of these names.

    Returns
    -------
    float
        Nats.

    Raises
    ------
    UsageError
        On an unknown estimator, or on input that `ClassMoments.update` refuses.

    Examples
    --------
    >>> tep_ones([[0.0], [0.1], [1.0], [1.2]], ["cat", "cat", "dog", "dog"]) > 1
    True
    """
    choose("estimator", estimator, ("gaussian", "binary", "posterior"))
    moments = ClassMoments().update(features, labels)
    if estimator == "posterior":
        return posterior(features, labels, moments)
    return (gaussian if estimator == "gaussian" else binary)(moments)


def gaussian(moments: ClassMoments) -> float:
    """Intra-class mutual information as if all were Gaussian: −½ Σ_k log(1 − ρ_k²).

    The ρ_k are the eigenvalues of Σ_T^(-½) Σ_B Σ_T^(-½), the squared canonical correlations between the
    standardised active features and the classes, with Σ_T = Σ_B + Σ_W* and a shrunk within-class covariance Σ_W*
    (`tepones.scores.summary.Summary.within_factor`). Our reconstruction from the paper's abstract; the paper's
    formula was not available.

    Parameters
    ----------
    moments : ClassMoments

    Returns
    -------
    float
        Nats, in [0, ∞): a Gaussian model does not know that classes are discrete, so it may pass log C and ranks
        without being calibrated. 0 if no feature is active.

    Raises
    ------
    UsageError
        If there are fewer than two classes.

    Notes
    -----
    Cost after the pass: d³/3 for the factor and C·d² for the classes.
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

    Parameters
    ----------
    moments : ClassMoments

    Returns
    -------
    float
        Nats, in [0, D log 2]; 0 if no feature is active.

    Raises
    ------
    UsageError
        If there are fewer than two classes.

    Notes
    -----
    Cost after the pass: C·D.
    """
    summary = moments.summary
    rates = summary.on_rates[:, summary.spread.active]
    p, both = summary.priors @ rates, summary.priors @ rates**2
    one, neither = np.maximum(p - both, 0.0), np.maximum(1 - 2 * p + both, 0.0)
    information = 2 * (entr(p) + entr(1 - p)) - entr(both) - 2 * entr(one) - entr(neither)
    return float(np.maximum(information, 0.0).sum())


def posterior(features: Any, labels: Any, moments: ClassMoments | None = None) -> float:
    """Intra-class mutual information from class posteriors: mean of log Σ_y p̂(y|z) p̂(y|z′)/π_y over pairs.

    The identity p(z, z′)/(p(z) p(z′)) = Σ_y p(y|z) p(y|z′)/π_y makes this exact for exact posteriors. These come
    from linear discriminant analysis on standardised features with the within-class covariance of `gaussian`,
    each row left out of its own fit (in closed form: scale, intensity and target of the shrinkage are
    those of all rows). They are mixed with the class frequencies in the ratio N − 1 : 1, for N rows cannot tell a
    rarer event from an impossible one. Pairs are all ordered pairs of different rows of a class, classes weighted
    by their frequency; classes of one row have no pair. Our reconstruction from the paper's abstract; the paper's
    formula was not available.

    Parameters
    ----------
    features : ndarray or torch tensor, shape (N, D)
    labels : sequence of N hashable classes
    moments : ClassMoments, optional
        Of these rows, if they are known already.

    Returns
    -------
    float
        Nats, in [log(1/N), −log min π_c]; close to I(Z; Z′) ≤ log C where the discriminant is right, and below 0
        where it is worse than none. 0 if no feature is active or no class has two rows.

    Raises
    ------
    UsageError
        On input that `ClassMoments.update` refuses.

    Notes
    -----
    Cost after the pass: N·d² + d³/3, and Σ_c n_c²·C for the pairs; memory 8·N·C bytes.
    """
    features, codes, summary = prepare(features, labels, moments)
    if not summary.n_active:
        return 0.0
    posteriors = _left_out_posteriors(features, codes, summary)
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


def _left_out_posteriors(features: np.ndarray, codes: np.ndarray, summary) -> np.ndarray:
    """Class posteriors of every row, by a linear discriminant analysis that is fitted to all rows but this one.

    Leaving a row out moves the mean of its own class and takes one term out of the within-class covariance, so the
    fit without it follows from the fit of all rows by an update of rank one (Sherman and Morrison): N fits for little
    more than the cost of one. The scale of the features and the intensity and target of the shrinkage stay those of
    all rows.

    Parameters
    ----------
    features : ndarray, shape (N, D)
    codes : ndarray of int64, shape (N,)
        Row of each label's class in the tables of `summary`.
    summary : Summary
        Of these rows.

    Returns
    -------
    ndarray of float64, shape (N, C)
        Rows sum to 1. A class whose only row is left out has the posterior 0 there.
    """
    factor, a = summary.within_factor()
    n, counts = summary.n, summary.counts
    means = solve_triangular(factor, (summary.deviations / summary.spread.scale).T, lower=True).T
    apart = _squared_distances(means, means)
    posteriors = np.empty((n, len(counts)))
    for where, rows in blocks(features, summary.spread, standardised=True):
        own, each = codes[where], np.arange(len(rows))
        white = solve_triangular(factor, rows.T, lower=True, overwrite_b=True).T
        distances = _squared_distances(white, means)
        # Without row x of class c, μ_c moves by −u/(n_c − 1), u = x − μ_c, and the covariance loses g u uᵀ: the
        # Sherman–Morrison formula adds g (r·u)²/(1 − g u·u) to the squared length of any r, in the metric of all.
        length = distances[each, own]
        keeps = np.where(counts[own] > 1, counts[own] / np.maximum(counts[own] - 1, 1), 0.0)
        g = (1 - a) * keeps / n
        along = (distances + length[:, None] - apart[own]) / 2
        distances += (g / (1 - g * length))[:, None] * along**2
        distances[each, own] = keeps**2 * length / (1 - g * length)
        left = np.tile(counts.astype(float), (len(rows), 1))
        left[each, own] -= 1
        with np.errstate(divide="ignore"):  # a class of one row is gone without it: log 0
            posteriors[where] = softmax(np.log(left) - distances / 2, axis=1)
    return posteriors


def _squared_distances(rows: np.ndarray, points: np.ndarray) -> np.ndarray:
    squared = np.einsum("nd,nd->n", rows, rows)[:, None] + np.einsum("cd,cd->c", points, points)
    return np.maximum(squared - 2 * rows @ points.T, 0.0)


GAUSSIAN = Score(
    gaussian,
    title="TEP-ones, Gaussian",
    source=RECONSTRUCTION,
    range="[0, ∞)",
    units="nats",
    cost="N·D² pass, then d³/3",
    behaviour=Behaviour(duplicates="changes"),
)
BINARY = Score(
    binary,
    title="TEP-ones, binary",
    source=RECONSTRUCTION,
    range="[0, D log 2]",
    units="nats",
    cost="N·D² pass (N·D alone), then C·D",
    behaviour=Behaviour(shifting="changes", duplicates="up"),
)
POSTERIOR = Score(
    posterior,
    title="TEP-ones, posterior",
    source=RECONSTRUCTION,
    range="[−log N, −log min π]",
    units="nats",
    cost="N·D² pass, N·D² again, then Σ n_c²·C",
    behaviour=Behaviour(duplicates="changes"),
)
