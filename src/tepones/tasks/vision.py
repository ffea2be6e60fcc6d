"""Photographs as tasks: official splits where a data set has them, seeded ones elsewhere.

A data set without an official split is split by the seed: of each class one fifth of the pictures, rounded up, is
for testing. Whichever the split, no more than the wanted number of each class is decoded; and on request every picture
that is not for training is a test picture.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from PIL import Image

from tepones.common.errors import TeponesError, UsageError
from tepones.tasks.base import Task, check_classes
from tepones.tasks.folder import decode, open_folder
from tepones.tasks.sources import SOURCES, how_to_get, locate, open_dataset, places

#: Pictures (files; arrays for CIFAR) and their labels, an int64 array of the same length.
Part = tuple[Sequence[Path | np.ndarray], np.ndarray]
#: Names of the classes, training part, test part (None: not split officially).
Listing = tuple[tuple[str, ...], Part, Part | None]

_CALTECH = {
    "Caltech101": "101_ObjectCategories/{category}/image_{number:04d}.jpg",
    "Caltech256": "256_ObjectCategories/{category}/{label:03d}_{number:04d}.jpg",
}


def vision(
    name: str,
    train_per_class: int,
    test_per_class: int | None = None,
    pixels: int = 32,
    classes: int | None = None,
    seed: int = 0,
) -> Task:
    """Load a data set of photographs; nothing is downloaded.

    Parameters are those of `tepones.tasks.load`; the name is one of `SOURCES`. Fewer images are a subset of more. The
    central square of each picture is resized (bicubic, antialiased). The seed decides the choice of images, and the
    split where there is no official one; `imagenet-samples` has no test images. Frames of one track of GTSRB are never
    divided between training and testing. Cost: about 0.2 ms for each image of 64×64 pixels on one core.

    Raises
    ------
    UsageError
        If the data set is not there, has another number of classes, or a class lacks pictures.
    TeponesError
        If the copy is partial or a picture is damaged; names the file.
    """
    path = locate(name)
    if path is None:
        raise UsageError(f"{name}: not found; looked in {' and '.join(map(str, places(name)))}; {how_to_get(name)}")
    names, train, test = _list(name, path)
    check_classes(name, path, len(names), SOURCES[name].n_classes if classes is None else classes)
    generator = np.random.default_rng([crc32(name.encode()), seed])
    groups = _groups(name, train)
    if test is None:
        held_out = _hold_out(train[1], groups, generator)
        train, test = _part(train, ~held_out), _part(train, held_out)
        groups = groups[~held_out]
    for part, kind in ((train, "training"), (test, "test")):
        lacking = np.flatnonzero(np.bincount(part[1], minlength=len(names)) == 0)
        if len(lacking) and name != "imagenet-samples":
            raise UsageError(f"{name}: class {names[lacking[0]]!r} in {path} has no {kind} picture")
    chosen = _choose(train[1], groups, train_per_class, generator)
    if test_per_class is None:
        unused = _part(train, ~np.isin(groups, groups[chosen]))
        test = [*test[0], *unused[0]], np.concatenate([test[1], unused[1]])
    groups = _groups(name, test)
    tested = _choose(test[1], groups, len(groups) if test_per_class is None else test_per_class, generator)
    return Task(name, names, *_read(train, chosen, pixels), *_read(test, tested, pixels), groups[tested])


def _list(name: str, path: Path) -> Listing:
    """Every picture of a data set with its label; none is decoded."""
    if name == "tiny-imagenet":
        return _tiny_imagenet(path)
    if name == "imagenet-samples":
        files = sorted(path.glob("n*_*.JPEG"))
        return tuple(file.stem for file in files), (files, np.arange(len(files))), ([], np.arange(0))
    if SOURCES[name].dataset and path == places(name)[0]:
        return _official(name, path)
    return _image_folder(name, path)


def _official(name: str, path: Path) -> Listing:
    """A data set of torchvision's, in torchvision's layout."""
    source = SOURCES[name]
    try:
        datasets = [open_dataset(name, split) for split in (*source.train, source.test)]
        parts = [_pictures(dataset) for dataset in datasets]
        names, *others = [_class_names(*both) for both in zip(datasets, parts, strict=True)]
    except Exception as error:  # torchvision raises of every kind: a missing, damaged or misplaced file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise TeponesError(
            f"{name}: torchvision.datasets.{source.dataset} cannot read {path} ({reason}); if the copy is partial, "
            f"remove it and {how_to_get(name)}"
        ) from None
    for files, _ in parts:
        _refuse_missing(name, files)
    for other in others:
        _refuse_other_classes(name, path, names, other)
    if not source.test:
        return names, parts[0], None
    *train, test = parts
    merged = [picture for pictures, _ in train for picture in pictures]
    return names, (merged, np.concatenate([labels for _, labels in train])), test


def _pictures(dataset: Any) -> Part:
    """Pictures and labels that a data set of torchvision's lists; files are sorted, which not all of them do."""
    kind = type(dataset).__name__
    if kind.startswith("CIFAR"):
        return dataset.data, np.array(dataset.targets)
    if kind in _CALTECH:
        form = _CALTECH[kind]
        rows = [
            (Path(dataset.root, form.format(category=dataset.categories[label], label=label + 1, number=number)), label)
            for number, label in zip(dataset.index, dataset.y, strict=True)
        ]
    elif kind == "GTSRB":
        rows = dataset._samples
    elif kind == "OxfordIIITPet":
        rows = zip(dataset._images, dataset._labels, strict=True)
    else:
        dataset.loader = str  # the data set gives the name of a file in place of its picture
        rows = [dataset[row] for row in range(len(dataset))]
    rows = sorted((Path(file), label) for file, label in rows)
    return [file for file, _ in rows], np.array([label for _, label in rows], np.int64)


def _class_names(dataset: Any, part: Part) -> tuple[str, ...]:
    """Names of the classes; of several synonyms the first, of GTSRB's nameless classes the numbers."""
    names = getattr(dataset, "classes", None) or getattr(dataset, "categories", None)
    if names is None:
        return tuple(f"{label:05d}" for label in range(part[1].max() + 1))
    return tuple(name if isinstance(name, str) else name[0] for name in names)


def _tiny_imagenet(path: Path) -> Listing:
    """The training folder and, as the test part, the validation pictures; the published test pictures lack labels."""
    train = open_folder(path / "train")
    notes = path / "val" / "val_annotations.txt"
    try:
        rows = [line.split("\t")[:2] for line in notes.read_text(encoding="utf-8").splitlines()]
        label = {name: number for number, name in enumerate(train.classes)}
        labels = np.array([label[name] for _, name in rows])
    except (OSError, ValueError, KeyError) as error:
        reason = f"class {error} has no training folder" if isinstance(error, KeyError) else error
        raise TeponesError(f"{notes}: cannot be read ({reason}); expected lines of PICTURE, CLASS") from None
    files = [path / "val" / "images" / file for file, _ in rows]
    _refuse_missing("tiny-imagenet", files)
    return train.classes, (train.files, train.labels), (files, labels)


def _image_folder(name: str, path: Path) -> Listing:
    if not (path / "train").is_dir():
        found = open_folder(path)
        return found.classes, (found.files, found.labels), None
    train, test = open_folder(path / "train"), open_folder(path / "test")
    _refuse_other_classes(name, path, train.classes, test.classes)
    return train.classes, (train.files, train.labels), (test.files, test.labels)


def _refuse_missing(name: str, pictures: Sequence[Path | np.ndarray]) -> None:
    for picture in pictures:
        if isinstance(picture, Path) and not picture.is_file():
            raise TeponesError(f"{name}: {picture} is missing; the copy is partial")


def _refuse_other_classes(name: str, path: Path, train: tuple[str, ...], other: tuple[str, ...]) -> None:
    # Labels count the classes of their own part: where these differ, one number would mean two classes.
    if train != other:
        example = sorted(set(train) ^ set(other))[0]
        raise UsageError(f"{name}: class {example!r} in {path} is not in every split; expected the same classes")


def _groups(name: str, part: Part) -> np.ndarray:
    """Numbers of the groups that a split keeps together: each picture by itself, but for GTSRB.

    Its files are named TRACK_FRAME; the frames of a track show the same traffic sign, approached by a car. The official
    test pictures lie in a folder of their own and are numbered, which makes them no frames of the tracks so numbered.
    """
    if name != "gtsrb":
        return np.arange(len(part[1]))
    tracks = [f"{label}/{file.stem.partition('_')[0]}/{file.parent}" for file, label in zip(*part, strict=True)]
    return np.unique(tracks, return_inverse=True)[1]


def _part(part: Part, chosen: np.ndarray) -> Part:
    """The pictures of a part that a boolean array marks."""
    return [part[0][row] for row in np.flatnonzero(chosen)], part[1][chosen]


def _hold_out(labels: np.ndarray, groups: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Which pictures are for testing: of each class whole groups, in random order, until they are a fifth or more."""
    sizes = np.bincount(groups)
    held_out = []
    for label in np.unique(labels):
        shuffled = generator.permutation(np.unique(groups[labels == label]))
        reached = np.cumsum(sizes[shuffled])
        held_out.append(shuffled[: np.searchsorted(reached, reached[-1] / 5) + 1])
    return np.isin(groups, np.concatenate(held_out))


def _choose(labels: np.ndarray, groups: np.ndarray, per_class: int, generator: np.random.Generator) -> np.ndarray:
    """Rows of at most so many pictures of each class, class by class: whole groups in random order, the last one cut.

    Few groups, where there are any, leave many for testing.
    """
    rows = []
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        place = np.argsort(generator.permutation(groups.max() + 1))[groups[own]]
        rows.append(own[np.argsort(place, kind="stable")][:per_class])
    return np.concatenate(rows) if rows else np.arange(0)


def _read(part: Part, rows: np.ndarray, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of some pictures."""
    pictures, labels = part
    images = np.empty((len(rows), pixels, pixels, 3), np.uint8)
    for image, row in zip(images, rows, strict=True):
        image[:] = _square(pictures[row], pixels)
    return images, labels[rows].astype(np.int64)


def _square(picture: Path | np.ndarray, pixels: int) -> np.ndarray:
    """The central square of a picture, resized: uint8 of shape (pixels, pixels, 3)."""
    page = Image.fromarray(decode(picture) if isinstance(picture, Path) else picture)
    side = min(page.size)
    left, top = (page.width - side) / 2, (page.height - side) / 2
    return np.asarray(page.resize((pixels, pixels), Image.Resampling.BICUBIC, (left, top, left + side, top + side)))
