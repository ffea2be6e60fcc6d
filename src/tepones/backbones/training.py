"""Supervised training of a backbone, dense or with its pruned weights held at zero."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from tepones.backbones.base import Backbone
from tepones.common.errors import TeponesError, choose

WARM_UP = 0.2

#: Called with the number of steps taken and of all steps; returns the masks to hold from now on, or None.
AfterStep = Callable[[int, int], Mapping[str, torch.Tensor] | None]


@dataclass(frozen=True)
class Training:
    """How to train: SGD with Nesterov momentum, one cycle of warm-up and cosine decay.

    Attributes
    ----------
    epochs : float
        Passes over the training images; a fraction stops within a pass.
    learning_rate : float
        Peak of the cycle.
    batch_size : int
    momentum, weight_decay : float
    label_smoothing : float
        As torch's optimiser and loss take them.
    """

    epochs: float
    learning_rate: float
    batch_size: int = 128
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0


def train(
    backbone: Backbone,
    images: np.ndarray,
    labels: np.ndarray,
    training: Training,
    seed: int,
    masks: Mapping[str, torch.Tensor] | None = None,
    after_step: AfterStep | None = None,
) -> None:
    """Train a backbone in place.

    Parameters
    ----------
    backbone : Backbone
    images : ndarray of uint8, shape (N, H, W, 3)
    labels : ndarray of int, shape (N,), or of float32, shape (N, C)
        Classes, or probabilities of the classes.
    training : Training
    seed : int
        Of the order of the images.
    masks : mapping of name to bool tensor, optional
        Weights (names as in `named_parameters`) to hold at zero where the mask is False. They are set to zero
        after every step, so neither momentum nor weight decay can revive one.
    after_step : callable, optional
        Called after every step, while the gradients of that step are still there. Masks that it returns are held
        from then on; a weight that they revive starts without momentum.

    Raises
    ------
    UsageError
        If a mask has an unknown name.
    TeponesError
        If a gradient is not finite; names the step and the layer. The weights are then those of the step before.
    """
    pixels, targets = torch.as_tensor(images), torch.as_tensor(labels)

    def loss(rows: torch.Tensor) -> torch.Tensor:
        logits = backbone(backbone.prepare(pixels[rows]))
        return functional.cross_entropy(logits, targets[rows], label_smoothing=training.label_smoothing)

    fit(backbone, loss, len(pixels), training, seed, masks, after_step)


def fit(
    network: nn.Module,
    loss: Callable[[torch.Tensor], torch.Tensor],
    n_images: int,
    training: Training,
    seed: int,
    masks: Mapping[str, torch.Tensor] | None = None,
    after_step: AfterStep | None = None,
) -> None:
    """Minimise a loss over batches of rows: the loop behind `train`, for any network and any loss.

    The loss takes the row numbers of a batch, of which there are `n_images`, and returns their mean loss. All other
    parameters are those of `train`.
    """
    network.train().to(memory_format=torch.channels_last)  # replaces the weights' storage: before all else
    named = dict(network.named_parameters())
    weights, factors = _hold(named, masks or {})
    batches_per_epoch = max(1, n_images // training.batch_size)
    n_steps = max(1, round(training.epochs * batches_per_epoch))
    optimiser = torch.optim.SGD(
        network.parameters(),
        lr=training.learning_rate,
        momentum=training.momentum,
        weight_decay=training.weight_decay,
        nesterov=training.momentum > 0,
    )
    cycle = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _cycle(step, n_steps))
    generator = torch.Generator().manual_seed(seed)
    for step in range(n_steps):
        if step % batches_per_epoch == 0:
            order = torch.randperm(n_images, generator=generator)
        start = step % batches_per_epoch * training.batch_size
        value = loss(order[start : start + training.batch_size])
        optimiser.zero_grad()
        value.backward()
        _require_finite(named, value, step)
        optimiser.step()
        cycle.step()
        _multiply(weights, factors)
        changed = after_step(step + 1, n_steps) if after_step else None
        if changed is not None:
            if training.momentum:
                # What a weight's momentum gathered while it was pruned must not move it when it comes back.
                _multiply([optimiser.state[weight]["momentum_buffer"] for weight in weights], factors)
            weights, factors = _hold(named, changed)
            _multiply(weights, factors)


def _hold(
    named: dict[str, torch.nn.Parameter], masks: Mapping[str, torch.Tensor]
) -> tuple[list[torch.nn.Parameter], list[torch.Tensor]]:
    """The masked weights, and what they are multiplied by after every step."""
    for name in masks:
        choose("layer", name, named)
    weights = [named[name] for name in masks]
    return weights, [mask.to(weight.dtype) for mask, weight in zip(masks.values(), weights, strict=True)]


@torch.no_grad()
def _multiply(tensors: list[torch.Tensor], factors: list[torch.Tensor]) -> None:
    if tensors:
        torch._foreach_mul_(tensors, factors)


def _cycle(step: int, n_steps: int) -> float:
    """Learning rate of a step as a fraction of the peak: linear warm-up for a fifth, then half a cosine to zero."""
    warm_up, here = WARM_UP * n_steps, step + 0.5
    if here < warm_up:
        return here / warm_up
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (here - warm_up) / (n_steps - warm_up))))


def _require_finite(named: dict[str, torch.nn.Parameter], loss: torch.Tensor, step: int) -> None:
    """Stop at a gradient that is not finite; one sum over all gradients decides, the search comes after."""
    gradients = [weight.grad for weight in named.values()]
    if torch.stack(torch._foreach_norm(gradients)).sum().isfinite():
        return
    layer = next((name for name, weight in named.items() if not weight.grad.isfinite().all()), "the sum of all")
    raise TeponesError(f"training stopped at step {step}: the gradient of {layer} is not finite (loss {loss.item()})")
