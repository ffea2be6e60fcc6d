"""What the command `prunable` says of a backbone."""

import pytest
from click.testing import CliRunner

from tepones import cli
from tepones.backbones import BACKBONES
from tepones.common.errors import UsageError
from tepones.companion.prunable import lines, not_prunable
from tepones.pruning.masks import prunable

WIDTH, DEPTH, TOKENS = 64, 4, 16


def test_of_the_small_transformer_stem_attention_and_mlp_are_prunable_and_nothing_else():
    network = BACKBONES.load("small-vit")(1)
    shown = [line.split()[0] for line in lines(network)[: 4 + 4 * DEPTH]]
    kinds = ("self_attention.in_proj_weight", "self_attention.out_proj.weight", "mlp.0.weight", "mlp.3.weight")
    layers = [f"encoder.layers.layers.encoder_layer_{n}.{kind}" for n in range(DEPTH) for kind in kinds]
    assert shown == [*(f"encoder.stem.{place}.weight" for place in (0, 3, 6, 9)), *layers]
    assert not_prunable(network) == {
        "embeddings": TOKENS * WIDTH,  # of positions
        "norms": 2 * (16 + 32 + 64) + (2 * DEPTH + 1) * 2 * WIDTH,
        "biases": 64 + DEPTH * (3 * WIDTH + WIDTH + 4 * WIDTH + WIDTH),
    }


def test_class_tokens_are_a_kind_of_their_own():
    found = not_prunable(BACKBONES.load("torchvision:vit_b_32")(1))
    assert found["class tokens"] == 768
    assert found["embeddings"] == 50 * 768 + 3 * 32 * 32 * 768
    assert "others" not in found


def test_what_no_kind_fits_is_not_hidden():
    network = BACKBONES.load("torchvision:convnext_tiny")(1)
    scales = [parameter for name, parameter in network.named_parameters() if name.endswith("layer_scale")]
    assert not_prunable(network)["others"] == sum(scale.numel() for scale in scales) > 0


@pytest.mark.parametrize("name", ["small-resnet", "small-vit", "small-mobilenet", "torchvision:swin_t"])
def test_prunable_and_not_prunable_are_all_parameters(name):
    network = BACKBONES.load(name)(1)
    n_prunable = sum(weight.numel() for weight in prunable(network).values())
    total = sum(parameter.numel() for parameter in network.encoder.parameters())
    assert n_prunable + not_prunable(network).total() == total


def test_the_command_prints_weights_then_sums():
    done = CliRunner().invoke(cli.commands, ["prunable", "small-resnet"])
    assert done.exit_code == 0, done.output
    printed = [line.split() for line in done.stdout.splitlines()]
    assert printed[0] == ["encoder.0.weight", "16×3×3×3", "432"]
    gap = printed.index([])
    assert gap == len(prunable(BACKBONES.load("small-resnet")(1))) + 1
    assert printed[gap - 1] == ["prunable,", "99.5%", "of", "the", "encoder's", "307,536", "306,096"]
    assert [line[-1] for line in printed[gap + 1 :]] == ["1,440", "129"]


@pytest.mark.parametrize("name", ["small-rasnet", "torchvision:resnet1", "torchvision"])
def test_an_unknown_backbone_is_wrong_use(name):
    with pytest.raises(UsageError, match=r"unknown .*choose from: "):
        CliRunner().invoke(cli.commands, ["prunable", name], catch_exceptions=False)
