"""A network of inverted residuals for 32×32 images, after MobileNet v2 (Sandler et al. 2018, arXiv 1801.04381).

The block is torchvision's: a 1×1 convolution that widens, a depthwise 3×3 convolution, a 1×1 convolution that
narrows, BatchNorm after each, ReLU6 after the first two, a residual sum where the shape stays.
"""

from torch import nn

from tepones.backbones.base import Backbone
from tepones.common._torchvision import torchvision

#: Channels, stride and number of blocks of each stage (our choice; expansion 4).
STAGES = ((16, 1, 1), (24, 2, 2), (48, 2, 3), (96, 2, 2))
EXPANSION = 4


def small_mobilenet(n_classes: int) -> Backbone:
    """Eight inverted residuals and a last 1×1 convolution: 184,816 encoder parameters, 128 features."""
    blocks, n_in = [], 16
    for n_out, stride, n_blocks in STAGES:
        for i in range(n_blocks):
            step = stride if i == 0 else 1
            blocks.append(torchvision.models.mobilenetv2.InvertedResidual(n_in, n_out, step, EXPANSION))
            n_in = n_out
    encoder = nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU6(),
        *blocks,
        nn.Conv2d(n_in, 128, 1, bias=False),
        nn.BatchNorm2d(128),
        nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    return Backbone(encoder, 128, n_classes)
