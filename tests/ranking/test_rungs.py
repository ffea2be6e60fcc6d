"""The rungs of a ladder are those that the study makes of the same backbone, images and training."""

import copy

import numpy as np
import pytest
import torch

from tepones.backbones import BACKBONES
from tepones.companion.study import plan, profiles
from tepones.companion.study.cells import Rung, load_rung
from tepones.companion.study.profiles import TaskSize
from tepones.companion.study.records import Store
from tepones.pruning import CRITERIA
from tepones.pruning.base import Setting
from tepones.ranking import loops
from tepones.ranking.rungs import climb

SPARSITIES = (0.5, 0.9)
#: One for each way to start, and the one that needs the shapes of the dense backbone.
METHODS = [("random", "iterative"), ("random", "one-shot"), ("magnitude", "reinitialised"), ("magnitude", "structured")]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A store, and the dense backbone, images and training of the ladders in it."""
    source = TaskSize(task="operators", train_per_class=4, test_per_class=2)
    ladder = profiles.load("tiny").ladders[0].model_copy(update={"source": source, "seed": 3})
    store = Store(tmp_path_factory.mktemp("records"))
    last = plan.rungs(ladder)[-1]
    for cell in (last.pretraining.source, last.pretraining):
        store.compute(cell)
    return store, last.pretraining, last.training


def _compute(store, cell):
    if store.get(cell) is None:
        for needed in cell.requires():
            _compute(store, needed)
        store.compute(cell)


@pytest.mark.parametrize(("criterion", "schedule"), METHODS)
def test_a_ladder_is_what_the_study_makes(study, criterion, schedule):
    store, pretraining, training = study
    dense, _ = load_rung(store, pretraining)
    tensors, images = store.require(pretraining).tensors(), store.require(pretraining.source).tensors()
    early = {name[6:]: torch.tensor(array) for name, array in tensors.items() if name.startswith("early:")}
    pictures, labels = (np.asarray(images[f"train_{what}"]) for what in ("images", "labels"))
    setting = Setting(pictures, labels, CRITERIA.load(criterion), training, 3000, early=early)

    def draw():
        return BACKBONES.load(pretraining.backbone)(len(dense.classifier.weight)).state_dict()

    made = list(climb(copy.deepcopy(dense), schedule, SPARSITIES, setting, loops.of(training), draw))
    assert len(made) == 3 and len({id(rung) for rung in made}) == 3
    for level, rung in enumerate(made):
        cell = Rung(pretraining, criterion, schedule, SPARSITIES[:level], training) if level else pretraining
        _compute(store, cell)
        expected = load_rung(store, cell)[0].state_dict()
        state = rung.state_dict()
        assert state.keys() == expected.keys()
        assert all(torch.equal(tensor, expected[name]) for name, tensor in state.items())
