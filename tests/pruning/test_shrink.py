"""Shrink: the same outputs from fewer channels."""

import copy
import time

import numpy as np
import pytest
import torch
from torch import nn

from tepones.backbones import BACKBONES
from tepones.backbones.base import Backbone
from tepones.backbones.training import Training, train
from tepones.common.errors import TeponesError
from tepones.pruning.masks import apply, dense, prunable, select
from tepones.pruning.shrink import shrink


def prune(network, target, generator):
    """Magnitude and chance together, so that channels die in all layers."""
    saliency = {
        name: weight.detach().abs() * torch.rand(weight.shape[:2] + (1,) * (weight.ndim - 2), generator=generator)
        for name, weight in prunable(network).items()
    }
    masks = select(saliency, target, dense(network))
    apply(network, masks)
    return masks


def n_parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def assert_same_outputs(network, small, images):
    network.eval()
    inputs = network.prepare(images)
    with torch.inference_mode():
        pairs = ((network.encoder(inputs), small.encoder(inputs)), (network(inputs), small(inputs)))
    for there, here in pairs:
        torch.testing.assert_close(here, there, rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def networks(images):
    """The small networks, trained until they know the four classes."""
    trained = {}
    for name in ("small-resnet", "small-mobilenet"):
        torch.manual_seed(0)
        trained[name] = BACKBONES.load(name)(4)
        train(trained[name], *images, Training(epochs=5, learning_rate=0.1, batch_size=16), seed=0)
    return trained


@pytest.mark.parametrize("name", ["small-resnet", "small-mobilenet"])
@pytest.mark.parametrize("target", [0.8, 0.95, 0.97, 0.99])
def test_a_pruned_and_trained_network_gives_the_same_outputs(networks, images, name, target):
    network = copy.deepcopy(networks[name])
    masks = prune(network, target, torch.Generator().manual_seed(0))
    train(network, *images, Training(epochs=3, learning_rate=0.05, batch_size=16), seed=1, masks=masks)
    before = copy.deepcopy(network.state_dict())
    small = shrink(network)
    assert_same_outputs(network, small, images[0])
    assert all(torch.equal(before[key], tensor) for key, tensor in network.state_dict().items())
    assert target < 0.95 or n_parameters(small) < n_parameters(network)


@pytest.mark.parametrize("name", ["small-resnet", "small-mobilenet"])
@pytest.mark.parametrize("seed", range(4))
def test_constants_that_are_not_zero_go_into_biases_and_carriers(networks, images, name, seed):
    network, generator = copy.deepcopy(networks[name]), torch.Generator().manual_seed(seed)
    prune(network, 0.97, generator)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.weight.data = 0.5 + torch.rand(layer.num_features, generator=generator)
            layer.bias.data = torch.randn(layer.num_features, generator=generator)
    small = shrink(network)
    assert_same_outputs(network, small, images[0])
    assert n_parameters(small) < 0.8 * n_parameters(network)


def test_a_constant_channel_under_a_padded_convolution_is_exact_at_the_border():
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 5, 3, padding=1)
    nn.init.zeros_(first.weight[1:5])
    nn.init.constant_(first.bias[:4], 0.7)
    encoder = nn.Sequential(
        first, nn.ReLU(), second, nn.ReLU(), nn.Conv2d(5, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    network = Backbone(encoder, 4, 2).eval()
    small = shrink(network)
    # Two channels live; of the constant ones one carries them all, and the one at zero is gone.
    assert small.encoder[0].out_channels == 3
    pictures = torch.randn(2, 3, 7, 7)
    torch.testing.assert_close(small.encoder[:3](pictures), network.encoder[:3](pictures), rtol=1e-5, atol=1e-5)
    assert_same_outputs(network, small, np.zeros((2, 8, 8, 3), np.uint8))


def test_a_network_that_has_collapsed_still_works(networks, images):
    network = copy.deepcopy(networks["small-resnet"])
    masks = dense(network)
    masks["encoder.4.conv1.weight"].zero_()
    masks["encoder.5.conv2.weight"].zero_()
    masks["encoder.5.shortcut.0.weight"].zero_()
    apply(network, masks)
    small = shrink(network)
    assert_same_outputs(network, small, images[0])
    assert small.encoder[4].conv1.out_channels == 1


def test_a_dense_network_keeps_its_size_and_the_features_their_number(networks, images):
    assert n_parameters(shrink(networks["small-resnet"])) == n_parameters(networks["small-resnet"])
    empty = copy.deepcopy(networks["small-resnet"])
    apply(empty, {name: torch.zeros_like(mask) for name, mask in dense(empty).items()})
    assert shrink(empty).encoder(empty.prepare(images[0][:2])).shape == (2, 128)


@pytest.mark.parametrize("name", ["small-vit", "torchvision:resnet18"])
def test_other_architectures_stay_correct(name):
    torch.manual_seed(0)
    network = BACKBONES.load(name)(4)
    prune(network, 0.99, torch.Generator().manual_seed(0))
    start = time.perf_counter()
    small = shrink(network)
    assert time.perf_counter() - start < 2
    assert_same_outputs(network, small, np.random.default_rng(0).integers(0, 255, (4, 32, 32, 3)).astype(np.uint8))
    assert n_parameters(small) < n_parameters(network)


def test_a_network_whose_graph_depends_on_its_input_is_refused():
    class Moody(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(TeponesError, match="cannot be shrunk"):
        shrink(Backbone(Moody(), 1, 2))
