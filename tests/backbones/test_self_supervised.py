"""Self-supervised pre-training: the loss against a loop, the views, and that it learns without labels."""

import math

import numpy as np
import pytest
import torch

from tepones.backbones import BACKBONES
from tepones.backbones.features import accuracy, extract
from tepones.backbones.self_supervised import nt_xent, simclr, view
from tepones.backbones.training import Training
from tepones.common.errors import TeponesError

TRAINING = Training(epochs=15, learning_rate=0.05, batch_size=32)


def test_the_loss_is_equation_1_of_the_paper():
    projections = torch.randn(10, 6, generator=torch.Generator().manual_seed(0))
    cosine = torch.nn.functional.cosine_similarity(projections[:, None], projections[None], dim=2)
    total = 0.0
    for i in range(10):
        j = (i + 5) % 10
        others = sum(math.exp(cosine[i, k] / 0.3) for k in range(10) if k != i)
        total -= math.log(math.exp(cosine[i, j] / 0.3) / others)
    assert float(nt_xent(projections, 0.3)) == pytest.approx(total / 10, rel=1e-5)


def test_the_loss_is_least_where_views_agree_and_images_do_not():
    alike = torch.eye(8).repeat(2, 1)
    assert nt_xent(alike) < nt_xent(torch.randn(16, 8, generator=torch.Generator().manual_seed(0)))
    assert float(nt_xent(torch.ones(16, 8))) == pytest.approx(math.log(15), rel=1e-5)


def test_views_are_crops_of_the_image_and_differ(images):
    inputs = BACKBONES.load("small-resnet")(4, width=8).prepare(images[0])
    generator = torch.Generator().manual_seed(0)
    first, second = view(inputs, generator), view(inputs, generator)
    assert first.shape == inputs.shape and first.isfinite().all()
    assert not torch.equal(first, second)
    # Bounded by the image's values times the largest contrast, plus the largest brightness.
    assert first.abs().max() <= 1.4 * inputs.abs().max() + 0.5
    assert torch.equal(first, view(inputs, torch.Generator().manual_seed(0)))


def test_it_learns_features_without_labels_and_a_classifier_of_them(images):
    torch.manual_seed(0)
    backbone = BACKBONES.load("small-resnet")(4, width=8)
    simclr(backbone, *images, TRAINING, seed=0)
    assert accuracy(backbone, *images) > 0.8


def test_the_encoder_does_not_see_the_labels(images):
    encoders = []
    for labels in (images[1], images[1][::-1].copy()):
        torch.manual_seed(0)
        backbone = BACKBONES.load("small-resnet")(4, width=8)
        simclr(backbone, images[0], labels, Training(epochs=1, learning_rate=0.05, batch_size=32), seed=0)
        encoders.append(extract(backbone, images[0]))
    np.testing.assert_array_equal(*encoders)


def test_a_gradient_that_is_not_finite_stops_it(images):
    backbone = BACKBONES.load("small-resnet")(4, width=8)
    with pytest.raises(TeponesError, match="is not finite"):
        simclr(backbone, *images, Training(epochs=50, learning_rate=1e30, batch_size=32), seed=0)
