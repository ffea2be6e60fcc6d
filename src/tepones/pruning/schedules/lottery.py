"""Lottery tickets with weight rewinding: iterative magnitude pruning as Frankle and Carbin 2019 (arXiv 1803.03635).

Each rung prunes the trained weights of the rung before, sets what remains back to its value early in training (Frankle
et al. 2019, arXiv 1903.01611, abstract: "early in training (0.1% to 7% through)"; the first paper rewinds to step 0)
and trains again. The paper trains each ticket as long as the dense network; here it trains as long as the setting says.
"""

from tepones.backbones.base import Backbone
from tepones.backbones.training import train
from tepones.common.errors import UsageError
from tepones.pruning.base import Setting, choose_masks
from tepones.pruning.masks import Masks, apply


def lottery(backbone: Backbone, masks: Masks, sparsity: float, setting: Setting) -> Masks:
    """Prune the trained rung before, rewind what remains and train it.

    The early state of the setting is loaded whole: norms, biases and the source classifier are rewound too.

    Raises
    ------
    UsageError
        If the setting has no early state.
    """
    if setting.early is None:
        raise UsageError("the lottery schedule needs the state of the backbone early in its pre-training")
    masks = choose_masks(backbone, masks, sparsity, setting)
    backbone.load_state_dict(setting.early)
    apply(backbone, masks)
    train(backbone, setting.images, setting.labels, setting.training, setting.seed, masks)
    return masks
