"""Optimal brain surgeon: remove at once, and let the weights that remain make up for it, without training.

A criterion has chosen which weights Q of a block go. The change δ of the weights θ that raises the quadratic model
½ δᵀ H_B δ least, with θ + δ zero on Q, is

    δ_R = (H_RR)⁻¹ H_RQ θ_Q

on the rest R of the block. For a single weight that is the update of Hassibi and Stork 1992,
-(θ_j / [H⁻¹]_jj) H⁻¹ e_j; here all weights of a block go at once. H_B is that of `tepones.pruning.criteria.block`.
"""

import torch

from tepones.backbones.base import Backbone
from tepones.pruning.base import Setting, choose_masks
from tepones.pruning.criteria.block import cut, damped_fisher
from tepones.pruning.masks import Masks, prunable


@torch.no_grad()
def surgeon(backbone: Backbone, masks: Masks, sparsity: float, setting: Setting) -> Masks:
    """Prune the dense backbone to a sparsity and change the remaining weights once.

    Whatever criterion chooses, the change is by H_B. Cost: as the criterion `block`, and one linear system of a block's
    size for each block.

    Raises
    ------
    UsageError
        If the setting has no images.
    """
    with torch.enable_grad():
        chosen = choose_masks(backbone, masks, sparsity, setting)
        hessian = damped_fisher(backbone, setting)
    for name, weight in prunable(backbone).items():
        matrices = hessian[name]
        size = matrices.shape[-1]
        values, kept = (cut(each.reshape(1, -1), size)[0] for each in (weight, chosen[name].to(weight.dtype)))
        changed = made_up(matrices, values, kept.bool())
        weight.copy_(changed.flatten()[: weight.numel()].view(weight.shape))
    return chosen


def made_up(matrices: torch.Tensor, values: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """Values (n, size) of blocks after those outside of `kept` have gone; matrices (n, size, size) are the H_B.

    What is not kept is zero.
    """
    gone = torch.where(kept, 0.0, values)
    pulled = torch.where(kept, torch.einsum("nij,nj->ni", matrices, gone), 0.0)
    both = kept[:, :, None] & kept[:, None, :]
    # Rows and columns of what goes are those of the identity: their part of the solution is zero.
    inside = torch.where(both, matrices, torch.eye(matrices.shape[-1], dtype=matrices.dtype))
    return torch.where(kept, values, 0.0) + torch.linalg.solve(inside, pulled)
