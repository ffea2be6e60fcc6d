"""The control of the lottery ticket: the same masks, with weights drawn anew.

Frankle and Carbin 2019 (arXiv 1803.03635) call it random reinitialisation: if the ticket's weights matter and not
only its structure, this trains worse. Each rung starts from the lottery rung of its sparsity.
"""

from tepones.backbones.base import Backbone
from tepones.backbones.training import train
from tepones.common.errors import UsageError
from tepones.pruning.base import Setting
from tepones.pruning.masks import Masks, apply


def reinitialised(backbone: Backbone, masks: Masks, sparsity: float, setting: Setting) -> Masks:
    """Draw all weights anew, hold those at zero that the ticket pruned, and train.

    The backbone is the lottery rung of this sparsity. Its masks are kept, so the number `sparsity` is not looked at.
    The new weights are the fresh state of the setting.

    Raises
    ------
    UsageError
        If the setting has no fresh state.
    """
    if setting.fresh is None:
        raise UsageError("the reinitialised schedule needs the state of a newly drawn backbone")
    backbone.load_state_dict(setting.fresh)
    apply(backbone, masks)
    train(backbone, setting.images, setting.labels, setting.training, setting.seed, masks)
    return masks
