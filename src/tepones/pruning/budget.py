"""The budget of a backbone: what its encoder costs to store and to run. The source classifier is no part of it."""

import gzip
import statistics
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from safetensors.torch import save
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from tepones.backbones.base import Backbone
from tepones.backbones.encoder import LAYERS, Encoder
from tepones.pruning.masks import prunable

#: Timed forward passes, after `WARM_UP` others.
REPEATS, WARM_UP = 21, 3


@dataclass(frozen=True)
class Budget:
    """What an encoder costs.

    Attributes
    ----------
    nonzero_weights : int
        Weights of convolutions, linear layers and attention that are not zero.
    bytes_dense, bytes_sparse : int
        Of a safetensors file of its tensors, plain and compressed (`compress`), which is where zeros save space.
    flops : int
        Floating-point operations of one picture as torch counts them: two for a multiply-add, zeros not left out.
    latency_ms : float
        Median wall time of one picture on the CPU, in milliseconds, with the threads that torch is set to. The
        source classifier runs too.
    peak_activation_bytes : int
        Most bytes of activations, the input included, that are alive at once for one picture.
    """

    nonzero_weights: int
    bytes_dense: int
    bytes_sparse: int
    flops: int
    latency_ms: float
    peak_activation_bytes: int


def budget(encoder: Encoder) -> Budget:
    """The whole budget of an encoder, for a few more forward passes of one picture than the latency needs."""
    dense, sparse = stored_bytes(encoder)
    return Budget(
        nonzero_weights(encoder), dense, sparse, flops(encoder), latency_ms(encoder), peak_activation_bytes(encoder)
    )


def sparsity(encoder: Encoder) -> float:
    """Fraction of the weights of convolutions, linear layers and attention that are zero, in [0, 1]."""
    return 1 - nonzero_weights(encoder) / sum(weight.numel() for weight in _weights(encoder))


def nonzero_weights(encoder: Encoder) -> int:
    """Number of the weights of convolutions, linear layers and attention that are not zero."""
    return sum(int(weight.count_nonzero()) for weight in _weights(encoder))


def stored_bytes(encoder: Encoder) -> tuple[int, int]:
    """Bytes of a safetensors file of the encoder's tensors: plain, and compressed (`compress`).

    Cost: about 40 ms for each MB.
    """
    content = serialise(encoder.weights())
    return len(content), len(compress(content))


def serialise(tensors: Mapping[str, torch.Tensor]) -> bytes:
    """A safetensors file of equal tensors, whose zeros all have the same bits.

    A mask turns a negative weight into −0.0, and a random pattern of signs can be compressed no further.
    """
    return save({name: (tensor + 0).contiguous() for name, tensor in tensors.items()})


def compress(content: bytes) -> bytes:
    """What `gzip -4` makes of a file, without its name and date: the same bytes each time.

    Higher levels save at most 5 % more of a pruned backbone and take up to ten times as long.
    """
    return gzip.compress(content, 4, mtime=0)


@torch.inference_mode()
def flops(encoder: Encoder) -> int:
    """Floating-point operations of the encoder for one picture, as `Budget` counts them."""
    heads: list[int] = []

    def count_head(head: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        with FlopCounterMode(display=False) as alone:
            type(head).forward(head, *inputs)
        heads.append(alone.get_total_flops())

    hook = encoder.classifier.register_forward_pre_hook(count_head)
    try:
        with FlopCounterMode(display=False) as everything:
            encoder.model(_picture(encoder))
    finally:
        hook.remove()
    # The head ran twice: once in the model, once alone.
    return everything.get_total_flops() - 2 * sum(heads)


@torch.inference_mode()
def latency_ms(encoder: Encoder) -> float:
    """Median wall time of one picture, in milliseconds."""
    picture, seconds = _picture(encoder), []
    for _ in range(WARM_UP + REPEATS):
        started = time.perf_counter()
        encoder.model(picture)
        seconds.append(time.perf_counter() - started)
    return 1000 * statistics.median(seconds[WARM_UP:])


@torch.inference_mode()
def peak_activation_bytes(encoder: Encoder) -> int:
    """Most bytes of activations that are alive at once for one picture, as `Budget` counts them.

    Scratch memory inside of an operator does not count, so the number is the same on every machine.
    """
    picture = _picture(encoder)
    with _Alive(picture) as alive:
        encoder.model(picture)
    return alive.peak


class _Alive(TorchDispatchMode):
    """While it is active, counts the bytes of all tensors that exist, and remembers the most there were: `peak`.

    Torch calls it for every operator. The memory of each new tensor is added when an operator returns it, and taken
    off when Python frees it. Tensors that share their memory, as a view and what it is a view of, count once. The
    network's input counts from the start; the weights, which no operator makes, are not counted.
    """

    def __init__(self, picture: torch.Tensor):
        super().__init__()
        self.peak = self.now = 0
        self.known: set[int] = set()
        self._add(picture)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """Run an operator and add the memory of the tensors that it returns and was not given."""
        result = function(*args, **(kwargs or {}))
        given = {tensor.untyped_storage()._cdata for tensor in tree_leaves(args) if isinstance(tensor, torch.Tensor)}
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage()._cdata not in given:
                self._add(tensor)
        return result

    def _add(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata in self.known:
            return
        self.known.add(storage._cdata)
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._drop, storage._cdata, storage.nbytes())

    def _drop(self, address: int, size: int) -> None:
        self.known.discard(address)
        self.now -= size


def _picture(encoder: Encoder) -> torch.Tensor:
    side = encoder.preparation.crop
    return torch.zeros(1, 3, side, side).contiguous(memory_format=torch.channels_last)


def _weights(encoder: Encoder) -> list[torch.Tensor]:
    """The weights that the budget counts: of convolutions, linear layers and attention, without the last layer."""
    if isinstance(encoder.model, Backbone):
        return list(prunable(encoder.model).values())
    layers = [layer for layer in encoder.model.modules() if layer is not encoder.classifier]
    attention = [layer.in_proj_weight for layer in layers if isinstance(layer, nn.MultiheadAttention)]
    return attention + [layer.weight for layer in layers if isinstance(layer, LAYERS)]
