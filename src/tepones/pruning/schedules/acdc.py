"""AC/DC: alternating compressed and decompressed training (Peste et al. 2021, arXiv 2106.12379).

Phases of dense training alternate with phases in which only the weights that are largest at their beginning are
kept and trained; the last phase is compressed. Our choices: the dense warm-up is the pre-training; a ladder is one
run whose target rises, each rung going on from the weights of the one before with a compressed phase; all phases of
a rung are equally long.
"""

from tepones.backbones.base import Backbone
from tepones.backbones.training import train
from tepones.pruning.base import Setting, choose_masks, prune
from tepones.pruning.masks import Masks, dense

#: Compressed and decompressed phases together, odd because the first and the last are compressed (our choice). The
#: authors' ResNet-50 of 100 epochs (configs/neurips in IST-DASLab/ACDC) has 10 dense epochs of warm-up, phases of 5
#: epochs from 10 to 75, 10 decompressed and 15 compressed at the end: 15 phases after the warm-up.
N_PHASES = 5


def acdc(backbone: Backbone, masks: Masks, sparsity: float, setting: Setting) -> Masks:
    """Train a rung on in compressed and decompressed phases.

    The criterion of the setting chooses at every compression; the paper's is magnitude. The masks that are given are
    not looked at and those of the last phase are not nested in them, because decompression revives pruned weights.
    """
    everything, phase = dense(backbone), 0
    masks = prune(backbone, everything, sparsity, setting)

    def alternate(step: int, n_steps: int) -> Masks | None:
        nonlocal masks, phase
        due = min(N_PHASES - 1, step * N_PHASES // n_steps)
        if due == phase:
            return None
        phase = due
        if phase % 2:
            masks = everything
        else:
            masks = choose_masks(backbone, everything, sparsity, setting)
            backbone.train()
        return masks

    train(backbone, setting.images, setting.labels, setting.training, setting.seed, masks, after_step=alternate)
    return masks
