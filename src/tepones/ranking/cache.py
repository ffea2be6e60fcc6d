"""What earlier rankings found, kept by the content of all that decides it: a second one runs no network again.

It lies in the folder that ``TEPONES_CACHE`` names, else in the cache folder of the user. Anything in it may be removed
at any time; what is damaged, or cannot be read or written, is as if it were not there. Only what was loaded from files
or by name is kept: of a network that was made in Python nobody knows the code.
"""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tepones.backbones.encoder import Encoder
from tepones.common import paths
from tepones.common.files import content_hash, write_atomically
from tepones.ranking.onnx_files import OnnxEncoder

#: Bytes that the cache may take; beyond that what was not used for longest goes.
LARGEST = 4 * 2**30

_DECIDING = ("onnxruntime", "pillow", "timm", "torch", "torchvision")
_ABOUT = "about.json"


def key_of_encoder(encoder: Encoder | OnnxEncoder) -> str:
    """Hash of an encoder that was loaded from files: its weights, architecture, preparation, and the code behind them.

    Cost: one pass over the weights, about a second for each GB.
    """
    hashed = hashlib.sha256(_code().encode())
    hashed.update(json.dumps([encoder.classifies, asdict(encoder.preparation)]).encode())
    if isinstance(encoder, OnnxEncoder):
        hashed.update(json.dumps([encoder.content, encoder.feature]).encode())
        return hashed.hexdigest()
    hashed.update(json.dumps([encoder.architecture, encoder.head]).encode())
    for name, tensor in encoder.model.state_dict().items():
        hashed.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        hashed.update(tensor.contiguous().numpy())
    return hashed.hexdigest()


def remembered(kind: str, key: str, compute: Callable[[], dict[str, float | None]]) -> dict[str, float | None]:
    """Numbers of one kind, as they were kept under a key, else as they are computed."""
    path = paths.cache() / kind / f"{key}.json"
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        found = compute()
    with suppress(OSError):  # a disk that is full or read-only: they are computed again next time
        write_atomically(path, json.dumps(found).encode())
    return found


class Kept(NamedTuple):
    """Arrays that `keep` kept, memory-mapped, by their names, and what was said of them."""

    arrays: dict[str, np.ndarray]
    about: dict[str, Any]


def find(key: str, names: Collection[str]) -> Kept | None:
    """What `keep` kept under a key; None unless arrays of all these names are there, whole.

    Cost: one pass over the arrays, whose checksums are compared.
    """
    folder = _folder(key)
    try:
        about = json.loads((folder / _ABOUT).read_bytes())
        if any(content_hash(folder / f"{name}.npy") != about["sha256"][name] for name in names):
            return None
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in names}
        os.utime(folder / _ABOUT)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Kept(arrays, about)


def keep(key: str, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
    """Keep arrays, and what is said of them as JSON, under a key, in the place of what was there."""
    folder = _folder(key)
    unfinished = folder.with_name(f".{key}.{uuid.uuid4().hex}.tmp")
    try:
        unfinished.mkdir(parents=True)
        for name, array in arrays.items():
            np.save(unfinished / f"{name}.npy", array, allow_pickle=False)
        sums = {name: content_hash(unfinished / f"{name}.npy") for name in arrays}
        (unfinished / _ABOUT).write_text(json.dumps({**about, "sha256": sums}), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(unfinished, folder)
        _trim(folder.parent)
    except OSError:  # a disk that is full or read-only, or another process that was first
        shutil.rmtree(unfinished, ignore_errors=True)


def _folder(key: str) -> Path:
    return paths.cache() / "features" / key


def _trim(folder: Path) -> None:
    """Remove entries, least recently used first, until the rest takes at most `LARGEST` bytes."""
    entries = sorted((about.stat().st_mtime, about.parent) for about in folder.glob(f"*/{_ABOUT}"))
    sizes = {entry: sum(file.stat().st_size for file in entry.iterdir()) for _, entry in entries}
    total = sum(sizes.values())
    for _, entry in entries[:-1]:
        if total <= LARGEST:
            return
        shutil.rmtree(entry, ignore_errors=True)
        total -= sizes[entry]


@cache
def _versions() -> list[str | None]:
    """Versions of `_DECIDING`, None of what is not installed. Finding them takes longer than hashing small weights."""
    found = {name: list(metadata.distributions(name=name)) for name in _DECIDING}
    return [own[0].version if own else None for own in found.values()]


def _code() -> str:
    """The versions of the libraries that run networks and decode pictures, and this project's code that uses them."""
    from tepones.backbones import encoder
    from tepones.ranking import networks, onnx_files, outputs, pictures

    sources = [Path(module.__file__).read_bytes() for module in (encoder, networks, onnx_files, outputs, pictures)]
    return json.dumps([_versions(), *(hashlib.sha256(source).hexdigest() for source in sources)])
