"""The rungs of a ladder, made one after the other, as the study of this project makes its own."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch

from tepones.backbones.base import Backbone
from tepones.pruning import SCHEDULES, STARTS
from tepones.pruning.base import Setting
from tepones.pruning.masks import Masks, prunable
from tepones.ranking.loops import Train, trained_by


def climb(
    dense: Backbone,
    schedule: str,
    sparsities: Sequence[float],
    setting: Setting,
    train_of: Callable[[str], Train],
    draw: Callable[[], dict[str, torch.Tensor]],
    train_dense: bool = False,
) -> Iterator[Backbone]:
    """Yield the dense backbone and each pruned rung, all of them copies.

    Parameters
    ----------
    dense : Backbone
        Is used up. Its weights that are zero count as pruned.
    schedule : str
    sparsities : sequence of float
        Rising, in (0, 1).
    setting : Setting
        Of every rung. To its seed the number of the rung is added, unless all rungs start from the dense backbone; it
        needs no fresh state.
    train_of : callable
        From the description of a rung to what trains it.
    draw : callable
        Returns the state of a backbone of the same architecture with newly drawn weights, by torch's own generator.
    train_dense : bool
        Train the dense backbone first.
    """
    masks = {name: weight.detach() != 0 for name, weight in prunable(dense).items()}
    shapes = copy.deepcopy(dense.state_dict())
    start = STARTS.get(schedule)

    def step(schedule: str, backbone: Backbone, masks: Masks, level: int) -> Masks:
        sparsity = sparsities[level - 1] if level else 0.0
        seed = setting.seed + (0 if start == "dense" else level)
        train = train_of(f"rung {level}, sparsity {sparsity:.4g}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            # Structured pruning looks at the shapes alone: they say what the sparsity counts from.
            fresh = draw() if schedule == "reinitialised" else shapes
            of_rung = replace(setting, seed=seed, fresh=fresh)
            return trained_by(SCHEDULES.load(schedule), train)(backbone, masks, sparsity, of_rung)

    if train_dense:
        step("control", dense, masks, 0)
    yield copy.deepcopy(dense)
    below, kept = dense, masks
    for level in range(1, len(sparsities) + 1):
        if start:
            if start != "dense":  # the rung of this sparsity of another schedule
                kept = step(start, below, kept, level)
            rung = copy.deepcopy(below)
            step(schedule, rung, kept, level)
            yield rung
        else:
            kept = step(schedule, below, kept, level)
            yield copy.deepcopy(below)
