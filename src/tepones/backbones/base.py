"""What a backbone is: an encoder, image → feature, and the classifier of its source task."""

import numpy as np
import torch
from torch import nn

from tepones.backbones.onednn import avoid_defect

#: Grey levels 0..255 that become 0, and the step that becomes 1: for backbones trained here.
MEAN, STD = 127.5, 64.0

#: Of each colour: what torchvision's published weights are prepared for.
IMAGENET_MEAN = tuple(255 * share for share in (0.485, 0.456, 0.406))
IMAGENET_STD = tuple(255 * share for share in (0.229, 0.224, 0.225))


class Backbone(nn.Module):
    """An encoder with a linear source classifier.

    Parameters
    ----------
    encoder : nn.Module
        Maps images (N, 3, H, W) to features (N, D).
    n_features : int
        The length D of a feature.
    n_classes : int
        Number of source classes.
    mean, std : tuple of float
        Of each colour, in grey levels 0..255: what `prepare` subtracts and divides by.
    """

    def __init__(
        self,
        encoder: nn.Module,
        n_features: int,
        n_classes: int,
        mean: tuple[float, ...] = (MEAN,) * 3,
        std: tuple[float, ...] = (STD,) * 3,
    ):
        super().__init__()
        self.mean, self.std = mean, std
        self.encoder = encoder
        avoid_defect(encoder)
        self.classifier = nn.Linear(n_features, n_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Source-class logits, shape (N, n_classes)."""
        return self.classifier(self.encoder(images))

    def prepare(self, images: np.ndarray | torch.Tensor) -> torch.Tensor:
        """Turn uint8 RGB images (N, H, W, 3) into the float32 tensor (N, 3, H, W) that the encoder takes."""
        pixels = torch.as_tensor(images).permute(0, 3, 1, 2)  # a view: already channels-last in memory
        mean, std = (torch.tensor(values)[:, None, None] for values in (self.mean, self.std))
        return pixels.float().sub_(mean).div_(std)
