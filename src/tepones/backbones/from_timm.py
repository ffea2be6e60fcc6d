"""Any timm classifier as a backbone, with initial weights. timm is optional: ``pip install 'tepones[networks]'``."""

from types import ModuleType

from torch import nn

from tepones.backbones.base import Backbone
from tepones.common.errors import TeponesError, choose


def from_timm(name: str, n_classes: int) -> Backbone:
    """Backbone whose encoder is a timm classifier without its last layer; a feature is what that layer takes.

    Nothing is downloaded.

    Raises
    ------
    UsageError
        If timm has no classifier of this name.
    TeponesError
        If timm is not installed, or the last layer is not linear.
    """
    timm = installed()
    choose("timm classifier", name, timm.list_models())
    return split(timm.create_model(name, pretrained=False, num_classes=n_classes))


def split(network: nn.Module) -> Backbone:
    """Make a backbone of a network of timm's; the network loses its last layer and shares its weights.

    Pictures are prepared with the mean and standard deviation of the network's own configuration.
    """
    last = network.get_classifier()
    if not isinstance(last, nn.Linear):
        raise TeponesError(f"timm:{network.pretrained_cfg['architecture']}: its last layer is not linear")
    network.reset_classifier(0)
    mean, std = (tuple(255 * share for share in network.pretrained_cfg[key]) for key in ("mean", "std"))
    backbone = Backbone(network, last.in_features, last.out_features, mean, std)
    backbone.classifier = last
    return backbone


def installed() -> ModuleType:
    """The module timm.

    Raises
    ------
    TeponesError
        If it is not installed; says how to install it.
    """
    import tepones.common._torchvision  # noqa: F401  (timm imports torchvision, which may need the cure)

    try:
        import timm
    except ImportError:
        raise TeponesError("networks of timm need timm: pip install 'tepones[networks]'") from None
    return timm
