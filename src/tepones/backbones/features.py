"""Images to what the encoders make of them."""

import numpy as np
import torch

from tepones.backbones.base import Backbone

BATCH = 512
MEAN, STD = 127.5, 64.0


def to_input(images: np.ndarray | torch.Tensor) -> torch.Tensor:
    """Turn uint8 RGB images (N, H, W, 3) into the float32 tensor (N, 3, H, W) that every backbone takes."""
    pixels = torch.as_tensor(images).permute(0, 3, 1, 2)  # a view: already channels-last in memory
    return pixels.float().sub_(MEAN).div_(STD)


@torch.inference_mode()
def extract(backbone: Backbone, images: np.ndarray) -> np.ndarray:
    """Features of the encoder.

    Parameters
    ----------
    backbone : Backbone
        Left in evaluation mode.
    images : ndarray of uint8, shape (N, H, W, 3)

    Returns
    -------
    ndarray of float32, shape (N, D)
        Cost: one forward pass; memory of one batch of 512.
    """
    backbone.eval()
    batches = torch.as_tensor(images).split(BATCH)
    return torch.cat([backbone.encoder(to_input(batch)) for batch in batches]).numpy()


@torch.inference_mode()
def accuracy(backbone: Backbone, images: np.ndarray, labels: np.ndarray) -> float:
    """Fraction of images that the source classifier gets right, in [0, 1]."""
    features = torch.as_tensor(extract(backbone, images))
    predicted = backbone.classifier(features).argmax(1).numpy()
    return float((predicted == labels).mean())
