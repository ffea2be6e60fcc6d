"""Structured pruning: whole channels, physically."""

import copy

import pytest
import torch

from tepones.backbones import BACKBONES
from tepones.backbones.features import accuracy, extract
from tepones.backbones.training import Training, train
from tepones.errors import UsageError
from tepones.pruning.masks import prunable
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
