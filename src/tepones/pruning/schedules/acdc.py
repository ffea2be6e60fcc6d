"""AC/DC: alternating compressed and decompressed training (Peste et al. 2021, arXiv 2106.12379).

Phases of dense training alternate with phases in which only the weights that are largest at their beginning are
kept and trained; the last phase is compressed. Our choices: the dense warm-up is the pre-training; a ladder is one
run whose target rises, each rung going on from the weights of the one before with a compressed phase; all phases of
a rung are equally long.
"""

from dataclasses import dataclass

from tepones.backbones.base import Backbone
from tepones.backbones.training import train
from tepones.common.errors import UsageError
from tepones.pruning.base import Setting, choose_masks, prune
from tepones.pruning.masks import Masks, dense


@dataclass(frozen=True)
class Config:
    """How often to alternate.

    Attributes
    ----------
    n_phases : int
        Compressed and decompressed phases together, odd because the first and the last are compressed. The
        authors' ResNet-50 of 100 epochs (configs/neurips in IST-DASLab/ACDC) has 10 dense epochs of warm-up,
        phases of 5 epochs from 10 to 75, 10 decompressed and 15 compressed at the end: 15 phases after the
        warm-up. Ours: 5.

    Raises
    ------
    UsageError
        If the number is not odd and positive.
    """

    n_phases: int = 5

    def __post_init__(self):
        if self.n_phases < 1 or self.n_phases % 2 == 0:
            raise UsageError(f"acdc: n_phases must be odd and positive, got {self.n_phases}")


DEFAULTS = Config()


def acdc(backbone: Backbone, masks: Masks, sparsity: float, setting: Setting, config: Config = DEFAULTS) -> Masks:
    """Train a rung on in compressed and decompressed phases.

    Parameters
    ----------
    backbone : Backbone
        The rung before, changed in place.
    masks : Masks
        Its masks; not looked at, because decompression revives what they prune.
    sparsity : float
        Sparsity of the compressed phases and of the rung, in [0, 1).
    setting : Setting
        Its criterion chooses at every compression; the paper's is magnitude.
    config : Config

    Returns
    -------
    Masks
        Those of the last phase. Rungs of different sparsity are not nested: decompression revives.
    """
    everything, phase = dense(backbone), 0
    masks = prune(backbone, everything, sparsity, setting)

    def alternate(step: int, n_steps: int) -> Masks | None:
        nonlocal masks, phase
        due = min(config.n_phases - 1, step * config.n_phases // n_steps)
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
