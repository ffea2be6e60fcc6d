"""Random: the control that every criterion has to beat."""

import torch

from tepones.backbones.base import Backbone
from tepones.pruning.base import Setting
from tepones.pruning.masks import prunable


def random(backbone: Backbone, setting: Setting) -> dict[str, torch.Tensor]:
    """A uniform number in [0, 1) for each prunable weight, from the setting's seed; looks at no data."""
    generator = torch.Generator().manual_seed(setting.seed)
    return {name: torch.rand(weight.shape, generator=generator) for name, weight in prunable(backbone).items()}
