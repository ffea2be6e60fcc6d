"""Structured pruning as a schedule: whole channels go, physically, and what is left is trained.

A ladder is iterative as that of `iterative`: each rung starts from the rung before it and is trained with the whole
learning-rate schedule. Sparsity counts from the dense backbone, so that rungs of both kinds compare: it is the fraction
of the dense backbone's prunable weights that are gone.
"""

from tepones.backbones.base import Backbone
from tepones.backbones.training import train
from tepones.common.errors import UsageError
from tepones.pruning.base import Setting
from tepones.pruning.criteria.magnitude import magnitude
from tepones.pruning.masks import Masks, dense, prunable
from tepones.pruning.structured import structured


def channels(backbone: Backbone, masks: Masks, sparsity: float, setting: Setting) -> Masks:
    """Remove channels of a rung until it has the sparsity of the next, and train it.

    The sparsity is reached or slightly exceeded. Afterwards the backbone has other layers, with fewer channels, and
    other parameters. Masks play no part: those that are returned keep everything, in the new shapes. The setting needs
    the fresh state, whose shapes are those of the dense backbone.

    Raises
    ------
    UsageError
        If the setting's criterion is not magnitude or its scope not global, since the library compares the magnitudes
        of all channels; if the setting has no fresh state; if the sparsity is out of reach.
    """
    if setting.criterion is not magnitude or setting.scope != "global":
        raise UsageError(
            "the schedule structured compares magnitudes of channels: it needs criterion magnitude, scope global"
        )
    if setting.fresh is None:
        raise UsageError("the structured schedule needs the state of a newly drawn backbone")
    n_dense = sum(setting.fresh[name].numel() for name in prunable(backbone))
    smaller = structured(backbone, sparsity, n_dense, setting.images.shape[1])
    backbone.encoder, backbone.classifier = smaller.encoder, smaller.classifier
    train(backbone, setting.images, setting.labels, setting.training, setting.seed)
    return dense(backbone)
