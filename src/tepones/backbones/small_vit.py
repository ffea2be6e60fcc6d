"""A vision transformer for 32×32 images (Dosovitskiy et al. 2021, arXiv 2010.11929); its layers are torchvision's.

With patches and a class token a short training stayed at chance even on the tests' four easy classes. So three
convolutions of stride 2 make the 16 tokens, as Xiao et al. 2021 (arXiv 2106.14881) propose, and the feature is the
mean of the last tokens. About 5 million multiply-adds for an image.
"""

import torch
from torch import nn

from tepones.backbones.base import Backbone
from tepones.common._torchvision import torchvision


class Transformer(nn.Module):
    """Convolutions that make tokens of an image, layers of attention and MLP, and the mean of the tokens."""

    def __init__(self, width: int, depth: int, n_tokens: int):
        super().__init__()
        stem, n_in = [], 3
        for n_out in (width // 4, width // 2, width):
            stem += [nn.Conv2d(n_in, n_out, 3, 2, 1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()]
            n_in = n_out
        self.stem = nn.Sequential(*stem, nn.Conv2d(width, width, 1))
        self.layers = torchvision.models.vision_transformer.Encoder(
            seq_length=n_tokens,
            num_layers=depth,
            num_heads=width // 16,
            hidden_dim=width,
            mlp_dim=4 * width,
            dropout=0.0,
            attention_dropout=0.0,
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (N, 3, H, W) to features (N, width)."""
        return self.layers(self.stem(images).flatten(2).transpose(1, 2)).mean(1)


def small_vit(n_classes: int) -> Backbone:
    """Vision transformer of 4 layers with heads of size 16: 228,944 encoder parameters, 64 features."""
    return Backbone(Transformer(width=64, depth=4, n_tokens=16), 64, n_classes)
