"""RigL: rigging the lottery (Evci et al. 2020, arXiv 1911.11134), after the authors' code (google-research/rigl).

Training is sparse throughout. Every ΔT steps, until T_end, each layer drops the fraction

    f(t) = α/2 (1 + cos(π t / T_end))

of its remaining weights that are smallest and grows as many where the gradient is largest, at value zero. Among
those to grow may be those just dropped: they then simply stay. Our choices: the paper starts from random weights
with a distribution over layers fixed beforehand (ERK), a rung of ours from the weights of the rung before with the
masks that the criterion chooses; the step of an update is taken before the update, the authors' code leaves it out.
"""

import math
from collections.abc import Mapping

import torch

from tepones.backbones.base import Backbone
from tepones.backbones.training import train
from tepones.pruning.base import Setting, prune
from tepones.pruning.masks import Masks, prunable

#: α, the fraction dropped at first: that of the authors' code for ImageNet.
ALPHA = 0.3
#: Updates until T_end, where f is zero. The authors' code has one every ΔT = 100 steps; a rung of ours takes tens to
#: hundreds of steps.
N_UPDATES = 10
#: T_end as a fraction of the steps (our choice). The authors' code for ImageNet: step 25,000.
UNTIL = 0.75


def rigl(backbone: Backbone, masks: Masks, sparsity: float, setting: Setting) -> Masks:
    """Prune a rung to the sparsity of the next, then train it while rewiring it.

    The sparsity is that of the rung from the first step to the last. The criterion of the setting chooses the first
    masks, within those that are given; what is dropped later is always the smallest. The last masks have as many
    weights in each layer as the first ones, but rungs of different sparsity are not nested.
    """
    masks, done = prune(backbone, masks, sparsity, setting), 0

    def update(step: int, n_steps: int) -> Masks | None:
        nonlocal masks, done
        progress = min(1.0, step / (UNTIL * n_steps))
        due = int(N_UPDATES * progress)
        if due == done:
            return None
        done = due
        masks = rewire(prunable(backbone), masks, ALPHA / 2 * (1 + math.cos(math.pi * progress)))
        return masks

    train(backbone, setting.images, setting.labels, setting.training, setting.seed, masks, after_step=update)
    return masks


def rewire(weights: Mapping[str, torch.nn.Parameter], masks: Masks, fraction: float) -> Masks:
    """Drop the smallest weights of each layer and grow as many where the gradient is largest.

    Parameters
    ----------
    weights : mapping of name to Parameter
        With the gradient of the last step, also where a weight is pruned.
    masks : Masks
        The weights that remain.
    fraction : float
        Fraction of the remaining weights of each layer to drop, rounded down.

    Returns
    -------
    Masks
        With as many weights in each layer as before.
    """
    rewired = {}
    for name, mask in masks.items():
        weight, active = weights[name], mask.flatten()
        n_active = int(active.sum())
        n_change = int(fraction * n_active)
        size = weight.detach().abs().flatten().masked_fill(~active, -torch.inf)
        kept = torch.zeros_like(active)
        kept[size.topk(n_active - n_change).indices] = True
        slope = weight.grad.abs().flatten().masked_fill(kept, -torch.inf)
        kept[slope.topk(n_change).indices] = True
        rewired[name] = kept.view(mask.shape)
    return rewired
