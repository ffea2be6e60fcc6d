"""Features and predictions of a backbone for given images."""

import numpy as np
import torch
from torch import nn

from tepones.backbones.base import Backbone

#: Pixels of a batch of images.
BATCH = 512 * 32 * 32


@torch.inference_mode()
def extract(backbone: Backbone, images: np.ndarray) -> np.ndarray:
    """Features (N, D), float32, that the encoder makes of uint8 images (N, H, W, 3).

    The backbone is left in evaluation mode. Cost: one forward pass; memory of one batch of 512 images of 32×32 pixels,
    or as many pixels of others.
    """
    return _forward(backbone, backbone.encoder, images).numpy()


@torch.inference_mode()
def predict(backbone: Backbone, images: np.ndarray) -> np.ndarray:
    """Source-class probabilities (N, n_classes), float32, of uint8 images (N, H, W, 3)."""
    return _forward(backbone, backbone, images).softmax(1).numpy()


@torch.inference_mode()
def accuracy(backbone: Backbone, images: np.ndarray, labels: np.ndarray) -> float:
    """Fraction of images that the source classifier gets right, in [0, 1]."""
    predicted = _forward(backbone, backbone, images).argmax(1).numpy()
    return float((predicted == labels).mean())


def _forward(backbone: Backbone, network: nn.Module, images: np.ndarray) -> torch.Tensor:
    backbone.eval()
    batches = torch.as_tensor(images).split(max(1, BATCH // (images.shape[1] * images.shape[2])))
    return torch.cat([network(backbone.prepare(batch)) for batch in batches])
