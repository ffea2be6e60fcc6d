"""A residual network for 32×32 images, after He et al. 2016 (arXiv 1512.03385): four stages of one basic block.

With the first convolution at stride 2 an image costs about 4 million multiply-adds, so one CPU core trains
thousands of images a second.
"""

import torch
from torch import nn

from tepones.backbones.base import Backbone


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut (1×1 convolution where the shape changes)."""

    def __init__(self, n_in: int, n_out: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(n_out)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()
        self.shortcut = nn.Identity()
        if stride != 1 or n_in != n_out:
            convolution = nn.Conv2d(n_in, n_out, 1, stride, bias=False)
            self.shortcut = nn.Sequential(convolution, nn.BatchNorm2d(n_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, n_in, H, W) to (N, n_out, H / stride, W / stride)."""
        hidden = self.relu1(self.norm1(self.conv1(x)))
        return self.relu2(self.norm2(self.conv2(hidden)) + self.shortcut(x))


def small_resnet(n_classes: int, width: int = 16) -> Backbone:
    """Residual network with stages of `width` × (1, 2, 4, 8) channels, the last of which are the features.

    At the default width it has 307,536 encoder parameters and 128 features.
    """
    stages = [BasicBlock(width, width, 1)]
    stages += [BasicBlock(width * k, width * 2 * k, 2) for k in (1, 2, 4)]
    encoder = nn.Sequential(
        nn.Conv2d(3, width, 3, 2, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        *stages,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    return Backbone(encoder, 8 * width, n_classes)
