"""Every schedule trains by what it is given, and pruned weights stay zero whatever a loop of the user's own does."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from tepones.backbones.from_module import from_module
from tepones.backbones.training import Training, train
from tepones.common.errors import TeponesError
from tepones.pruning import CRITERIA, SCHEDULES, WHILE_TRAINING
from tepones.pruning.base import Setting
from tepones.pruning.masks import apply, dense, prunable, select
from tepones.ranking import loops

TRAINING = Training(1, 0.05, 16)


def network():
    torch.manual_seed(0)
    pool = [nn.AdaptiveAvgPool2d(2), nn.Flatten()]
    return nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(), *pool, nn.Linear(64, 4))


@pytest.fixture
def backbone():
    return from_module(network())


@pytest.fixture
def setting(images, backbone):
    state = copy.deepcopy(backbone.state_dict())
    return Setting(*images, CRITERIA.load("magnitude"), TRAINING, 0, early=state, fresh=state)


@pytest.fixture
def pruned(backbone):
    masks = select({name: weight.detach().abs() for name, weight in prunable(backbone).items()}, 0.5, dense(backbone))
    apply(backbone, masks)
    return backbone, masks


@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
def test_every_schedule_trains_by_what_it_is_given_and_says_whether_it_prunes_meanwhile(backbone, setting, schedule):
    calls = []

    def watch(*arguments, after_step=None):
        calls.append(after_step)

    original = SCHEDULES.load(schedule)
    loops.trained_by(original, watch)(backbone, dense(backbone), 0.5, setting)
    assert bool(calls) == (schedule not in {"one-shot", "surgeon"})
    assert any(calls) == (schedule in WHILE_TRAINING)
    assert original.__globals__.get("train", train) is train


def test_our_loop_is_our_training_with_a_bar(pruned, images, capsys):
    backbone, masks = pruned
    twin = copy.deepcopy(backbone)
    steps = []
    loops.our_loop("rung 1")(backbone, *images, TRAINING, 3, masks, lambda *step: steps.append(step))
    train(twin, *images, TRAINING, 3, masks)
    assert all(map(torch.equal, backbone.state_dict().values(), twin.state_dict().values()))
    assert steps == [(step, 4) for step in range(1, 5)]
    assert "rung 1: 4/4 steps" in capsys.readouterr().err


def test_a_rehearsal_changes_no_weight_and_runs_no_loop(pruned, images):
    backbone, masks = pruned
    before = copy.deepcopy(dict(backbone.named_parameters()))
    loops.rehearsal(TRAINING)("")(backbone, *images, TRAINING, 0, masks)
    loops.rehearsal(lambda network: pytest.fail("called"))("")(backbone, *images, None, 0, masks)
    assert all(torch.equal(weight, before[name]) for name, weight in backbone.named_parameters())


def own(backbone, masks, loop):
    loops.of(loop)("")(backbone, None, None, loop, 0, masks)


OPTIMISERS = {
    "sgd": lambda weights: torch.optim.SGD(weights, 0.1, momentum=0.9, weight_decay=0.1),
    "adamw": lambda weights: torch.optim.AdamW(weights, 0.01),
    "lbfgs": lambda weights: torch.optim.LBFGS(weights, 0.1, max_iter=2),
}


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_a_loop_of_ones_own_trains_what_remains_and_never_sees_a_revived_weight(pruned, images, optimiser):
    backbone, masks = pruned
    before = copy.deepcopy(backbone.state_dict())
    pictures, labels = backbone.prepare(images[0].astype("float32") / 64), torch.as_tensor(images[1])
    alive = sum(int(mask.sum()) for mask in masks.values())
    seen = []

    def loop(given):
        assert isinstance(given, nn.Sequential) and isinstance(given[-1], nn.Linear) and given.training
        step = OPTIMISERS[optimiser](given.parameters())

        def loss():
            step.zero_grad()
            value = functional.cross_entropy(given(pictures), labels)
            value.backward()
            return value

        for _ in range(3):
            step.step(loss)
            seen.append(int(given[0].weight.count_nonzero()))

    own(backbone, masks, loop)
    assert seen == [alive] * 3
    changed = {name for name, tensor in backbone.state_dict().items() if not torch.equal(tensor, before[name])}
    assert {"encoder.0.weight", "encoder.1.running_mean", "classifier.weight"} <= changed


def test_no_hook_is_left_when_a_loop_ends_or_fails(pruned):
    backbone, masks = pruned

    def fails(given):
        raise KeyError("of the user")

    own(backbone, masks, lambda given: None)
    with pytest.raises(KeyError, match="of the user"):
        own(backbone, masks, fails)
    weight = nn.Parameter(torch.zeros(3))
    weight.grad = torch.ones(3)
    backbone.encoder[0].weight.data.fill_(1.0)
    torch.optim.SGD([weight], 1.0).step()
    assert backbone.encoder[0].weight.all() and isinstance(backbone.encoder[-1], nn.Identity)


def test_weights_that_no_optimiser_revived_are_told_and_set_to_zero(pruned):
    backbone, masks = pruned
    gone = sum(int((~mask).sum()) for mask in masks.values())
    with pytest.warns(UserWarning, match=f"^{gone:,} pruned weights were not zero after your training"):
        own(backbone, masks, lambda given: given[0].weight.data.fill_(1.0))
    assert torch.equal(backbone.encoder[0].weight != 0, masks["encoder.0.weight"])


def test_frozen_weights_are_free_again_for_the_next_criterion(pruned):
    own(*pruned, lambda given: given.requires_grad_(False))
    assert all(weight.requires_grad for weight in pruned[0].parameters())


def _other_layer(given):
    given[0] = nn.Conv2d(3, 16, 3, 2, 1)


@pytest.mark.parametrize(
    ("loop", "reason"),
    [
        (lambda given: given.append(nn.Linear(4, 4)), "put other layers or weights into the network"),
        (_other_layer, "put other layers or weights into the network"),
        (lambda given: given[1].weight.data.fill_(torch.nan), "left weights that are not finite"),
        (lambda given: given[0].weight.data.fill_(torch.inf), "left weights that are not finite"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*pruned weights were not zero")
def test_what_a_loop_must_not_do_is_told_in_one_line(pruned, loop, reason):
    with pytest.raises(TeponesError, match=reason):
        own(*pruned, loop)
