"""Masks: exact to one weight, nested, and never beaten by training."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tepones.backbones import BACKBONES
from tepones.backbones.base import Backbone
from tepones.backbones.training import Training, _cycle, train
from tepones.common.errors import TeponesError, UsageError
from tepones.pruning.masks import apply, collapsed, dense, prunable, select

ONCE = Training(epochs=1, learning_rate=0.1, batch_size=8)


def n_kept(masks):
    return sum(int(mask.sum()) for mask in masks.values())


def test_prunable_are_the_encoders_convolutions_only():
    backbone = BACKBONES.load("small-resnet")(4)
    names = set(prunable(backbone))
    assert all(name.startswith("encoder") and name.endswith("weight") for name in names)
    assert not any("norm" in name for name in names)
    assert sum(weight.numel() for weight in prunable(backbone).values()) == 306_096


@pytest.mark.parametrize(
    ("convolution", "embeds"),
    [
        (nn.Conv2d(3, 8, 4, 4), True),
        (nn.Conv2d(3, 8, (4, 2), (4, 2)), True),
        (nn.Conv2d(3, 8, 1, 1), False),  # looks at single pixels and cuts nothing
        (nn.Conv2d(3, 8, 3, 2), False),  # its pieces overlap
        (nn.Conv2d(16, 8, 2, 2), False),  # of a feature map
    ],
)
@pytest.mark.parametrize("beside", [nn.Identity(), nn.MultiheadAttention(8, 2)])
def test_only_convolutions_that_cut_an_rgb_image_into_patches_are_left_out_beside_attention_or_not(
    convolution, embeds, beside
):
    backbone = Backbone(nn.Sequential(convolution, beside), 8, 2)
    expected = set() if embeds else {"encoder.0.weight"}
    if isinstance(beside, nn.MultiheadAttention):
        expected |= {"encoder.1.in_proj_weight", "encoder.1.out_proj.weight"}
    assert set(prunable(backbone)) == expected


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


def test_a_weight_that_comes_back_starts_without_momentum(backbone, images):
    name = "encoder.0.weight"
    weight = dict(backbone.named_parameters())[name]
    everything = {name: torch.ones_like(weight, dtype=torch.bool)}
    nothing = {name: torch.zeros_like(weight, dtype=torch.bool)}
    training = Training(epochs=2, learning_rate=0.1, batch_size=16, weight_decay=0)
    seen = {}

    def after_step(step, n_steps):
        if step == 5:
            return everything
        if step == 6:
            seen.update(weight=weight.detach().clone(), gradient=weight.grad.clone())
        return None

    train(backbone, *images, training, seed=0, masks=nothing, after_step=after_step)
    # Nesterov's first step is (1 + momentum) times the gradient; step 6 of 8 has the rate of `_cycle(5, 8)`.
    expected = -0.1 * _cycle(5, 8) * 1.9 * seen["gradient"]
    torch.testing.assert_close(seen["weight"], expected)


def test_a_layer_of_which_nothing_remains_is_reported(backbone):
    masks = dense(backbone)
    assert collapsed(masks) == []
    masks["encoder.3.conv1.weight"].zero_()
    assert collapsed(masks) == ["encoder.3.conv1.weight"]


@settings(max_examples=60, deadline=None)
@given(shapes, st.lists(st.floats(0, 0.999), min_size=1, max_size=4), st.integers(0, 2**31))
def test_per_layer_all_layers_are_equally_sparse_and_the_whole_is_exact(sizes, sparsities, seed):
    generator = torch.Generator().manual_seed(seed)
    masks = {str(i): torch.ones(size, dtype=torch.bool) for i, size in enumerate(sizes)}
    total = n_kept(masks)
    for target in sorted(sparsities):
        saliency = {n: torch.rand(m.shape, generator=generator) for n, m in masks.items()}
        kept = select(saliency, target, masks, scope="layer")
        assert n_kept(kept) == round((1 - target) * total)
        assert not any((kept[name] & ~masks[name]).any() for name in masks)
        for mask in kept.values():
            # One weight for this rung's rounding, one for that of the rung before, which may not be undone.
            assert abs(int(mask.sum()) - (1 - target) * mask.numel()) < 2
        masks = kept


@pytest.mark.parametrize("do", [apply, lambda b, m: train(b, np.zeros((8, 8, 8, 3), np.uint8), [0] * 8, ONCE, 0, m)])
def test_an_unknown_layer_name_is_refused(backbone, do):
    with pytest.raises(UsageError, match=r"unknown .* 'encoder\.99\.weight'; choose from: .*encoder\.0\.weight"):
        do(backbone, {"encoder.99.weight": torch.ones(1, dtype=torch.bool)})


def test_a_saliency_without_a_layer_and_an_unknown_scope_are_refused(backbone):
    saliency = {n: w.detach().abs() for n, w in prunable(backbone).items()}
    with pytest.raises(UsageError, match="unknown scope 'neuron'; choose from: global, layer"):
        select(saliency, 0.5, dense(backbone), scope="neuron")
    del saliency["encoder.0.weight"]
    with pytest.raises(UsageError, match=r"layer of the saliency 'encoder\.0\.weight'"):
        select(saliency, 0.5, dense(backbone))


def test_training_stops_at_a_gradient_that_is_not_finite(backbone, images):
    training = Training(epochs=50, learning_rate=1e20, batch_size=16)
    with pytest.raises(TeponesError, match=r"step \d+: the gradient of .* is not finite"):
        train(backbone, *images, training, seed=0)
