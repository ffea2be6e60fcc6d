"""Block Fisher: the loss that removing a weight costs when the others of its block make up for it.

Optimal brain surgeon (Hassibi and Stork 1992) removes the weight whose removal raises a quadratic model of the loss
least, L_j = θ_j² / (2 [H⁻¹]_jj), and makes up for it by changing the others by -(θ_j / [H⁻¹]_jj) H⁻¹ e_j. As in
WoodFisher (Singh and Alistarh 2020, arXiv 2004.14340; code: IST-DASLab/WoodFisher, pruners/woodfisherblock.py) H is the
empirical Fisher of the images' gradients g_i plus a damping, H_B = λI + (1/n) Σ_i g_i g_iᵀ, cut into blocks of
consecutive weights of one layer. WoodFisher builds the inverse by n rank-one updates; here H_B is summed and inverted
by a batched Cholesky solver, which gives the same numbers and is faster for small blocks. The factor 1/2 does not
change the order and is left out, as in that code. The change of the other weights is the schedule `surgeon`'s; other
schedules train them.
"""

import torch
from torch.nn import functional

from tepones.backbones.base import Backbone
from tepones.pruning.base import Setting
from tepones.pruning.criteria.gradients import sample_gradients
from tepones.pruning.masks import prunable

#: Weights of a block; the last block of a layer may be smaller (our choice).
BLOCK = 64
#: λ as a fraction of the mean squared gradient of the remaining weights of the network: one λ for all blocks, so that
#: their scores compare (our choice).
DAMPING = 0.01


def block(backbone: Backbone, setting: Setting) -> dict[str, torch.Tensor]:
    """θ_j² / [H_B⁻¹]_jj of each prunable weight, H_B from 512 training images.

    Cost: one forward and one backward pass for each of the n images, n × `BLOCK` operations for each weight to sum the
    blocks and `BLOCK`² to invert them; memory of `BLOCK` floats for each weight.

    Raises
    ------
    UsageError
        If the setting has no images.
    """
    scores = {}
    for name, matrices in damped_fisher(backbone, setting).items():
        weight = prunable(backbone)[name].detach()
        variances = inverse_diagonal(matrices).flatten()[: weight.numel()]
        scores[name] = weight.square() / variances.view(weight.shape)
    return scores


def damped_fisher(backbone: Backbone, setting: Setting) -> dict[str, torch.Tensor]:
    """H_B = λI + (1/n) Σ_i g_i g_iᵀ of each prunable weight, (blocks, size, size); what fills up the last block is λI.

    Cost and errors are those of `block`.
    """
    weights = {name: weight.detach() for name, weight in prunable(backbone).items()}
    sizes = {name: min(BLOCK, weight.numel()) for name, weight in weights.items()}
    fisher = {
        name: torch.zeros(-(-weight.numel() // sizes[name]), sizes[name], sizes[name])
        for name, weight in weights.items()
    }
    n_images = 0
    for batch in sample_gradients(backbone, setting):
        for name, gradients in batch.items():
            blocks = cut(gradients, sizes[name]).transpose(0, 1)  # (blocks, images, size)
            fisher[name].baddbmm_(blocks.mT, blocks)
        n_images += len(gradients)
    n_alive = sum(int(weight.count_nonzero()) for weight in weights.values())
    trace = sum(float(summed.diagonal(dim1=1, dim2=2).sum()) for summed in fisher.values()) / n_images
    # A network whose gradients are all zero has no preference: any positive λ ranks by magnitude.
    ridge = DAMPING * trace / max(n_alive, 1) or 1.0
    for summed in fisher.values():
        summed.div_(n_images).diagonal(dim1=1, dim2=2).add_(ridge)
    return fisher


def inverse_diagonal(matrices: torch.Tensor) -> torch.Tensor:
    """Diagonals (n, size) of the inverses of positive definite matrices (n, size, size)."""
    # M = L Lᵀ, so the diagonal of its inverse is the squared length of the columns of L⁻¹.
    factors = torch.linalg.cholesky(matrices)
    identity = torch.eye(matrices.shape[-1], dtype=matrices.dtype).expand_as(matrices)
    return torch.linalg.solve_triangular(factors, identity, upper=False).square().sum(1)


def cut(rows: torch.Tensor, size: int) -> torch.Tensor:
    """Cut rows (n, numel) into (n, blocks, size), filled up with zeros."""
    return functional.pad(rows, (0, -rows.shape[1] % size)).view(len(rows), -1, size)
