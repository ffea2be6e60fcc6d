"""The zoo: pruned ladders in files, so that ranking can be tried without training.

A ladder is a folder with one safetensors file for each rung, compressed by gzip, and `manifest.json`, which says what
the rungs are and holds the SHA-256 of each file. Weights of convolutions and linear layers are rounded to half
precision, unless a diverged training has made those of a layer too large for it; all other tensors are exact. What the
manifest says of a rung (accuracy, sparsity, budgets) was measured after rounding. A rung of structured pruning has
fewer channels than its architecture says; sparsity always counts from the dense architecture.

A ladder of a network of one's own, which has no name here, is read into that network: nothing that a manifest names is
ever imported.
"""

import gzip
import hashlib
import io
import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import safetensors.torch
import torch
from pydantic import Field, ValidationError
from torch import nn

from tepones.backbones import BACKBONES
from tepones.backbones.base import Backbone
from tepones.backbones.encoder import LAYERS, Encoder, Preparation
from tepones.backbones.from_module import from_module
from tepones.common import paths
from tepones.common.config import Strict, first_error
from tepones.common.errors import TeponesError, UsageError, choose, one_line, shown
from tepones.common.files import read_whole, write_atomically
from tepones.pruning.budget import budget, compress, nonzero_weights, serialise
from tepones.pruning.masks import n_weights
from tepones.pruning.resize import resize
from tepones.ranking import formats, networks
from tepones.ranking.checkpoints import StoredPreparation

MANIFEST = "manifest.json"
SUFFIX = ".safetensors.gz"

#: Bytes of a manifest: those of the zoo have a hundredth of it.
LARGEST_MANIFEST = 2**19

#: Before the class of a network of one's own, where other networks have their name.
OWN = "own:"

Fraction = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(max_length=100)]


class Rung(Strict):
    """What a manifest says of one rung.

    Attributes
    ----------
    file, sha256 : str
    sparsity : float
        Fraction of the prunable weights of the dense architecture that are zero or gone.
    source_accuracy : float or None
        None if the source has no test images.
    budget : dict
        Fields of `tepones.pruning.budget.Budget`, of the rung as it is stored.
    shrunk : dict
        The same after `tepones.pruning.shrink.shrink`; empty for a network that cannot be shrunk.
    """

    file: Annotated[Name, Field(pattern=r"^[\w.-]+\.safetensors\.gz$")]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    sparsity: Fraction
    source_accuracy: Fraction | None
    budget: dict[str, float]
    shrunk: dict[str, float]


class Manifest(Strict):
    """What a ladder is.

    Attributes
    ----------
    architecture : str
        Name in the registry of backbones; ``own:CLASS`` for a network of one's own, whose class is only told.
    task : dict
        The source task: its name, and how many images.
    side : int
        Pixels of the side of its images.
    method : str
        Criterion and schedule.
    config : dict
        Training before and after pruning, criterion, schedule, scope.
    seed : int
        Of the pre-training.
    values : str
        Type of the stored weights of convolutions and linear layers.
    versions : dict
        Of the libraries that made it.
    rungs : tuple of Rung
        From dense to sparsest.
    preparation : StoredPreparation or None
        How pictures become the input; None for what is usual for the architecture at this side.
    head : str
        Name of the last layer of a network of one's own.
    """

    format: Literal[3]
    architecture: Name
    task: dict[str, Any]
    side: Annotated[int, Field(ge=1, le=4096)]
    method: Name
    config: dict[str, Any]
    seed: int
    values: Literal["float16"]
    versions: dict[str, str]
    rungs: Annotated[tuple[Rung, ...], Field(min_length=1)]
    preparation: StoredPreparation | None = None
    head: str = ""


def folder() -> Path:
    """Where the committed ladders are."""
    return paths.data() / "zoo"


def names() -> list[str]:
    """Committed ladders."""
    return sorted(path.parent.name for path in folder().glob(f"*/{MANIFEST}"))


def manifest(ladder: Path) -> Manifest:
    """The manifest of a ladder's folder; a missing or wrong one raises TeponesError, which names file and field."""
    path = ladder / MANIFEST
    try:
        return Manifest.model_validate_json(read_whole(path, LARGEST_MANIFEST))
    except ValidationError as error:
        raise TeponesError(f"{path}: {first_error(error)}; expected the manifest of a ladder") from None
    except OSError as error:
        raise TeponesError(f"{path}: cannot be read ({error.strerror}); expected the manifest of a ladder") from None
    except ValueError as error:
        raise TeponesError(f"{path}: {error}; expected the manifest of a ladder") from None


def load(ladder: Path, file: str, model: nn.Module | None = None) -> Encoder:
    """Load a rung: the file of this name in the folder of a ladder.

    Parameters
    ----------
    ladder : Path
    file : str
    model : nn.Module, optional
        For a ladder of a network of one's own: the dense network, of which a copy is filled with the stored weights.

    Raises
    ------
    TeponesError
        If the file is missing or its checksum, tensors or sparsity are not those of the manifest.
    UsageError
        If the manifest has no such rung, or it is of a network of one's own and `model` is missing, or the other way.
    """
    about = manifest(ladder)
    rungs = {rung.file: rung for rung in about.rungs}
    choose(f"rung of {ladder.name}", file, rungs)
    path, rung = ladder / file, rungs[file]
    model = _skeleton(path, about, model)
    n_dense, most = n_weights(model), _most(model)
    try:
        content = read_whole(path, most)
    except OSError as error:
        raise TeponesError(f"{path}: cannot be read ({error.strerror}); the manifest expects it") from None
    except ValueError as error:
        raise TeponesError(f"{path}: no rung of {about.architecture} ({error})") from None
    if hashlib.sha256(content).hexdigest() != rung.sha256:
        raise TeponesError(f"{path}: its SHA-256 is not that of {MANIFEST}, {rung.sha256[:12]}…; the file is damaged")
    try:
        state = safetensors.torch.load(_unpack(content, most))
    except Exception as error:  # of many classes, and all of them say that the file is damaged
        raise TeponesError(f"{path}: no rung ({one_line(error)})") from None
    formats.check_names(path, state)
    for name, tensor in state.items():
        # Of a shape without values the bytes are none, but layers of that shape would have biases.
        problem = formats.no_weight(name, tensor) or _not_finite(name, tensor)
        if problem:
            raise TeponesError(f"{path}: no rung ({problem})")
    try:
        resize(model, state)
    except TeponesError as error:
        raise TeponesError(f"{path}: no {about.architecture}: {shown(error)}") from None
    model.load_state_dict(state)
    encoder = Encoder(
        f"{ladder.name}/{file.removesuffix(SUFFIX)}",
        about.architecture,
        model,
        Preparation(**about.preparation.model_dump())
        if about.preparation
        else networks.preparation(about.architecture, about.side),
        {"sparsity": rung.sparsity}
        | ({} if rung.source_accuracy is None else {"source_accuracy": rung.source_accuracy}),
    )
    found = 1 - nonzero_weights(encoder) / n_dense
    if abs(found - rung.sparsity) > 1e-6:
        raise TeponesError(f"{path}: its sparsity is {found:.6f}; {MANIFEST} says {rung.sparsity:.6f}")
    return encoder


def write(
    ladder: Path,
    backbones: Iterable[Backbone],
    about: Mapping[str, Any],
    source_accuracy: Callable[[Backbone], float | None],
) -> None:
    """Write a ladder.

    Parameters
    ----------
    ladder : Path
        Its folder, which is made; the manifest is written last.
    backbones : iterable of Backbone
        The rungs, from dense to sparsest. Their weights are rounded in place.
    about : mapping of str to object
        The fields of `Manifest` that are not measured here: architecture, task, side, method, config, seed, versions,
        and those that may be left out.
    source_accuracy : callable
        What a rounded backbone reaches on the source task, in [0, 1]; None if that is not known.

    Raises
    ------
    TeponesError
        If a weight is infinite or not a number.
    """
    preparation = Preparation(about["side"], about["side"])
    rungs: list[dict[str, Any]] = []
    for level, model in enumerate(backbones):
        if level == 0:
            n_dense = n_weights(model)
        problem = next(filter(None, itertools.starmap(_not_finite, model.state_dict().items())), None)
        if problem:
            raise TeponesError(f"rung {level}: {problem}, which no ladder may hold")
        _round(model)
        encoder = Encoder("", about["architecture"], model, preparation)
        content = compress(serialise(_state(model)))
        file = f"rung-{level:02d}{SUFFIX}"
        write_atomically(ladder / file, content)
        rungs.append(
            {
                "file": file,
                "sha256": hashlib.sha256(content).hexdigest(),
                "sparsity": 1 - nonzero_weights(encoder) / n_dense,
                "source_accuracy": source_accuracy(model),
                "budget": asdict(budget(encoder)),
                "shrunk": _shrunk_budget(encoder),
            }
        )
    whole = {"format": 3, **about, "values": "float16", "rungs": rungs}
    write_atomically(ladder / MANIFEST, (json.dumps(whole, indent=1) + "\n").encode())


def _skeleton(path: Path, about: Manifest, model: nn.Module | None) -> Backbone:
    """A backbone of the architecture of a ladder: built by its name, or a copy of a network of one's own."""
    if about.architecture.startswith(OWN):
        own = shown(about.architecture.removeprefix(OWN))
        if model is None:
            raise UsageError(
                f"{path}: a rung of a network of your own ({own}), which no file can bring; load it into the dense "
                "network: tepones.load(FILE, model)"
            )
        try:
            return from_module(model, about.head, about.side)
        except UsageError as error:
            raise UsageError(f"{path}: a rung of a network of your own ({own}); {error}") from None
    if model is not None:
        raise UsageError(f"{path}: a rung of {shown(about.architecture)}, which is built by name: leave the model out")
    try:
        return BACKBONES.load(about.architecture)(1)
    except UsageError as error:
        raise TeponesError(f"{path}: a ladder is of a backbone; {error}") from None


def _shrunk_budget(encoder: Encoder) -> dict[str, float]:
    """The budget of a shrunk backbone; empty if it cannot be shrunk, which networks of all kinds need not."""
    # Here, not above: reading the zoo does not shrink, and the import takes seconds.
    from tepones.pruning.shrink import shrink

    side = encoder.preparation.crop
    pictures = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    try:
        small = Encoder("", encoder.architecture, shrink(encoder.model), encoder.preparation)
        (found, _), (expected, _) = small(pictures), encoder(pictures)
    except Exception:  # what is known of tracing and cutting a network holds for usual ones; others raise of every kind
        return {}
    if found.shape != expected.shape or not torch.allclose(found, expected, rtol=1e-3, atol=1e-3):
        return {}
    return asdict(budget(small))


def _most(model: nn.Module) -> int:
    """Bytes of a rung of this architecture at most, unpacked or not."""
    # In half precision the weights take half of that; the rest is room for the header and the classifier's classes.
    return 2**20 + sum(tensor.nbytes for tensor in model.state_dict().values())


def _unpack(content: bytes, most: int) -> bytes:
    """Decompress a rung, but no more than it can hold: a small file may unpack to gigabytes."""
    with gzip.open(io.BytesIO(content)) as file:
        unpacked = file.read(most + 1)
    if len(unpacked) > most:
        raise gzip.BadGzipFile(f"unpacks to more than {most:,} bytes")
    return unpacked


def _prunable(model: nn.Module) -> list[torch.Tensor]:
    return [layer.weight for layer in model.modules() if isinstance(layer, LAYERS)]


@torch.no_grad()
def _round(model: nn.Module) -> None:
    """Round to half precision the layers whose weights it can hold: those of a diverged training may be too large."""
    for weight in _prunable(model):
        if _fits(weight):
            weight.copy_(weight.half().float())


def _not_finite(name: str, tensor: torch.Tensor) -> str:
    return "" if tensor.isfinite().all() else f"{shown(name)} has values that are infinite or not a number"


def _fits(weight: torch.Tensor) -> bool:
    return bool(weight.abs().max() <= torch.finfo(torch.float16).max)


def _state(model: nn.Module) -> dict[str, torch.Tensor]:
    halves = {id(weight) for weight in _prunable(model) if _fits(weight)}
    named = dict(model.named_parameters())
    return {
        name: tensor.half() if id(named.get(name)) in halves else tensor for name, tensor in model.state_dict().items()
    }
