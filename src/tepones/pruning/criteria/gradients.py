"""Gradients of the source loss with respect to the prunable weights, of a batch or of each image on its own.

The network is in evaluation mode: BatchNorm uses its running statistics, so that an image's gradient does not
depend on the others. Pruned weights (exactly zero) get gradient zero: they stay pruned, so a criterion is about
the network that is left.
"""

from collections.abc import Iterator

import torch
from torch.func import functional_call, grad, vmap
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from tepones.backbones.base import Backbone
from tepones.pruning.base import Setting, sample
from tepones.pruning.masks import prunable

#: Images that data-dependent criteria look at (our choice).
N_IMAGES = 512
BATCH = 32


def mean_gradients(backbone: Backbone, setting: Setting) -> dict[str, torch.Tensor]:
    """Gradient of the mean cross-entropy over the sampled images, for each prunable weight; shapes of the weights.

    Raises
    ------
    UsageError
        If the setting has no images.
    """
    images, labels = sample(setting, N_IMAGES)
    backbone.eval()
    weights = prunable(backbone)
    loss = functional.cross_entropy(backbone(backbone.prepare(images)), labels)
    found = torch.autograd.grad(loss, list(weights.values()))
    return {name: gradient * (weight != 0) for (name, weight), gradient in zip(weights.items(), found, strict=True)}


def sample_gradients(backbone: Backbone, setting: Setting) -> Iterator[dict[str, torch.Tensor]]:
    """Gradients of the cross-entropy of each sampled image, in batches of 32.

    Cost: one forward and one backward pass for each image; memory of 32 copies of the prunable weights.

    Yields
    ------
    dict of name to tensor of shape (n, numel)
        Row i is image i's gradient of that weight, flattened.

    Raises
    ------
    UsageError
        If the setting has no images.
    """
    images, labels = sample(setting, N_IMAGES)
    backbone.eval()
    weights = {name: weight.detach() for name, weight in prunable(backbone).items()}
    alive = {name: weight != 0 for name, weight in weights.items()}

    def loss(weights: dict[str, torch.Tensor], image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(functional_call(backbone, weights, (image[None],)), label[None])

    of_each = vmap(grad(loss), in_dims=(None, 0, 0))
    for batch, targets in zip(images.split(BATCH), labels.split(BATCH), strict=True):
        # Of the other parameters no gradient is wanted; of attention's kernels vmap knows the plain one.
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            found = of_each(weights, backbone.prepare(batch), targets)
        yield {name: (gradient * alive[name]).flatten(1) for name, gradient in found.items()}
