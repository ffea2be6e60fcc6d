"""Iterative pruning with learning-rate rewinding (Renda et al. 2020, arXiv 2003.02389).

Each rung prunes the rung before it and trains on from its weights, with the learning-rate schedule started
again. The paper uses the part of the original schedule that weight rewinding would replay; here the whole schedule
(warm-up and decay) is played in the epochs that the setting gives (our choice).
"""

from tepones.backbones.base import Backbone
from tepones.backbones.training import train
from tepones.pruning.base import Setting, prune
from tepones.pruning.masks import Masks


def iterative(backbone: Backbone, masks: Masks, sparsity: float, setting: Setting) -> Masks:
    """Prune a rung to the sparsity of the next and train it."""
    masks = prune(backbone, masks, sparsity, setting)
    train(backbone, setting.images, setting.labels, setting.training, setting.seed, masks)
    return masks
