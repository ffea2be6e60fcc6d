"""The control of the lottery ticket: the same masks, with weights drawn anew.

Frankle and Carbin 2019 (arXiv 1803.03635) call it random reinitialisation: if the ticket's weights matter and not
only its structure, this trains worse. Each rung starts from the lottery rung of its sparsity.
"""

import torch

from tepones.backbones.base import Backbone
from tepones.backbones.training import train
from tepones.pruning.base import Setting, prune
from tepones.pruning.masks import Masks, apply


def reinitialised(backbone: Backbone, masks: Masks, sparsity: float, setting: Setting) -> Masks:
    """Draw all weights anew, hold those at zero that the ticket pruned, and train.

    Parameters
    ----------
    backbone : Backbone
        The lottery rung of this sparsity, changed in place.
    masks : Masks
        Its masks.
    sparsity : float
        Its sparsity, in [0, 1).
    setting : Setting
        The weights are drawn from its seed.

    Returns
    -------
    Masks
        Those of the ticket.
    """
    masks = prune(backbone, masks, sparsity, setting)
    with torch.random.fork_rng():
        torch.manual_seed(setting.seed)
        for module in backbone.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
    apply(backbone, masks)
    train(backbone, setting.images, setting.labels, setting.training, setting.seed, masks)
    return masks
