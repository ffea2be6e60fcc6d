"""Backbones: every one trains, repeats itself, and says what can be pruned."""

import numpy as np
import pytest
import torch
from torch import nn

from tepones.backbones import BACKBONES
from tepones.backbones.features import accuracy, extract, predict
from tepones.backbones.training import Training, train
from tepones.common.errors import UsageError
from tepones.pruning import CRITERIA
from tepones.pruning.base import Setting
from tepones.pruning.masks import apply, dense, prunable, select

FEATURES = {
    "small-resnet": 128,
    "medium-resnet": 192,
    "augmented-resnet": 192,
    "small-mobilenet": 128,
    "small-vit": 64,
    "augmented-vit": 64,
}


def build(name, seed=0):
    torch.manual_seed(seed)
    return BACKBONES.load(name)(4)


@pytest.mark.parametrize("name", BACKBONES)
def test_supervised_training_learns_and_features_do_not_depend_on_the_batch(name, images):
    backbone, (pictures, labels) = build(name), images
    if name.startswith("augmented"):
        labels = labels // 2  # upper or lower half: left and right are the same to it
    train(backbone, pictures, labels, Training(epochs=12, learning_rate=0.05, batch_size=16), seed=0)
    assert accuracy(backbone, pictures, labels) > 0.9
    features = extract(backbone, pictures)
    assert features.shape == (64, FEATURES[name]) and features.dtype == np.float32
    np.testing.assert_allclose(extract(backbone, pictures[:5]), features[:5], rtol=1e-3, atol=1e-4)


def test_predictions_are_the_probabilities_by_which_accuracy_counts(images):
    backbone, (pictures, labels) = build("small-resnet"), images
    train(backbone, pictures, labels, Training(epochs=2, learning_rate=0.05, batch_size=16), seed=0)
    weight, bias = (tensor.detach().numpy() for tensor in (backbone.classifier.weight, backbone.classifier.bias))
    odds = np.exp(extract(backbone, pictures) @ weight.T + bias)
    probabilities = predict(backbone, pictures)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, odds / odds.sum(1, keepdims=True), rtol=1e-3, atol=1e-5)
    assert accuracy(backbone, pictures, labels) == (probabilities.argmax(1) == labels).mean()


@pytest.mark.parametrize("name", BACKBONES)
def test_the_same_seed_gives_the_same_backbone_of_a_few_100_000_weights(name):
    first, again = build(name).state_dict(), build(name).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert 100_000 < sum(parameter.numel() for parameter in build(name).encoder.parameters()) < 700_000


@pytest.mark.parametrize(("augmented", "of"), [("augmented-resnet", "medium-resnet"), ("augmented-vit", "small-vit")])
def test_augmentation_shifts_and_mirrors_while_training_and_leaves_all_else_as_it_is(augmented, of, images):
    backbone, plain = build(augmented), build(of)
    plain.load_state_dict(backbone.state_dict())
    assert np.array_equal(extract(backbone, images[0][:8]), extract(plain, images[0][:8]))
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    batch = np.repeat(image, 2000, axis=0)
    backbone.eval()
    as_it_is = plain.prepare(image)
    assert torch.equal(backbone.prepare(image), as_it_is)
    backbone.train()
    varied = backbone.prepare(batch)
    assert varied.shape == (2000, 3, 32, 32) and varied.is_contiguous(memory_format=torch.channels_last)
    # The view that is the same says which shift and mirror was drawn: every one of 9 × 9 × 2, equally often.
    edged = torch.nn.functional.pad(as_it_is[0], (4, 4, 4, 4))
    crops = [edged[:, i : i + 32, j : j + 32] for i in range(9) for j in range(9)]
    possible = torch.stack([view for crop in crops for view in (crop, crop.flip(2))]).flatten(1)
    drawn = torch.cdist(varied.flatten(1), possible).argmin(1)
    assert torch.equal(varied.flatten(1), possible[drawn])
    counts = torch.bincount(drawn, minlength=162)
    assert counts.min() > 0 and counts.max() < 35
    torch.manual_seed(3)
    first = backbone.prepare(batch)
    torch.manual_seed(3)
    assert torch.equal(backbone.prepare(batch), first)


def test_prunable_in_a_transformer_are_its_stem_and_the_linear_layers_of_attention_and_mlp():
    backbone = build("small-vit")
    kinds = ("self_attention.in_proj_weight", "self_attention.out_proj.weight", "mlp.0.weight", "mlp.3.weight")
    names = list(prunable(backbone))
    assert names[:4] == [f"encoder.stem.{place}.weight" for place in (0, 3, 6, 9)]
    assert len(names) == 4 + 4 * len(kinds)
    assert all(name.endswith(kinds) for name in names[4:])
    parameters = dict(backbone.named_parameters())
    assert all(parameters[name] is weight for name, weight in prunable(backbone).items())


@pytest.mark.parametrize(
    ("name", "left_out"),
    [
        ("torchvision:vit_b_16", ["encoder.conv_proj.weight"]),
        ("torchvision:swin_t", ["encoder.features.0.0.weight"]),
        ("torchvision:convnext_tiny", ["encoder.features.0.0.weight"]),
        ("torchvision:resnet18", []),
        ("torchvision:mobilenet_v2", []),
    ],
)
def test_of_torchvisions_all_convolutions_and_linear_layers_but_embeddings_are_prunable(name, left_out):
    with torch.device("meta"):
        backbone = BACKBONES.load(name)(4)
    layers = {
        f"encoder.{path}.weight"
        for path, layer in backbone.encoder.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    }
    inside_attention = {path for path in prunable(backbone) if path.endswith("in_proj_weight")}
    assert set(prunable(backbone)) == layers - set(left_out) | inside_attention
    assert bool(inside_attention) == ("vit" in name)


@pytest.mark.parametrize(
    ("name", "size", "n_features"), [("resnet18", 32, 512), ("alexnet", 64, 4096), ("squeezenet1_0", 64, 512)]
)
def test_any_torchvision_classifier_is_a_backbone_by_its_name(name, size, n_features):
    backbone = BACKBONES.load(f"torchvision:{name}")(7)
    pictures = np.zeros((2, size, size, 3), np.uint8)
    assert extract(backbone, pictures).shape == (2, n_features)
    assert backbone.eval()(backbone.prepare(pictures)).shape == (2, 7)
    assert BACKBONES.module(f"torchvision:{name}") == "tepones.backbones.from_torchvision"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("torchvision:resnet19", "unknown torchvision classifier 'resnet19'; choose from: alexnet, .*resnet18"),
        ("resnet18", "unknown backbone 'resnet18'; choose from: .*small-vit, timm:NAME, torchvision:NAME"),
        ("torchvision:", "unknown backbone 'torchvision:'"),
    ],
)
def test_an_unknown_backbone_is_refused(name, says):
    with pytest.raises(UsageError, match=says):
        BACKBONES.load(name)(4)


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("name", ["small-vit", "small-mobilenet"])
def test_every_criterion_scores_every_backbone(name, criterion, images):
    backbone = build(name)
    few = Setting(images[0][:16], images[1][:16], CRITERIA.load(criterion), Training(1, 0.1), seed=0)
    masks = select(few.criterion(backbone, few), 0.9, dense(backbone))
    apply(backbone, masks)
    before = {key: weight.detach().clone() for key, weight in prunable(backbone).items()}
    train(backbone, *images, Training(epochs=1, learning_rate=0.05, batch_size=16), seed=0, masks=masks)
    for key, weight in prunable(backbone).items():
        assert not weight[~masks[key]].any()
    assert any(not torch.equal(weight, before[key]) for key, weight in prunable(backbone).items())
