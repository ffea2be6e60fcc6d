"""Schedules: what every criterion × schedule promises, and what each schedule's paper says."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from scipy.optimize import minimize
from torch.nn import functional

from tepones.common.errors import UsageError
from tepones.pruning import CRITERIA, SCHEDULES, STARTS, UNPRUNED
from tepones.pruning.base import Setting
from tepones.pruning.masks import apply, collapsed, dense, prunable, select, sparsity
from tepones.pruning.schedules import (
    acdc,
    control,
    gradual,
    iterative,
    lottery,
    reinitialised,
    rigl,
    soft_threshold,
    surgeon,
)

LADDER = (0.5, 0.9, 0.99)
NESTED = {"iterative", "one-shot", "surgeon", "lottery", "reinitialised", "gradual", "str"}
MASKING = [schedule for schedule in SCHEDULES if schedule not in {"structured", *UNPRUNED}]
METHODS = [(c, s) for c in CRITERIA for s in MASKING if s != "str" or c == "magnitude"]


def n_kept(masks):
    return {name: int(mask.sum()) for name, mask in masks.items()}


def magnitudes(network):
    return {name: weight.detach().abs() for name, weight in prunable(network).items()}


@pytest.mark.parametrize(("criterion", "schedule"), METHODS)
def test_every_method_makes_ladders_of_exact_sparsity_nested_where_promised(
    trained, climb, criterion, schedule, monkeypatch
):
    monkeypatch.setattr("tepones.pruning.criteria.gradients.N_IMAGES", 8)  # which weights go plays no part here
    total = sum(weight.numel() for weight in prunable(trained).values())
    rungs = climb(trained, criterion, schedule, LADDER)
    for target, (network, masks, below) in zip(LADDER, rungs, strict=True):
        assert sum(n_kept(masks).values()) == round((1 - target) * total)
        assert list(masks) == list(prunable(network))
        assert not any(weight[~masks[name]].any() for name, weight in prunable(network).items())
        assert all(tensor.isfinite().all() for tensor in network.state_dict().values())
        if schedule in NESTED:
            assert not any((masks[name] & ~below[name]).any() for name in masks)
    assert sparsity(masks) == pytest.approx(LADDER[-1], abs=1 / total)


@pytest.mark.parametrize("schedule", [name for name in MASKING if name != "str"])
def test_per_layer_every_schedule_makes_all_layers_equally_sparse(trained, climb, schedule):
    for target, (_, masks, _) in zip(LADDER, climb(trained, "magnitude", schedule, LADDER, scope="layer"), strict=True):
        for mask in masks.values():
            assert abs(int(mask.sum()) - (1 - target) * mask.numel()) < 2
    assert collapsed(masks) == []


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_ladder_repeats_itself(trained, climb, schedule):
    first, again = (
        [network for network, *_ in climb(copy.deepcopy(trained), "magnitude", schedule, LADDER[:2])][-1]
        for _ in range(2)
    )
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])


@pytest.fixture
def steps(monkeypatch):
    """Replace a schedule's training by a count of steps; what it would hold at each step is returned."""

    def watch(module, n_steps):
        held = []

        def count(network, images, labels, training, seed, masks=None, after_step=None):
            held.append(masks)
            for step in range(1, n_steps + 1):
                changed = after_step(step, n_steps) if after_step else None
                held.append(held[-1] if changed is None else changed)

        monkeypatch.setattr(module, "train", count)
        return held

    return watch


def test_one_shot_leaves_the_remaining_weights(trained, climb):
    before = copy.deepcopy(trained.state_dict())
    for network, masks, _ in climb(trained, "magnitude", "one-shot", LADDER):
        for name, tensor in network.state_dict().items():
            assert torch.equal(tensor, before[name] * masks[name] if name in masks else before[name])


def test_the_surgeon_leaves_the_least_of_the_quadratic_model():
    """Against a constrained minimisation, and the update of a single weight against the formula of its paper."""
    generator = torch.Generator().manual_seed(0)
    gradients = torch.randn(3, 30, 7, generator=generator, dtype=torch.float64)
    matrices = gradients.mT @ gradients / 30 + 0.1 * torch.eye(7)
    values = torch.randn(3, 7, generator=generator, dtype=torch.float64)
    kept = torch.tensor([[1, 1, 0, 1, 0, 1, 1], [0, 0, 0, 0, 0, 0, 0], [1, 1, 1, 0, 1, 1, 1]], dtype=torch.bool)
    found = surgeon.made_up(matrices, values, kept)
    assert not found[~kept].any() and not torch.equal(found[0][kept[0]], values[0][kept[0]])
    for matrix, before, after, stays in zip(matrices.numpy(), values.numpy(), found.numpy(), kept.numpy(), strict=True):

        def cost(rest, matrix=matrix, before=before, stays=stays):
            change = -before.copy()
            change[stays] += rest
            return change @ matrix @ change / 2

        if stays.any():
            best = minimize(cost, before[stays], tol=1e-12)
            assert after[stays] == pytest.approx(best.x, abs=1e-5)
    inverse = torch.linalg.inv(matrices[2])
    alone = values[2] - values[2, 3] / inverse[3, 3] * inverse[:, 3]
    torch.testing.assert_close(found[2], alone)


def test_after_the_surgeon_the_loss_is_lower_than_after_removal_alone(trained, climb, images):
    pictures, labels = images
    losses = []
    for schedule in ("one-shot", "surgeon"):
        (network, _, _), *_ = climb(copy.deepcopy(trained), "block", schedule, (0.8,))
        with torch.no_grad():
            logits = network.eval()(network.prepare(pictures))
        losses.append(float(functional.cross_entropy(logits, torch.as_tensor(labels))))
    assert losses[1] < losses[0]


def test_the_control_trains_as_iterative_pruning_does_and_prunes_nothing(trained, setting, monkeypatch):
    """Were nothing chosen to go, an iterative ladder would be the control."""
    monkeypatch.setattr(iterative, "prune", lambda backbone, within, sparsity, setting: within)
    pruned, everything = copy.deepcopy(trained), dense(trained)
    iterative.iterative(pruned, everything, 0.8, setting())
    masks = control.control(trained, everything, 0.8, replace(setting(), criterion=None))
    assert sparsity(masks) == 0
    assert all(torch.equal(tensor, pruned.state_dict()[name]) for name, tensor in trained.state_dict().items())


def test_a_lottery_ticket_is_rewound_exactly_and_its_masks_are_those_of_the_trained_weights(trained, setting, steps):
    steps(lottery, 4)
    expected = select(magnitudes(trained), 0.8, dense(trained))
    here = setting()
    masks = lottery.lottery(trained, dense(trained), 0.8, here)
    assert all(torch.equal(masks[name], expected[name]) for name in masks)
    for name, tensor in trained.state_dict().items():
        assert torch.equal(tensor, here.early[name] * masks[name] if name in masks else here.early[name])


def test_the_reinitialised_control_keeps_the_tickets_masks_and_draws_the_weights_anew(trained, setting, steps):
    steps(reinitialised, 4)
    ticket, here = select(magnitudes(trained), 0.8, dense(trained)), setting()
    masks = reinitialised.reinitialised(trained, ticket, 0.8, here)
    assert masks is ticket
    for name, tensor in trained.state_dict().items():
        assert torch.equal(tensor, here.fresh[name] * masks[name] if name in masks else here.fresh[name])


@pytest.mark.parametrize(("schedule", "state"), [("lottery", "early"), ("reinitialised", "fresh")])
def test_rewinding_without_a_state_to_rewind_to_is_refused(trained, setting, schedule, state):
    with pytest.raises(UsageError, match=f"the {schedule} schedule needs the state"):
        SCHEDULES.load(schedule)(trained, dense(trained), 0.5, setting(**{state: None}))


def test_gradual_follows_the_cubic_and_then_repairs(trained, setting, steps, monkeypatch):
    monkeypatch.setattr(gradual, "N_PRUNINGS", 5)
    monkeypatch.setattr(gradual, "UNTIL", 0.5)
    held = steps(gradual, 40)
    before = select(magnitudes(trained), 0.4, dense(trained))
    apply(trained, before)
    gradual.gradual(trained, before, 0.9, setting())
    for step, masks in enumerate(held):
        t = min(step // 4 * 4, 20)  # prunings every 4 steps, the last at step 20
        expected = 0.9 + (0.4 - 0.9) * (1 - t / 20) ** 3
        assert sparsity(masks) == pytest.approx(expected, abs=1e-5)


def test_acdc_alternates_and_ends_compressed(trained, setting, steps):
    held = steps(acdc, 50)
    masks = acdc.acdc(trained, dense(trained), 0.9, setting())
    assert held[-1] is masks
    phases = [0.9, 0, 0.9, 0, 0.9]
    for step, now in enumerate(held):
        assert sparsity(now) == pytest.approx(phases[min(step // 10, 4)], abs=1e-5)


def test_acdc_revives_in_its_dense_phases(backbone, setting, monkeypatch):
    monkeypatch.setattr(acdc, "N_PHASES", 3)
    compressed = select(magnitudes(backbone), 0.9, dense(backbone))
    masks = acdc.acdc(backbone, dense(backbone), 0.9, setting(epochs=10))
    assert any((masks[name] & ~compressed[name]).any() for name in masks)


def test_rigl_drops_the_smallest_and_grows_where_the_gradient_is_largest():
    weight = torch.nn.Parameter(torch.tensor([[5.0, 0.1, -0.2, 4.0], [0, 0, 0, 0]]))
    weight.grad = torch.tensor([[0.0, 0.3, 0.1, 0.0], [0.2, -0.9, 0.0, 0.5]])
    mask = {"layer": weight.detach() != 0}
    half = rigl.rewire({"layer": weight}, mask, 0.5)["layer"]
    assert half.tolist() == [[True, False, False, True], [False, True, False, True]]
    # Of the two dropped the first has the third largest gradient: it stays.
    most = rigl.rewire({"layer": weight}, mask, 0.75)["layer"]
    assert most.tolist() == [[True, True, False, False], [False, True, False, True]]


def test_rigl_keeps_the_count_of_every_layer_and_changes_less_and_less(trained, setting, monkeypatch):
    fractions = []
    rewire = rigl.rewire

    def watch(weights, masks, fraction):
        fractions.append(fraction)
        rewired = rewire(weights, masks, fraction)
        assert n_kept(rewired) == n_kept(masks)
        return rewired

    monkeypatch.setattr(rigl, "rewire", watch)
    first = select(magnitudes(trained), 0.9, dense(trained))
    monkeypatch.setattr(rigl, "N_UPDATES", 3)
    masks = rigl.rigl(trained, dense(trained), 0.9, setting(epochs=4))  # 16 steps: updates at 4, 8, 12
    assert fractions == pytest.approx([0.15 * (1 + math.cos(math.pi * t / 12)) for t in (4, 8, 12)])
    assert n_kept(masks) == n_kept(first)
    assert any((masks[name] & ~first[name]).any() for name in masks)


def test_the_soft_threshold_is_softshrink_and_its_threshold_has_a_gradient():
    layer = soft_threshold.SoftThreshold()
    weight = torch.tensor([-2.0, -0.4, 0.0, 0.3, 0.9], requires_grad=True)
    layer.s.data.fill_(-0.2)
    threshold = torch.sigmoid(torch.tensor(-0.2))
    shrunk = layer(weight)
    torch.testing.assert_close(shrunk, functional.softshrink(weight, float(threshold)))
    (shrunk * torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])).sum().backward()
    assert weight.grad.tolist() == [1, 0, 0, 0, 5]  # only what is above the threshold learns
    # The chain rule: -g'(s) <dL/dS, sign(W) 1{S != 0}>.
    torch.testing.assert_close(layer.s.grad, -threshold * (1 - threshold) * (5 - 1))


@pytest.mark.parametrize("target", [0.0, 0.3, 0.95])
def test_steering_reaches_the_sparsity_and_keeps_the_layers_apart(target):
    generator = torch.Generator().manual_seed(0)
    weights = [0.1 * torch.randn(30, 20, generator=generator), 0.02 * torch.randn(50, generator=generator)]
    thresholds = [torch.tensor(-3.0), torch.tensor(-4.0)]
    soft_threshold.steer(weights, thresholds, target)
    n_zero = sum(int((w.abs() <= s.sigmoid() * (1 + 1e-6)).sum()) for w, s in zip(weights, thresholds, strict=True))
    assert n_zero == max(1, round(target * 650))
    assert float(thresholds[0] - thresholds[1]) == pytest.approx(1, abs=1e-5)


def test_str_learns_another_sparsity_for_each_layer_than_one_global_threshold_gives(trained, setting):
    global_ = select(magnitudes(trained), 0.8, dense(trained))
    masks = soft_threshold.soft_threshold(trained, dense(trained), 0.8, setting(epochs=8))
    assert n_kept(masks) != n_kept(global_)
    assert not any("parametrizations" in name for name, _ in trained.named_parameters())


@pytest.mark.parametrize("fields", [{"criterion": "random"}, {"scope": "layer"}])
def test_str_refuses_what_it_cannot_do(trained, setting, fields):
    with pytest.raises(UsageError, match="it needs criterion magnitude, scope global"):
        soft_threshold.soft_threshold(trained, dense(trained), 0.5, setting(**fields))


def test_starts_name_schedules():
    assert set(STARTS) <= set(SCHEDULES) and set(STARTS.values()) <= {"dense", *SCHEDULES}
    assert Setting.__dataclass_fields__["scope"].default == "global"
