"""Linear discriminant analysis from moments: class posteriors of rows under one Gaussian for each class."""

from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_solve
from scipy.linalg.blas import dsyrk
from scipy.special import softmax

from tepones.scores.summary import Summary, cholesky, mirror


class Discriminant(NamedTuple):
    """A fitted discriminant: the logits of the classes are ``rows @ coefficients + intercepts``.

    Attributes
    ----------
    coefficients : ndarray of float64, shape (d, C)
    intercepts : ndarray of float64, shape (C,)
    """

    coefficients: np.ndarray
    intercepts: np.ndarray

    def posteriors(self, rows: np.ndarray) -> np.ndarray:
        """Class probabilities, shape (rows, C), of rows that are relative to the same point as the class means were."""
        return softmax(rows @ self.coefficients + self.intercepts, axis=1)


def discriminant(factor: np.ndarray, means: np.ndarray, priors: np.ndarray) -> Discriminant:
    """Discriminant of classes with one covariance.

    Parameters
    ----------
    factor : ndarray of float64, shape (d, d)
        Lower Cholesky factor of the within-class covariance.
    means : ndarray of float64, shape (C, d)
    priors : ndarray of float64, shape (C,)
    """
    coefficients = cho_solve((factor, True), means.T)
    return Discriminant(coefficients, np.log(priors) - np.einsum("cd,dc->c", means, coefficients) / 2)


def within_covariance(summary: Summary) -> np.ndarray:
    """A fresh within-class covariance of the active features, divided by N, (d, d)."""
    matrix = summary.spread.covariance()
    weighted = np.sqrt(summary.priors)[:, None] * summary.deviations
    matrix = dsyrk(-1.0, weighted.T, beta=1.0, c=matrix, lower=1, overwrite_c=1)
    mirror(matrix)
    return matrix


def ridge(within: np.ndarray, intensity: float, least: float) -> np.ndarray:
    """Cholesky factor of (1 − λ) S_W + max(λ tr S_W/d, least) I, in the memory of S_W.

    The least ridge keeps it positive definite where S_W is singular: as many features as rows, or classes that
    collapsed to points.
    """
    diagonal = np.einsum("ii->i", within)
    target = max(intensity * diagonal.mean(), least)
    within *= 1 - intensity
    diagonal += target
    return cholesky(within)
