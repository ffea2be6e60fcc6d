"""Damaged files of every kind that a ranking reads: each ends in a value or in one line, in bounded time.

A sample by default; `make fuzz` reads 10,000 inputs, or as many as the environment variable `TEPONES_FUZZ` says. An
input is decided by its kind and its number, so that a failure can be had again.
"""

import gzip
import hashlib
import io
import json
import os
import random
import time
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load, save, save_file

import tepones
from tepones.common.errors import TeponesError
from tepones.ranking import formats, pictures, read_features, zoo

INPUTS = int(os.environ.get("TEPONES_FUZZ", "280"))

#: Processor time that one input may take. All but the slowest take a hundredth of it.
SECONDS = 5.0

#: Whole numbers at which programs that count bytes go wrong.
EXTREME = [
    number.to_bytes(size, order)
    for size in (1, 2, 4, 8)
    for number in (0, 1, 2 ** (8 * size - 1) - 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1)
    for order in ("little", "big")
]

#: What a person or program may write for a value of a manifest.
VALUES = [None, True, -1, 0, 1e308, 10**30, "", "x" * 5000, "\x1b[2J", [], {}, [[]], {"a": 1}, "../../x", float("nan")]


def damaged(content: bytes, rng: random.Random) -> bytes:
    """A file's bytes with some of them changed, gone, twice there, or between others."""
    found = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 2, 8])):
        place = rng.randrange(len(found) + 1)
        # Most of a file are values; what they mean is said at its ends.
        place = rng.choice([place, min(place, rng.randrange(300)), max(0, len(found) - rng.randrange(1, 400))])
        length = rng.choice([1, 1, 4, 60])
        kind = rng.choice([0, 0, 0, 1, 1, 2, 3, 4, 5])
        if kind == 0 and place < len(found):
            found[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            extreme = rng.choice(EXTREME)
            found[place : place + len(extreme)] = extreme
        elif kind == 2:
            found[place : place + length] = rng.randbytes(length)
        elif kind == 3:
            del found[place : place + length]
        elif kind == 4:
            found[place:place] = found[place : place + length] * rng.choice([1, 2, 300])
        else:
            del found[place + rng.choice([0, 0, 1000]) :]
    return bytes(found)


def damaged_json(value: object, rng: random.Random) -> object:
    """A value of JSON in which one value inside is another, is gone, or is twice there."""
    if not isinstance(value, dict | list) or not value or rng.random() < 0.2:
        return rng.choice(VALUES)
    value = value.copy()
    key = rng.choice(list(value)) if isinstance(value, dict) else rng.randrange(len(value))
    kind = rng.randrange(9)
    if kind == 0:
        del value[key]
    elif kind == 1 and isinstance(value, list):
        value.append(value[key])
    elif kind == 1:
        value[f"{key}_"] = value[key]
    else:
        value[key] = damaged_json(value[key], rng)
    return value


def inside_archive(content: bytes, rng: random.Random) -> bytes:
    """A damaged file inside of a sound archive, whose checksums fit."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(files))
    name = next((one for one in files if one.endswith("data.pkl") and rng.random() < 0.8), name)
    files[name] = damaged(files[name], rng)
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, held in files.items():
            archive.writestr(name, held)
    return written.getvalue()


class Seeds:
    """Sound files, and how each kind is damaged and read."""

    def __init__(self, folder: Path):
        self.folder = folder
        labels = np.arange(40) % 4
        features = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32) + labels[:, None]
        torch.manual_seed(0)
        state = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).state_dict()
        content = {"state_dict": state, "epoch": 3, "best": np.float64(0.5), "args": {"sizes": (1, (2, 3))}}
        picture = Image.fromarray(np.random.default_rng(0).integers(256, size=(24, 31, 3)).astype(np.uint8))
        np.savez(folder / "x.npz", features=features, labels=labels, probabilities=np.full((40, 5), 0.2))
        picture.save(folder / "x.png", exif=picture.getexif())
        picture.save(folder / "x.jpg")
        save_file(state, folder / "x.safetensors", {"architecture": "small-resnet"})
        torch.save(content, folder / "x.pt")
        torch.save(content, folder / "x.pth", _use_new_zipfile_serialization=False)
        ladder = zoo.folder() / "magnitude-iterative-0"
        self.about = json.loads((ladder / zoo.MANIFEST).read_text())
        self.rung = (ladder / self.about["rungs"][-1]["file"]).read_bytes()
        self.sound = {path.suffix: path.read_bytes() for path in folder.iterdir()}

    def read(self, kind: str, rng: random.Random) -> object:
        """Read a damaged file of a kind."""
        return getattr(self, f"read_{kind}")(rng)

    def read_features(self, rng: random.Random) -> object:
        damage = rng.choice([damaged, inside_archive])
        arrays = read_features(self._file("f.npz", damage(self.sound[".npz"], rng)))
        return tepones.score(scores=["gaussian", "lda_accuracy"], **arrays)

    def read_picture(self, rng: random.Random) -> object:
        suffix = rng.choice([".png", ".jpg"])
        found = pictures.read(self._file(f"p{suffix}", damaged(self.sound[suffix], rng)))
        if isinstance(found, pictures.Damaged):
            raise TeponesError(str(found))
        assert found.dtype == np.uint8 and found.ndim == 3 and found.shape[2] == 3
        return found

    def read_safetensors(self, rng: random.Random) -> object:
        return self._checked(self._file("s.safetensors", damaged(self.sound[".safetensors"], rng)))

    def read_torch(self, rng: random.Random) -> object:
        damage = rng.choice([damaged, inside_archive, inside_archive])
        return self._checked(self._file("t.pt", damage(self.sound[".pt"], rng)))

    def read_torch_before_archives(self, rng: random.Random) -> object:
        return self._checked(self._file("l.pth", damaged(self.sound[".pth"], rng)))

    def read_rung(self, rng: random.Random) -> object:
        about = json.loads(json.dumps(self.about))
        if rng.random() < 0.3:
            content = damaged(self.rung, rng)
        elif rng.random() < 0.5:
            content = gzip.compress(damaged(gzip.decompress(self.rung), rng), 1)
        else:
            state = load(gzip.decompress(self.rung))
            name = rng.choice(list(state))
            shape = [rng.choice([0, 1, side, side + 1, 10**4]) for side in state[name].shape]
            empty = torch.zeros(shape if np.prod(shape, dtype=float) < 10**6 else [0, *shape])
            content = gzip.compress(save(state | {rng.choice([name, f"{name}x"]): empty}), 1)
        rung = about["rungs"][-1] | {"sha256": hashlib.sha256(content).hexdigest()}
        (self.folder / zoo.MANIFEST).write_text(json.dumps(about | {"rungs": [rung]}))
        self._file(rung["file"], content)
        return zoo.load(self.folder, rung["file"])

    def read_manifest(self, rng: random.Random) -> object:
        text = json.dumps(damaged_json(self.about, rng)).encode()
        self._file(zoo.MANIFEST, text if rng.random() < 0.7 else damaged(text, rng))
        about = zoo.manifest(self.folder)
        self._file(about.rungs[-1].file, self.rung)
        return zoo.load(self.folder, about.rungs[-1].file)

    def _file(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def _checked(self, path: Path) -> object:
        contents = formats.read(path)
        for candidate in contents.candidates:
            assert all(tensor.isfinite().all() for tensor in candidate.state.values())
        return contents


KINDS = [name.removeprefix("read_") for name in vars(Seeds) if name.startswith("read_")]


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    return Seeds(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_end_in_a_value_or_in_one_line_in_bounded_time(seeds, kind):
    ends = Counter()
    for number in range(INPUTS // len(KINDS)):
        started = time.process_time()
        try:
            seeds.read(kind, random.Random(f"{kind} {number}"))
            ends["values"] += 1
        except TeponesError as error:
            ends["lines"] += 1
            assert len(str(error).splitlines()) == 1 and len(str(error)) < 2000, (kind, number, error)
        except Exception as error:
            error.add_note(f"input {number} of {kind}")
            raise
        taken = time.process_time() - started
        ends["slow"] += taken > SECONDS / 10
        assert taken < SECONDS, (kind, number, taken)
    print(f"{kind}: {dict(ends)}")
    assert ends["lines"] > ends["values"] / 20 > 0
