"""Statistics that could order a ranking, on networks of different widths and few images: the records of the default.

The rule by which the default was chosen is in `data/ranking/README.md`, the records are in `data/records/widths`.
`compute` makes them again::

    from pathlib import Path
    from tepones.companion.study import tables, widths
    Path("networks.csv").write_text(tables.to_csv(widths.compute(Path("build/widths"))))

It needs the photographs and released weights of the folder of data sets, and timm for one network of 18.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tepones import tasks
from tepones.backbones import released
from tepones.backbones.encoder import Encoder, Preparation
from tepones.common.progress import progress_bar
from tepones.pruning import masks
from tepones.ranking import checkpoints, zoo

#: Targets, and the number of their classes where the copy is not the official data set.
TARGETS = {
    "caltech101": None,
    "flowers102": None,
    "eurosat": None,
    "pacs-photo": None,
    "pacs-sketch": None,
    "dtd": 10,
    "gtsrb": None,
    "cifar10": None,
}
CLASSES = 10
POOL = 100
SIDE = 96
PER_CLASS = (5, 10, 20, 50)
DRAWS = 2
SHUFFLES = 10
#: Features are projected on so many directions, or half the number of rows if that is less.
DIRECTIONS = 64
#: Accuracy by which the truth must have a trained network ahead of an untrained one for the pair to count.
AHEAD = 0.05

_BATCH = 50


@dataclass(frozen=True)
class Network:
    """A network of the records.

    Attributes
    ----------
    name : str
    trained : bool
    load : callable
        Returns an `Encoder`.
    """

    name: str
    trained: bool
    load: Callable[[], Encoder]


def networks() -> list[Network]:
    """The networks of the rule, trained ones first."""
    imagenet = checkpoints.preparation("squeezenet1_1")
    halves = Preparation(mean=(127.5,) * 3, std=(127.5,) * 3, resampling="bicubic")

    def ours(name: str, backbone: str, sparsity: float = 0.0) -> Encoder:
        model, _ = released.read(name, backbone)
        if sparsity:
            saliency = {key: weight.detach().abs() for key, weight in masks.prunable(model).items()}
            masks.apply(model, masks.select(saliency, sparsity, masks.dense(model)))
        return _encoder(model, imagenet)

    def initial(architecture: str) -> Encoder:
        return _encoder(checkpoints.build(architecture, 1000), imagenet)

    def rung(ladder: str, number: int) -> Encoder:
        return zoo.load(zoo.folder() / ladder, f"rung-{number:02d}{zoo.SUFFIX}")

    squeezenet, mobilenet = ("squeezenet1_1-imagenet", "mobilenet_v2-imagenet")
    lite = "efficientnet_lite0"
    return [
        Network("squeezenet1_1", True, lambda: ours(squeezenet, "torchvision:squeezenet1_1")),
        Network("squeezenet1_1 50 %", True, lambda: ours(squeezenet, "torchvision:squeezenet1_1", 0.5)),
        Network(
            "squeezenet1_0 pruned", True, lambda: ours("squeezenet1_0-imagenet-pruned", "torchvision:squeezenet1_0")
        ),
        Network("mobilenet_v2", True, lambda: ours(mobilenet, "torchvision:mobilenet_v2")),
        Network("mobilenet_v2 50 %", True, lambda: ours(mobilenet, "torchvision:mobilenet_v2", 0.5)),
        Network(lite, True, lambda: _encoder(_timm(f"tf_{lite}", f"{lite}-imagenet"), halves)),
        Network("letters dense", True, lambda: rung("magnitude-iterative-0", 0)),
        Network("letters 97 %", True, lambda: rung("magnitude-iterative-0", 3)),
        Network("letters 99.6 %", True, lambda: rung("magnitude-iterative-0", 5)),
        Network("letters structured 92 %", True, lambda: rung("magnitude-structured-0", 2)),
        Network("squeezenet1_1 untrained", False, lambda: initial("squeezenet1_1")),
        Network("squeezenet1_0 untrained", False, lambda: initial("squeezenet1_0")),
        Network("mobilenet_v2 untrained", False, lambda: initial("mobilenet_v2")),
        Network(f"{lite} untrained", False, lambda: _encoder(_timm(f"tf_{lite}"), halves)),
        Network("resnet18 untrained", False, lambda: initial("resnet18")),
        Network("resnet50 untrained", False, lambda: initial("resnet50")),
        Network("vgg11 untrained", False, lambda: initial("vgg11")),
        Network(
            "small-resnet untrained",
            False,
            lambda: Encoder("", "small-resnet", checkpoints.build("small-resnet", 62), Preparation()),
        ),
    ]


def _encoder(model: nn.Module, preparation: Preparation) -> Encoder:
    return Encoder("", "", model, replace(preparation, resize=SIDE, crop=SIDE))


def _timm(architecture: str, weights: str = "") -> nn.Module:
    """A classifier of timm's with released or initial weights."""
    import timm
    from safetensors.torch import load_file

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = timm.create_model(architecture, pretrained=False)
    if weights:
        model.load_state_dict(load_file(released.file(weights)))
    return model


def pictures(target: str) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of a target: of its classes with most images, at most `POOL` images each.

    Returns
    -------
    images : ndarray of uint8, shape (N, SIDE, SIDE, 3)
    labels : ndarray of int64, shape (N,)
    """
    task = tasks.load(target, POOL, POOL, SIDE, TARGETS[target])
    images = np.concatenate([task.train_images, task.test_images])
    labels = np.concatenate([task.train_labels, task.test_labels])
    counts = np.bincount(labels)
    rows = []
    for label in sorted(np.argsort(-counts, kind="stable")[:CLASSES]):
        rows.append(np.flatnonzero(labels == label)[:POOL])
    rows = np.concatenate(rows)
    return images[rows], np.unique(labels[rows], return_inverse=True)[1]


def features(folder: Path) -> Iterator[tuple[str, Network, np.ndarray, np.ndarray]]:
    """Target, network, features (N, D) and labels (N,): computed once, then read from the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    known = networks()
    total = len(known) * len(TARGETS)
    with progress_bar(total, "features", "files") as bar:
        for network in known:
            encoder = None
            for target in TARGETS:
                path = folder / f"{target} {network.name}.npz"
                if not path.is_file():
                    encoder = encoder or network.load()
                    images, labels = pictures(target)
                    found = [
                        encoder(encoder.preparation(list(images[start : start + _BATCH])))[0].numpy()
                        for start in range(0, len(images), _BATCH)
                    ]
                    np.savez(path, features=np.concatenate(found), labels=labels)
                with np.load(path) as stored:
                    yield target, network, stored["features"], stored["labels"]
                bar.update(1)
