"""The small residual network with half as many channels again, for photographs."""

from tepones.backbones.base import Backbone
from tepones.backbones.small_resnet import small_resnet

WIDTH = 24


def medium_resnet(n_classes: int) -> Backbone:
    """Residual network with stages of 24, 48, 96 and 192 channels: 690,552 encoder parameters, 192 features."""
    return small_resnet(n_classes, WIDTH)
