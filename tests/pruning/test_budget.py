"""Budgets: counted by hand where that is possible."""

import gzip

import numpy as np
import pytest
import torch
from safetensors.numpy import save
from torch import nn

from tepones.backbones.encoder import Encoder, Preparation
from tepones.common._torchvision import torchvision
from tepones.pruning import budget, masks
from tepones.ranking import networks


def _encoder(model):
    return Encoder("", "", model, Preparation())


@pytest.fixture
def chain():
    """32×32×3 → convolution to 8 channels → ReLU → average → 8 features → 10 classes."""
    layers = [nn.Conv2d(3, 8, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)]
    return _encoder(nn.Sequential(*layers))


def test_a_chain_counted_by_hand(chain):
    found = budget.budget(chain)
    assert found.nonzero_weights == 24
    assert found.flops == 2 * 32 * 32 * 3 * 8
    # Alive at once: the input, the convolution's output, the ReLU's.
    assert found.peak_activation_bytes == 4 * 32 * 32 * (3 + 8 + 8)
    assert found.bytes_dense == len(save({"0.weight": np.zeros((8, 3, 1, 1), "f4"), "0.bias": np.zeros(8, "f4")}))
    assert 0 < found.latency_ms < 1000


def test_an_operator_in_place_takes_no_memory(chain):
    chain.model[1].inplace = True
    assert budget.peak_activation_bytes(chain) == 4 * (32 * 32 * (3 + 8) + 8)


def test_the_classifier_is_no_part_of_it(chain):
    before = budget.flops(chain), budget.stored_bytes(chain), budget.nonzero_weights(chain)
    chain.model[4] = nn.Linear(8, 10_000)
    assert before == (budget.flops(chain), budget.stored_bytes(chain), budget.nonzero_weights(chain))


@pytest.mark.parametrize("target", [0.0, 0.5, 0.9, 0.99])
def test_a_pruned_backbone_is_counted_as_its_masks_are_and_stored_small(target):
    backbone = networks.build("small-resnet", 7)
    saliency = {name: weight.detach().abs() for name, weight in masks.prunable(backbone).items()}
    kept = masks.select(saliency, target, masks.dense(backbone))
    masks.apply(backbone, kept)
    encoder = _encoder(backbone)
    assert budget.nonzero_weights(encoder) == sum(int(mask.sum()) for mask in kept.values())
    assert budget.sparsity(encoder) == pytest.approx(masks.sparsity(kept))
    dense, sparse = budget.stored_bytes(encoder)
    # What is not pruned (norms) takes about 20 kB of 1.2 MB; a weight takes four bytes and its place less than two.
    assert sparse <= min(dense, 30_000 + (1 - target) * 306_096 * 6)
    # Pruning alone makes no multiplication faster.
    assert budget.flops(encoder) == budget.flops(_encoder(networks.build("small-resnet", 7)))


def test_attention_is_counted():
    sizes = {"num_layers": 2, "num_heads": 2, "hidden_dim": 32, "mlp_dim": 64, "num_classes": 3}
    model = torchvision.models.VisionTransformer(image_size=32, patch_size=8, **sizes)
    encoder = Encoder("", "vision transformer", model, Preparation())
    weights = [p for name, p in encoder.model.named_parameters() if name.endswith("in_proj_weight")]
    total = budget.nonzero_weights(encoder)
    with torch.no_grad():
        weights[0].zero_()
    assert total - budget.nonzero_weights(encoder) == pytest.approx(weights[0].numel(), abs=5)


def test_a_file_is_compressed_without_loss_and_to_the_same_bytes_whenever():
    content = np.random.default_rng(0).integers(0, 4, 100_000, np.uint8).tobytes()
    packed = budget.compress(content)
    assert gzip.decompress(packed) == content and len(packed) < 0.35 * len(content)
    assert packed[4:8] == bytes(4)  # no time of making
