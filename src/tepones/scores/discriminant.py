"""Linear discriminant analysis from moments: class posteriors of rows under one Gaussian for each class."""

from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_solve, solve_triangular
from scipy.linalg.blas import dsyrk
from scipy.special import softmax

from tepones.scores.rows import blocks
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
    """Discriminant of classes with one covariance: its lower Cholesky factor (d, d), means (C, d) and priors (C,)."""
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


def left_out_posteriors(features: np.ndarray, codes: np.ndarray, summary: Summary) -> np.ndarray:
    """Class posteriors of every row, by a linear discriminant analysis that is fitted to all rows but this one.

    Leaving a row out moves the mean of its own class and takes one term out of the within-class covariance, so the
    fit without it follows from the fit of all rows by an update of rank one (Sherman and Morrison): N fits for little
    more than the cost of one. The scale of the features and the intensity and target of the shrinkage stay those of
    all rows.

    Takes what `tepones.scores.rows.prepare` returns.

    Returns
    -------
    ndarray of float64, shape (N, C)
        Rows sum to 1. A class whose only row is left out has the posterior 0 there. Cost: d³/3 + N·d² + N·d·C.
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
