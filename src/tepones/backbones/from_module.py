"""Any classifier that is given, and not built by a name, as a backbone."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from tepones.backbones.base import Backbone
from tepones.backbones.encoder import LAYERS
from tepones.common.errors import UsageError, one_line, shown


class Whole(Backbone):
    """A network as it is, but for its last layer, which is held apart as the source classifier.

    In `encoder`, the network, an identity stands in the place of that layer. A forward pass puts its input through the
    layer there, so the logits are those of the network, whatever it does to them after its last layer. What `prepare`
    is given as float32 is prepared already: it only changes the order of the axes.

    Parameters
    ----------
    network : nn.Module
        Loses its last layer, and shares its weights.
    head : str
        Name of that layer.
    """

    def __init__(self, network: nn.Module, head: str):
        layer = network.get_submodule(head)
        _replace(network, head, nn.Identity())
        super().__init__(network, layer.weight.shape[1], len(layer.weight), (0.0,) * 3, (1.0,) * 3)
        self.head = head
        self.classifier = layer

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Source-class logits, shape (N, n_classes)."""
        place = self.encoder.get_submodule(self.head)
        hook = place.register_forward_hook(lambda _, inputs, features: self.classifier(features))
        try:
            return self.encoder(images.contiguous())
        finally:
            hook.remove()

    def to(self, *args, **kwargs) -> "Whole":
        """As that of a module, but the weights stay in the plain layout.

        A network may flatten its maps by `Tensor.view`, which no other layout allows.
        """
        kwargs.pop("memory_format", None)
        return super().to(*args, **kwargs) if args or kwargs else self

    @contextmanager
    def joined(self) -> Iterator[nn.Module]:
        """The network with its last layer in its place; what is done to it there is done to the backbone."""
        _replace(self.encoder, self.head, self.classifier)
        try:
            yield self.encoder
        finally:
            self.classifier = self.encoder.get_submodule(self.head)
            _replace(self.encoder, self.head, nn.Identity())


def from_module(network: nn.Module, head: str = "", side: int = 32) -> Backbone:
    """Backbone made of a copy of any classifier of RGB images, in float32 on the CPU; all its weights can be trained.

    Parameters
    ----------
    network : nn.Module
        Images (N, 3, H, W) to logits (N, C). A `Backbone` is copied as it is.
    head : str
        Name of its last layer, linear or a convolution; by default the last of these to be registered.
    side : int
        Pixels of the side of its images, with which it is tried out.

    Raises
    ------
    UsageError
        If there is no such layer, the network does not take such images, its logits are not those of as many classes
        as the layer has outputs, a weight is shared, or computed from others (as by `torch.nn.utils.prune` or
        `parametrize`), or the layer is used otherwise than by a call.
    """
    if isinstance(network, Backbone):
        return copy.deepcopy(network)
    layers = {name: layer for name, layer in network.named_modules() if name and isinstance(layer, LAYERS)}
    head = head or next(reversed(layers), "")
    if head not in layers:
        raise UsageError(f"the network has no linear layer or convolution {head!r} inside; name its last layer: head")
    parameters = dict(network.named_parameters())
    computed = next((name for name in layers if f"{name}.weight" not in parameters and name != head), None)
    if computed or f"{head}.weight" not in parameters:
        raise UsageError(
            f"{shown(computed or head)}.weight is no parameter of its own; after torch.nn.utils.prune or parametrize, "
            "prune.remove or parametrize.remove_parametrizations makes it one"
        )
    network = copy.deepcopy(network).float().cpu().requires_grad_(True)
    pictures = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    calls: list[nn.Module] = []
    hook = network.get_submodule(head).register_forward_pre_hook(lambda layer, _: calls.append(layer))
    logits = _run(network, pictures)
    hook.remove()
    n_classes = len(layers[head].weight)
    if not isinstance(logits, torch.Tensor) or logits.shape != (2, n_classes):
        found = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise UsageError(
            f"of 2 images the network makes {found}; expected logits (2, {n_classes}), as many as {shown(head)} has "
            "outputs; name the last layer if it is another: head"
        )
    if not calls:
        raise UsageError(f"the network does not call its layer {shown(head)}; name the last layer that it calls: head")
    return Whole(network, head)


def with_classes(backbone: Backbone, n_classes: int) -> None:
    """Put a newly drawn source classifier of another number of classes in the place of a backbone's own, in place."""
    layer = copy.deepcopy(backbone.classifier)
    setattr(layer, "out_features" if isinstance(layer, nn.Linear) else "out_channels", n_classes)
    layer.weight = nn.Parameter(layer.weight.new_empty(n_classes, *layer.weight.shape[1:]))
    if layer.bias is not None:
        layer.bias = nn.Parameter(layer.bias.new_empty(n_classes))
    layer.reset_parameters()
    backbone.classifier = layer


def redrawn(backbone: Backbone) -> dict[str, torch.Tensor]:
    """State of a backbone whose weights are drawn anew, as torch's layers draw their own.

    Raises
    ------
    UsageError
        If a module holds weights and has no method `reset_parameters`, so that how it draws them is not known.
    """
    fresh = copy.deepcopy(backbone)
    for name, module in fresh.named_modules():
        if not module._parameters:
            continue
        draw = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
        if draw is None:
            raise UsageError(f"how {shown(name)} draws its weights is not known: give it a method reset_parameters()")
        draw()
    return fresh.state_dict()


@torch.no_grad()
def _run(network: nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    try:
        return network.eval()(pictures)
    except Exception as error:  # a network of one's own raises of every kind
        raise UsageError(
            f"the network does not take images of shape {tuple(pictures.shape)} ({one_line(error)}); expected one that "
            "takes RGB images of the prepared side"
        ) from error


def _replace(network: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, attribute = name.rpartition(".")
    setattr(network.get_submodule(parent), attribute, layer)
