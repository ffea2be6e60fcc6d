"""What the tests of pruning share: a small trained network and ladders made the way a study makes them."""

import copy
from collections.abc import Iterator

import pytest
import torch

from tepones.backbones import BACKBONES
from tepones.backbones.training import Training, train
from tepones.pruning import CRITERIA, SCHEDULES, STARTS
from tepones.pruning.base import Setting
from tepones.pruning.masks import dense


def build(seed=0):
    """The small residual network at half its width: 77,000 weights."""
    torch.manual_seed(seed)
    return BACKBONES.load("small-resnet")(4, width=8)


@pytest.fixture
def backbone():
    return build()


@pytest.fixture(scope="session")
def trained_state(images):
    """State of a network that has learned the four classes, and its state after the second step."""
    network, early = build(), {}

    def keep(step, n_steps):
        if step == 2:
            early.update({name: tensor.clone() for name, tensor in network.state_dict().items()})

    training = Training(epochs=6, learning_rate=0.1, batch_size=16)
    train(network, *images, training, seed=0, after_step=keep)
    return network.state_dict(), early


@pytest.fixture
def trained(trained_state):
    network = build()
    network.load_state_dict(trained_state[0])
    return network


@pytest.fixture
def setting(images, trained_state):
    """A function that makes a setting of four steps for each rung."""

    def make(criterion="magnitude", seed=0, epochs=1.0, **fields):
        training = Training(epochs=epochs, learning_rate=0.05, batch_size=16)
        states = {"early": trained_state[1], "fresh": build(seed=seed + 100).state_dict()}
        data = dict(zip(("images", "labels"), images, strict=True))
        chosen = {"criterion": CRITERIA.load(criterion), "training": training, "seed": seed}
        return Setting(**{**data, **chosen, **states, **fields})

    return make


@pytest.fixture
def climb(setting):
    """A function that yields backbone, masks and the masks before of each rung of a ladder."""

    def rungs(network, criterion, schedule, sparsities, **fields) -> Iterator[tuple]:
        bottom, masks, start = copy.deepcopy(network), dense(network), STARTS.get(schedule)
        below = masks
        for level, target in enumerate(sparsities, 1):
            here = setting(criterion, 0 if start == "dense" else level, **fields)
            if start == "dense":
                network, masks = copy.deepcopy(bottom), dense(bottom)
            elif start:
                masks = SCHEDULES.load(start)(network, masks, target, here)
                ticket, network = network, copy.deepcopy(network)
            masks = SCHEDULES.load(schedule)(network, masks, target, here)
            yield network, masks, below
            below = masks
            if start and start != "dense":
                network = ticket

    return rungs
