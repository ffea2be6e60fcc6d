"""Any torchvision classifier as a backbone, with initial weights."""

import torch
from torch import nn
from torch.nn import functional

from tepones.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Backbone
from tepones.common.errors import choose

#: Classifiers beside the last, for training only, which a backbone does not have.
_AUXILIARY = {"googlenet", "inception_v3"}


class ConvolutionalHead(Backbone):
    """A backbone that classifies every place of the picture before it averages (SqueezeNet, without its dropout)."""

    def __init__(self, maps: nn.Module, head: nn.Conv2d):
        pooled = nn.Sequential(maps, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        super().__init__(pooled, head.in_channels, head.out_channels, IMAGENET_MEAN, IMAGENET_STD)
        self.classifier = head

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Source-class logits, shape (N, n_classes)."""
        return functional.relu(self.classifier(self.encoder[0](images))).mean((2, 3))


def from_torchvision(name: str, n_classes: int) -> Backbone:
    """Backbone whose encoder is a torchvision classifier without its last layer; a feature is what that layer takes.

    Raises
    ------
    UsageError
        If torchvision has no classifier of this name.
    """
    from tepones.common._torchvision import torchvision  # takes seconds, which other backbones do not need

    choose("torchvision classifier", name, torchvision.models.list_models(module=torchvision.models))
    options = {"aux_logits": False, "init_weights": True} if name in _AUXILIARY else {}
    return split(torchvision.models.get_model(name, weights=None, num_classes=n_classes, **options))


def split(network: nn.Module) -> Backbone:
    """Make a backbone of a network of torchvision's; the network loses its last layer and shares its weights."""
    # In all of torchvision's classifiers the last layer to be registered is the classifier.
    path, last = [item for item in network.named_modules() if isinstance(item[1], nn.Linear | nn.Conv2d)][-1]
    if isinstance(last, nn.Conv2d):
        return ConvolutionalHead(network.features, last)
    parent, _, attribute = path.rpartition(".")
    setattr(network.get_submodule(parent), attribute, nn.Identity())
    backbone = Backbone(network, last.in_features, last.out_features, IMAGENET_MEAN, IMAGENET_STD)
    backbone.classifier = last
    return backbone
