"""Checkpoints: files of weights, read so that nothing in them is executed.

A file is a state dictionary in any of the formats that `tepones.ranking.formats` reads. Its architecture is the one
that the user names, else the one in its metadata, else the one whose tensors have these names and shapes
(`tepones.ranking.architectures`). Where it is named and one of timm's, timm's own conversion is tried on other names
too. Its last layer need not be there, nor be the architecture's own: features need none.
How its pictures are prepared is what the user says, else what its metadata say, else what is usual for the
architecture.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from reprlib import repr as short
from typing import Annotated, Literal, NamedTuple, Self

import torch
from pydantic import Field, ValidationError, model_validator
from safetensors.torch import save
from torch import nn

from tepones.backbones import BACKBONES
from tepones.backbones.encoder import Encoder, Preparation
from tepones.common.config import Strict, first_error
from tepones.common.errors import TeponesError, UsageError
from tepones.common.files import write_atomically
from tepones.ranking import architectures, networks
from tepones.ranking.architectures import COUNTER
from tepones.ranking.formats import Candidate, State, few, read

Pixels = Annotated[int, Field(ge=1, le=4096)]
Grey = Annotated[float, Field(allow_inf_nan=False)]
Step = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class StoredPreparation(Strict):
    """What the metadata of a file, or the manifest of a ladder, say of pictures: the fields of `Preparation`."""

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


def load(path: str | Path, architecture: str | None = None, prepared: Preparation | None = None) -> Encoder:
    """Load an encoder from a file.

    Parameters
    ----------
    path : str or Path
        ``.safetensors``, or ``.pt``, ``.pth``, ``.bin``, ``.ckpt``.
    architecture : str, optional
        As `tepones.ranking.networks.canonical` takes it; recognised if left out.
    prepared : Preparation, optional
        How pictures become its input; if left out, as the file's metadata say, else as `networks.preparation` says.

    Returns
    -------
    Encoder
        It `classifies` if the file has a last layer that fits.

    Raises
    ------
    TeponesError
        If the file is damaged, holds a pickle that is more than tensors, the weights of another architecture or of one
        of several, or its metadata are wrong; one line that names the file and what to do.
    UsageError
        If there is no such file, its suffix is another, or the architecture is unknown.
    """
    path = Path(path)
    contents = read(path)
    named, stored = _metadata(path, contents.metadata)
    name = networks.canonical(architecture) if architecture else named
    found = _named(path, name, contents.candidates) if name else _recognised(path, contents.candidates)
    network, head, classifies, left_out = found.assemble()
    prepared = prepared or stored or networks.preparation(found.name)
    notes = (*contents.notes, *([found.note] if found.note else []))
    if left_out:
        notes += (f"left out: {few(left_out)}",)
    elif not classifies:
        notes += ("without its last layer",)
    return Encoder(path.stem, found.name, network, prepared, head=head, classifies=classifies, notes=notes)


def of_library(name: str, download: bool = False, untrained: bool = False) -> Encoder:
    """A classifier of torchvision or timm by its name, with its published weights from the library's cache.

    Weights that the cache lacks are fetched if `download` is true. If `untrained` is true, the initial weights take
    their place, as a control, and the encoder's `trained` is False.

    Raises
    ------
    TeponesError
        If the weights are not in the cache and are not to be fetched, the download fails, or the cached file is
        damaged.
    UsageError
        If there is no such classifier.
    """
    full = networks.canonical(name)
    if untrained:
        return Encoder(name, full, networks.build(full, 1000), networks.preparation(full), trained=False)
    encoder = load(networks.weights_file(full, download), full)
    encoder.name = name
    return encoder


def write(path: str | Path, model: nn.Module, architecture: str, prepared: Preparation | None = None) -> None:
    """Write a safetensors file whose metadata say what `load` needs to know: architecture and preparation.

    The architecture is one that `tepones.ranking.networks.canonical` takes; its preparation is that of
    `networks.preparation` if no other is given.
    """
    name = networks.canonical(architecture)
    state = {key: tensor.contiguous() for key, tensor in model.state_dict().items()}
    about = json.dumps(asdict(prepared or networks.preparation(name)))
    write_atomically(Path(path), save(state, {"architecture": name, "preparation": about}))


#: Names that only networks of the library transformers have: of what takes the picture.
_TRANSFORMERS = re.compile(r"\bembeddings\.patch_embedding|\bembedder\.embedder\.|\.convolution\.weight$")

#: Stands for a tensor that is not there.
_NOTHING = torch.empty(0)


class _Found(NamedTuple):
    """Weights of a file, and the network that they are of.

    Attributes
    ----------
    name : str
        As `networks.canonical` returns it.
    as_backbone : bool
        Whether the tensors are named as those of this project's backbones: of a classifier of a library, ``encoder``
        and ``classifier``.
    state : dict of str to torch.Tensor
    heads : tuple of str
        Layers of the file that may be the last one.
    note : str
        How the file's tensors became these, for people.
    """

    name: str
    as_backbone: bool
    state: State
    heads: tuple[str, ...]
    note: str

    def assemble(self) -> tuple[nn.Module, str, bool, list[str]]:
        """The network with these weights, the name of its last layer, whether that is the file's, what is left over."""
        last = next((head for head in self.heads if self.state.get(f"{head}.weight", _NOTHING).ndim > 1), "")
        weight = self.state[f"{last}.weight"] if last else _NOTHING
        network = _build(self.name, self.as_backbone, len(weight) or 1)
        head = networks.heads(network)[0]
        parts = network.get_submodule(head).state_dict()
        loaded = {f"{head}.{part}": f"{last}.{part}" for part in parts}
        # By name, not by leaving out the file's heads: one of these may be called as a part of the encoder begins.
        heads = tuple(f"{layer}." for layer in networks.heads(network))
        loaded |= {name: name for name in network.state_dict() if name not in loaded}
        fits = {
            name: self.state.get(loaded[name], _NOTHING).shape == value.shape
            for name, value in network.state_dict().items()
        }
        classifies = all(fit for name, fit in fits.items() if name.startswith(heads))
        used = [name for name, fit in fits.items() if fit and (classifies or not name.startswith(heads))]
        network.load_state_dict({name: self.state[loaded[name]] for name in used}, strict=False)
        left_out = self.state.keys() - {loaded[name] for name in used}
        return network, head, classifies, [name for name in self.state if name in left_out]


def _build(name: str, as_backbone: bool, n_classes: int) -> nn.Module:
    if not as_backbone:
        return networks.build(name, n_classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return BACKBONES.load(name)(n_classes)


def _recognised(path: Path, candidates: Sequence[Candidate]) -> _Found:
    """The first reading of a file that is of an architecture in the list."""
    for one in candidates:
        try:
            match = architectures.recognise({name: tensor.shape for name, tensor in one.state.items()})
        except TeponesError as error:
            raise TeponesError(f"{path}: {error}") from None
        if match:
            heads = (*match.architecture.heads.split(), *match.heads)
            return _Found(match.architecture.name, False, one.state, heads, one.note)
    state, note = candidates[0].state, candidates[-1].note
    _refuse_transformers(path, state)
    stripped = f" or {note}" if note else ""
    raise TeponesError(
        f"{path}: its {len(state)} tensors ({few(state)}) are of no architecture known here, as they are{stripped}; if "
        "it is one of torchvision or timm, name it: ARCHITECTURE=FILE"
    )


def _named(path: Path, name: str, candidates: Sequence[Candidate]) -> _Found:
    """The first reading of a file that is of a given architecture, named as its library or as this project names it."""
    forms = [False] if name in BACKBONES else [False, True]
    for as_backbone in forms:
        for one in candidates:
            if _misfit(name, as_backbone, one.state) is None:
                heads = tuple(_heads_in(name, as_backbone, one.state))
                return _Found(name, as_backbone, one.state, heads, one.note)
    for one in candidates:
        converted = _converted(name, one)
        if converted:
            return converted
    _refuse_transformers(path, candidates[0].state)
    problem = _misfit(name, False, candidates[0].state)
    raise TeponesError(f"{path}: no {name}: {problem}; it holds {few(candidates[0].state)}")


def _converted(name: str, one: Candidate) -> _Found | None:
    """A reading whose names timm converts to those of a given architecture."""
    state = networks.converted(name, one.state)
    if state is None or _misfit(name, False, state) is not None:
        return None
    # A projection that timm makes a last layer of gets a bias that no file holds: it is no classifier.
    held = {tensor.untyped_storage().data_ptr() for tensor in one.state.values()}
    heads = tuple(f"{head}." for head in _skeleton(name, False)[0])
    state = {
        key: tensor
        for key, tensor in state.items()
        if not key.startswith(heads) or tensor.untyped_storage().data_ptr() in held
    }
    resized = [key for key, tensor in state.items() if key in one.state and tensor.numel() != one.state[key].numel()]
    how = f"converted by timm, which resized {few(resized)}" if resized else "converted by timm"
    note = f"{one.note}, {how}" if one.note else how
    return _Found(name, False, state, tuple(_heads_in(name, False, state)), note)


def _refuse_transformers(path: Path, state: State) -> None:
    """Tell files in the names of the library transformers as such."""
    theirs = [name for name in state if _TRANSFORMERS.search(name)]
    if theirs:
        raise TeponesError(
            f"{path}: its tensors are named as those of the library transformers ({few(theirs)}), which timm does not "
            "convert; load it there, and rank the module in Python: tepones.ranking.encoder_of(module, name)"
        )


def _heads_in(name: str, as_backbone: bool, state: State) -> Iterator[str]:
    """Layers of a file that are no part of the encoder of an architecture."""
    heads, shapes = _skeleton(name, as_backbone)
    yield from heads
    yield from dict.fromkeys(key.rpartition(".")[0] for key in state if key not in shapes)


@cache
def _skeleton(name: str, as_backbone: bool) -> tuple[tuple[str, ...], dict[str, tuple[int, ...]]]:
    """Names of the last layers, and shapes of all other tensors."""
    with networks.OnMeta():
        model = _build(name, as_backbone, 1)
    heads = tuple(networks.heads(model))
    left_out = tuple(f"{head}." for head in heads)
    shapes = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items() if not key.startswith(left_out)}
    return heads, shapes


def _misfit(name: str, as_backbone: bool, state: State) -> str | None:
    """What is wrong with the encoder of a state of this architecture: the first tensor that does not fit."""
    heads, shapes = _skeleton(name, as_backbone)
    for key, shape in shapes.items():
        if key not in state:
            if not key.endswith(COUNTER):
                return f"tensor {key} is missing; expected shape {shape}"
        elif tuple(state[key].shape) != shape:
            return f"tensor {key} has shape {tuple(state[key].shape)}; expected {shape}"
    # What is called as a part of the encoder is called, and is none, shows that it is another network.
    parts = {key.partition(".")[0] for key in shapes} - {head.partition(".")[0] for head in heads}
    strange = (
        key for key in state if key not in shapes and key.partition(".")[0] in parts and not key.endswith(COUNTER)
    )
    return next((f"tensor {key} is not expected" for key in strange), None)


def _metadata(path: Path, written: Mapping[str, str]) -> Metadata:
    """What `write` wrote, checked; entries of other programs are passed over."""
    architecture = written.get("architecture")
    if architecture is not None:
        try:
            architecture = networks.canonical(architecture)
        except UsageError:
            raise TeponesError(
                f"{path}: its metadata name the architecture {short(architecture)}, which is not known here; "
                "remove it, and name a known one: ARCHITECTURE=FILE"
            ) from None
    if "preparation" not in written:
        return architecture, None
    try:
        prepared = StoredPreparation.model_validate_json(written["preparation"])
    except ValidationError as error:
        raise TeponesError(f"{path}: preparation in its metadata: {first_error(error)}") from None
    return architecture, Preparation(**prepared.model_dump())
