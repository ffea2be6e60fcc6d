"""SNIP: connection sensitivity, ``|g ⊙ θ|`` (Lee, Ajanthan and Torr 2019, arXiv 1810.02340).

The sensitivity is the derivative of the loss by a mask of ones that multiplies the weights, as in the authors' code
(namhoonlee/snip-public). The paper scores a network at initialisation; here it scores the weights that it is given.
The normalisation to a sum of one does not change the order and is left out.
"""

import torch

from tepones.backbones.base import Backbone
from tepones.pruning.base import Setting
from tepones.pruning.criteria.gradients import mean_gradients
from tepones.pruning.masks import prunable


def snip(backbone: Backbone, setting: Setting) -> dict[str, torch.Tensor]:
    """Absolute product of weight and gradient of the source loss on 512 training images.

    Cost: one forward and one backward pass.

    Raises
    ------
    UsageError
        If the setting has no images.
    """
    gradients = mean_gradients(backbone, setting)
    return {name: (gradients[name] * weight.detach()).abs() for name, weight in prunable(backbone).items()}
