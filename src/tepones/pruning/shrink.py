"""Shrinking: after unstructured pruning whole channels are dead; here they are removed physically.

The encoder is traced (torch.fx). A *tensor* is what flows along an edge of its graph; for each of its channels it is
known whether the channel is a constant, and which. A channel is

* *constant* if the weights that make it are zero wherever what they read is not a constant itself. A 3×3
  convolution with zero padding makes no constant of a constant, except of zero: the padding is zero, the constant
  is not. A constant goes through BatchNorm, activations and residual sums;
* *unread* if the weights of all that read it are zero.

First, constants that are read are folded: into the bias of a reader without padding, exactly; for a reader with
padding all constants of one tensor are gathered in one of them, exactly too, borders included, because the kernels
of channels that differ by a factor only can be added. After that constant channels are unread, but for that one.
Then unread channels are removed from all layers that share them: those that a BatchNorm, an activation, a depthwise
convolution or a residual sum ties together have a channel removed only where nobody reads it.

Not handled, and then left as it is: a depthwise convolution with padding of a constant that is not zero makes no
constant; channels that reach an operation unknown here (attention, LayerNorm, concatenation, squeeze and excitation)
stay, and so do the features, so that D is what it was. The source classifier is not touched.
"""

import copy
import operator
from collections.abc import Iterator

import torch
from torch import fx, nn
from torch.nn import functional

from tepones.backbones.base import Backbone
from tepones.common.errors import TeponesError

_POINTWISE = (nn.ReLU, nn.ReLU6, nn.Hardswish, nn.SiLU, nn.GELU, nn.Sigmoid, nn.Identity, nn.Dropout)
_POINTWISE_FUNCTIONS = (functional.relu, torch.relu, functional.relu6, functional.silu, functional.gelu)
_SUMS = (operator.add, operator.iadd, torch.add)
_UNKNOWN = float("nan")


@torch.no_grad()
def shrink(backbone: Backbone) -> Backbone:
    """A copy of a pruned backbone without its dead channels, in evaluation mode.

    It has the same features and logits up to rounding (1e-5 on real inputs). Folding uses the running statistics of
    BatchNorm: the copy is for use, not for further training. Cost: a few passes over the weights.

    Raises
    ------
    TeponesError
        If the encoder cannot be traced.
    """
    small = copy.deepcopy(backbone).eval()
    encoder = small.encoder
    try:
        graph = fx.Tracer().trace(encoder)
    except fx.proxy.TraceError as error:
        message = str(error).splitlines()[0]
        raise TeponesError(f"this backbone cannot be shrunk: its graph depends on its input ({message})") from error
    layers = dict(encoder.named_modules())
    while True:  # a channel that is removed may have been the only reader of another
        edges = _Edges(graph, layers)
        edges.fold()
        if not edges.remove():
            return small


class _Edges:
    """What is known of every tensor that flows through a traced encoder, and the two steps that use it.

    A tensor is named by the node of the graph that makes it. Making an object of this class walks the graph once,
    from the images to the features, and finds for each tensor which of its channels are constants, and with which
    other tensors it shares its channels: a channel can be removed from all of them or from none. `fold` then makes
    the constants unread, and `remove` takes out the channels that nobody reads.

    Attributes
    ----------
    constants : dict of node to tensor, shape (C,)
        The value of each of the tensor's C channels; NaN where the channel is not a constant. A tensor that comes out
        of an operation unknown here is missing.
    group : dict of node to node
        Tensors that share their channels have the same value here; it is one of these tensors.
    pinned : set of node
        Tensors, by that value, whose channels have to stay, because an operation unknown here reads them.
    """

    def __init__(self, graph: fx.Graph, layers: dict[str, nn.Module]):
        self.graph, self.layers = graph, layers
        self.constants: dict[fx.Node, torch.Tensor] = {}
        self.group: dict[fx.Node, fx.Node] = {}
        self.pinned: set[fx.Node] = set()
        for node in graph.nodes:
            self._visit(node)

    def _layer(self, node: fx.Node) -> nn.Module | None:
        return self.layers[node.target] if node.op == "call_module" else None

    def _visit(self, node: fx.Node) -> None:
        layer, sources = self._layer(node), node.all_input_nodes
        known = bool(sources) and all(source in self.constants for source in sources)
        self.group[node] = node
        if _mixes(layer):
            reads = _summed(layer.weight.abs()) > 0
            incoming = self.constants.get(sources[0], torch.full((reads.shape[1],), _UNKNOWN))
            if _pads(layer):
                incoming = incoming.masked_fill(incoming != 0, _UNKNOWN)
            varying = (reads & incoming.isnan()).any(1)
            values = _summed(layer.weight) @ incoming.nan_to_num() + (0 if layer.bias is None else layer.bias)
            self.constants[node] = values.masked_fill(varying, _UNKNOWN)
        elif known and _is_depthwise(layer):
            incoming = self.constants[sources[0]]
            if _pads(layer):
                incoming = incoming.masked_fill(incoming != 0, _UNKNOWN)
            incoming = incoming.masked_fill(~layer.weight.flatten(1).any(1), 0.0)
            values = layer.weight.flatten(1).sum(1) * incoming + (0 if layer.bias is None else layer.bias)
            self._tie(node, sources, values)
        elif known and isinstance(layer, nn.BatchNorm2d):
            values = self.constants[sources[0]] - layer.running_mean
            values = values * (layer.running_var + layer.eps).rsqrt() * layer.weight + layer.bias
            self._tie(node, sources, values)
        elif known and isinstance(layer, _POINTWISE):
            self._tie(node, sources, layer(self.constants[sources[0]]))
        elif known and node.op == "call_function" and node.target in _POINTWISE_FUNCTIONS:
            self._tie(node, sources, node.target(self.constants[sources[0]]))
        elif known and node.op == "call_function" and node.target in _SUMS and len(sources) == 2:
            self._tie(node, sources, self.constants[sources[0]] + self.constants[sources[1]])
        elif known and (isinstance(layer, nn.MaxPool2d) or _averages_all(layer) or self._flattens_pixel(node)):
            self._tie(node, sources, self.constants[sources[0]])
        else:
            self.pinned.update(sources)

    def _flattens_pixel(self, node: fx.Node) -> bool:
        """Whether a node only drops the two last axes of a tensor of one place: (N, C, 1, 1) to (N, C)."""
        flattens = isinstance(self._layer(node), nn.Flatten) or node.target is torch.flatten
        return flattens and _averages_all(self._layer(node.all_input_nodes[0]))

    def _tie(self, node: fx.Node, sources: list[fx.Node], constants: torch.Tensor) -> None:
        self.constants[node] = constants
        joined = {self.group[source] for source in sources}
        first = self.group[sources[0]]
        self.group[node] = first
        for other, group in self.group.items():
            if group in joined:
                self.group[other] = first

    def _readers(self) -> Iterator[tuple[fx.Node, nn.Module]]:
        """Convolutions and linear layers that mix the channels of a tensor of which something is known."""
        for node in self.graph.nodes:
            layer = self._layer(node)
            if _mixes(layer) and node.all_input_nodes[0] in self.constants:
                yield node.all_input_nodes[0], layer

    def fold(self) -> None:
        """Make constants unread: into the reader's bias, or gathered in one of them."""
        for source, layer in self._readers():
            constants = self.constants[source]
            reads = layer.weight.transpose(0, 1).flatten(1).any(1)
            folded = (reads & ~constants.isnan()).nonzero().flatten()
            if not len(folded):
                continue
            values = constants[folded]
            if not _pads(layer):
                if layer.bias is None:
                    layer.bias = nn.Parameter(torch.zeros(len(layer.weight)))
                layer.bias += _summed(layer.weight[:, folded]) @ values
                layer.weight[:, folded] = 0
                continue
            gathered = torch.einsum("oihw,i->ohw", layer.weight[:, folded], values)
            carrier = folded[values.abs().argmax()]
            layer.weight[:, folded] = 0
            if constants[carrier] != 0:
                layer.weight[:, carrier] = gathered / constants[carrier]

    def remove(self) -> bool:
        """Remove the channels that nobody reads; returns whether there were any."""
        pinned = {self.group[node] for node in self.pinned}
        unread: dict[fx.Node, torch.Tensor] = {}
        for source, layer in self._readers():
            not_read = ~layer.weight.transpose(0, 1).flatten(1).any(1)
            group = self.group[source]
            unread[group] = unread.get(group, torch.ones_like(not_read)) & not_read
        keep: dict[fx.Node, torch.Tensor] = {}
        for group, dead in unread.items():
            if group not in pinned and dead.any() and len(dead) > 1:
                dead[0] &= not dead.all()  # a layer needs a channel
                keep[group] = (~dead).nonzero().flatten()
        for node in self.graph.nodes:
            layer = self._layer(node)
            sources = node.all_input_nodes
            if _mixes(layer) and sources and (kept := keep.get(self.group[sources[0]])) is not None:
                _keep_inputs(layer, kept)
            if (kept := keep.get(self.group[node])) is not None:
                _keep_outputs(layer, kept)
        return bool(keep)


def _mixes(layer: nn.Module | None) -> bool:
    """Whether every output channel may read every input channel."""
    return isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.groups == 1)


def _summed(weight: torch.Tensor) -> torch.Tensor:
    """A kernel (out, in, ...) summed over its positions: what it makes of a constant."""
    return weight.sum((2, 3)) if weight.ndim == 4 else weight


def _is_depthwise(layer: nn.Module | None) -> bool:
    return isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels == layer.out_channels


def _pads(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d) and layer.padding not in ((0, 0), "valid")


def _averages_all(layer: nn.Module | None) -> bool:
    return isinstance(layer, nn.AdaptiveAvgPool2d) and layer.output_size in (1, (1, 1))


def _keep_inputs(layer: nn.Module, kept: torch.Tensor) -> None:
    layer.weight = nn.Parameter(layer.weight[:, kept].contiguous())
    if isinstance(layer, nn.Conv2d):
        layer.in_channels = len(kept)
    else:
        layer.in_features = len(kept)


def _keep_outputs(layer: nn.Module | None, kept: torch.Tensor) -> None:
    if not isinstance(layer, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
        return
    for name in ("weight", "bias"):
        if getattr(layer, name) is not None:
            setattr(layer, name, nn.Parameter(getattr(layer, name)[kept].contiguous()))
    if isinstance(layer, nn.BatchNorm2d):
        layer.running_mean, layer.running_var = layer.running_mean[kept], layer.running_var[kept]
        layer.num_features = len(kept)
    elif isinstance(layer, nn.Linear):
        layer.out_features = len(kept)
    else:
        if layer.groups > 1:
            layer.groups = layer.in_channels = len(kept)
        layer.out_channels = len(kept)
