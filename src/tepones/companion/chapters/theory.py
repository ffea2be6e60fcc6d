"""Exact information of a case that can be computed: one feature, Gaussian within each class, unit variance.

Y has priors π_c, Z | Y = c is normal with mean m_c and variance 1, and Z′ is a second, independent draw from the
same class. All values are in nats, by the trapezoid rule on a grid that reaches 9 standard deviations beyond the
outermost means; halving its step changes no digit that `tests/test_theory.py` looks at.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from tepones.scores import score

REACH, STEP = 9.0, 0.02
ESTIMATORS = ("gaussian", "posterior")


class Information(NamedTuple):
    """The chain that bounds intra-class information: each value is at most the next.

    Attributes
    ----------
    intra_class : float
        I(Z; Z′), between the features of two samples of one class.
    with_label : float
        I(Z; Y), between feature and class.
    label_entropy : float
        H(Y).
    log_classes : float
        log C.
    """

    intra_class: float
    with_label: float
    label_entropy: float
    log_classes: float


def gaussian_classes(means: np.ndarray, priors: np.ndarray | None = None) -> Information:
    """Exact information of one Gaussian feature.

    Parameters
    ----------
    means : array_like, shape (C,)
        Class means, in units of the standard deviation within a class.
    priors : array_like, shape (C,), optional
        Class probabilities; equal by default.

    Returns
    -------
    Information
        Cost: O(C·G²) for G = (18 + range of the means) / 0.02 grid points.
    """
    means = np.asarray(means, dtype=float)
    priors = np.full(len(means), 1 / len(means)) if priors is None else np.asarray(priors, dtype=float)
    grid = np.arange(means.min() - REACH, means.max() + REACH + STEP, STEP)
    density = np.exp(-0.5 * (grid - means[:, None]) ** 2) / np.sqrt(2 * np.pi)
    marginal = priors @ density
    joint = (density * priors[:, None]).T @ density
    intra_class = (joint * _log_ratio(joint, np.outer(marginal, marginal))).sum() * STEP**2
    with_label = (priors[:, None] * density * _log_ratio(density, marginal[None])).sum() * STEP
    entropy = -(priors * np.log(priors)).sum()
    return Information(float(intra_class), float(with_label), float(entropy), float(np.log(len(means))))


def sample(means: np.ndarray, per_class: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, 1) of float32 and labels (N,) of equally likely Gaussian classes, `per_class` of each."""
    labels = np.repeat(np.arange(len(means)), per_class)
    noise = np.random.default_rng(seed).normal(size=len(labels))
    return (np.asarray(means)[labels] + noise).astype(np.float32)[:, None], labels


def chain(means: list[float], per_class: int) -> pd.DataFrame:
    """Exact information of two classes at ±m, and what the estimators make of samples, for several m.

    Parameters
    ----------
    means : list of float
        Values of m, in standard deviations.
    per_class : int
        Samples of each class for the estimates.

    Returns
    -------
    DataFrame
        Columns mean, quantity, nats, kind (``exact`` or ``estimate``).
    """
    rows = []
    for mean in means:
        exact = gaussian_classes([-mean, mean])
        found = score(*sample([-mean, mean], per_class, seed=0), list(ESTIMATORS), null=False)
        values = {
            "I(Z; Z′)": exact.intra_class,
            "I(Z; Y)": exact.with_label,
            "H(Y)": exact.label_entropy,
            **dict(zip(found["score"], found["value"], strict=True)),
        }
        for quantity, nats in values.items():
            kind = "estimate" if quantity in ESTIMATORS else "exact"
            rows.append({"mean": mean, "quantity": quantity, "nats": nats, "kind": kind})
    return pd.DataFrame(rows)


def family_weights() -> pd.DataFrame:
    """What one canonical direction with squared correlation ρ adds to three scores: columns rho, score, weight."""
    rho = np.linspace(0, 0.98, 50)
    weights = {"h_score": rho, "wilks": -0.5 * np.log1p(-rho), "gaussian": -0.5 * np.log1p(-(rho**2))}
    tables = [pd.DataFrame({"rho": rho, "score": score, "weight": weight}) for score, weight in weights.items()]
    return pd.concat(tables, ignore_index=True)


def _log_ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """log(above / below), 0 where `above` is so small that it adds nothing to an integral."""
    ratio = np.zeros(np.broadcast_shapes(above.shape, below.shape))
    kept = above > 1e-280
    ratio[kept] = np.log(above[kept] / np.broadcast_to(below, ratio.shape)[kept])
    return ratio
