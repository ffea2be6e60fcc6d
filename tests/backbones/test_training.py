"""Training: it learns, and it repeats itself."""

import torch

from tepones.backbones import BACKBONES
from tepones.backbones.features import accuracy
from tepones.backbones.training import Training, train


def trained(images, seed):
    torch.manual_seed(seed)
    backbone = BACKBONES.load("small-resnet")(4, width=8)
    train(backbone, *images, Training(epochs=6, learning_rate=0.1, batch_size=16), seed=seed)
    return backbone


def test_same_seed_same_weights_and_it_learns(images):
    first, again, other = trained(images, 0), trained(images, 0), trained(images, 1)
    weights = [torch.cat([p.flatten() for p in model.parameters()]) for model in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert accuracy(first, *images) > 0.9
