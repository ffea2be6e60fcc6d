"""Masks: exact to one weight, nested, and never beaten by training."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tepones.backbones import BACKBONES
from tepones.backbones.training import Training, train
from tepones.errors import TeponesError, UsageError
from tepones.pruning import CRITERIA, SCHEDULES
from tepones.pruning.base import Setting
from tepones.pruning.masks import apply, dense, prunable, select, sparsity


@pytest.fixture
def backbone():
    torch.manual_seed(0)
    return BACKBONES.load("small-resnet")(4)


def n_kept(masks):
    return sum(int(mask.sum()) for mask in masks.values())


def test_prunable_are_the_encoders_convolutions_only(backbone):
    names = set(prunable(backbone))
    assert all(name.startswith("encoder") and name.endswith("weight") for name in names)
    assert not any("norm" in name for name in names)
    assert sum(weight.numel() for weight in prunable(backbone).values()) == 306_096


shapes = st.lists(st.tuples(st.integers(1, 7), st.integers(1, 9)), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(shapes, st.lists(st.floats(0, 0.999), min_size=1, max_size=4), st.integers(0, 2**31))
def test_sparsity_is_exact_to_one_weight_and_masks_are_nested(sizes, sparsities, seed):
    generator = torch.Generator().manual_seed(seed)
    masks = {str(i): torch.ones(size, dtype=torch.bool) for i, size in enumerate(sizes)}
    total = n_kept(masks)
    for target in sorted(sparsities):
        # Small integers: many ties.
        saliency = {n: torch.randint(0, 3, m.shape, generator=generator).float() for n, m in masks.items()}
        kept = select(saliency, target, within=masks)
        assert n_kept(kept) == round((1 - target) * total)
        assert not any((kept[name] & ~masks[name]).any() for name in masks)
        masks = kept


def test_the_most_salient_remain():
    saliency = {"a": torch.tensor([5.0, 1.0]), "b": torch.tensor([4.0, 0.5, 3.0, 2.0])}
    within = {name: torch.ones_like(values, dtype=torch.bool) for name, values in saliency.items()}
    masks = select(saliency, 0.5, within)
    assert masks["a"].tolist() == [True, False]
    assert masks["b"].tolist() == [True, False, True, False]


@pytest.mark.parametrize("target", [-0.1, 1.0, 1.5, float("nan")])
def test_a_sparsity_outside_the_range_is_refused(backbone, target):
    with pytest.raises(UsageError, match=r"outside \[0, 1\)"):
        select({n: w.detach() for n, w in prunable(backbone).items()}, target, dense(backbone))


def test_going_back_to_a_lower_sparsity_is_refused(backbone):
    saliency = {n: w.detach().abs() for n, w in prunable(backbone).items()}
    masks = select(saliency, 0.9, dense(backbone))
    with pytest.raises(UsageError, match="nested"):
        select(saliency, 0.5, masks)


def test_a_saliency_that_is_nan_is_refused(backbone):
    saliency = {n: torch.full_like(w, torch.nan) for n, w in prunable(backbone).items()}
    with pytest.raises(UsageError, match="NaN"):
        select(saliency, 0.5, dense(backbone))


def test_pruned_weights_stay_zero_through_training_with_momentum_and_weight_decay(backbone, images):
    train(backbone, *images, Training(epochs=2, learning_rate=0.1, batch_size=16), seed=0)
    saliency = {n: w.detach().abs() for n, w in prunable(backbone).items()}
    masks = select(saliency, 0.8, dense(backbone))
    apply(backbone, masks)
    training = Training(epochs=3, learning_rate=0.1, batch_size=16, momentum=0.95, weight_decay=1e-2)
    before = {name: weight.detach().clone() for name, weight in prunable(backbone).items()}
    train(backbone, *images, training, seed=1, masks=masks)
    for name, weight in prunable(backbone).items():
        assert not weight[~masks[name]].any()
        assert not torch.equal(weight[masks[name]], before[name][masks[name]])


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_method_makes_nested_ladders_of_exact_sparsity(backbone, images, criterion, schedule):
    training = Training(epochs=1, learning_rate=0.05, batch_size=16)
    masks = dense(backbone)
    total = n_kept(masks)
    for level, target in enumerate((0.5, 0.9, 0.99)):
        setting = Setting(*images, CRITERIA.load(criterion), training, seed=level)
        finer = SCHEDULES.load(schedule)(backbone, masks, target, setting)
        assert n_kept(finer) == round((1 - target) * total)
        assert not any((finer[name] & ~masks[name]).any() for name in masks)
        assert sum(int(w.count_nonzero()) for w in prunable(backbone).values()) <= n_kept(finer)
        masks = finer
    assert sparsity(masks) == pytest.approx(0.99, abs=1 / total)


def test_training_stops_at_a_gradient_that_is_not_finite(backbone, images):
    training = Training(epochs=50, learning_rate=1e20, batch_size=16)
    with pytest.raises(TeponesError, match=r"step \d+: the gradient of .* is not finite"):
        train(backbone, *images, training, seed=0)
