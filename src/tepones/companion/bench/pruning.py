"""How long pruning takes, against goals, on one thread.

Seconds are CPU seconds of this process, so that what else the machine does counts little; on one thread they are what
a machine with nothing else to do takes at most. Weights and images are random: the time depends on their number only.
"""

import copy
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from tepones.backbones import BACKBONES
from tepones.backbones.base import Backbone
from tepones.backbones.training import Training, train
from tepones.common.progress import progress_bar
from tepones.pruning import CRITERIA
from tepones.pruning.base import Setting
from tepones.pruning.criteria.gradients import N_IMAGES
from tepones.pruning.criteria.magnitude import magnitude
from tepones.pruning.masks import Masks, apply, dense, select
from tepones.pruning.schedules.one_shot import one_shot
from tepones.pruning.shrink import shrink

#: Times that something is measured, after one that is not counted; the median is told.
REPEATS = 5
#: Pairs of trainings, with and without masks.
PAIRS = 9
#: Of the networks that are trained with masks or shrunk.
SPARSITY = 0.95
N_CLASSES = 10

TRAINING = Training(epochs=4, learning_rate=0.1)


class Measurement(NamedTuple):
    """One line of the table: what is measured, and the largest value with which its goal is reached."""

    what: str
    unit: str
    goal: float
    measure: Callable[[], float]


def bench() -> pd.DataFrame:
    """Measure all of `MEASUREMENTS`.

    Returns
    -------
    DataFrame
        ``what``; ``measured`` and ``goal``, in ``unit``; ``holds``, "yes" where the goal is reached, else "no".
        Cost: half a minute.
    """
    n_threads, rows = torch.get_num_threads(), []
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1), progress_bar(len(MEASUREMENTS), "bench pruning", "tasks") as bar:
            for each in MEASUREMENTS:
                measured = each.measure()
                holds = "yes" if measured <= each.goal else "no"
                rows.append((each.what, measured, each.goal, each.unit, holds))
                bar.update()
    finally:
        torch.set_num_threads(n_threads)
    return pd.DataFrame(rows, columns=["what", "measured", "goal", "unit", "holds"])


def seconds(backbone: Backbone, task: Callable[[Backbone], object], repeats: int = REPEATS) -> float:
    """Median CPU seconds of a task, each time on a fresh copy of a backbone; a first run is not counted."""
    return statistics.median([_time(backbone, task) for _ in range(1 + repeats)][1:])


def ratio(backbone: Backbone, task: Callable[[Backbone], object], other: Callable[[Backbone], object]) -> float:
    """Median, over pairs of runs, of the CPU time of a task divided by that of another; a first pair is not counted.

    The two change places from pair to pair, so that a machine that becomes slower favours neither.
    """
    ratios = []
    for pair in range(1 + PAIRS):
        times = {run: _time(backbone, run) for run in ((task, other) if pair % 2 else (other, task))}
        ratios.append(times[task] / times[other])
    return statistics.median(ratios[1:])


def _time(backbone: Backbone, task: Callable[[Backbone], object]) -> float:
    mine = copy.deepcopy(backbone)
    started = time.process_time()
    task(mine)
    return time.process_time() - started


def _one_shot() -> float:
    backbone, setting = _new("torchvision:resnet50"), _setting("magnitude")
    return seconds(backbone, lambda network: one_shot(network, dense(network), SPARSITY, setting))


def _block() -> float:
    setting = _setting("block")
    return seconds(_new("small-resnet"), lambda network: setting.criterion(network, setting), repeats=1)


def _with_masks() -> float:
    backbone, setting = _new("small-resnet"), _setting("magnitude")
    masks = _masks(backbone)

    def fit(network: Backbone, held: Masks | None = None) -> None:
        train(network, setting.images, setting.labels, setting.training, setting.seed, held)

    return ratio(backbone, lambda network: fit(network, masks), fit)


def _shrink(name: str) -> float:
    backbone = _new(name)
    apply(backbone, _masks(backbone))
    return seconds(backbone, shrink)


def _new(name: str) -> Backbone:
    torch.manual_seed(0)
    return BACKBONES.load(name)(N_CLASSES)


def _masks(backbone: Backbone) -> Masks:
    return select(magnitude(backbone, _setting("magnitude")), SPARSITY, dense(backbone))


def _setting(criterion: str) -> Setting:
    generator = np.random.default_rng(0)
    images = generator.integers(256, size=(N_IMAGES, 32, 32, 3), dtype=np.uint8)
    labels = generator.integers(N_CLASSES, size=N_IMAGES)
    return Setting(images, labels, CRITERIA.load(criterion), TRAINING, seed=0)


MEASUREMENTS = (
    Measurement("one-shot global magnitude, ResNet-50", "s", 2, _one_shot),
    Measurement(f"block-Fisher saliency, small-resnet, {N_IMAGES} images", "s", 60, _block),
    Measurement("training small-resnet with masks / without", "times", 1.1, _with_masks),
    Measurement("shrink small-resnet at 95 %", "s", 2, lambda: _shrink("small-resnet")),
    Measurement("shrink ResNet-18 at 95 %", "s", 2, lambda: _shrink("torchvision:resnet18")),
)
