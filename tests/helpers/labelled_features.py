"""Labelled features for the tests, and what slow references make of them."""

import numpy as np

from tepones.scores.moments import ClassMoments
from tepones.scores.summary import oracle_approximating


def labelled(n=300, d=12, c=4, seed=0, apart=1.0, scale=1.0, mean=0.0, dtype=np.float64):
    """Correlated Gaussian classes with every class present; features (n, d) and labels (n,)."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % c)
    mixing = rng.normal(size=(d, d)) / np.sqrt(d) + np.eye(d)
    features = apart * rng.normal(size=(c, d))[labels] + rng.normal(size=(n, d)) @ mixing
    return (scale * features + mean).astype(dtype), labels


def uneven(n=200, d=10, seed=0, dtype=np.float64):
    """ReLU features with dead, duplicated and rescaled columns, and classes of very different sizes."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([[0], [1, 1], rng.choice([2, 3, 4], n - 3, p=[0.6, 0.3, 0.1])])
    features = np.maximum(rng.normal(size=(5, d))[labels] + rng.normal(size=(n, d)), 0)
    features[:, 1] = 0.37
    features[:, 2] = features[:, 3]
    features[:, 4] *= 1e3
    return features.astype(dtype), labels


def one_hot(labels):
    return (np.asarray(labels)[:, None] == np.unique(labels)).astype(float)


def moments(features, labels):
    return ClassMoments().update(features, labels)


def scatter_between(z, labels):
    centred = z - z.mean(0)
    projector = one_hot(labels) / one_hot(labels).sum(0)
    fitted = one_hot(labels) @ (projector.T @ centred)
    return fitted.T @ fitted / len(z)


def shrunk_within(z, y):
    within = sum((y == c).mean() * np.cov(z[y == c].T, bias=True) for c in np.unique(y) if (y == c).sum() > 1)
    a = oracle_approximating(within, len(z) - len(np.unique(y)))
    target = (a * np.trace(within) / len(within) + 1e-8) * np.eye(len(within))
    return within, a, target
