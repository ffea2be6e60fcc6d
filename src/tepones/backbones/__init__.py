"""Backbones: encoders by name. A new one is one file and one line in `BACKBONES`."""

from tepones.registry import Registry

#: Besides these, `torchvision:NAME` is any of torchvision's classifiers.
BACKBONES = Registry(
    "backbone",
    {
        "small-resnet": "tepones.backbones.small_resnet:small_resnet",
        "small-vit": "tepones.backbones.small_vit:small_vit",
        "small-mobilenet": "tepones.backbones.small_mobilenet:small_mobilenet",
    },
    families={"torchvision": "tepones.backbones.from_torchvision:from_torchvision"},
)

__all__ = ["BACKBONES"]
