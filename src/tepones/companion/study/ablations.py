"""What the TEP-ones score depends on: its value under one changed choice at a time."""

from collections.abc import Iterator

import numpy as np
import torch
from scipy.linalg import eigh

from tepones.backbones.base import Backbone
from tepones.backbones.features import extract
from tepones.backbones.small_resnet import BasicBlock
from tepones.scores.intra_class import gaussian
from tepones.scores.moments import ClassMoments
from tepones.scores.summary import NOISE, Summary

#: Images of each class that the score sees; as many as there are for the last.
SAMPLES = (2, 5, 10, 20, 50, 100)
#: Intensities of shrinking the within-class covariance; the score itself chooses one from the data.
INTENSITIES = (0.0, 0.001, 0.01, 0.1, 0.5, 1.0)
#: Shufflings of the labels that calibrate the null.
SHUFFLES = 20
#: Subsamples of each size.
REPEATS = 3

Row = dict[str, str | float]


def vary(backbone: Backbone, pictures: np.ndarray, labels: np.ndarray) -> list[Row]:
    """All ablations of the Gaussian TEP-ones score of a backbone on a labelled target.

    Parameters
    ----------
    backbone : Backbone
    pictures : ndarray of uint8, shape (N, H, W, 3)
        Of the target's training split.
    labels : ndarray of int, shape (N,)

    Returns
    -------
    list of dict
        ``choice`` (what is changed), ``level`` (to what), ``value`` (nats, unless the null is standardised).
    """
    features = extract(backbone, pictures)
    return [
        *by_samples(features, labels),
        *by_shrinkage(features, labels),
        *by_null(features, labels),
        *by_layer(backbone, pictures, labels),
    ]


def by_samples(features: np.ndarray, labels: np.ndarray) -> Iterator[Row]:
    """Score from few images of each class: the mean over `REPEATS` subsamples, as long as a class has as many."""
    most = np.bincount(labels).max()
    for n in [*(n for n in SAMPLES if n < most), most]:
        values = []
        for seed in range(REPEATS if n < most else 1):
            order = np.random.default_rng(seed).permutation(len(labels))
            rank = np.empty(len(labels), int)
            for label in np.unique(labels):
                own = order[labels[order] == label]
                rank[own] = np.arange(len(own))
            rows = rank < n
            values.append(gaussian(ClassMoments().update(features[rows], labels[rows])))
        yield {"choice": "samples per class", "level": "all" if n == most else str(n), "value": float(np.mean(values))}


def by_shrinkage(features: np.ndarray, labels: np.ndarray) -> Iterator[Row]:
    """Score with each fixed intensity of shrinkage, and with the one that it chooses."""
    moments = ClassMoments().update(features, labels)
    for intensity in INTENSITIES:
        value = gaussian_at(moments.summary, intensity)
        yield {"choice": "shrinkage", "level": f"{intensity:g}", "value": value}
    yield {"choice": "shrinkage", "level": "from the data", "value": gaussian(moments)}


def gaussian_at(summary: Summary, intensity: float) -> float:
    """The score −½ Σ log(1 − ρ_k²) with a given intensity of shrinking the within-class covariance.

    Parameters
    ----------
    summary : Summary
        Of the class moments.
    intensity : float
        a in Σ_W* = (1 − a) Σ_W + (a tr Σ_W/d + 10⁻⁸) I, in [0, 1].

    Returns
    -------
    float
        Nats. Cost: d³.
    """
    if not summary.n_active:
        return 0.0
    means = summary.standardised_means()
    between = means.T @ means
    within = summary.spread.correlation() - between
    mean_variance = max(float(np.trace(within)) / len(within), 0.0)
    shrunk = (1 - intensity) * within + (intensity * mean_variance + NOISE) * np.eye(len(within))
    v = np.maximum(eigh(between, shrunk, eigvals_only=True), 0.0)
    return float(np.sum(np.log1p(v) - np.log1p(2 * v) / 2))


def by_null(features: np.ndarray, labels: np.ndarray) -> Iterator[Row]:
    """Score as it is, minus its mean on shuffled labels, and in standard deviations of these."""
    moments = ClassMoments().update(features, labels)
    value = gaussian(moments)
    nulls = []
    for seed in range(SHUFFLES):
        shuffled = np.random.default_rng(seed).permutation(labels)
        nulls.append(gaussian(moments.relabelled(features, shuffled)))
    above = value - np.mean(nulls)
    levels = {"not used": value, "subtracted": above, "standardised": above / max(np.std(nulls, ddof=1), 1e-12)}
    for level, calibrated in levels.items():
        yield {"choice": "shuffled labels", "level": level, "value": float(calibrated)}


@torch.inference_mode()
def by_layer(backbone: Backbone, pictures: np.ndarray, labels: np.ndarray) -> Iterator[Row]:
    """Score of the averaged output of each residual block; the last is the feature."""
    blocks = [layer for layer in backbone.encoder.modules() if isinstance(layer, BasicBlock)]
    outputs: dict[BasicBlock, list[torch.Tensor]] = {block: [] for block in blocks}
    hooks = [
        block.register_forward_hook(lambda block, inputs, output: outputs[block].append(output.mean((2, 3))))
        for block in blocks
    ]
    extract(backbone, pictures)
    for hook in hooks:
        hook.remove()
    for number, block in enumerate(blocks, start=1):
        value = gaussian(ClassMoments().update(torch.cat(outputs[block]).numpy(), labels))
        yield {"choice": "layer", "level": f"block {number}", "value": value}
