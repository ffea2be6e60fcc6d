"""The data sets of photographs: what they are called, where they lie, and how to get them.

All lie below one root folder, `paths.datasets()`. Of the twelve transfer data sets of arXiv 2111.13445, Birdsnap
is left out: torchvision does not offer it.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tepones.common import paths
from tepones.common.errors import TeponesError, UsageError


@dataclass(frozen=True)
class Source:
    """One data set: its size, its splits, and where it lies.

    Attributes
    ----------
    n_classes : int
        Official number of classes.
    folder : str
        Where the full set lies below the root, in torchvision's layout or as the authors published it.
    dataset : str
        Name of torchvision's class for it; empty if there is none.
    train : tuple of str
        Official splits that make up the training images.
    test : str
        Official split that serves as the test images; empty if there is no official split.
    images : str
        Folder of pictures below the root that is taken instead where `folder` is not there: ``CLASS/PICTURE``,
        or ``train/CLASS/PICTURE`` and ``test/CLASS/PICTURE``.
    by_hand : str
        What to fetch, and the layout to give it in ``{folder}``, where no program can fetch it.
    options : dict
        Further arguments of torchvision's class.
    """

    n_classes: int
    folder: str
    dataset: str = ""
    train: tuple[str, ...] = ()
    test: str = ""
    images: str = ""
    by_hand: str = ""
    options: dict[str, Any] = field(default_factory=dict)


_PACS = "get PACS (arXiv 1710.03077, https://sketchx.eecs.qmul.ac.uk/downloads/) and put its pictures in {folder}/CLASS"
_SAMPLES = (
    "get one picture of each ImageNet class (such as https://github.com/EliSchwartz/imagenet-sample-images) and put "
    "them in {folder}, named WNID_NAME.JPEG"
)
_CARS = (
    "follow https://github.com/pytorch/vision/issues/7545 until {folder} holds cars_train, cars_test, devkit and "
    "cars_test_annos_withlabels.mat"
)

SOURCES = {
    "aircraft": Source(100, "fgvc-aircraft-2013b", "FGVCAircraft", ("trainval",), "test"),
    "caltech101": Source(101, "caltech101/101_ObjectCategories", "Caltech101"),
    "caltech256": Source(257, "caltech256/256_ObjectCategories", "Caltech256"),
    "cars": Source(196, "stanford_cars", "StanfordCars", ("train",), "test", by_hand=_CARS),
    "cifar10": Source(10, "cifar-10-batches-py", "CIFAR10", ("train",), "test", images="cifar10"),
    "cifar100": Source(100, "cifar-100-python", "CIFAR100", ("train",), "test"),
    "dtd": Source(47, "dtd/dtd", "DTD", ("train", "val"), "test", images="dtd10"),
    "eurosat": Source(10, "eurosat/2750", "EuroSAT"),
    "flowers102": Source(102, "flowers-102", "Flowers102", ("train", "val"), "test"),
    "food101": Source(101, "food-101", "Food101", ("train",), "test"),
    "gtsrb": Source(43, "gtsrb/GTSRB", "GTSRB", ("train",), "test", images="gtsrb"),
    "imagenet-samples": Source(1000, "imagenet-samples", by_hand=_SAMPLES),
    "imagenette": Source(10, "imagenette2-160", "Imagenette", ("train",), "val", options={"size": "160px"}),
    "pacs-art_painting": Source(7, "pacs/art_painting", by_hand=_PACS),
    "pacs-cartoon": Source(7, "pacs/cartoon", by_hand=_PACS),
    "pacs-photo": Source(7, "pacs/photo", by_hand=_PACS),
    "pacs-sketch": Source(7, "pacs/sketch", by_hand=_PACS),
    "pets": Source(37, "oxford-iiit-pet", "OxfordIIITPet", ("trainval",), "test"),
    "sun397": Source(397, "SUN397", "SUN397"),
    "tiny-imagenet": Source(200, "tiny-imagenet-200", train=("train",), test="val"),
}

# The checksum is the one that many public loaders of this file carry; no copy of the file was at hand to verify it.
_TINY_IMAGENET = ("http://cs231n.stanford.edu/tiny-imagenet-200.zip", "90528d7ca1a48142e341f4ef8d21d0de")


def places(name: str) -> list[Path]:
    """Folders in which a data set may lie: the full set first, then the folder of pictures where one is taken."""
    source = SOURCES[name]
    return [paths.datasets() / folder for folder in (source.folder, source.images) if folder]


def locate(name: str) -> Path | None:
    """The first of a data set's `places` that exists; None if none does."""
    return next((place for place in places(name) if place.is_dir()), None)


def how_to_get(name: str) -> str:
    """What the user can do to get a data set, in a few words for messages."""
    source = SOURCES[name]
    return source.by_hand.format(folder=places(name)[0]) or f"run `tepones download {name}`"


def open_dataset(name: str, split: str, download: bool = False) -> Any:
    """Torchvision's data set for one official split; `split` is empty where there is none."""
    from tepones.common._torchvision import torchvision

    source = SOURCES[name]
    which: dict[str, Any] = {"split": split} if split else {}
    if source.dataset.startswith("CIFAR"):
        which = {"train": split == "train"}
    dataset = getattr(torchvision.datasets, source.dataset)
    return dataset(str(paths.datasets()), download=download, **which, **source.options)


def download(name: str) -> Path:
    """Download a data set below the root folder, checked by the checksums that torchvision knows.

    Returns
    -------
    Path
        Where it lies.

    Raises
    ------
    UsageError
        If no program can fetch it; says how to get it.
    TeponesError
        If the download fails.
    """
    source, root = SOURCES[name], paths.datasets()
    if source.by_hand:
        raise UsageError(f"{name}: cannot be downloaded; {how_to_get(name)}")
    try:
        root.mkdir(parents=True, exist_ok=True)
        if source.dataset:
            for split in (*source.train, source.test):
                open_dataset(name, split, download=True)
        else:
            from tepones.common._torchvision import torchvision

            address, checksum = _TINY_IMAGENET
            torchvision.datasets.utils.download_and_extract_archive(address, str(root), md5=checksum)
    except Exception as error:  # of every kind: no network, no such page, a full disk, a wrong checksum
        reason = " ".join(str(error).split()) or type(error).__name__
        raise TeponesError(
            f"{name}: the download into {root} failed ({reason}); remove what it left there and try again"
        ) from None
    return root / source.folder
