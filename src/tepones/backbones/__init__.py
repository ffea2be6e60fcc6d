"""Backbones: encoders by name, and what they are pre-trained for. A new one is one file and one line here."""

from tepones.common.registry import Registry

#: The backbones by name: functions of the number of source classes. Besides these, ``torchvision:NAME`` and
#: ``timm:NAME`` are any of the classifiers of these libraries.
BACKBONES = Registry(
    "backbone",
    {
        "small-resnet": "tepones.backbones.small_resnet:small_resnet",
        "medium-resnet": "tepones.backbones.medium_resnet:medium_resnet",
        "augmented-resnet": "tepones.backbones.augmented:augmented_resnet",
        "augmented-vit": "tepones.backbones.augmented:augmented_vit",
        "small-vit": "tepones.backbones.small_vit:small_vit",
        "small-mobilenet": "tepones.backbones.small_mobilenet:small_mobilenet",
    },
    families={
        "torchvision": "tepones.backbones.from_torchvision:from_torchvision",
        "timm": "tepones.backbones.from_timm:from_timm",
    },
)

#: What a backbone can be pre-trained for.
OBJECTIVES = Registry(
    "objective",
    {
        "supervised": "tepones.backbones.training:train",
        "simclr": "tepones.backbones.self_supervised:simclr",
    },
)

__all__ = ["BACKBONES", "OBJECTIVES"]
