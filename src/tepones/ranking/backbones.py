"""What the names that a user gives stand for: files, folders, ladders of the zoo, classifiers of two libraries."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from torch import nn

from tepones.backbones.encoder import Encoder
from tepones.common.errors import TeponesError, UsageError, as_text, shown
from tepones.ranking import checkpoints, formats, networks, onnx_files, zoo
from tepones.ranking.onnx_files import OnnxEncoder
from tepones.ranking.pictures import listed

#: Ends of the names of files that hold a backbone.
SUFFIXES = (*formats.SUFFIXES, onnx_files.SUFFIX)


def load(
    name: str | Path, model: nn.Module | None = None, *, download: bool = False, untrained: bool = False
) -> Encoder | OnnxEncoder:
    """Load the one backbone that a name stands for.

    Parameters
    ----------
    name : str or Path
        As `load_backbones` takes it; of a folder with several checkpoints or rungs, one of these.
    model : nn.Module, optional
        For a rung of a network of your own, which has no name here: that network, dense. A copy of it is filled.
    download, untrained : bool
        As `load_backbones` takes them.

    Returns
    -------
    Encoder or OnnxEncoder
        Called with what its `preparation` makes of pictures, it returns features and source-class probabilities.

    Raises
    ------
    UsageError
        If the name stands for nothing, or for several; if `model` is missing, or not needed.
    TeponesError
        If a file is damaged, or of another network; one line that names it.
    """
    found = list(_loaders(str(name), download, untrained, model))
    if len(found) > 1:
        raise UsageError(f"{shown(name)}: stands for {len(found)} backbones; name one: {listed([o for o, _ in found])}")
    encoder = found[0][1]()
    if model is not None and not (isinstance(encoder, Encoder) and encoder.architecture.startswith(zoo.OWN)):
        raise UsageError(f"{shown(name)}: no rung of a network of your own: leave the model out")
    return encoder


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


def _loaders(
    name: str, download: bool, untrained: bool, model: nn.Module | None = None
) -> Iterator[tuple[str, Callable[[], Encoder | OnnxEncoder]]]:
    """The encoders that a name stands for, each as a name for messages and a function that loads it."""
    path = Path(name)
    architecture, equals, file = name.partition("=")
    program, colon, tensor = name.partition(f"{onnx_files.SUFFIX}:")
    if path.is_dir():
        yield from _inside(path, model)
    elif path.is_file() and (path.parent / zoo.MANIFEST).is_file():
        yield name, lambda: zoo.load(path.parent, path.name, model)
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
            yield name, lambda: zoo.load(zoo.folder() / ladder, f"{rung}{zoo.SUFFIX}", model)
        else:
            yield from _inside(zoo.folder() / ladder, model)


def _inside(folder: Path, model: nn.Module | None) -> Iterator[tuple[str, Callable[[], Encoder | OnnxEncoder]]]:
    """Rungs of a ladder's folder, or checkpoints of any other."""
    if (folder / zoo.MANIFEST).is_file():
        for rung in zoo.manifest(folder).rungs:
            yield f"{folder.name}/{rung.file}", lambda file=rung.file: zoo.load(folder, file, model)
        return
    files = sorted(file for file in folder.iterdir() if file.suffix in SUFFIXES)
    if not files:
        expected = ", ".join(SUFFIXES)
        raise UsageError(f"{folder}: holds no checkpoint; expected files that end in {expected}")
    for file in files:
        yield str(file), lambda file=file: _load_file(file)


def _load_file(path: Path) -> Encoder | OnnxEncoder:
    return onnx_files.load(path) if path.suffix == onnx_files.SUFFIX else checkpoints.load(path)
