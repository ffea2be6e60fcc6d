"""What encoders make of a target's pictures: one decode of each picture, one forward pass of each encoder.

Threads decode pictures and cut them to squares while the encoders run on those before. Sparse encoders run without
their dead channels. What came out is kept for the next ranking.
"""

import copy
import os
import tempfile
import warnings
from collections import defaultdict, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tepones.backbones import from_torchvision
from tepones.backbones.base import Backbone
from tepones.backbones.encoder import Encoder, Preparation
from tepones.common.errors import TeponesError, shown
from tepones.common.progress import progress_bar
from tepones.pruning import budget
from tepones.ranking import cache, networks
from tepones.ranking.onnx_files import OnnxEncoder
from tepones.ranking.pictures import Damaged, listed
from tepones.ranking.target import Target

#: Pictures that go through an encoder at a time. Few, because activations that stay in the cache make a CPU twice as
#: fast at 224 pixels.
BATCH = 16

#: Pictures that are decoded before they are needed.
AHEAD = 2 * BATCH

#: A backbone of fewer zeros than this has no channel to lose; one that saves less than a tenth of the operations is
#: not worth another order of summation.
SPARSE, WORTH = 0.5, 0.9


@dataclass(frozen=True)
class Outputs:
    """What `run` found; there is one row for each picture that could be decoded.

    Attributes
    ----------
    arrays : list of dict of str to ndarray of float32
        For each encoder its ``features``, (n, D), and, if asked for, its source-class ``probabilities``, (n, C_s).
    rows : ndarray of int64, shape (n,)
        Numbers of these pictures among all of the target.
    damaged : tuple of Damaged
        Those that could not be decoded.
    """

    arrays: list[dict[str, np.ndarray]]
    rows: np.ndarray
    damaged: tuple[Damaged, ...]


@contextmanager
def outputs(
    target: Target,
    encoders: Sequence[Encoder | OnnxEncoder],
    keys: Sequence[str | None],
    with_probabilities: bool = False,
) -> Iterator[Outputs]:
    """What encoders make of the pictures of a target, on disk while the context lasts: 4·N·D bytes for each encoder.

    Parameters
    ----------
    target : Target
    encoders : sequence of Encoder
    keys : sequence of str or None
        For each encoder what `tepones.ranking.cache.key_of_encoder` says of it, if what it makes is to be kept, and is
        not to be made again; else None.
    with_probabilities : bool
        Whether source-class probabilities are wanted too: 4·N·C_s bytes more.

    Yields
    ------
    Outputs

    Raises
    ------
    TeponesError
        If all pictures of a class or more than half of all pictures cannot be decoded.
    """
    names = ("features", "probabilities") if with_probabilities else ("features",)
    content = target.content() if target.content and any(keys) else ""
    places = [content and key and f"{content}-{key}" for key in keys]
    kept = [cache.find(place, names) if place else None for place in places]
    with tempfile.TemporaryDirectory(prefix="tepones-") as folder:
        arrays = [
            found.arrays if found else _files(Path(folder, str(number)), encoder, len(target.labels), names)
            for number, (encoder, found) in enumerate(zip(encoders, kept, strict=True))
        ]
        to_run = [number for number, found in enumerate(kept) if found is None]
        if to_run:
            damaged = _run(target, [encoders[number] for number in to_run], [arrays[number] for number in to_run])
        else:
            damaged = {number: target.pictures[number] for found in kept[:1] for number in found.about["damaged"]}
        rows = np.delete(np.arange(len(target.labels)), list(damaged))
        for number in to_run:
            arrays[number] = {name: array[: len(rows)] for name, array in arrays[number].items()}
            if places[number]:
                cache.keep(places[number], arrays[number], {"damaged": list(damaged)})
        yield Outputs(arrays, rows, tuple(damaged.values()))
        arrays.clear()  # Windows removes no file that is still mapped


def _files(folder: Path, encoder: Encoder | OnnxEncoder, n: int, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Empty arrays on disk, a row for each picture."""
    folder.mkdir()
    columns = {"features": encoder.n_features, "probabilities": encoder.n_classes}
    return {name: np.memmap(folder / name, np.float32, "w+", shape=(n, columns[name])) for name in names}


def _run(
    target: Target, encoders: Sequence[Encoder | OnnxEncoder], files: Sequence[Mapping[str, np.ndarray]]
) -> dict[int, Damaged]:
    """Fill the arrays of every encoder; returns the pictures that could not be decoded, by their numbers."""
    damaged: dict[int, Damaged] = {}
    n, done = len(target.labels), 0
    fast = [_without_dead_channels(encoder) for encoder in encoders]
    with progress_bar(n, f"{len(encoders)} backbones on {shown(target.name)}", "images") as bar:
        # Encoders that take the same input share it.
        for squares in _batches(target, {encoder.preparation for encoder in encoders}, damaged):
            inputs = {preparation: preparation.normalise(of_one) for preparation, of_one in squares.items()}
            for encoder, arrays in zip(fast, files, strict=True):
                found = dict(zip(("features", "probabilities"), encoder(inputs[encoder.preparation]), strict=True))
                for name, array in arrays.items():
                    array[done : done + len(found[name])] = found[name]
            done += len(found["features"])
            bar.update(done + len(damaged) - bar.n)
    return damaged


def _batches(
    target: Target, preparations: Collection[Preparation], damaged: dict[int, Damaged]
) -> Iterator[dict[Preparation, list[np.ndarray]]]:
    """The squares that each preparation cuts from `BATCH` pictures at a time; those it cannot go to `damaged`.

    Raises
    ------
    TeponesError
        As soon as no picture of a class can be left, or less than half of all.
    """
    batch: dict[Preparation, list[np.ndarray]] = defaultdict(list)
    lost: dict[int, list[Damaged]] = defaultdict(list)
    for number, squares in enumerate(_squares(target, preparations)):
        if isinstance(squares, Damaged):
            damaged[number] = squares
            lost[target.labels[number]].append(squares)
            _refuse_too_few(target, target.labels[number], lost[target.labels[number]], damaged.values())
            continue
        for preparation, square in squares.items():
            batch[preparation].append(square)
        if len(batch[next(iter(preparations))]) == BATCH:
            yield batch
            batch = defaultdict(list)
    if batch:
        yield batch


def _squares(
    target: Target, preparations: Collection[Preparation]
) -> Iterator[Damaged | dict[Preparation, np.ndarray]]:
    """For each picture the square that each preparation cuts from it, by threads that are `AHEAD` of what is asked for.

    Each thread holds one decoded picture, which may have Pillow's limit of pixels; what waits is squares.
    """

    def square(number: int) -> Damaged | dict[Preparation, np.ndarray]:
        picture = target.pictures[number]
        if isinstance(picture, Damaged):
            return picture
        # Copied, because a square may be a view that keeps the whole picture.
        return {preparation: preparation.square(picture).copy() for preparation in preparations}

    n = len(target.labels)
    with ThreadPoolExecutor(os.cpu_count()) as pool, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # Pillow's remarks on pictures that it can read
        waiting = deque(pool.submit(square, number) for number in range(min(AHEAD, n)))
        try:
            for number in range(n):
                yield waiting.popleft().result()
                if number + AHEAD < n:
                    waiting.append(pool.submit(square, number + AHEAD))
        finally:
            for one in waiting:
                one.cancel()


def _without_dead_channels(encoder: Encoder | OnnxEncoder) -> Encoder | OnnxEncoder:
    """The same encoder, up to rounding, with fewer channels, where that saves enough; else the encoder itself."""
    if isinstance(encoder, OnnxEncoder) or budget.sparsity(encoder) < SPARSE:
        return encoder
    # Here, not above: most networks are not pruned, and the import takes seconds.
    from tepones.pruning.shrink import shrink

    model = encoder.model
    try:
        if encoder.architecture.startswith(networks.TORCHVISION):
            model = from_torchvision.split(copy.deepcopy(model))
        if not isinstance(model, Backbone):
            return encoder
        small = replace(encoder, model=shrink(model), head="classifier")
    except TeponesError:  # its graph depends on its input
        return encoder
    return small if budget.flops(small) < WORTH * budget.flops(encoder) else encoder


def _refuse_too_few(target: Target, label: int, of_class: Sequence[Damaged], damaged: Collection[Damaged]) -> None:
    """Refuse to rank on what is left, after one more damaged picture of a class."""
    if len(of_class) == np.count_nonzero(target.labels == label):
        name = target.classes[label] if target.classes else label
        raise TeponesError(
            f"{shown(target.name)}: no picture of class '{shown(name)}' can be decoded: {listed(of_class)}"
        )
    if 2 * len(damaged) > len(target.labels):
        raise TeponesError(
            f"{shown(target.name)}: more than half of {len(target.labels):,} pictures cannot be decoded: "
            f"{listed(list(damaged))}"
        )
