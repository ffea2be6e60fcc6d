"""Entropy of the activations: by hand on tiny networks, whose neurons are known to be ON or OFF."""

import numpy as np
import pytest
import torch
from torch import nn

from tepones.backbones import BACKBONES, features
from tepones.backbones.activations import ACTIVATIONS, layer_entropies
from tepones.backbones.base import Backbone
from tepones.backbones.features import extract

#: Entropy in bits of a neuron that is ON in half, a quarter or an eighth of the cases.
HALF, QUARTER, EIGHTH = 1.0, 0.8112781, 0.5435644

#: Activation functions of each network: stem and two of each of four blocks; three of the stem and one of each of four
#: blocks; stem, two of each of eight blocks, and the last.
LAYERS = {
    "small-resnet": 9,
    "medium-resnet": 9,
    "augmented-resnet": 9,
    "small-vit": 7,
    "augmented-vit": 7,
    "small-mobilenet": 18,
}


class Tokens(nn.Module):
    """The places of an image (N, D, H, W) as tokens (N, H × W, D)."""

    def forward(self, images):
        return images.flatten(2).transpose(1, 2)


def network(*layers, n_features=3):
    """A backbone to which grey level 128 is 0."""
    return Backbone(nn.Sequential(*layers), n_features, 2, mean=(128.0,) * 3, std=(1.0,) * 3)


#: Two images of 2 × 2 pixels by colour, as they come to the encoder: OFF below 0. Of red one place of eight is ON, of
#: green two, of blue one place of four in the first image and all four in the second.
RED = [[[5, -1], [-1, -1]], [[-1, -1], [-1, -1]]]
GREEN = [[[-1, 3], [-1, -1]], [[-1, -1], [7, -1]]]
BLUE = [[[-1, 2], [-1, -1]], [[1, 1], [1, 1]]]
IMAGES = (128 + np.stack([RED, GREEN, BLUE], axis=-1)).astype(np.uint8)
BLUE_ENTROPY = -(5 * np.log2(5 / 8) + 3 * np.log2(3 / 8)) / 8


def test_neurons_of_a_feature_map_are_its_channels_and_each_place_of_each_image_counts():
    found = layer_entropies(network(nn.ReLU(), nn.Flatten()), IMAGES)
    assert found == {"0": pytest.approx((EIGHTH + QUARTER + BLUE_ENTROPY) / 3)}


def test_neurons_of_tokens_are_their_last_axis():
    assert layer_entropies(network(Tokens(), nn.GELU()), IMAGES) == {
        "1": pytest.approx((EIGHTH + QUARTER + BLUE_ENTROPY) / 3)
    }


def test_neurons_of_features_are_their_entries():
    """Of the twelve entries, over two images, those that are ON in one of the two have an entropy of one bit."""
    on = IMAGES.reshape(2, 12) >= 128
    found = layer_entropies(network(nn.Flatten(), nn.ReLU6(), n_features=12), IMAGES)
    assert found == {"1": pytest.approx((on[0] != on[1]).sum() / 12)}
    assert 0 < (on[0] != on[1]).sum() < 12


def test_a_neuron_at_zero_is_on():
    half = np.full((4, 1, 1, 3), 127, np.uint8)
    half[:2] = 128
    assert layer_entropies(network(nn.ReLU(), nn.Flatten()), half) == {"0": HALF}


def test_neurons_that_never_change_have_no_entropy():
    for level in (100, 128, 200):
        images = np.full((3, 2, 2, 3), level, np.uint8)
        assert layer_entropies(network(nn.ReLU(), nn.Flatten()), images) == {"0": 0.0}


def test_what_counts_is_the_input_of_the_function_whatever_its_output():
    """Negated, what was ON is OFF: the entropy is the same, but for no value at 0."""
    negate = nn.Conv2d(3, 3, 1, bias=False)
    negate.weight.data = -torch.eye(3)[:, :, None, None]
    layers = [nn.ReLU6(inplace=True), negate, nn.SiLU(), nn.Tanh(), nn.Flatten()]
    found = layer_entropies(network(*layers), IMAGES)
    expected = (EIGHTH + QUARTER + BLUE_ENTROPY) / 3
    # What the first passes on is negated to 0 where it was OFF, which is ON, and to less where it was ON.
    assert found == {"0": pytest.approx(expected), "2": pytest.approx(expected)}


def test_a_function_that_is_used_twice_counts_both_times_together():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, images):
            return self.relu(-1 - self.relu(images))

    # ON in p of the cases the first time, never the second time: p / 2 in all.
    shares = np.array([1, 2, 5]) / 16
    expected = -(shares * np.log2(shares) + (1 - shares) * np.log2(1 - shares)).mean()
    assert layer_entropies(network(Twice(), nn.Flatten()), IMAGES) == {"0.relu": pytest.approx(expected)}


def test_a_function_that_is_never_used_is_left_out():
    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, images):
            return images

    assert list(layer_entropies(network(Unused(), nn.ReLU(), nn.Flatten()), IMAGES)) == ["1"]


@pytest.mark.parametrize("function", [nn.ReLU, nn.ReLU6, nn.GELU, nn.SiLU, nn.Hardswish])
def test_every_activation_function_is_seen(function):
    assert list(layer_entropies(network(nn.Tanh(), function(), nn.Flatten()), IMAGES)) == ["1"]


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_has_all_of_its_layers_and_what_they_say_is_not_that_of_a_batch(name, images, monkeypatch):
    torch.manual_seed(0)
    backbone = BACKBONES.load(name)(4)
    whole = layer_entropies(backbone, images[0][:24])
    assert len(whole) == LAYERS[name]
    assert all(0 < entropy <= 1 for entropy in whole.values())
    monkeypatch.setattr(features, "BATCH", 5 * 32 * 32)
    assert layer_entropies(backbone, images[0][:24]) == pytest.approx(whole, abs=1e-4)
    # The mean of what two halves say is another number, which a function of batches would give.
    halves = [layer_entropies(backbone, half) for half in (images[0][:12], images[0][12:24])]
    last = list(whole)[-1]
    assert np.mean([half[last] for half in halves]) != pytest.approx(whole[last], abs=1e-4)
    assert layer_entropies(backbone, images[0][:24][::-1].copy()) == pytest.approx(whole, abs=1e-4)


def test_of_the_first_layer_of_a_residual_network_it_is_what_convolution_and_norm_say(images):
    torch.manual_seed(1)
    backbone = BACKBONES.load("small-resnet")(4, width=8)
    with torch.no_grad():
        maps = backbone.eval().encoder[:2](backbone.prepare(images[0])).numpy()
    p = (maps >= 0).mean((0, 2, 3))
    expected = np.mean([-sum(q * np.log2(q) for q in (share, 1 - share) if q) for share in p])
    assert layer_entropies(backbone, images[0])["2"] == pytest.approx(expected, abs=1e-4)


def test_the_backbone_is_left_as_it_was_even_if_it_fails(images):
    class Failing(nn.Module):
        def forward(self, images):
            raise RuntimeError("out of order")

    torch.manual_seed(0)
    backbone = BACKBONES.load("small-resnet")(4, width=8)
    before = extract(backbone, images[0][:4])
    layer_entropies(backbone, images[0][:4])
    assert np.array_equal(extract(backbone, images[0][:4]), before)
    broken = network(nn.ReLU(), Failing())
    with pytest.raises(RuntimeError, match="out of order"):
        layer_entropies(broken, IMAGES)
    for left in (backbone, broken):
        assert not any(layer._forward_pre_hooks for layer in left.modules() if isinstance(layer, ACTIVATIONS))
