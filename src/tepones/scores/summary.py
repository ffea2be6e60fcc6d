"""What the scores see of class moments: everything about the mean, of active features only."""

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import eigh
from scipy.linalg.blas import dsyrk
from scipy.linalg.lapack import dpotrf

from tepones.common.errors import TeponesError
from tepones.scores.policy import DEAD

if TYPE_CHECKING:
    from tepones.scores.moments import ClassMoments

#: Least within-class variance of a standardised feature: what float32 can tell from none, with room to spare.
NOISE = 1e-8


class Spread:
    """The label-free part: mean, covariance (divided by N) and its spectrum.

    Attributes
    ----------
    n : int
        Rows.
    n_features : int
        D, dead features included.
    active : ndarray of bool, shape (D,)
        Which features are active; everything else here has d = `n_active` of them.
    mean, variance, scale : ndarray of float64, shape (d,)
        The scale is the standard deviation.
    """

    def __init__(self, moments: "ClassMoments"):
        self.n, self.n_features = moments.n, moments.n_features
        self._gram = moments.gram
        offset = moments.sums.sum(0) / self.n
        mean = moments.shift + offset
        variance = np.maximum(np.diagonal(self._gram) / self.n - offset**2, 0.0)
        self.active = np.sqrt(variance) > DEAD * np.sqrt(mean**2 + variance)
        self._offset, self.mean, self.variance = offset[self.active], mean[self.active], variance[self.active]
        self.scale = np.sqrt(self.variance)
        self._cubic, self._quartic = moments.cubic[self.active], moments.quartic

    @property
    def n_active(self) -> int:
        """d, the number of active features."""
        return len(self.mean)

    def covariance(self) -> np.ndarray:
        """A fresh total covariance, (d, d), column-major: callers may overwrite it."""
        everything = self.n_active == self.n_features
        lower = self._gram if everything else self._gram[np.ix_(self.active, self.active)]
        matrix = np.array(lower, order="F")
        matrix = dsyrk(-float(self.n), self._offset[:, None], beta=1.0, c=matrix, lower=1, overwrite_c=1)
        matrix /= self.n
        mirror(matrix)
        return matrix

    def correlation(self) -> np.ndarray:
        """A fresh covariance of the standardised features, (d, d), column-major."""
        matrix = self.covariance()
        matrix /= self.scale
        matrix /= self.scale[:, None]
        return matrix

    @cached_property
    def eigen(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues (rising, not negative) and eigenvectors of the covariance; O(d³), computed once."""
        values, vectors = eigh(self.covariance(), overwrite_a=True, check_finite=False, driver="evd")
        return np.maximum(values, 0.0), vectors

    @cached_property
    def effective_rank(self) -> float:
        """Participation ratio (Σλ)²/Σλ² of the covariance's eigenvalues, in [1, d]; 0 if nothing is active."""
        if not self.n_active:
            return 0.0
        return float(self.variance.sum() ** 2 / squared_norm(self.covariance()))

    def ledoit_wolf(self, covariance: np.ndarray) -> float:
        """Intensity of shrinking this object's covariance towards a multiple of the identity, in [0, 1].

        Ledoit and Wolf (2004), "A well-conditioned estimator for large-dimensional covariance matrices": the error
        of the covariance, from Σ‖x − μ‖⁴, over its distance from the identity.
        """
        t, t2 = self._offset, self._offset @ self._offset
        trace, squared = self.variance.sum(), squared_norm(covariance)
        gram_t = self.n * (covariance @ t + t * t2)
        gram_trace = self.n * (trace + t2)
        quartic = self._quartic - 4 * t @ self._cubic + 4 * t @ gram_t + 2 * t2 * gram_trace - 3 * self.n * t2**2
        distance = squared - trace**2 / self.n_active
        error = max(quartic / self.n - squared, 0.0) / self.n
        return 0.0 if distance <= 0 else float(min(error / distance, 1.0))


class Summary:
    """The moments about the mean, of active features only.

    Attributes
    ----------
    spread : Spread
        The label-free part.
    n, n_active, n_classes : int
    counts : ndarray of int64, shape (C,)
    priors : ndarray of float64, shape (C,)
        Class frequencies n_c/N.
    deviations : ndarray of float64, shape (C, d)
        Class means minus the total mean.
    class_variances : ndarray of float64, shape (C, d)
        Divided by n_c.
    on_rates : ndarray of float64, shape (C, D)
        Fraction of rows with x > 0, of *all* features: a dead feature has a state too.
    """

    def __init__(self, moments: "ClassMoments", spread: Spread | None = None):
        self.spread = spread or Spread(moments)
        active, counts = self.spread.active, moments.counts[:, None]
        means = moments.sums[:, active] / counts
        self.n, self.n_active, self.n_classes = moments.n, self.spread.n_active, len(moments.counts)
        self.counts, self.priors = moments.counts, moments.counts / moments.n
        self.deviations = means - self.priors @ means
        self.class_variances = np.maximum(moments.squares[:, active] / counts - means**2, 0.0)
        self.on_rates = moments.on / counts

    def standardised_means(self) -> np.ndarray:
        """√π_c (μ_c − μ)/σ, (C, d): its Gram matrix is the between-class covariance of standardised features."""
        return np.sqrt(self.priors)[:, None] * self.deviations / self.spread.scale

    def within_factor(self) -> tuple[np.ndarray, float]:
        """Cholesky factor of the shrunk within-class covariance of the standardised features, and intensity a.

        Σ_W* = (1 − a) Σ_W + (a tr Σ_W/d + 10⁻⁸) I with the intensity a of `oracle_approximating`. Only the
        within-class part, the noise, is shrunk: with Σ_T* = Σ_B + Σ_W* every ρ stays below 1, and where the
        sample is large Σ_T* tends to Σ_T. The factor is lower triangular, (d, d), and fresh.
        """
        matrix = self.spread.correlation()
        matrix = dsyrk(-1.0, self.standardised_means().T, beta=1.0, c=matrix, lower=1, overwrite_c=1)
        mirror(matrix)
        a = oracle_approximating(matrix, self.n - self.n_classes)
        diagonal = np.einsum("ii->i", matrix)
        target = a * max(diagonal.mean(), 0.0) + NOISE
        matrix *= 1 - a
        diagonal += target
        return cholesky(matrix), a


def oracle_approximating(covariance: np.ndarray, n: int) -> float:
    """Intensity of shrinking a covariance towards a multiple of the identity, in [0, 1].

    Chen, Wiesel, Eldar and Hero (2010), "Shrinkage algorithms for MMSE covariance estimation", equation 23: what
    Ledoit and Wolf's intensity tends to for Gaussian samples, from the covariance alone. Theirs would need
    Σ‖z‖⁴ of features standardised by a scale that is only known after the pass. Takes the covariance (d, d) and its n
    degrees of freedom.
    """
    d, trace, squared = len(covariance), np.trace(covariance), squared_norm(covariance)
    distance = squared - trace**2 / d
    if n <= 0 or distance <= 0:
        return 1.0
    return float(min(1.0, ((1 - 2 / d) * squared + trace**2) / ((n + 1 - 2 / d) * distance)))


def cholesky(matrix: np.ndarray) -> np.ndarray:
    """Lower Cholesky factor of a column-major matrix (d, d), in the memory of the matrix.

    Raises
    ------
    TeponesError
        If the matrix is not positive definite.
    """
    factor, failed = dpotrf(matrix, lower=1, clean=1, overwrite_a=1)
    if failed:
        raise TeponesError(f"a covariance of {len(matrix)} features is not positive definite, but for rounding")
    return factor


def squared_norm(matrix: np.ndarray) -> float:
    """Sum of the squares of all elements of a column-major matrix."""
    entries = matrix.ravel(order="K")
    return float(entries @ entries)


def mirror(matrix: np.ndarray) -> None:
    """Copy the lower triangle of a square matrix over the upper one, in place and panel by panel."""
    for start in range(0, len(matrix), 256):
        stop = start + 256
        matrix[start:stop, stop:] = matrix[stop:, start:stop].T
        corner = matrix[start:stop, start:stop]
        corner[...] = np.tril(corner) + np.tril(corner, -1).T
