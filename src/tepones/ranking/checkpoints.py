"""Checkpoints: files of weights, read so that nothing in them is executed.

A file is a state dictionary: ``.safetensors``, or a torch file that needs no more than tensors. Its architecture is
the one that the user names, else the one in its metadata, else the one whose tensors have these names and shapes.
How its pictures are prepared is what the user says, else what its metadata say, else what is usual for the
architecture.
"""

import json
import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from reprlib import repr as short
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field, ValidationError, model_validator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn
from torch.overrides import TorchFunctionMode

from tepones.backbones import BACKBONES
from tepones.backbones.base import IMAGENET_MEAN, IMAGENET_STD
from tepones.backbones.encoder import Encoder, Preparation, last_layer
from tepones.common.config import Strict, first_error
from tepones.common.errors import TeponesError, UsageError, one_line
from tepones.common.files import write_atomically

State = dict[str, torch.Tensor]

#: Pixels of the side of a backbone's source images, where nothing else is said of it.
SIDE = 32

#: Bytes by which torch tells its archives from pickles.
SHORTEST = 4
SAFETENSORS = ".safetensors"
TORCH = (".pt", ".pth", ".bin", ".ckpt")
SUFFIXES = (SAFETENSORS, *TORCH)

#: Their published weights were trained on other grey levels, which the model makes of the usual ones.
_OPTIONS = {name: {"transform_input": True, "init_weights": False} for name in ("googlenet", "inception_v3")}

#: Stands for the number of classes in the shapes of an architecture; no layer is this wide.
_CLASSES = 9973

Pixels = Annotated[int, Field(ge=1, le=4096)]
Grey = Annotated[float, Field(allow_inf_nan=False)]
Step = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Preparation(Strict):
    """What the metadata of a file say of its pictures: the fields of `Preparation`."""

    resize: Pixels
    crop: Pixels
    mean: tuple[Grey, Grey, Grey]
    std: tuple[Step, Step, Step]
    resampling: Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.crop > self.resize:
            raise ValueError(f"crop {self.crop} is larger than resize {self.resize}")
        return self


#: What a file says of itself, None where it says nothing: architecture and preparation.
Metadata = tuple[str | None, Preparation | None]

#: A counter that old checkpoints lack and that changes nothing.
_COUNTER = "num_batches_tracked"


def architectures() -> list[str]:
    """Names of this project's backbones and of torchvision's classifiers."""
    return [*BACKBONES, *torchvision_names()]


@cache
def torchvision_names() -> tuple[str, ...]:
    """Names of torchvision's classifiers."""
    from tepones.common._torchvision import torchvision

    return tuple(torchvision.models.list_models(module=torchvision.models))


def build(architecture: str, n_classes: int) -> nn.Module:
    """A classifier with initial weights, the same ones each time.

    Raises
    ------
    UsageError
        If the architecture is unknown.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if _is_ours(architecture):
            return BACKBONES.load(architecture)(n_classes)
        if architecture not in torchvision_names():
            raise UsageError(
                f"unknown architecture {architecture!r}; choose from: {', '.join(sorted(BACKBONES))}, "
                "or a torchvision classifier such as resnet18"
            )
        from tepones.common._torchvision import torchvision

        options = _OPTIONS.get(architecture, {})
        return torchvision.models.get_model(architecture, weights=None, num_classes=n_classes, **options)


def _is_ours(architecture: str) -> bool:
    """Whether this is a backbone of the study: registered, or ``torchvision:NAME``."""
    return architecture in BACKBONES or architecture.startswith("torchvision:")


def preparation(architecture: str, side: int | None = None) -> Preparation:
    """How pictures become the input of an architecture.

    Parameters
    ----------
    architecture : str
        One of `architectures()`, or ``torchvision:NAME``.
    side : int, optional
        Pixels of the side of the square images that the weights were trained on. If left out: for a torchvision
        classifier, whichever way its name is written, what its published weights want; for others `SIDE`.
    """
    if architecture in BACKBONES:
        return Preparation(side or SIDE, side or SIDE)
    if side is not None:
        return Preparation(side, side, IMAGENET_MEAN, IMAGENET_STD)
    published = _published(architecture).transforms()
    return Preparation(
        published.resize_size[0],
        published.crop_size[0],
        tuple(255 * value for value in published.mean),
        tuple(255 * value for value in published.std),
        published.interpolation.value,
    )


def load(path: str | Path, architecture: str | None = None, prepared: Preparation | None = None) -> Encoder:
    """Load an encoder from a file.

    Parameters
    ----------
    path : str or Path
        ``.safetensors``, or ``.pt``, ``.pth``, ``.bin``, ``.ckpt``.
    architecture : str, optional
        One of `architectures()`; recognised if left out.
    prepared : Preparation, optional
        How pictures become its input; if left out, as the file's metadata say, else as `preparation` says.

    Returns
    -------
    Encoder

    Raises
    ------
    TeponesError
        If the file is truncated, holds a pickle that is more than tensors, or the weights of another
        architecture, or its metadata are wrong; one line that names the file and what was expected.
    UsageError
        If there is no such file, its suffix is another, or the architecture is unknown.
    """
    path = Path(path)
    state, (named, stored) = _read(path)
    architecture = architecture or named or _recognise(state, path)
    model = _assemble(state, architecture, path)
    return Encoder(path.stem, architecture, model, prepared or stored or preparation(architecture))


def from_torchvision(architecture: str, download: bool = False, untrained: bool = False) -> Encoder:
    """A torchvision classifier by its name, with its published weights from torch's cache.

    Weights that the cache lacks are fetched if `download` is true. If `untrained` is true, the initial weights take
    their place, as a control, and the encoder's `trained` is False.

    Raises
    ------
    TeponesError
        If the weights are not in the cache and are not to be fetched, the download fails, or the cached file is
        damaged.
    """
    published = _published(architecture)
    if untrained:
        model = build(architecture, len(published.meta["categories"]))
        return Encoder(architecture, architecture, model, preparation(architecture), trained=False)
    path = Path(torch.hub.get_dir()) / "checkpoints" / published.url.rpartition("/")[2]
    if download and not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        digits = re.search(r"-([0-9a-f]{8,})\.", path.name)
        try:
            torch.hub.download_url_to_file(published.url, path, digits and digits[1], progress=False)
        except (OSError, RuntimeError) as error:
            raise TeponesError(f"{architecture}: its weights cannot be fetched from {published.url}: {error}") from None
    if not path.is_file():
        raise TeponesError(
            f"{architecture}: its weights are not in torch's cache ({path}); --download fetches them, "
            f"{architecture}=FILE takes them from a file, --untrained ranks initial weights"
        )
    encoder = load(path, architecture)
    encoder.name = architecture
    return encoder


def write(path: str | Path, model: nn.Module, architecture: str, prepared: Preparation | None = None) -> None:
    """Write a safetensors file whose metadata say what `load` needs to know: architecture and preparation.

    The architecture is one of `architectures()`, or ``torchvision:NAME``; its preparation is that of `preparation` if
    no other is given.
    """
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    about = json.dumps(asdict(prepared or preparation(architecture)))
    write_atomically(Path(path), save(state, {"architecture": architecture, "preparation": about}))


def _read(path: Path) -> tuple[State, Metadata]:
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path}: expected a checkpoint that ends in {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    return _read_safetensors(path) if path.suffix == SAFETENSORS else (_read_torch(path), (None, None))


def _read_safetensors(path: Path) -> tuple[State, Metadata]:
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, _metadata(path, file.metadata() or {})  # noqa: SIM118
    except SafetensorError as error:
        raise TeponesError(f"{path}: no complete safetensors file ({one_line(error)})") from None


def _metadata(path: Path, written: Mapping[str, str]) -> Metadata:
    """What `write` wrote, checked; entries of other programs are passed over."""
    architecture = written.get("architecture")
    if architecture is not None and not (_is_ours(architecture) or architecture in torchvision_names()):
        raise TeponesError(
            f"{path}: its metadata name the architecture {short(architecture)}, which is not known here; "
            "remove it, and name a known one: ARCHITECTURE=FILE"
        )
    if "preparation" not in written:
        return architecture, None
    try:
        prepared = _Preparation.model_validate_json(written["preparation"])
    except ValidationError as error:
        raise TeponesError(f"{path}: preparation in its metadata: {first_error(error)}") from None
    return architecture, Preparation(**prepared.model_dump())


def _read_torch(path: Path) -> State:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles that are refused below
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        if path.stat().st_size < SHORTEST:
            raise TeponesError(f"{path}: no complete torch file (it has {path.stat().st_size} bytes)") from None
        raise TeponesError(
            f"{path}: holds a pickle that is more than tensors, which is never executed; expected a state dictionary "
            "(torch.save(model.state_dict(), ...)) or a safetensors file"
        ) from None
    except (RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise TeponesError(f"{path}: no complete torch file ({one_line(error)})") from None
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise TeponesError(f"{path}: expected a state dictionary, names to tensors")
    return dict(content)


def _recognise(state: State, path: Path) -> str:
    """The architecture whose tensors have these names and, up to the number of classes, these shapes."""
    n_weights = sum(tensor.numel() for tensor in state.values())

    def unlikely(name: str) -> int:
        return 0 if name in BACKBONES else abs(_published(name).meta["num_params"] - n_weights)

    # The published number of weights is a hint that saves seconds; the tensors decide.
    for name in sorted(architectures(), key=unlikely):
        if _misfit(name, state) is None:
            return name
    raise TeponesError(
        f"{path}: its {len(state)} tensors are of no architecture known here; expected a state dictionary of "
        f"{', '.join(sorted(BACKBONES))} or of a torchvision classifier"
    )


def _assemble(state: State, architecture: str, path: Path) -> nn.Module:
    """A model with the weights of a file, which may hold no other tensors and none of another shape."""
    misfit = _misfit(architecture, state)
    if misfit:
        raise TeponesError(f"{path}: no {architecture}: {misfit}")
    model = build(architecture, len(state[_skeleton(architecture)[0]]))
    model.load_state_dict(state, strict=False)
    return model


def _published(architecture: str) -> Any:
    """Torchvision's default weights of a classifier: where they are, and how pictures are prepared for them."""
    from tepones.common._torchvision import torchvision

    return torchvision.models.get_model_weights(architecture.removeprefix("torchvision:")).DEFAULT


class _OnMeta(TorchFunctionMode):
    """Weights without memory. Not `torch.device("meta")`: regnets compute their widths with small tensors."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        """Let the functions that weights are made by make them on the meta device."""
        if function in (torch.empty, torch.zeros, torch.ones):
            kwargs = {**(kwargs or {}), "device": "meta"}
        return function(*args, **(kwargs or {}))


@cache
def _skeleton(architecture: str) -> tuple[str, dict[str, tuple[int, ...]]]:
    """Name of the last layer's weight, and shapes of all tensors with `_CLASSES` for the number of classes."""
    with _OnMeta():
        model = build(architecture, _CLASSES)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    return f"{last_layer(model)}.weight", shapes


def _misfit(architecture: str, state: State) -> str | None:
    """What is wrong with a state of this architecture: the first tensor that does not fit."""
    head, shapes = _skeleton(architecture)
    if head not in state or not state[head].ndim:
        return f"tensor {head} is missing"
    n_classes = len(state[head])
    for name, shape in shapes.items():
        shape = tuple(n_classes if size == _CLASSES else size for size in shape)
        if name not in state:
            if not name.endswith(_COUNTER):
                return f"tensor {name} is missing; expected shape {shape}"
        elif tuple(state[name].shape) != shape:
            return f"tensor {name} has shape {tuple(state[name].shape)}; expected {shape}"
    return next((f"tensor {name} is not expected" for name in state if name not in shapes), None)
