"""The source of a ladder: the labelled images that it is pruned and trained on, as people have them."""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from tepones.backbones.encoder import Preparation
from tepones.common.errors import TeponesError, UsageError, one_line, shown
from tepones.common.progress import progress_bar
from tepones.ranking.pictures import Damaged, list_pictures, listed

#: Images of a data set that make a batch while it is read.
BATCH = 64


@dataclass(frozen=True)
class Source:
    """Labelled images, in memory.

    Attributes
    ----------
    name : str
    images : ndarray, shape (N, H, W, 3)
        Grey levels as uint8, or what a network takes as float32.
    labels : ndarray of int64, shape (N,)
    classes : tuple of str
        What the labels of a folder stand for.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...] = ()

    @property
    def n_classes(self) -> int:
        """Classes of a folder; of other data one more than the largest label."""
        return len(self.classes) or int(self.labels.max()) + 1

    def misfit(self, n_classes: int) -> str | None:
        """What is wrong with the labels for a network of so many classes: they are its own, numbered as its outputs.

        A folder has to have as many classes, while other data may lack some.
        """
        if self.n_classes == n_classes or (self.n_classes < n_classes and not self.classes):
            return None
        return f"the data have {self.n_classes:,} classes, the network's last layer {n_classes:,}"


def open_source(data: object, preparation: Preparation, enough: int | None = None) -> Source:
    """Read labelled images into memory; a warning tells of pictures that cannot be decoded, and are left out.

    Parameters
    ----------
    data : str, Path, DataLoader, Dataset, tuple, or iterable of tuples
        A folder of pictures, as `tepones.ranking.pictures.list_pictures` takes it; a torch data set of (image, label);
        a pair of arrays or tensors (images, labels); batches of such pairs, as a loader yields them. Images are
        pictures, uint8 (N, H, W, 3), or float tensors (N, 3, H, H) that are prepared already.
    preparation : Preparation
        What makes the input of the network of pictures; tensors that are prepared are as large as what it makes.
    enough : int, optional
        Read no more batches once there are so many images.

    Raises
    ------
    UsageError
        If the data are of none of these kinds, hold no image, or a label is no number from 0.
    TeponesError
        If all pictures of a class cannot be decoded.

    Notes
    -----
    Everything is read once, so that of random augmentation one draw is kept. Memory: N·H² times 3 bytes for pictures
    and 12 for tensors, and as much again while it is put together.
    """
    if isinstance(data, str | Path):
        return _of_folder(Path(data), preparation)
    images, labels = [], []
    for batch in _batches(data):
        pair = tuple(batch) if isinstance(batch, tuple | list) else ()
        if len(pair) != 2:
            raise UsageError(f"data yield {type(batch).__name__}; expected pairs (images, labels)")
        images.append(_images(pair[0], preparation))
        labels.append(_labels(pair[1], len(images[-1])))
        if enough and sum(map(len, labels)) >= enough:
            break
    if not sum(map(len, labels)):
        raise UsageError("data hold no image")
    if len({array.dtype for array in images}) > 1:
        raise UsageError("data yield pictures as uint8 and prepared tensors; expected either")
    return Source("data of your own", np.concatenate(images), np.concatenate(labels))


def _of_folder(folder: Path, preparation: Preparation) -> Source:
    """The pictures of a folder that can be decoded, resized and cut."""
    if not folder.is_dir():
        raise UsageError(f"{shown(folder)}: no folder; expected one with a folder of pictures for each class")
    found = list_pictures(folder)
    images, labels, damaged = [], [], []
    name = folder.resolve().name
    with progress_bar(len(found.files), f"reading {shown(name)}", "images") as bar:
        for picture, label in zip(found, found.labels, strict=True):
            if isinstance(picture, Damaged):
                damaged.append(picture)
            else:
                images.append(_cut(picture, preparation))
                labels.append(label)
            bar.update()
    lost = sorted(set(found.labels) - set(labels))
    if lost:
        raise TeponesError(
            f"{shown(folder)}: no picture of class '{shown(found.classes[lost[0]])}' can be decoded: {listed(damaged)}"
        )
    if damaged:
        warnings.warn(f"{len(damaged):,} damaged left out: {listed(damaged)}", stacklevel=2)
    return Source(name, np.stack(images), np.array(labels), found.classes)


def _batches(data: object) -> Iterator[object]:
    if isinstance(data, tuple):
        data = [data]
    elif isinstance(data, Dataset):
        data = DataLoader(data, batch_size=BATCH)
    elif not isinstance(data, Iterable):
        raise UsageError(
            f"data are {type(data).__name__}; expected a folder, a torch DataLoader or Dataset, or (images, labels)"
        )
    try:
        yield from data
    except TypeError as error:  # of torch, where an image is no array
        raise UsageError(f"data make no batches ({one_line(error)}); expected tensors: give a transform") from error


def _images(images: object, preparation: Preparation) -> np.ndarray:
    """Images (N, H, W, 3) as a source holds them."""
    tensor, side = _tensor(images, "images"), preparation.crop
    if tensor.dtype == torch.uint8 and tensor.ndim == 4 and tensor.shape[3] == 3:
        return np.stack([_cut(picture, preparation) for picture in tensor.numpy()]) if len(tensor) else tensor.numpy()
    if tensor.is_floating_point() and tensor.shape[1:] == (3, side, side):
        return tensor.float().permute(0, 2, 3, 1).numpy()
    raise UsageError(
        f"images are {str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}; expected pictures, "
        f"uint8 (N, H, W, 3), or float tensors (N, 3, {side}, {side}), as large as the preparation makes them"
    )


def _labels(labels: object, n_images: int) -> np.ndarray:
    tensor = _tensor(labels, "labels")
    if tensor.is_floating_point() or tensor.is_complex() or tensor.shape != (n_images,):
        raise UsageError(
            f"labels are {str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}; expected "
            f"{n_images} numbers of classes"
        )
    if len(tensor) and tensor.min() < 0:
        raise UsageError(f"a label is {int(tensor.min())}; expected numbers of classes, from 0")
    return tensor.long().numpy()


def _tensor(values: object, what: str) -> torch.Tensor:
    try:
        return torch.as_tensor(values).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"{what} are no array ({one_line(error)})") from error


def _cut(picture: np.ndarray, preparation: Preparation) -> np.ndarray:
    """The square that a network sees of a picture, (H, H, 3), its grey levels as they are."""
    plain = replace(preparation, mean=(0.0,) * 3, std=(1.0,) * 3)
    return plain([picture])[0].permute(1, 2, 0).to(torch.uint8).numpy()
