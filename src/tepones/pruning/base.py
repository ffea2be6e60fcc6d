"""What criteria and schedules are given, and what they share.

A *criterion* is a function of a backbone and a `Setting`. It leaves the backbone as it is and returns a saliency for
each prunable weight: a tensor of the weight's shape, larger where the weight matters more.

A *schedule* is a function of a backbone, its masks, a sparsity in [0, 1) and a `Setting`. The backbone is the rung
before, unless `tepones.pruning.STARTS` says otherwise. The schedule turns it, in place, into the rung of this sparsity
and returns the masks of that rung, which are nested in the masks it was given unless its own docstring says otherwise.
It trains by `tepones.backbones.training.train`, imported by that name: `tepones.ranking.loops` puts another one there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from tepones.backbones.base import Backbone
from tepones.backbones.training import Training
from tepones.common.errors import UsageError
from tepones.pruning.masks import Masks, apply, select

Criterion = Callable[[Backbone, "Setting"], Mapping[str, torch.Tensor]]


@dataclass(frozen=True)
class Setting:
    """All that a criterion or a schedule is given besides the backbone and its masks.

    Attributes
    ----------
    images : ndarray of uint8, shape (N, H, W, 3), or None
        Training images of the source task.
    labels : ndarray of int, shape (N,), or None
    criterion : Criterion or None
        What to remove; None where nothing is removed.
    training : Training
        How to train after pruning.
    seed : int
        Differs from rung to rung where a rung starts from the one before; else the same for the whole ladder.
    scope : {"global", "layer"}
        Where weights are compared with each other.
    early : mapping of name to tensor, optional
        State of the dense backbone early in its pre-training, to rewind to.
    fresh : mapping of name to tensor, optional
        State of a backbone of the same architecture with newly drawn weights.
    """

    images: np.ndarray | None
    labels: np.ndarray | None
    criterion: Criterion | None
    training: Training
    seed: int
    scope: str = "global"
    early: Mapping[str, torch.Tensor] | None = None
    fresh: Mapping[str, torch.Tensor] | None = None


def sample(setting: Setting, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Training images that a criterion looks at: the first `n` in an order drawn from the setting's seed.

    Returns
    -------
    images : tensor of uint8, shape (min(n, N), H, W, 3)
    labels : tensor of int64, shape (min(n, N),)

    Raises
    ------
    UsageError
        If the setting has no images.
    """
    if setting.images is None or setting.labels is None or not len(setting.images):
        raise UsageError("this criterion needs training images and labels, and the setting has none")
    order = torch.randperm(len(setting.images), generator=torch.Generator().manual_seed(setting.seed))
    rows = order[:n].numpy()
    return torch.as_tensor(setting.images[rows]), torch.as_tensor(setting.labels[rows]).long()


def choose_masks(backbone: Backbone, within: Masks, sparsity: float, setting: Setting) -> Masks:
    """Masks of a given sparsity, nested in `within`, as criterion and scope of the setting choose them.

    The backbone is not changed.
    """
    return select(setting.criterion(backbone, setting), sparsity, within, setting.scope)


def prune(backbone: Backbone, within: Masks, sparsity: float, setting: Setting) -> Masks:
    """Choose masks as `choose_masks` does, and set the pruned weights of the backbone to zero, in place."""
    masks = choose_masks(backbone, within, sparsity, setting)
    apply(backbone, masks)
    return masks
