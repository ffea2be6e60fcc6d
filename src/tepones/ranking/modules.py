"""Modules from Python: any network of torch as an encoder, with the features before its last layer or of a named one.

An encoder is made of a copy of the module, so the module itself stays as it is: its mode, its hooks, its memory
format, its device.
"""

import copy
from collections.abc import Mapping

import torch
from torch import nn
from torch.nn.utils import prune
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tepones.backbones.encoder import LAYERS, Encoder, Preparation
from tepones.common.errors import TeponesError, UsageError, one_line
from tepones.ranking.networks import USUAL, USUAL_NOTE

#: Names of layers that a message lists at most.
_SHOWN = 12


def encoder_of(
    module: nn.Module, name: str, preparation: Preparation | None = None, features: str | None = None
) -> Encoder:
    """Make an encoder of a module, for `tepones.ranking.rank`.

    Parameters
    ----------
    module : nn.Module
        Takes pictures (N, 3, H, W). Of what it returns the tensor counts: itself, its ``logits`` (an attribute or a
        key), or the first one. Weights of `torch.nn.utils.prune` are taken as their
        masks leave them.
    name : str
        What the ranking calls it.
    preparation : Preparation, optional
        How pictures become its input. If left out, `tepones.ranking.networks.USUAL`, and the ranking's notes say so.
    features : str, optional
        A layer as `module.named_modules` calls it, ``""`` for the module itself: the feature is its output, averaged
        over the places of a map (N, D, H, H) or (N, H, H, D), or over tokens (N, T, D). The module is run up to there,
        and there are no source-class probabilities. If left out, the feature is the input of the last linear layer or
        convolution to run, which has to be the classifier: nothing of a picture gets past it into what the module
        returns.

    Returns
    -------
    Encoder
        In evaluation mode, in single precision, on the processor. Layers that no picture goes through are no part of
        it. Cost: a copy of the module and four forward passes of two pictures.

    Raises
    ------
    UsageError
        If it is no module or a TorchScript program, or has no layer of this name.
    TeponesError
        If the module cannot be copied, takes no such picture, has no classifier, or does not run this layer; one line
        that begins with `name`.
    """
    if not isinstance(module, nn.Module):
        raise UsageError(f"{name}: expected a torch.nn.Module, not a {type(module).__name__}")
    if isinstance(module, torch.jit.ScriptModule):
        raise UsageError(f"{name}: a TorchScript program has no layers to look into; give the module it was made of")
    network = _copied(module, name)
    if features is not None and features not in dict(network.named_modules()):
        some = [layer for layer, _ in network.named_modules() if layer][:_SHOWN]
        raise UsageError(f"{name}: it has no layer {features!r}; the first ones are: {', '.join(some) or 'none'}")
    prepared = preparation or USUAL
    pictures = torch.randn(2, 3, prepared.crop, prepared.crop, generator=torch.Generator().manual_seed(0))
    try:
        with torch.no_grad():
            whole, head = _classifier(network, pictures) if features is None else _up_to(network, features, pictures)
            _drop_idle(whole, pictures)
    except TeponesError as error:
        raise TeponesError(f"{name}: {error}") from None
    except Exception as error:  # whatever the code of the module raises
        raise TeponesError(f"{name}: takes no picture of {prepared.crop} pixels ({one_line(error)})") from None
    notes = () if preparation else (USUAL_NOTE,)
    return Encoder(name, type(module).__name__, whole, prepared, head=head, classifies=features is None, notes=notes)


def _copied(module: nn.Module, name: str) -> nn.Module:
    """A copy in evaluation mode, on the processor, in single precision, with masks applied and without wrappers."""
    while isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        module = module.module
    module = getattr(module, "_orig_mod", module)  # of torch.compile
    # Weights that were computed from others, as by torch.nn.utils.prune, refuse to be copied.
    computed = {
        id(value): value.detach().clone()
        for part in module.modules()
        for value in vars(part).values()
        if isinstance(value, torch.Tensor) and not value.is_leaf
    }
    try:
        network = copy.deepcopy(module, computed).cpu().float().eval()
    except Exception as error:  # whatever the parts of the module raise
        raise TeponesError(f"{name}: it cannot be copied to the processor ({one_line(error)})") from None
    for part in list(network.modules()):
        for hook in list(part._forward_pre_hooks.values()):
            if isinstance(hook, prune.BasePruningMethod):
                prune.remove(part, hook._tensor_name)
    return network


class _Classifier(nn.Module):
    """A module that returns logits and nothing else."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Source-class logits (N, C_s)."""
        return as_logits(_tensor(self.module(images)))


class _UpTo(nn.Module):
    """A module up to one of its layers, and a last layer whose initial weights say nothing."""

    def __init__(self, module: nn.Module, layer: str, n_features: int):
        super().__init__()
        self.module, self.layer = module, layer
        self.last = nn.Linear(n_features, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """What the last layer makes of the features, (N, 1)."""
        return self.last(_features(self.module, self.layer, images))


def _classifier(network: nn.Module, pictures: torch.Tensor) -> tuple[nn.Module, str]:
    """The module that returns logits, and the name of its last layer."""
    ran: list[str] = []
    hooks = [
        layer.register_forward_hook(lambda *_, called=called: ran.append(called))
        for called, layer in network.named_modules()
        if isinstance(layer, LAYERS)
    ]
    try:
        network(pictures)
    finally:
        for hook in hooks:
            hook.remove()
    if not ran:
        raise TeponesError(
            "no linear layer or convolution runs in it; name the layer whose output is the feature: features='LAYER', "
            "or features='' for what it returns"
        )
    if not _all_goes_through(network, ran[-1], pictures):
        raise TeponesError(
            f"what it returns is not made of the output of its last layer, {ran[-1]}, alone, so that is no classifier; "
            "name the layer whose output is the feature: features='LAYER', or features='' for what it returns"
        )
    return _Classifier(network), f"module.{ran[-1]}"


def _all_goes_through(network: nn.Module, layer: str, pictures: torch.Tensor) -> bool:
    """Whether pictures change nothing in what a network returns, one number a class, while a layer's output is held."""
    outputs: list[torch.Tensor] = []
    last = network.get_submodule(layer)
    hook = last.register_forward_hook(lambda _, inputs, output: outputs.append(output))
    try:
        returned = _tensor(network(pictures))
    finally:
        hook.remove()
    hook = last.register_forward_hook(lambda *_: outputs[-1])
    try:
        held = _tensor(network(pictures.flip(0)))
    finally:
        hook.remove()
    return returned.flatten(1).shape == (len(pictures), len(last.weight)) and torch.equal(returned, held)


def _up_to(network: nn.Module, layer: str, pictures: torch.Tensor) -> tuple[nn.Module, str]:
    """The module up to a layer, and the name of the last layer that stands behind it."""
    return _UpTo(network, layer, _features(network, layer, pictures).shape[1]), "last"


class _Reached(Exception):
    """Ends a forward pass where the features are."""


def _features(network: nn.Module, layer: str, images: torch.Tensor) -> torch.Tensor:
    """Features (N, D): the output of a layer, averaged over places."""
    found: list[object] = []

    def stop(_, inputs: object, output: object) -> None:
        found.append(output)
        raise _Reached

    hook = network.get_submodule(layer).register_forward_hook(stop)
    try:
        network(images)
    except _Reached:
        return averaged(_tensor(found[0]), len(images))
    finally:
        hook.remove()
    raise TeponesError(f"no picture goes through its layer {layer}; name another one")


def averaged(output: torch.Tensor, n_pictures: int) -> torch.Tensor:
    """Features (N, D) of an output: the average over the places of a map or over tokens.

    Channels of a map are the dimension that is not a side: the sides are equal, as the pictures are square. Where all
    three are equal, channels come first.

    Raises
    ------
    TeponesError
        If it is no vector, sequence or map for each picture.
    """
    shape = tuple(output.shape)
    if shape[:1] == (n_pictures,) and output.is_floating_point() and all(shape):
        if len(shape) == 2:
            return output
        if len(shape) == 3:
            return output.mean(1)
        if len(shape) == 4 and shape[2] == shape[3]:
            return output.mean((2, 3))
        if len(shape) == 4 and shape[1] == shape[2]:
            return output.mean((1, 2))
    kind = str(output.dtype).removeprefix("torch.")
    raise TeponesError(
        f"of {n_pictures} pictures its features have shape {shape} ({kind}); expected one vector, sequence of tokens "
        "or square map for each picture"
    )


def as_logits(output: torch.Tensor) -> torch.Tensor:
    """Logits (N, C_s) of a classifier's output, which may be probabilities already: then their logarithms."""
    flat = output.flatten(1)
    # Rows of logits that are all positive and sum to one there are not.
    ready = (flat >= 0).all() and torch.allclose(flat.sum(1), torch.ones(len(flat), dtype=flat.dtype), atol=1e-3)
    return flat.log() if ready else flat


def _tensor(returned: object) -> torch.Tensor:
    """The tensor that counts among what a module returns."""
    if isinstance(returned, Mapping):
        inside = returned.get("logits", list(returned.values()))
    else:
        inside = getattr(returned, "logits", returned)
    tensors = [leaf for leaf in tree_leaves(inside) if isinstance(leaf, torch.Tensor)]
    if not tensors:
        raise TeponesError(f"it returns a {type(returned).__name__} without a tensor")
    return tensors[0]


class _Read(TorchDispatchMode):
    """While it is active, remembers which memory operators read."""

    def __init__(self):
        super().__init__()
        self.memory: set[int] = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """Run an operator and remember what it reads."""
        given = tree_leaves((args, kwargs or {}))
        self.memory |= {tensor.untyped_storage()._cdata for tensor in given if isinstance(tensor, torch.Tensor)}
        return function(*args, **(kwargs or {}))


def _drop_idle(network: nn.Module, pictures: torch.Tensor) -> None:
    """Take out the layers none of whose tensors is read: behind the features, or for training alone."""
    with _Read() as read:
        network(pictures)
    idle: list[str] = []
    for name, layer in list(network.named_modules()):
        tensors = [*layer.parameters(), *layer.buffers()]
        if not tensors or name.startswith(tuple(f"{outer}." for outer in idle)):
            continue
        if not any(tensor.untyped_storage()._cdata in read.memory for tensor in tensors):
            network.set_submodule(name, nn.Identity())
            idle.append(name)
