"""Scores that their authors normalise over a pool of models: the explicit step from raw parts to a ranking.

What these functions return depends on which other models are in the pool, so it is no property of a model and is
kept out of `tepones.scores.score`.
"""

import numpy as np


def min_max(values: np.ndarray) -> np.ndarray:
    """Values (models,) moved and scaled to [0, 1]; all 0 if they are equal."""
    values = np.asarray(values, np.float64)
    width = np.ptp(values)
    return (values - values.min()) / width if width else np.zeros_like(values)


def etran(energy: np.ndarray, lda: np.ndarray) -> np.ndarray:
    """ETran over a pool: 0.15 min-max(energy) + 0.85 min-max(LDA), the released weights, in [0, 1].

    Gholami et al. (2023), arXiv 2308.02027. Takes the scores of these names of every model of the pool.
    """
    return 0.15 * min_max(energy) + 0.85 * min_max(lda)


def ncti(seli: np.ndarray, ncc: np.ndarray, vc: np.ndarray) -> np.ndarray:
    """NCTI over a pool: min-max(SELI) + min-max(NCC) − min-max(VC), in [−1, 2].

    Wang et al. (2023), "How far pre-trained models are from neural collapse on the target dataset informs their
    transferability", ICCV. Takes the parts that `tepones.scores.ncti.ncti` returns of every model of the pool.
    """
    return min_max(seli) + min_max(ncc) - min_max(vc)
