"""Self-supervised pre-training: SimCLR (Chen et al. 2020, arXiv 2002.05709).

Two random views of each image are pulled together and away from those of the other images of the batch. The loss is a
few lines, and libraries that have it bring a training framework along, so it is here, checked against a loop.

Views for characters and small photographs alike (our choice): a random crop, resized back; its colours mixed at random
and inverted half of the time; a random brightness and contrast of each colour. Without the mixing the colours of ink
and paper tell images apart, and nothing is learned of the characters. No mirroring, because a mirrored character is
another one.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from tepones.backbones.base import Backbone
from tepones.backbones.features import extract
from tepones.backbones.training import AfterStep, Training, fit

TEMPERATURE = 0.2
PROJECTION = 64
#: Smallest side of a crop as a fraction of the image's.
CROP = 0.6
#: The source classifier, fitted on the frozen encoder's features afterwards.
CLASSIFIER = Training(epochs=20, learning_rate=0.5, weight_decay=0.0)


class Projected(nn.Module):
    """An encoder with the projection head in whose output views are compared; only for training."""

    def __init__(self, backbone: Backbone):
        super().__init__()
        n_features = backbone.classifier.in_features
        self.encoder = backbone.encoder
        self.head = nn.Sequential(nn.Linear(n_features, n_features), nn.ReLU(), nn.Linear(n_features, PROJECTION))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Projections, shape (N, 64)."""
        return self.head(self.encoder(images))


def simclr(
    backbone: Backbone,
    images: np.ndarray,
    labels: np.ndarray,
    training: Training,
    seed: int,
    after_step: AfterStep | None = None,
) -> None:
    """Train the encoder without labels, then the source classifier on its frozen features, in place.

    Parameters are those of `tepones.backbones.training.train`. The labels serve the classifier alone, `training` and
    `after_step` the encoder; the seed also decides the views and the projection head. Cost: twice the training of the
    same number of epochs with labels, because each image has two views.

    Raises
    ------
    TeponesError
        If a gradient is not finite; names the step and the layer.
    """
    pixels, targets = torch.as_tensor(images), torch.as_tensor(labels)
    torch.manual_seed(seed)
    network = Projected(backbone)
    generator = torch.Generator().manual_seed(seed)

    def contrast(rows: torch.Tensor) -> torch.Tensor:
        inputs = backbone.prepare(pixels[rows])
        views = torch.cat([view(inputs, generator), view(inputs, generator)])
        return nt_xent(network(views.contiguous(memory_format=torch.channels_last)))

    fit(network, contrast, len(pixels), training, seed, after_step=after_step)

    features = torch.as_tensor(extract(backbone, images))
    # Features of other objectives have other scales; a step size that fits all needs one.
    scale = features.std(0).mean().clamp_min(1e-6)
    classifier = backbone.classifier
    nn.init.zeros_(classifier.weight)
    nn.init.zeros_(classifier.bias)

    def classify(rows: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(classifier(features[rows] / scale), targets[rows])

    fit(classifier, classify, len(pixels), replace(CLASSIFIER, batch_size=training.batch_size), seed)
    with torch.no_grad():
        classifier.weight /= scale


def nt_xent(projections: torch.Tensor, temperature: float = TEMPERATURE) -> torch.Tensor:
    """Normalised temperature-scaled cross-entropy, equation 1 of the paper, averaged over all views.

    Rows i and N + i of the projections (2 N, P) are the views of image i.
    """
    n_images = len(projections) // 2
    unit = functional.normalize(projections)
    similarity = (unit @ unit.T / temperature).fill_diagonal_(-torch.inf)
    partner = torch.arange(2 * n_images).roll(n_images)
    return functional.cross_entropy(similarity, partner)


def view(inputs: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A random view of each prepared image (N, 3, H, W), of the same shape."""
    n_images = len(inputs)
    size = CROP + (1 - CROP) * torch.rand(n_images, 1, generator=generator)
    # The crop's centre, in the coordinates from -1 to 1 of `grid_sample`.
    centre = (1 - size) * (2 * torch.rand(n_images, 2, generator=generator) - 1)
    crop = torch.cat([torch.diag_embed(size.expand(-1, 2)), centre[:, :, None]], 2)
    grid = functional.affine_grid(crop, list(inputs.shape), align_corners=False)
    cropped = functional.grid_sample(inputs, grid, padding_mode="border", align_corners=False)
    mix = functional.normalize(torch.rand(n_images, 3, 3, generator=generator), p=1, dim=2)
    sign = torch.where(torch.rand(n_images, 1, 1, 1, generator=generator) < 0.5, -1.0, 1.0)
    cropped = sign * torch.einsum("nij,njhw->nihw", mix, cropped)
    contrast = 0.6 + 0.8 * torch.rand(n_images, 3, 1, 1, generator=generator)
    brightness = torch.rand(n_images, 3, 1, 1, generator=generator) - 0.5
    return cropped * contrast + brightness
