"""Gradual magnitude pruning with the cubic schedule (Zhu and Gupta 2017, arXiv 1710.01878, equation 1).

From sparsity s_i at step t_0 to s_f over n pruning steps Δt apart,

    s_t = s_f + (s_i - s_f) (1 - (t - t_0) / (n Δt))³,

while training goes on, for t = t_0, t_0 + Δt, ..., t_0 + n Δt; what is pruned stays pruned. Our choice: a ladder is one
gradual run, each rung taking it from the sparsity of the rung before to its own.
"""

from tepones.backbones.base import Backbone
from tepones.backbones.training import train
from tepones.pruning import masks as pruning_masks
from tepones.pruning.base import Setting, choose_masks
from tepones.pruning.masks import Masks

#: The number n above. The paper finds no difference between Δt of 100 and of 1000 steps; a whole rung of ours takes
#: tens to hundreds of steps.
N_PRUNINGS = 8
#: When the last pruning is over, as a fraction of the steps; the rest of the training repairs (our choice).
UNTIL = 0.75


def cubic(start: float, target: float, progress: float) -> float:
    """Sparsity after a fraction `progress` of the prunings, in [0, 1]: equation 1 of the paper."""
    return target + (start - target) * (1 - progress) ** 3


def gradual(backbone: Backbone, masks: Masks, sparsity: float, setting: Setting) -> Masks:
    """Train a rung on while pruning it step by step to the sparsity of the next.

    The criterion of the setting chooses at every pruning; the paper's is magnitude.
    """
    start, done = pruning_masks.sparsity(masks), 0

    def prune_more(step: int, n_steps: int) -> Masks | None:
        nonlocal masks, done
        due = min(N_PRUNINGS, int(N_PRUNINGS * step / (UNTIL * n_steps)))
        if due == done:
            return None
        done = due
        masks = choose_masks(backbone, masks, cubic(start, sparsity, done / N_PRUNINGS), setting)
        backbone.train()
        return masks

    train(backbone, setting.images, setting.labels, setting.training, setting.seed, masks, after_step=prune_more)
    return masks
