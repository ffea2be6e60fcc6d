"""A defect of oneDNN, and the way around it."""

import torch
from torch import nn

#: oneDNN handles channels in blocks of this many on AVX2.
BLOCK = 8


def avoid_defect(network: nn.Module) -> None:
    """Make every layer that the defect can reach take its images in the plain layout, now or once it is narrow enough.

    The defect: on processors without AVX-512, in torch 2.13.0 (oneDNN 3.12), the backward pass of a 1×1 convolution
    with a stride of 2 and fewer than 8 input channels writes beyond its memory if images or weights lie channels last;
    the process ends in *double free or corruption*. Dense networks have no such layer; removing channels makes them. In
    the plain layout another kernel computes the same, so these layers get it, whatever the layout around them.

    Parameters
    ----------
    network : nn.Module
        Its strided 1×1 convolutions get a forward hook that looks at the number of channels each time, since pruning
        may change it.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1) and max(layer.stride) > 1:
            layer.register_forward_pre_hook(_plainly)


def _plainly(layer: nn.Conv2d, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...] | None:
    if layer.in_channels // layer.groups >= BLOCK:
        return None
    # Not `contiguous()`: it leaves 1×1 weights as they lie, since one position is contiguous in every layout.
    if layer.weight.stride()[2:] != (1, 1):
        layer.weight.data = layer.weight.data.clone(memory_format=torch.contiguous_format)
    return tuple(images.clone(memory_format=torch.contiguous_format) for images in inputs)
