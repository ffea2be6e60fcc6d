"""Entropy of what each layer's neurons do: ON or OFF."""

import numpy as np
import torch
from torch import nn
from torch.special import entr

from tepones.backbones.base import Backbone
from tepones.backbones.features import extract

#: Activation functions, by whose input a neuron is ON (0 or more) or OFF.
ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.GELU, nn.SiLU, nn.Hardswish)


def layer_entropies(backbone: Backbone, images: np.ndarray) -> dict[str, float]:
    """Mean entropy, in bits, of the neurons of every layer of an encoder, labels playing no part.

    Of neuron i, p_i is the fraction of images, and of places in a feature map or of tokens, at which the input of its
    activation function is 0 or more; its entropy is −p_i log₂ p_i − (1 − p_i) log₂(1 − p_i). The form is that of EASIER
    (VGCQ/EASIER, utils.py: get_entropy_layer), code of the group that proposed ENTROPI (Spadaro et al. 2023,
    10.1109/ICCVW60793.2023.00165), whose own formula was not available. There p_i is that of a batch, and the entropies
    of batches are averaged; here it is that of all images, so that the result does not depend on a batch.

    Parameters
    ----------
    backbone : Backbone
    images : ndarray of uint8, shape (N, H, W, 3)

    Returns
    -------
    dict of str to float
        By name of the activation function's module, in the order of the network; each in [0, 1]. Cost: one forward
        pass.
    """
    layers = {name: layer for name, layer in backbone.encoder.named_modules() if isinstance(layer, ACTIVATIONS)}
    counts: dict[str, torch.Tensor] = dict.fromkeys(layers, torch.zeros((), dtype=torch.int64))
    seen = dict.fromkeys(layers, 0)

    def count(name: str, inputs: torch.Tensor) -> None:
        # Neurons are the channels of a feature map (N, D, H, W), else the last axis: tokens (N, L, D), features (N, D).
        on = inputs.movedim(1, -1) if inputs.ndim == 4 else inputs
        on = (on >= 0).flatten(0, -2)
        counts[name] = counts[name] + on.sum(0)
        seen[name] += len(on)

    hooks = [
        layer.register_forward_pre_hook(lambda _, inputs, name=name: count(name, inputs[0]))
        for name, layer in layers.items()
    ]
    try:
        extract(backbone, images)
    finally:
        for hook in hooks:
            hook.remove()
    shares = {name: counts[name].double() / seen[name] for name in layers if seen[name]}
    return {name: float((entr(p) + entr(1 - p)).mean() / np.log(2)) for name, p in shares.items()}
