"""Any torchvision classifier as a backbone, with initial weights."""

from torch import nn

from tepones._torchvision import torchvision
from tepones.backbones.base import Backbone
from tepones.errors import UsageError, choose

#: Classifiers beside the last, for training only, which a backbone does not have.
_AUXILIARY = {"googlenet", "inception_v3"}


def from_torchvision(name: str, n_classes: int) -> Backbone:
    """Backbone whose encoder is a torchvision classifier without its last linear layer.

    Parameters
    ----------
    name : str
        Name in torchvision (``"resnet18"``).
    n_classes : int
        Number of source classes.

    Raises
    ------
    UsageError
        If torchvision has no such classifier, or its last layer is not linear (SqueezeNet).
    """
    choose("torchvision classifier", name, torchvision.models.list_models(module=torchvision.models))
    options = {"aux_logits": False, "init_weights": True} if name in _AUXILIARY else {}
    encoder = torchvision.models.get_model(name, weights=None, **options)
    # In all of torchvision's classifiers the last layer to be registered is the classifier.
    path, last = [item for item in encoder.named_modules() if isinstance(item[1], nn.Linear | nn.Conv2d)][-1]
    if not isinstance(last, nn.Linear):
        raise UsageError(f"torchvision's {name} cannot be a backbone: its last layer is not linear")
    parent, _, attribute = path.rpartition(".")
    setattr(encoder.get_submodule(parent), attribute, nn.Identity())
    return Backbone(encoder, last.in_features, n_classes)
