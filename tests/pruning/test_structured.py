"""Structured pruning: whole channels, physically."""

import copy

import pytest
import torch

from tepones.backbones import BACKBONES
from tepones.backbones.features import accuracy, extract
from tepones.backbones.training import Training, train
from tepones.common.errors import UsageError
from tepones.pruning import masks as pruning_masks
from tepones.pruning.masks import collapsed, dense, prunable
from tepones.pruning.schedules import channels
from tepones.pruning.structured import structured


def n_weights(network):
    return sum(weight.numel() for weight in prunable(network).values())


@pytest.mark.parametrize("name", ["small-resnet", "small-mobilenet"])
def test_as_many_weights_go_as_asked_and_hardly_more(name, images):
    torch.manual_seed(0)
    network = BACKBONES.load(name)(4)
    before = copy.deepcopy(network.state_dict())
    for sparsity in (0.5, 0.9):
        smaller = structured(network, sparsity)
        assert sparsity <= 1 - n_weights(smaller) / n_weights(network) < sparsity + 0.03
        assert extract(smaller, images[0]).shape == (64, smaller.classifier.in_features)
    assert all(torch.equal(before[key], tensor) for key, tensor in network.state_dict().items())


def test_it_can_be_trained_on(trained, images):
    smaller = structured(trained, 0.5)
    train(smaller, *images, Training(epochs=6, learning_rate=0.1, batch_size=16), seed=0)
    assert accuracy(smaller, *images) > 0.9


def test_channels_that_are_zero_go_first(trained, images):
    block = trained.encoder[6]
    with torch.no_grad():
        for layer in (block.conv1, block.norm1):
            layer.weight[::2] = 0
        block.norm1.bias[::2] = 0
        block.conv2.weight[:, ::2] = 0
    trained.eval()
    smaller = structured(trained, 0.2)
    assert smaller.encoder[6].conv1.out_channels <= block.conv1.out_channels // 2 + 1


def test_a_sparsity_of_zero_is_a_copy_and_others_out_of_range_are_refused(trained):
    assert n_weights(structured(trained, 0.0)) == n_weights(trained)
    with pytest.raises(UsageError, match=r"outside \[0, 1\)"):
        structured(trained, 1.0)
    with pytest.raises(UsageError, match="out of reach: whole channels can be removed up to"):
        structured(trained, 0.99999)


def test_what_is_gone_already_counts(trained):
    total = n_weights(trained)
    half = structured(trained, 0.5)
    again = structured(half, 0.8, n_dense=total)
    assert 0.8 <= 1 - n_weights(again) / total < 0.83
    assert n_weights(structured(half, 0.3, n_dense=total)) == n_weights(half)


def test_attention_is_refused():
    with pytest.raises(UsageError, match="this backbone has attention"):
        structured(BACKBONES.load("small-vit")(4), 0.5)


def test_a_ladder_loses_weights_of_the_dense_backbone_and_goes_on_from_the_rung_before(trained, climb, images):
    total, before = n_weights(trained), n_weights(trained)
    rungs = climb(trained, "magnitude", "structured", (0.4, 0.8, 0.95, 0.99))
    for target, (network, masks, _) in zip((0.4, 0.8, 0.95, 0.99), rungs, strict=True):
        assert network is trained
        assert target <= 1 - n_weights(network) / total < target + 0.03
        assert n_weights(network) < before
        assert {n: m.shape for n, m in masks.items()} == {n: w.shape for n, w in prunable(network).items()}
        assert pruning_masks.sparsity(masks) == 0 and collapsed(masks) == []
        assert extract(network, images[0]).shape == (64, network.classifier.in_features)
        before = n_weights(network)


def test_each_rung_is_trained_as_long_as_the_setting_says(trained, setting, monkeypatch):
    seen = []
    monkeypatch.setattr(channels, "train", lambda *given: seen.append(given))
    here = setting()
    channels.channels(trained, dense(trained), 0.5, here)
    assert seen == [(trained, here.images, here.labels, here.training, here.seed)]


@pytest.mark.parametrize("fields", [{"criterion": "random"}, {"scope": "layer"}])
def test_the_schedule_refuses_other_criteria_and_scopes(trained, setting, fields):
    with pytest.raises(UsageError, match="it needs criterion magnitude, scope global"):
        channels.channels(trained, dense(trained), 0.5, setting(**fields))


def test_the_schedule_needs_the_dense_shapes(trained, setting):
    with pytest.raises(UsageError, match="the structured schedule needs the state"):
        channels.channels(trained, dense(trained), 0.5, setting(fresh=None))
