"""One-shot pruning: remove, and do not train.

What is left shows what the criterion alone is worth, as in the first part of the second-order comparison
(claim P1: pruned on source data, judged right after).
"""

from tepones.backbones.base import Backbone
from tepones.pruning.base import Setting, prune
from tepones.pruning.masks import Masks


def one_shot(backbone: Backbone, masks: Masks, sparsity: float, setting: Setting) -> Masks:
    """Prune the dense backbone to a sparsity; the remaining weights are those of before.

    With the same seed in the setting of all rungs the criterion ranks the weights once, so the ladder is nested.
    """
    return prune(backbone, masks, sparsity, setting)
