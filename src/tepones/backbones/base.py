"""What a backbone is: an encoder, image → feature, and the classifier of its source task."""

import torch
from torch import nn


class Backbone(nn.Module):
    """An encoder with a linear source classifier.

    Parameters
    ----------
    encoder : nn.Module
        Maps images (N, 3, H, W) to features (N, D).
    n_features : int
        D.
    n_classes : int
        Number of source classes.
    """

    def __init__(self, encoder: nn.Module, n_features: int, n_classes: int):
        super().__init__()
        self.encoder = encoder
        self.classifier = nn.Linear(n_features, n_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Source-class logits, shape (N, n_classes)."""
        return self.classifier(self.encoder(images))
