"""What trains a rung after it is pruned: the training of this project, a loop of the user's own, or nothing.

The schedules of `tepones.pruning` call a function `train`, which they take by that name from their module. `trained_by`
gives a schedule another one. A field of `Setting` would be the plain way, but what a schedule reads decides the keys of
all records of the study, which take days to compute.
"""

import warnings
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from types import FunctionType

import numpy as np
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from tepones.backbones import training as ours
from tepones.backbones.base import Backbone
from tepones.backbones.from_module import Whole
from tepones.backbones.training import AfterStep, Training
from tepones.common.errors import TeponesError
from tepones.common.progress import progress_bar
from tepones.pruning.masks import prunable

#: Takes the arguments of `tepones.backbones.training.train`.
Train = Callable[..., None]


def trained_by(schedule: Callable, train: Train) -> Callable:
    """A schedule that trains by another function; one that never trains is returned as it is."""
    if "train" not in schedule.__code__.co_names:
        return schedule
    surroundings = {**schedule.__globals__, "train": train}
    return FunctionType(schedule.__code__, surroundings, schedule.__name__, schedule.__defaults__, schedule.__closure__)


def of(training: Training | Callable[[nn.Module], object] | None) -> Callable[[str], Train]:
    """What trains rungs in the way that a user has chosen, by the description of a rung."""
    return our_loop if isinstance(training, Training) else lambda description: own_loop(training)


def rehearsal(training: Training | Callable[[nn.Module], object]) -> Callable[[str], Train]:
    """The same without its cost: of our training one step, which changes no weight, of a loop of the user's nothing."""
    return (lambda description: _one_step) if isinstance(training, Training) else lambda description: own_loop(None)


def _one_step(
    backbone: Backbone,
    images: np.ndarray,
    labels: np.ndarray,
    training: Training,
    seed: int,
    masks: Mapping[str, torch.Tensor] | None = None,
    after_step: AfterStep | None = None,
) -> None:
    still = replace(training, epochs=0.0, learning_rate=0.0)  # a training takes at least one step
    ours.train(backbone, images, labels, still, seed, masks, after_step)


def our_loop(description: str) -> Train:
    """The training of this project, with a bar that counts its steps."""

    def train(
        backbone: Backbone,
        images: np.ndarray,
        labels: np.ndarray,
        training: Training,
        seed: int,
        masks: Mapping[str, torch.Tensor] | None = None,
        after_step: AfterStep | None = None,
    ) -> None:
        bar = None

        def tick(step: int, n_steps: int) -> Mapping[str, torch.Tensor] | None:
            nonlocal bar
            bar = bar or progress_bar(n_steps, description, "steps")
            bar.update()
            return after_step(step, n_steps) if after_step else None

        try:
            ours.train(backbone, images, labels, training, seed, masks, tick)
        finally:
            if bar is not None:
                bar.close()

    return train


def own_loop(loop: Callable[[nn.Module], object] | None) -> Train:
    """A loop of the user's own, which trains the network that it is given, in place; None trains nothing.

    Not for the schedules of `tepones.pruning.WHILE_TRAINING`.

    The masks are held whatever the loop does: pruned weights are set to zero after every step of every torch optimiser
    while the loop runs, and once more when it ends. Where something else than an optimiser has revived some, a warning
    says how many. The network may be moved to another device by the loop; it is taken back.

    Raises
    ------
    TeponesError
        By the function returned, if the loop leaves other layers, or weights that are not finite.
    """

    def train(
        backbone: Backbone,
        images: np.ndarray | None,
        labels: np.ndarray | None,
        training: object,
        seed: int,
        masks: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        if loop is None:
            return
        weights = prunable(backbone)
        pruned = [(weights[name], ~mask) for name, mask in (masks or {}).items()]
        before = {name: weight.shape for name, weight in backbone.named_parameters()}

        @torch.no_grad()
        def hold(*_: object) -> None:
            for weight, gone in pruned:
                weight.masked_fill_(gone.to(weight.device), 0.0)

        handle = register_optimizer_step_post_hook(hold)
        try:
            with backbone.joined() if isinstance(backbone, Whole) else nullcontext(backbone) as network:
                network.train()
                loop(network)
        finally:
            handle.remove()
        backbone.cpu().requires_grad_(True)
        if {name: weight.shape for name, weight in backbone.named_parameters()} != before or any(
            weight is not weights[name] for name, weight in prunable(backbone).items()
        ):
            raise TeponesError("your training put other layers or weights into the network; expected the same, trained")
        revived = sum(int(weight[gone].count_nonzero()) for weight, gone in pruned)
        if revived:
            warnings.warn(
                f"{revived:,} pruned weights were not zero after your training, which changed them by other means than "
                "a torch optimiser; they are set to zero, and what it did with them is not undone",
                stacklevel=2,
            )
        hold()
        if not all(weight.isfinite().all() for weight in backbone.state_dict().values()):
            raise TeponesError("your training left weights that are not finite")

    return train
