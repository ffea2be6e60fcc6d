"""Backbones that are trained on varied images: a random crop of each, mirrored half of the time.

The usual augmentation for small photographs (He et al. 2016, arXiv 1512.03385, section 4.2): an edge of an eighth of
the side is added all round, a square of the old size is cut out anywhere, and every second one is mirrored. Not for
characters, because a mirrored character is another one.
"""

import numpy as np
import torch
from torch.nn import functional

from tepones.backbones.base import Backbone
from tepones.backbones.medium_resnet import medium_resnet
from tepones.backbones.small_vit import small_vit


class Augmented(Backbone):
    """A backbone that varies the images while it is in training mode; the draws are those of torch's own generator."""

    def prepare(self, images: np.ndarray | torch.Tensor) -> torch.Tensor:
        """As that of `tepones.backbones.base.Backbone`; in training mode each image is varied by `vary`."""
        prepared = super().prepare(images)
        return vary(prepared) if self.training else prepared


def vary(prepared: torch.Tensor) -> torch.Tensor:
    """A random crop of each image (N, C, H, W) with an edge of zeros around it, mirrored half of the time."""
    n_images, _, height, width = prepared.shape
    edge = height // 8
    padded = functional.pad(prepared, (edge,) * 4)
    top, left = torch.randint(2 * edge + 1, (2, n_images, 1))
    rows, columns = top + torch.arange(height), left + torch.arange(width)
    columns = torch.where(torch.rand(n_images, 1) < 0.5, columns.flip(1), columns)
    # Indices on both sides of a slice put it last: (N, H, W, C), which is channels-last in memory.
    return padded[torch.arange(n_images)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def augmented_resnet(n_classes: int) -> Augmented:
    """The network of `medium_resnet`, trained on varied images."""
    return _augmented(medium_resnet(n_classes))


def augmented_vit(n_classes: int) -> Augmented:
    """The network of `small_vit`, trained on varied images."""
    return _augmented(small_vit(n_classes))


def _augmented(plain: Backbone) -> Augmented:
    return Augmented(plain.encoder, plain.classifier.in_features, plain.classifier.out_features)
