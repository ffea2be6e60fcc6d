"""Weights that others released, from a file of the root folder of data sets."""

import hashlib
from pathlib import Path

import safetensors
import safetensors.torch
from torch import nn

from tepones.backbones import from_timm, from_torchvision
from tepones.backbones.base import Backbone
from tepones.common import paths
from tepones.common.errors import TeponesError, UsageError


def file(name: str) -> Path:
    """Path of the file that holds the released weights of a name."""
    return paths.datasets() / "weights" / f"{name}.safetensors"


def read(name: str, backbone: str) -> tuple[Backbone, str]:
    """Load released float32 weights, and return the backbone with the SHA-256 of the file.

    Parameters
    ----------
    name : str
        Name of the file, ``weights/NAME.safetensors``; its tensors are named and shaped as those of the library.
    backbone : str
        A classifier of torchvision's or timm's, for example ``"torchvision:mobilenet_v2"``.

    Raises
    ------
    UsageError
        If the backbone is of neither.
    TeponesError
        If the file is missing or damaged, or a tensor is missing, too many or of another shape; names the file.
    """
    family, _, architecture = backbone.partition(":")
    if family not in _FAMILIES:
        raise UsageError(f"released weights need a backbone torchvision:NAME or timm:NAME, got {backbone!r}")
    build, split = _FAMILIES[family]
    path = file(name)
    try:
        content = path.read_bytes()
        network = build(architecture)
        network.load_state_dict(safetensors.torch.load(content))
    except FileNotFoundError:
        raise TeponesError(f"released weights {name}: {path} is missing; put the file there") from None
    except (safetensors.SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise TeponesError(f"{path}: expected the tensors of {family}'s {architecture}: {reason}") from None
    return split(network), hashlib.sha256(content).hexdigest()


def _of_torchvision(architecture: str) -> nn.Module:
    from tepones.common._torchvision import torchvision  # takes seconds, which other backbones do not need

    return torchvision.models.get_model(architecture, weights=None)


def _of_timm(architecture: str) -> nn.Module:
    return from_timm.installed().create_model(architecture, pretrained=False)


_FAMILIES = {"torchvision": (_of_torchvision, from_torchvision.split), "timm": (_of_timm, from_timm.split)}
