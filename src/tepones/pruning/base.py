"""What criteria and schedules share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from tepones.backbones.base import Backbone
from tepones.backbones.training import Training

Criterion = Callable[[Backbone, "Setting"], Mapping[str, torch.Tensor]]


@dataclass(frozen=True)
class Setting:
    """All that a criterion or a schedule may look at.

    Attributes
    ----------
    images : ndarray of uint8, shape (N, H, W, 3)
        Training images of the source task.
    labels : ndarray of int, shape (N,)
    criterion : Criterion
        What to remove.
    training : Training
        How to train after pruning.
    seed : int
        Differs from rung to rung.
    """

    images: np.ndarray
    labels: np.ndarray
    criterion: Criterion
    training: Training
    seed: int
