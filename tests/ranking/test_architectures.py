"""The list of architectures: what it says, and how a file finds its line."""

import random

import pytest

from tepones.backbones import BACKBONES
from tepones.common.errors import TeponesError
from tepones.ranking import architectures, networks

SHAPES = {"stem.weight": (8, 3, 3, 3), "stem.num_batches_tracked": (), "block.0.weight": (8, 8), "fc.weight": (5, 8)}


@pytest.mark.pinned
def test_it_lists_every_network_there_is_and_no_other():
    assert list(architectures.listed()) == networks.names()


@pytest.mark.pinned
@pytest.mark.parametrize("name", [*BACKBONES, *random.Random(0).sample(networks.names(), 6), "timm:repvit_m1"])
def test_a_line_is_what_the_network_says(name):
    if "giant" not in name:
        assert architectures.describe(name) == architectures.listed()[name]


def test_a_fingerprint_knows_names_and_shapes_but_no_order_no_counter_and_no_head():
    own = architectures.fingerprint(SHAPES, ["fc"])
    assert own == architectures.fingerprint(dict(reversed(SHAPES.items())), ["fc"])
    without = {name: shape for name, shape in SHAPES.items() if "tracked" not in name and "fc" not in name}
    assert own == architectures.fingerprint(without)
    others = [SHAPES | {"block.0.weight": (8, 9)}, SHAPES | {"more": (1,)}, SHAPES | {"fcx.weight": (5, 8)}, SHAPES]
    assert own not in [architectures.fingerprint(other, [] if other is SHAPES else ["fc"]) for other in others]


@pytest.mark.parametrize(
    ("name", "heads"),
    [
        ("small-resnet", 1),
        ("torchvision:vgg11", 1),
        ("timm:vit_base_patch16_siglip_256", 1),
        ("timm:swiftformer_xs", 2),
    ],
)
def test_a_network_finds_its_own_line(name, heads):
    with networks.OnMeta():
        network = networks.build(name, 7)
    match = architectures.recognise({key: value.shape for key, value in network.state_dict().items()})
    assert match.architecture.name == name and len(match.architecture.heads.split()) == heads


def test_of_equals_the_plain_one_of_the_first_library_is_taken_and_else_all_are_named():
    for name, found in (("timm:resnet18", "torchvision:resnet18"), ("augmented-vit", "small-vit")):
        with networks.OnMeta():
            network = networks.build(name, 7)
        match = architectures.recognise({key: value.shape for key, value in network.state_dict().items()})
        assert match.architecture.name == found
    with networks.OnMeta():
        network = networks.build("timm:tf_efficientnet_b0", 7)
    with pytest.raises(
        TeponesError, match=r"are those of timm:efficientnet_b0, .*timm:tf_efficientnet_b0; name the one"
    ):
        architectures.recognise({key: value.shape for key, value in network.state_dict().items()})


def test_other_tensors_are_of_none():
    assert architectures.recognise(SHAPES) is None
