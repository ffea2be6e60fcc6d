"""What the names that a user gives stand for: files, folders, ladders of the zoo, classifiers of two libraries."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tepones.backbones.encoder import Encoder
from tepones.common.errors import TeponesError, UsageError, as_text
from tepones.ranking import checkpoints, formats, networks, onnx_files, zoo
from tepones.ranking.onnx_files import OnnxEncoder

#: Ends of the names of files that hold a backbone.
SUFFIXES = (*formats.SUFFIXES, onnx_files.SUFFIX)


def load_backbones(
    names: Sequence[str | Path], download: bool = False, untrained: bool = False
) -> tuple[list[Encoder | OnnxEncoder], list[dict[str, object]]]:
    """Load the backbones that names stand for; one that cannot be loaded does not stop the others.

    Parameters
    ----------
    names : sequence of str or Path
        Each is a checkpoint file, ``ARCHITECTURE=FILE``, an ONNX file, ``FILE.onnx:TENSOR`` (whose features are made of
        that tensor), a folder of such files, a folder of a ladder, a ladder of the zoo, ``LADDER/RUNG``, or a
        classifier of torchvision (``resnet18``) or timm (``timm:resnet18``). What is there as a file or folder is one.
    download : bool
        Whether to fetch published weights of such classifiers that the cache of their library lacks.
    untrained : bool
        Whether names of such classifiers stand for their initial weights, as a control.

    Returns
    -------
    encoders : list of Encoder or OnnxEncoder
        No two of the same name.
    failures : list of dict
        Rows of `Ranking.left_out`.
    """
    encoders: dict[str, Encoder | OnnxEncoder] = {}
    failures: list[dict[str, object]] = []
    for name in map(str, names):
        try:
            loaders = list(_loaders(name, download, untrained))
        except TeponesError as error:
            failures.append(left_out_row(name, error))
            continue
        for one, load in loaders:
            try:
                encoder = load()
            except TeponesError as error:
                failures.append(left_out_row(one, error))
                continue
            encoder.name = one if encoder.name in encoders else encoder.name
            encoders.setdefault(encoder.name, encoder)
    return list(encoders.values()), failures


def left_out_row(name: str, error: TeponesError) -> dict[str, object]:
    """Row of `tepones.ranking.Ranking.left_out` for a backbone that failed."""
    reason = str(error).removeprefix(f"{name}: ")
    return {"backbone": as_text(name), "reason": as_text(reason), "failed": True}


def _loaders(name: str, download: bool, untrained: bool) -> Iterator[tuple[str, object]]:
    """The encoders that a name stands for, each as a name for messages and a function that loads it."""
    path = Path(name)
    architecture, equals, file = name.partition("=")
    program, colon, tensor = name.partition(f"{onnx_files.SUFFIX}:")
    if path.is_dir():
        yield from _inside(path)
    elif path.is_file() and (path.parent / zoo.MANIFEST).is_file():
        yield name, lambda: zoo.load(path.parent, path.name)
    elif path.is_file():
        yield name, lambda: _load_file(path)
    elif equals:
        yield name, lambda: checkpoints.load(file, architecture)
    elif colon:
        yield name, lambda: onnx_files.load(f"{program}{onnx_files.SUFFIX}", tensor)
    elif path.suffix in SUFFIXES:
        yield name, lambda: _load_file(path)
    elif networks.is_of_library(name):
        yield name, lambda: checkpoints.of_library(name, download, untrained)
    else:
        ladder, _, rung = name.partition("/")
        if ladder not in zoo.names():
            raise UsageError(
                f"{name}: no file, folder, classifier of torchvision or timm, or ladder of the zoo; "
                f"ladders are: {', '.join(zoo.names()) or 'none'}"
            )
        if rung:
            yield name, lambda: zoo.load(zoo.folder() / ladder, f"{rung}{zoo.SUFFIX}")
        else:
            yield from _inside(zoo.folder() / ladder)


def _inside(folder: Path) -> Iterator[tuple[str, object]]:
    """Rungs of a ladder's folder, or checkpoints of any other."""
    if (folder / zoo.MANIFEST).is_file():
        for rung in zoo.manifest(folder).rungs:
            yield f"{folder.name}/{rung.file}", lambda file=rung.file: zoo.load(folder, file)
        return
    files = sorted(file for file in folder.iterdir() if file.suffix in SUFFIXES)
    if not files:
        expected = ", ".join(SUFFIXES)
        raise UsageError(f"{folder}: holds no checkpoint; expected files that end in {expected}")
    for file in files:
        yield str(file), lambda file=file: _load_file(file)


def _load_file(path: Path) -> Encoder | OnnxEncoder:
    return onnx_files.load(path) if path.suffix == onnx_files.SUFFIX else checkpoints.load(path)
