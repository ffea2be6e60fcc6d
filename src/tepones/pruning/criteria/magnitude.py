"""Magnitude: the smallest weights matter least (Han et al. 2015, arXiv 1506.02626)."""

import torch

from tepones.backbones.base import Backbone
from tepones.pruning.base import Setting
from tepones.pruning.masks import prunable


def magnitude(backbone: Backbone, setting: Setting) -> dict[str, torch.Tensor]:
    """Absolute value of each prunable weight; looks at no data."""
    return {name: weight.detach().abs() for name, weight in prunable(backbone).items()}
