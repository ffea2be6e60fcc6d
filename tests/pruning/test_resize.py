"""Loading pruned and shrunk backbones: a new dense one takes the shapes of a state."""

import pytest
import torch
from torch import nn

from tepones.backbones import BACKBONES
from tepones.backbones.base import Backbone
from tepones.common.errors import TeponesError
from tepones.pruning.masks import apply, dense, prunable, select
from tepones.pruning.resize import resize
from tepones.pruning.shrink import shrink
from tepones.pruning.structured import structured


def new(name, seed):
    torch.manual_seed(seed)
    return BACKBONES.load(name)(4)


def lively(name):
    """A backbone whose BatchNorms have statistics and shifts, so that dead channels are constants other than zero."""
    network = new(name, 0)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.bias, std=0.3)
            nn.init.normal_(layer.running_mean, std=0.3)
    return network.eval()


def masked(network, sparsity):
    magnitudes = {name: weight.detach().abs() for name, weight in prunable(network).items()}
    apply(network, select(magnitudes, sparsity, dense(network)))
    return network


PICTURES = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def assert_a_new_one_can_load(name, stored):
    loaded = new(name, 1)
    resize(loaded, stored.state_dict())
    loaded.load_state_dict(stored.state_dict())
    torch.testing.assert_close(loaded.eval()(PICTURES), stored(PICTURES), rtol=0, atol=0)


@pytest.mark.parametrize("sparsity", [0.3, 0.8, 0.98])
@pytest.mark.parametrize("name", ["small-resnet", "small-mobilenet"])
def test_a_structured_backbone_is_loaded_into_a_new_one(name, sparsity):
    stored = structured(lively(name), sparsity)
    assert stored.classifier.in_features < 128
    assert_a_new_one_can_load(name, stored)


@pytest.mark.parametrize("sparsity", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("name", ["small-resnet", "small-mobilenet"])
def test_a_shrunk_backbone_is_loaded_into_a_new_one(name, sparsity):
    assert_a_new_one_can_load(name, shrink(masked(lively(name), sparsity)))


def test_biases_that_folding_added_are_loaded():
    stored = shrink(masked(lively("small-mobilenet"), 0.95))
    added = stored.state_dict().keys() - new("small-mobilenet", 0).state_dict().keys()
    assert added and all(name.endswith(".bias") for name in added)
    assert_a_new_one_can_load("small-mobilenet", stored)


def test_a_loaded_backbone_can_be_pruned_again():
    first = structured(lively("small-resnet"), 0.5)
    loaded = new("small-resnet", 1)
    resize(loaded, first.state_dict())
    loaded.load_state_dict(first.state_dict())
    again, expected = structured(loaded, 0.5), structured(first, 0.5)
    assert {n: w.shape for n, w in prunable(again).items()} == {n: w.shape for n, w in prunable(expected).items()}


@pytest.mark.parametrize("name", ["small-resnet", "small-vit"])
def test_where_the_shapes_agree_nothing_changes(name):
    network = new(name, 0)
    before = dict(network.named_parameters())
    resize(network, new(name, 1).state_dict())
    assert all(before[name] is parameter for name, parameter in network.named_parameters())


def test_linear_layers_layer_norms_and_grouped_convolutions_take_other_shapes():
    def build(width):
        encoder = nn.Sequential(
            nn.Conv2d(3, width, 1),
            nn.Conv2d(width, 2 * width, 3, groups=4),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.LayerNorm(2 * width),
            nn.Linear(2 * width, width),
        )
        return Backbone(encoder, width, 2)

    stored, loaded = build(8).eval(), build(16).eval()
    resize(loaded, stored.state_dict())
    loaded.load_state_dict(stored.state_dict())
    assert torch.equal(loaded(PICTURES), stored(PICTURES))


@pytest.mark.parametrize(
    ("backbone", "change", "told"),
    [
        ("small-vit", {"encoder.layers.pos_embedding": (1, 9, 64)}, r"pos_embedding has shape \(1, 9, 64\)"),
        ("small-vit", {"encoder.layers.ln.weight": (3, 3)}, r"ln.weight has shape \(3, 3\)"),
        ("small-resnet", {"encoder.0.weight": (16, 3, 5, 5)}, r"0.weight has shape \(16, 3, 5, 5\).*\(16, 3, 3, 3\)"),
        ("small-resnet", {"encoder.1.running_mean": (9,)}, r"running_mean has shape \(9,\)"),
        ("small-resnet", {"encoder.9.weight": (4, 4)}, r"tensor encoder.9.weight is not expected"),
        ("small-resnet", {"encoder.2.bias": (4,)}, r"tensor encoder.2.bias is not expected"),
        ("small-resnet", {"encoder.1.bias": None}, r"tensor encoder.1.bias is missing; expected shape \(16,\)"),
    ],
)
def test_what_cannot_fit_is_told_in_one_line(backbone, change, told):
    state = new(backbone, 0).state_dict()
    for name, shape in change.items():
        if shape is None:
            del state[name]
        else:
            state[name] = torch.zeros(shape)
    with pytest.raises(TeponesError, match=told) as raised:
        resize(new(backbone, 1), state)
    assert "\n" not in str(raised.value)
