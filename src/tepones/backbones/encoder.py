"""An encoder ready to be ranked: any classifier, seen as pictures → features and source-class probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from tepones.backbones.base import MEAN, STD

#: The last layer of a classifier is one of these.
LAYERS = nn.Linear | nn.Conv2d

#: A side this many times the other one is resized only where the square is cut from it.
EXTREME = 10


@dataclass(frozen=True)
class Preparation:
    """How pictures of any size become the input of a backbone.

    Attributes
    ----------
    resize : int
        Pixels of the shorter side after resizing; a picture whose shorter side is that already is left as it is.
    crop : int
        Pixels of the side of the square cut from the centre.
    mean, std : tuple of float
        Of each colour, in grey levels 0..255.
    resampling : str
        Name of Pillow's filter.
    """

    resize: int = 32
    crop: int = 32
    mean: tuple[float, ...] = (MEAN,) * 3
    std: tuple[float, ...] = (STD,) * 3
    resampling: str = "bilinear"

    def __call__(self, pictures: Sequence[np.ndarray]) -> torch.Tensor:
        """Turn uint8 RGB pictures, each (H, W, 3), into a float32 tensor (N, 3, crop, crop), channels last.

        Memory besides: of one picture after the other, at most `EXTREME`·resize² pixels, however long its longer side.
        """
        pixels = torch.as_tensor(np.stack([self._square(picture) for picture in pictures])).permute(0, 3, 1, 2)
        mean, std = (torch.tensor(values)[:, None, None] for values in (self.mean, self.std))
        return pixels.float().sub_(mean).div_(std)

    def at(self, pixels: int) -> "Preparation":
        """The same preparation for an input of another side; what is cut off around it keeps its share."""
        return replace(self, resize=round(self.resize * pixels / self.crop), crop=pixels)

    def _square(self, picture: np.ndarray) -> np.ndarray:
        height, width = picture.shape[:2]
        if min(height, width) != self.resize:
            shorter = min(height, width)
            # In this order, as torchvision does it: a quotient first would round some sides down by a pixel.
            resized = [int(self.resize * side / shorter) for side in (width, height)]
            (left, right), (top, bottom) = map(self._span, resized)
            box = (
                left * width / resized[0], top * height / resized[1],
                right * width / resized[0], bottom * height / resized[1],
            )  # fmt: skip
            resampling = Image.Resampling[self.resampling.upper()]
            picture = np.asarray(Image.fromarray(picture).resize((right - left, bottom - top), resampling, box))
            height, width = picture.shape[:2]
        top, left = (round((side - self.crop) / 2) for side in (height, width))
        return picture[top : top + self.crop, left : left + self.crop]

    def _span(self, side: int) -> tuple[int, int]:
        """First and last pixel to make of a resized side: all of an ordinary one, of others what the square needs.

        Not for every picture what the square needs: Pillow then may filter columns before rows, so that grey levels
        differ by rounding, and those of ordinary pictures are in people's records.
        """
        if side <= EXTREME * self.resize:
            return 0, side
        start = round((side - self.crop) / 2)
        return start, start + self.crop


@dataclass(eq=False)
class Encoder:
    """A classifier whose last layer is cut off.

    Attributes
    ----------
    name : str
        What a ranking calls it.
    architecture : str
        Name in the registry of backbones, or in torchvision.
    model : nn.Module
        Images (N, 3, H, W) to source-class logits (N, C_s).
    preparation : Preparation
    facts : dict of str to float
        What is known besides the weights: ``source_accuracy``, in [0, 1].
    trained : bool
        False for initial weights.
    head : str
        Name of the last layer, whose input is the feature; that of `last_layer` unless another is given.
    classifies : bool
        False if the last layer has initial weights, because a file came without it: its probabilities say nothing.
    """

    name: str
    architecture: str
    model: nn.Module
    preparation: Preparation
    facts: dict[str, Any] = field(default_factory=dict)
    trained: bool = True
    head: str = ""
    classifies: bool = True

    def __post_init__(self):
        self.head = self.head or last_layer(self.model)
        self.model.eval().to(memory_format=torch.channels_last)

    @property
    def n_features(self) -> int:
        """D, the size of the last layer's input."""
        last = self.classifier
        return last.in_features if isinstance(last, nn.Linear) else last.in_channels

    @property
    def n_classes(self) -> int:
        """C_s, the number of source classes."""
        return len(self.classifier.weight)

    @property
    def classifier(self) -> LAYERS:
        """The last layer."""
        return self.model.get_submodule(self.head)

    def weights(self) -> dict[str, torch.Tensor]:
        """State of the encoder alone: all tensors but those of the last layer."""
        head = f"{self.head}."
        return {name: tensor for name, tensor in self.model.state_dict().items() if not name.startswith(head)}

    @torch.inference_mode()
    def __call__(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (N, D) and source-class probabilities (N, C_s) of prepared inputs, from one forward pass.

        The feature is the input of the last layer, its average where that layer sees more than one place of a picture:
        the places of a map before a convolution, the tokens before a linear layer.
        """
        caught: list[torch.Tensor] = []
        hook = self.classifier.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
        try:
            logits = self.model(inputs)
        finally:
            hook.remove()
        features = caught[-1]
        places = (2, 3) if isinstance(self.classifier, nn.Conv2d) else tuple(range(1, features.ndim - 1))
        return (features.mean(places) if places else features), logits.softmax(1)


def last_layer(model: nn.Module) -> str:
    """Name of the last linear layer or convolution to be registered.

    In every torchvision classifier, and in every backbone of this project, that is the classifier.
    """
    return [name for name, layer in model.named_modules() if isinstance(layer, LAYERS)][-1]
