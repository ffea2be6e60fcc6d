"""Networks by name: how a library builds one, what its pictures must be like, and where its published weights lie.

A name is a backbone of this project (``small-resnet``), ``torchvision:NAME`` or ``timm:NAME``; torchvision's names may
stand alone. timm is optional.
"""

import contextlib
import re
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from tepones.backbones import BACKBONES
from tepones.backbones.base import IMAGENET_MEAN, IMAGENET_STD
from tepones.backbones.encoder import LAYERS, Preparation, last_layer
from tepones.backbones.from_timm import installed
from tepones.common.errors import TeponesError, UsageError, one_line

TORCHVISION, TIMM = "torchvision:", "timm:"

#: Pixels of the side of a backbone's source images, where nothing else is said of it.
SIDE = 32

#: How pictures are prepared where nobody says: as for most ImageNet classifiers. And how people are told.
USUAL = Preparation(256, 224, IMAGENET_MEAN, IMAGENET_STD)
USUAL_NOTE = "pictures prepared as is usual for ImageNet"

#: Their published weights were trained on other grey levels, which the model makes of the usual ones.
_OPTIONS = {name: {"transform_input": True, "init_weights": False} for name in ("googlenet", "inception_v3")}


class OnMeta(TorchFunctionMode):
    """Weights without memory. Not `torch.device("meta")`: regnets compute their widths with small tensors."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        """Let the functions that weights are made by make them on the meta device."""
        if function in (torch.empty, torch.zeros, torch.ones):
            kwargs = {**(kwargs or {}), "device": "meta"}
        return function(*args, **(kwargs or {}))


@cache
def torchvision_names() -> tuple[str, ...]:
    """Names of torchvision's classifiers."""
    from tepones.common._torchvision import torchvision

    return tuple(torchvision.models.list_models(module=torchvision.models))


def names() -> list[str]:
    """Names of all networks, those of this project first; those of timm need timm."""
    own, timm = sorted(BACKBONES), installed().list_models()
    return [*own, *(f"{TORCHVISION}{name}" for name in torchvision_names()), *(f"{TIMM}{name}" for name in timm)]


def canonical(name: str) -> str:
    """A name with its library: ``resnet18`` is ``torchvision:resnet18``.

    Raises
    ------
    UsageError
        If there is no such network; says what there is.
    TeponesError
        If it is one of timm's, and timm is not installed.
    """
    if name in BACKBONES:
        return name
    full = name if ":" in name else f"{TORCHVISION}{name}"
    if full.startswith(TORCHVISION) and full.removeprefix(TORCHVISION) in torchvision_names():
        return full
    if full.startswith(TIMM) and full.removeprefix(TIMM) in installed().list_models():
        return full
    raise UsageError(
        f"unknown architecture {name!r}; choose from: {', '.join(sorted(BACKBONES))}, a torchvision classifier such as "
        "resnet18, or one of timm's such as timm:resnet18"
    )


def is_of_library(name: str) -> bool:
    """Whether a name is that of a classifier of torchvision or timm, as it may stand in a list of backbones."""
    return name.startswith((TORCHVISION, TIMM)) or name in torchvision_names()


def build(name: str, n_classes: int) -> nn.Module:
    """A network of its library with initial weights, the same ones each time.

    Parameters
    ----------
    name : str
        As `canonical` returns it.
    n_classes : int
        Size of its last layer, at least 1.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if name.startswith(TIMM):
            return installed().create_model(name.removeprefix(TIMM), pretrained=False, num_classes=n_classes)
        if name in BACKBONES:
            return BACKBONES.load(name)(n_classes)
        from tepones.common._torchvision import torchvision

        plain = name.removeprefix(TORCHVISION)
        options = _OPTIONS.get(plain, {})
        return torchvision.models.get_model(plain, weights=None, num_classes=n_classes, **options)


def heads(network: nn.Module) -> list[str]:
    """Names of the last layers: those that timm's configuration names, else the last to be registered.

    In every torchvision classifier, and in every backbone of this project, the last layer to be registered is the
    classifier. A network that was distilled from a convolutional one has two.
    """
    configured = getattr(network, "pretrained_cfg", {}).get("classifier") or ()
    configured = [configured] if isinstance(configured, str) else list(configured)
    layers = dict(network.named_modules())
    found = [name for name in configured if isinstance(layers.get(name), LAYERS)]
    return found or [last_layer(network)]


def preparation(name: str, side: int | None = None) -> Preparation:
    """How pictures become the input of a network.

    Parameters
    ----------
    name : str
        As `canonical` returns it.
    side : int, optional
        Pixels of the side of the square images that the weights were trained on. If left out: what the library's
        published weights want; for this project's backbones `SIDE`.
    """
    if name in BACKBONES:
        return Preparation(side or SIDE, side or SIDE)
    if side is not None:
        return Preparation(side, side, IMAGENET_MEAN, IMAGENET_STD)
    return _of_timm(name.removeprefix(TIMM)) if name.startswith(TIMM) else _of_torchvision(name)


def converted(name: str, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor] | None:
    """Weights under the names of a network of timm, made of others by timm's own conversion.

    timm has one for most transformers and some convolutional networks: from the names of their authors' code, of CLIP's
    picture tower, of DINOv2 and the like, and from other sizes of pictures.

    Parameters
    ----------
    name : str
        As `canonical` returns it.
    state : mapping of str to torch.Tensor

    Returns
    -------
    dict of str to torch.Tensor or None
        None if the network is not one of timm's, or its conversion is missing or does not know these names. What it
        makes of names that it does not know may be anything: compare with the network.
    """
    if not name.startswith(TIMM):
        return None
    entry = installed().models.model_entrypoint(name.removeprefix(TIMM))
    conversion = getattr(sys.modules[entry.__module__], "checkpoint_filter_fn", None)
    if conversion is None:
        return None
    try:
        with torch.no_grad(), contextlib.redirect_stdout(None):
            found = conversion(dict(state), _shape_of(name))
    except Exception:  # whatever it runs into on names that it does not know
        return None
    tensors = isinstance(found, Mapping) and all(isinstance(value, torch.Tensor) for value in found.values())
    return dict(found) if tensors else None


@cache
def _shape_of(name: str) -> nn.Module:
    """A network without memory for its weights."""
    with OnMeta():
        return build(name, 1)


def _of_torchvision(name: str) -> Preparation:
    wanted = torchvision_weights(name).transforms()
    return Preparation(
        wanted.resize_size[0],
        wanted.crop_size[0],
        tuple(255 * value for value in wanted.mean),
        tuple(255 * value for value in wanted.std),
        wanted.interpolation.value,
    )


def _of_timm(name: str) -> Preparation:
    config = installed().get_pretrained_cfg(name).to_dict()
    crop = min(config["input_size"][1:])
    # timm resizes to the largest whole number of pixels of which the crop is so large a part.
    return Preparation(
        int(crop / config["crop_pct"]),
        crop,
        tuple(255 * value for value in config["mean"]),
        tuple(255 * value for value in config["std"]),
        config["interpolation"],
    )


def torchvision_weights(name: str) -> Any:
    """Torchvision's default weights of a classifier: where they are, and how pictures are prepared for them."""
    from tepones.common._torchvision import torchvision

    return torchvision.models.get_model_weights(name.removeprefix(TORCHVISION)).DEFAULT


def weights_file(name: str, download: bool) -> Path:
    """File of the published weights of a network of torchvision or timm, in the cache that the library uses.

    Parameters
    ----------
    name : str
        As `canonical` returns it.
    download : bool
        Whether to fetch what the cache lacks.

    Raises
    ------
    TeponesError
        If the file is not there and is not to be fetched, the download fails, or there are no published weights.
    """
    if name in BACKBONES:
        raise TeponesError(f"{name}: a backbone of this project has no published weights; {name}=FILE takes a file")
    return _timm_file(name, download) if name.startswith(TIMM) else _torchvision_file(name, download)


def _torchvision_file(name: str, download: bool) -> Path:
    url = torchvision_weights(name).url
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if download and not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        digits = re.search(r"-([0-9a-f]{8,})\.", path.name)
        try:
            torch.hub.download_url_to_file(url, path, digits and digits[1], progress=False)
        except (OSError, RuntimeError) as error:
            raise _not_fetched(name, url, error) from None
    if not path.is_file():
        raise _not_there(name, f"torch's cache ({path})")
    return path


def _timm_file(name: str, download: bool) -> Path:
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    config = installed().get_pretrained_cfg(name.removeprefix(TIMM))
    repository = config.hf_hub_id
    if not repository:
        raise TeponesError(f"{name}: timm names no published weights for it; {name}=FILE takes them from a file")
    file = config.hf_hub_filename or "model.safetensors"
    found = try_to_load_from_cache(repository, file)
    if isinstance(found, str):
        return Path(found)
    if not download:
        raise _not_there(name, f"the Hugging Face cache ({repository}, {file})")
    try:
        return Path(hf_hub_download(repository, file))
    except Exception as error:  # of many classes, of the hub's own and of its transports
        raise _not_fetched(name, repository, error) from None


def _not_there(name: str, where: str) -> TeponesError:
    plain = name.removeprefix(TORCHVISION)
    return TeponesError(
        f"{plain}: its weights are not in {where}; --download fetches them, {plain}=FILE takes them from a file, "
        "--untrained ranks initial weights"
    )


def _not_fetched(name: str, where: str, error: Exception) -> TeponesError:
    return TeponesError(
        f"{name.removeprefix(TORCHVISION)}: its weights cannot be fetched from {where}: {one_line(error)}"
    )
