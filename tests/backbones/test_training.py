"""Training and features: it learns, it repeats itself, it does not depend on the batch."""

import numpy as np
import torch

from tepones.backbones import BACKBONES
from tepones.backbones.features import accuracy, extract
from tepones.backbones.training import Training, train


def trained(images, seed):
    torch.manual_seed(seed)
    backbone = BACKBONES.load("small-resnet")(4)
    train(backbone, *images, Training(epochs=6, learning_rate=0.1, batch_size=16), seed=seed)
    return backbone


def test_same_seed_same_weights_and_it_learns(images):
    first, again, other = trained(images, 0), trained(images, 0), trained(images, 1)
    weights = [torch.cat([p.flatten() for p in model.parameters()]) for model in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert accuracy(first, *images) > 0.9


def test_features_have_128_entries_and_do_not_depend_on_the_batch(images):
    backbone = trained(images, 0)
    whole = extract(backbone, images[0])
    assert whole.shape == (64, 128) and whole.dtype == np.float32
    np.testing.assert_allclose(extract(backbone, images[0][:7]), whole[:7], rtol=1e-4, atol=1e-5)


def test_input_keeps_the_picture(images):
    pixels = BACKBONES.load("small-resnet")(4, width=8).prepare(images[0])
    assert pixels.shape == (64, 3, 32, 32)
    np.testing.assert_allclose(pixels[3, 1].numpy() * 64 + 127.5, images[0][3, :, :, 1], atol=1e-3)
