"""Diagonal Fisher: the loss that removing a weight costs when no other weight reacts.

Optimal brain damage (LeCun, Denker and Solla 1990) scores a weight by H_jj θ_j² / 2 with the diagonal of the
Hessian of the loss. Here H_jj is the empirical Fisher, the mean over images of the squared gradient of the
image's own loss; the factor 1/2 does not change the order and is left out.
"""

import torch

from tepones.backbones.base import Backbone
from tepones.pruning.base import Setting
from tepones.pruning.criteria.gradients import sample_gradients
from tepones.pruning.masks import prunable


def diagonal(backbone: Backbone, setting: Setting) -> dict[str, torch.Tensor]:
    """H_jj θ_j² of each prunable weight, H_jj the mean squared gradient over 512 training images.

    Cost: one forward and one backward pass for each image.

    Raises
    ------
    UsageError
        If the setting has no images.
    """
    weights = {name: weight.detach() for name, weight in prunable(backbone).items()}
    fisher = {name: torch.zeros(weight.numel()) for name, weight in weights.items()}
    n_images = 0
    for batch in sample_gradients(backbone, setting):
        for name, gradients in batch.items():
            fisher[name] += gradients.square().sum(0)
        n_images += len(gradients)
    return {name: fisher[name].view(weight.shape) / n_images * weight.square() for name, weight in weights.items()}
