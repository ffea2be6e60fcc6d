"""Giving a new backbone the shapes of a stored one, so that pruned and shrunk backbones can be loaded.

A rung of structured pruning, and what `shrink` makes, has the layers of the dense architecture with fewer channels;
folding may have added biases.
"""

from collections.abc import Mapping

import torch
from torch import nn

from tepones.backbones.base import Backbone
from tepones.common.errors import TeponesError

State = Mapping[str, torch.Tensor]


def resize(backbone: Backbone, state: State) -> None:
    """Change the shapes of convolutions, linear layers, BatchNorm and LayerNorm to those of a state, in place.

    The state holds all parameters and buffers of a backbone of this architecture that lost channels or gained biases.
    Afterwards `load_state_dict(state)` fits, and the values of what was resized are arbitrary. Where
    the shapes are those of the state already nothing changes. Cost: one look at each tensor.

    Raises
    ------
    TeponesError
        If a tensor is missing, too many, or of a shape that its layer cannot take; one line that names the first. The
        backbone may then have changed.
    """
    for path, layer in backbone.named_modules():
        weight, bias = state.get(f"{path}.weight"), state.get(f"{path}.bias")
        if isinstance(layer, nn.Conv2d | nn.Linear) and bias is not None and layer.bias is None:
            layer.bias = nn.Parameter(layer.weight.new_zeros(len(layer.weight)))
        change = _CHANGES.get(type(layer))
        if change and weight is not None and weight.shape != layer.weight.shape and weight.ndim == layer.weight.ndim:
            change(layer, weight.shape)
    own = backbone.state_dict()
    for name, tensor in own.items():
        if name not in state:
            raise TeponesError(f"tensor {name} is missing; expected shape {tuple(tensor.shape)}")
        if tensor.shape != state[name].shape:
            raise TeponesError(
                f"tensor {name} has shape {tuple(state[name].shape)}; its layer, of shape {tuple(tensor.shape)} here, "
                "cannot take it"
            )
    for name in state:
        if name not in own:
            raise TeponesError(f"tensor {name} is not expected")


def _convolution(layer: nn.Conv2d, shape: torch.Size) -> None:
    if layer.groups == layer.in_channels == layer.out_channels > 1:  # depthwise: a group for each channel
        layer.groups = shape[0]
    if shape[2:] != layer.weight.shape[2:] or shape[0] % layer.groups:
        return
    layer.out_channels, layer.in_channels = shape[0], shape[1] * layer.groups
    _renew(layer, shape)


def _linear(layer: nn.Linear, shape: torch.Size) -> None:
    layer.out_features, layer.in_features = shape
    _renew(layer, shape)


def _batch_norm(layer: nn.BatchNorm2d, shape: torch.Size) -> None:
    layer.num_features = shape[0]
    for name in ("running_mean", "running_var"):
        setattr(layer, name, getattr(layer, name).new_zeros(shape))
    _renew(layer, shape)


def _layer_norm(layer: nn.LayerNorm, shape: torch.Size) -> None:
    layer.normalized_shape = tuple(shape)
    _renew(layer, shape)


#: Exactly these classes: a subclass may hold other numbers that depend on its channels.
_CHANGES = {nn.Conv2d: _convolution, nn.Linear: _linear, nn.BatchNorm2d: _batch_norm, nn.LayerNorm: _layer_norm}


def _renew(layer: nn.Module, shape: torch.Size) -> None:
    """Give a layer a new weight of a shape and, if it has a bias, a new bias of that length, all zeros."""
    layer.weight = nn.Parameter(layer.weight.new_zeros(shape))
    if layer.bias is not None:
        layer.bias = nn.Parameter(layer.bias.new_zeros(shape[0]))
