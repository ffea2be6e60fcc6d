"""A vision transformer for 32×32 images, after Dosovitskiy et al. 2021 (arXiv 2010.11929), built by torchvision.

Patches of 8×8 pixels make 16 tokens and a class token, whose last state is the feature. About 4 million multiply-adds
for an image.
"""

from torch import nn

from tepones._torchvision import torchvision
from tepones.backbones.base import Backbone


def small_vit(n_classes: int, width: int = 64, depth: int = 4) -> Backbone:
    """Vision transformer of `depth` layers of `width` features: 207,296 encoder parameters, 64 features.

    Parameters
    ----------
    n_classes : int
        Number of source classes.
    width : int
        Size of a token and of the feature; a multiple of 16, the size of a head.
    depth : int
        Layers.
    """
    encoder = torchvision.models.VisionTransformer(
        image_size=32,
        patch_size=8,
        num_layers=depth,
        num_heads=width // 16,
        hidden_dim=width,
        mlp_dim=4 * width,
    )
    encoder.heads = nn.Identity()
    return Backbone(encoder, width, n_classes)
