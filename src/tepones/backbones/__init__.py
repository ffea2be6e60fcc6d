"""Backbones: encoders by name. A new one is one file and one line in `BACKBONES`."""

from tepones.registry import Registry

BACKBONES = Registry(
    "backbone",
    {
        "small-resnet": "tepones.backbones.small_resnet:small_resnet",
    },
)

__all__ = ["BACKBONES"]
