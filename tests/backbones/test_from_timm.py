"""Networks of timm: the same numbers as timm's own, features before the last layer, and what is refused."""

import sys

import pytest
import torch

from tepones.backbones import BACKBONES
from tepones.backbones.from_timm import installed, split
from tepones.common.errors import TeponesError, UsageError
from tepones.pruning.masks import prunable

NAME = "test_resnet.r160_in1k"


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return installed().create_model(NAME, pretrained=False, num_classes=7).eval()


def test_a_backbone_computes_what_timms_network_does(network):
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits, features = network(images), network.forward_head(network.forward_features(images), pre_logits=True)
        backbone = split(network).eval()
        torch.testing.assert_close(backbone(images), logits)
        torch.testing.assert_close(backbone.encoder(images), features)


def test_any_timm_classifier_is_a_backbone_by_its_name():
    backbone = BACKBONES.load("timm:tf_efficientnet_lite0")(5)
    assert backbone.classifier.out_features == 5 and backbone.classifier.in_features == 1280
    assert backbone.mean == backbone.std == (127.5,) * 3
    convolutions = [layer for layer in backbone.encoder.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert len(prunable(backbone)) == len(convolutions) == 49


def test_an_unknown_name_is_refused():
    with pytest.raises(UsageError, match="unknown timm classifier 'resnet19'; choose from: "):
        BACKBONES.load("timm:resnet19")(5)


def test_a_network_without_a_linear_end_is_refused(network):
    bare = installed().create_model(NAME, pretrained=False, num_classes=0)
    with pytest.raises(TeponesError, match="its last layer is not linear"):
        split(bare)


def test_without_timm_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(TeponesError, match=r"pip install 'tepones\[networks\]'"):
        BACKBONES.load("timm:resnet18")(5)
