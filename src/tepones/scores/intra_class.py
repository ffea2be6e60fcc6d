"""TEP-ones: the intra-class mutual information between the features of two images of one class.

Our reconstruction from the abstract of "TEP-ones: a simple yet effective approach for transferability estimation of
pruned backbones" (Neurocomputing 668, 2026, 132209); the formula of the paper was not available to us. Y is the
class, Z and Z′ the features of two images drawn independently from it; the quantity is I(Z; Z′) in nats, which is
at most I(Z; Y) ≤ log C and is 0 if and only if the features carry nothing about the class.
"""

import numpy as np
from scipy.linalg import solve_triangular, svdvals

from tepones.scores.base import Behaviour, Score
from tepones.scores.moments import ClassMoments


def gaussian(moments: ClassMoments) -> float:
    """Intra-class mutual information as if all were Gaussian: −½ Σ_k log(1 − ρ_k²).

    The ρ_k are the eigenvalues of Σ_T^(-½) Σ_B Σ_T^(-½), the squared canonical correlations between the
    standardised active features and the classes, with Σ_T = Σ_B + Σ_W* and the within-class covariance Σ_W*
    shrunk (`tepones.scores.summary.Summary.within_factor`). Our reconstruction from the paper's abstract; the
    paper's formula was not available.

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
    whitened = solve_triangular(summary.within_factor(), summary.standardised_means().T, lower=True)
    # v, the eigenvalues of Σ_W*^(-1) Σ_B, give ρ = v/(1 + v) and 1 − ρ² = (1 + 2v)/(1 + v)² without cancellation.
    v = svdvals(whitened) ** 2
    return float(np.sum(np.log1p(v) - np.log1p(2 * v) / 2))


GAUSSIAN = Score(
    gaussian,
    title="TEP-ones (our reconstruction), Gaussian",
    source="our reconstruction from the abstract of 10.1016/j.neucom.2025.132209; formula not available",
    range="[0, ∞)",
    units="nats",
    cost="N·D² pass, then d³/3",
    behaviour=Behaviour(scaling="same", shifting="same", duplicates="changes", few_rows="tells", empty=0.0),
)
