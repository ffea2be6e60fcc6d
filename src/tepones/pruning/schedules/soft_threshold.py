"""STR: soft threshold weight reparameterisation (Kusupati et al. 2020, arXiv 2002.03231; code: RAIVNLab/STR).

The weights W of layer l are used as ``S(W, s_l) = sign(W) · max(|W| - g(s_l), 0)`` with g the sigmoid, and the
thresholds s_l are learned by gradient descent with the weights: the loss decides how sparse each layer becomes. In the
authors' code the weight decay pulls all s_l towards zero, up from a low start, and both decide where the sparsity ends
(configs/largescale/resnet50-str.yaml: start -3200, decay 2.25e-5 for 90.23 %). A rung has to end at a given sparsity,
so what pushes here is a common shift of all s_l after every step, just as large as a cubic ramp of the sparsity asks,
from that of the rung before (our choice). It is used for the first half of the training; in the second half the masks
are held and the weights that remain are trained.
"""

from dataclasses import replace

import torch
from torch import nn
from torch.nn.utils import parametrize

from tepones.backbones.base import Backbone
from tepones.backbones.training import train
from tepones.common.errors import UsageError
from tepones.pruning import masks as pruning_masks
from tepones.pruning.base import Setting
from tepones.pruning.criteria.magnitude import magnitude
from tepones.pruning.masks import Masks, apply, prunable, select
from tepones.pruning.schedules.gradual import cubic

#: Fraction of the training in which thresholds are learned.
LEARNING = 0.5


class SoftThreshold(nn.Module):
    """S(W, s): shrink weights towards zero by sigmoid(s), as `sparseFunction` of the authors' code."""

    def __init__(self):
        super().__init__()
        self.s = nn.Parameter(torch.zeros(()))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Thresholded weight, of the same shape."""
        return weight.sign() * (weight.abs() - self.s.sigmoid()).relu()


def soft_threshold(backbone: Backbone, masks: Masks, sparsity: float, setting: Setting) -> Masks:
    """Learn one threshold for each layer while the sparsity rises, then train what is left.

    The new masks are nested in those that are given, because a weight at zero has no gradient.

    Raises
    ------
    UsageError
        If the setting's criterion is not magnitude or its scope not global: the method is a threshold on magnitudes,
        and it decides itself how sparse each layer is.
    """
    if setting.criterion is not magnitude or setting.scope != "global":
        raise UsageError("the schedule str learns thresholds on magnitudes: it needs criterion magnitude, scope global")
    places = [name.rpartition(".") for name in prunable(backbone)]
    places = [(backbone.get_submodule(path), weight) for path, _, weight in places]
    for layer, weight in places:
        parametrize.register_parametrization(layer, weight, SoftThreshold())
    raw = [getattr(layer.parametrizations, weight) for layer, weight in places]
    originals, thresholds = [each.original for each in raw], [each[0].s for each in raw]

    start = pruning_masks.sparsity(masks)

    def follow_ramp(step: int, n_steps: int) -> None:
        steer(originals, thresholds, cubic(start, sparsity, step / n_steps))

    follow_ramp(0, 1)
    learning = replace(setting.training, epochs=LEARNING * setting.training.epochs)
    train(backbone, setting.images, setting.labels, learning, setting.seed, after_step=follow_ramp)
    for layer, weight in places:
        parametrize.remove_parametrizations(layer, weight, leave_parametrized=True)
    masks = select(magnitude(backbone, setting), sparsity, masks)
    apply(backbone, masks)
    rest = replace(setting.training, epochs=(1 - LEARNING) * setting.training.epochs)
    train(backbone, setting.images, setting.labels, rest, setting.seed, masks)
    return masks


@torch.no_grad()
def steer(weights: list[torch.Tensor], thresholds: list[torch.Tensor], sparsity: float) -> None:
    """Shift all thresholds together so that a given fraction of the weights lies at or below them, in place.

    `thresholds` holds the scalar s of each tensor of `weights`; `sparsity` is in [0, 1).
    """
    # A weight is zero iff |w| <= sigmoid(s + shift), that is, logit(|w|) - s <= shift. No logit is infinite: of
    # magnitudes outside (0, 1) the ranks do not matter.
    needed = [weight.abs().logit(eps=1e-6) - s for weight, s in zip(weights, thresholds, strict=True)]
    needed = torch.cat([each.flatten() for each in needed])
    n_zero = round(sparsity * len(needed))
    shift = needed.kthvalue(max(1, n_zero)).values
    for s in thresholds:
        s += shift
