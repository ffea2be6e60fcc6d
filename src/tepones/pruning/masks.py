"""Masks: which weights of a backbone remain.

A mask is a bool tensor of the shape of its weight, True where the weight remains; the masks of a backbone are a
dictionary from parameter names to such tensors. Prunable are the weights of the encoder's convolutions and
linear layers; norms, biases and the source classifier are not.
"""

from collections.abc import Mapping

import torch
from torch import nn

from tepones.backbones.base import Backbone
from tepones.errors import UsageError

Masks = dict[str, torch.Tensor]


def prunable(backbone: Backbone) -> dict[str, nn.Parameter]:
    """Prunable weights by their names in `backbone.named_parameters()`."""
    layers = backbone.encoder.named_modules(prefix="encoder")
    return {f"{name}.weight": layer.weight for name, layer in layers if isinstance(layer, nn.Conv2d | nn.Linear)}


def dense(backbone: Backbone) -> Masks:
    """Masks that keep everything."""
    return {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in prunable(backbone).items()}


def sparsity(masks: Masks) -> float:
    """Fraction of prunable weights that are zero, in [0, 1]."""
    total = sum(mask.numel() for mask in masks.values())
    return 1 - sum(int(mask.sum()) for mask in masks.values()) / total


def select(saliency: Mapping[str, torch.Tensor], target: float, within: Masks) -> Masks:
    """Keep the most salient weights of the whole network.

    Parameters
    ----------
    saliency : mapping of name to float tensor
        How much each weight matters; shapes as in `within`.
    target : float
        Sparsity to reach, in [0, 1): exactly round((1 - target) × total) weights remain.
    within : Masks
        Only weights that remain here can remain in the result (nested masks). Ties go to the earlier weight.

    Raises
    ------
    UsageError
        If `target` is outside [0, 1) or below the sparsity of `within`; if a saliency is NaN.

    Notes
    -----
    Cost: one sort of all prunable weights.
    """
    if not 0 <= target < 1:
        raise UsageError(f"sparsity {target} is outside [0, 1)")
    alive = torch.cat([within[name].flatten() for name in within])
    values = torch.cat([saliency[name].flatten() for name in within])
    if values.isnan().any():
        raise UsageError("a saliency is NaN: the criterion cannot rank the weights")
    n_keep = round((1 - target) * alive.numel())
    if n_keep > int(alive.sum()):
        raise UsageError(f"sparsity {target} is below the {sparsity(within):.6f} already reached: masks are nested")
    order = values.masked_fill(~alive, -torch.inf).argsort(descending=True, stable=True)
    kept = torch.zeros_like(alive)
    kept[order[:n_keep]] = True
    pieces = kept.split([mask.numel() for mask in within.values()])
    return {name: piece.view(within[name].shape) for name, piece in zip(within, pieces, strict=True)}


@torch.no_grad()
def apply(backbone: Backbone, masks: Masks) -> None:
    """Set the pruned weights to zero, in place."""
    for name, weight in prunable(backbone).items():
        weight.mul_(masks[name])
