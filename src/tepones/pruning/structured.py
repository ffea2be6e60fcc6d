"""Structured pruning: whole channels, removed physically by the library torch-pruning (Fang et al. 2023, 2301.12900).

The library follows which layers share a channel (residual sums, depthwise convolutions, BatchNorm) and removes a
channel from all of them. The schedule `structured` makes ladders of it; `tepones.pruning.resize` loads its rungs.
"""

import copy

import torch
import torch_pruning
from torch import nn

from tepones.backbones.base import Backbone
from tepones.common.errors import UsageError
from tepones.pruning.masks import n_weights

#: The network loses no more than this fraction of its channels at once (our choice): the library leaves out the layers
#: that would lose their last one, so beyond it more asked means less removed.
MOST = 0.9
_HALVINGS = 12


def structured(backbone: Backbone, sparsity: float, n_dense: int | None = None, image_size: int = 32) -> Backbone:
    """Remove the channels of least magnitude until a fraction of the prunable weights is gone.

    A channel's importance is the library's group magnitude: the mean, over the layers that share the channel, of the
    norm of its weights. Channels of the whole network are compared. Cost: about a dozen traces of the network.

    Parameters
    ----------
    backbone : Backbone
        Not changed.
    sparsity : float
        Fraction of the prunable weights that are gone afterwards, in [0, 1). A channel is the smallest piece: at least
        this much goes, and no more than the smallest fraction of channels that removes it.
    n_dense : int, optional
        Prunable weights that the fraction is of, where `backbone` has lost some already; its own by default.
    image_size : int
        Side in pixels of the images that the network is traced with.

    Returns
    -------
    Backbone
        In evaluation mode, to be trained on. Its features are fewer, for they are channels too.

    Raises
    ------
    UsageError
        If the sparsity is outside [0, 1), or out of reach because nine tenths of the channels are the most that goes
        at once; if the network has attention, whose heads the library cannot cut.
    """
    if not 0 <= sparsity < 1:
        raise UsageError(f"sparsity {sparsity} is outside [0, 1)")
    if any(isinstance(layer, nn.MultiheadAttention) for layer in backbone.modules()):
        raise UsageError("structured pruning removes channels of convolutions; this backbone has attention")
    total = n_dense or n_weights(backbone)

    def reached(network: Backbone) -> float:
        return 1 - n_weights(network) / total

    if reached(backbone) >= sparsity:
        return copy.deepcopy(backbone).eval()
    low, high = 0.0, MOST
    best = _without_channels(backbone, high, image_size)
    if reached(best) < sparsity:
        raise UsageError(
            f"sparsity {sparsity} is out of reach: whole channels can be removed up to {reached(best):.3f}"
        )
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        pruned = _without_channels(backbone, middle, image_size)
        if reached(pruned) < sparsity:
            low = middle
        else:
            high, best = middle, pruned
    return best


def _without_channels(backbone: Backbone, fraction: float, image_size: int) -> Backbone:
    """A copy without a fraction of the network's channels."""
    smaller = copy.deepcopy(backbone).eval()
    pruner = torch_pruning.pruner.BasePruner(
        smaller,
        torch.zeros(1, 3, image_size, image_size),
        torch_pruning.importance.GroupMagnitudeImportance(p=2),
        global_pruning=True,
        pruning_ratio=fraction,
        max_pruning_ratio=MOST,
        ignored_layers=[smaller.classifier],
    )
    pruner.step()
    return smaller
