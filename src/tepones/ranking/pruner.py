"""Prune a network of one's own, or one by name, into a ladder on disk."""

import copy
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from tepones import __version__
from tepones.backbones import BACKBONES, from_timm, from_torchvision
from tepones.backbones.base import Backbone
from tepones.backbones.encoder import Encoder, Preparation
from tepones.backbones.features import accuracy
from tepones.backbones.from_module import from_module, redrawn, with_classes
from tepones.backbones.training import Training
from tepones.common.errors import TeponesError, UsageError, one_line, shown
from tepones.pruning import CRITERIA, SCHEDULES, STARTS, UNPRUNED, WHILE_TRAINING, budget
from tepones.pruning.base import Setting
from tepones.pruning.criteria.gradients import N_IMAGES
from tepones.ranking import backbones, loops, zoo
from tepones.ranking.rungs import climb
from tepones.ranking.source import Source, open_source

#: What a ladder is pruned from: a network, one that is loaded, or what ``tepones.load`` takes.
Model = nn.Module | Encoder | str | Path

#: Libraries that decide what a ladder is, for its manifest.
LIBRARIES = ("torch", "torch-pruning", "numpy", "pillow")

_AS_ONES_OWN = "from Python it can be pruned as a network of your own: give the module and prepared"


def prune(
    model: Model,
    method: str,
    sparsities: Sequence[float],
    data: object,
    output: str | Path,
    *,
    training: Training | Callable[[nn.Module], object] | None = None,
    prepared: Preparation | None = None,
    head: str = "",
    new_head: bool = False,
    early: Model | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Prune a classifier to rising sparsities, and write the rungs as a ladder that can be ranked.

    The first rung is the network as it is given. Each other rung is made as in the study of this project: most
    schedules prune the rung before it, those of `tepones.pruning.STARTS` the dense network. Weights that are zero in
    the network count as pruned. The given network is not changed.

    Parameters
    ----------
    model : nn.Module, Encoder, str or Path
        A network of your own, which takes images (N, 3, H, H) and returns logits (N, C); or what ``tepones.load``
        takes, a checkpoint, a classifier of torchvision or timm, or a rung of a ladder; or the encoder that it returns.
    method : str
        Criterion and schedule, names of `tepones.pruning.CRITERIA` and `SCHEDULES`: ``"magnitude iterative"``; the
        schedule ``"control"`` stands alone.
    sparsities : sequence of float
        Rising, in [0, 1): the fractions of the prunable weights (`tepones.pruning.masks`) to be zero, or gone. A first
        one of 0 stands for the network as it is given.
    data : str, Path, DataLoader, Dataset, tuple or iterable
        Labelled images of the source task, as `tepones.ranking.source.open_source` takes them: a folder of pictures, a
        torch loader or data set, or arrays (images, labels). Labels are numbers of the network's outputs. Without a
        training of ours, no more batches are read than the criteria look at: 512 images.
    output : str or Path
        Folder of the ladder, which is made; only an empty one may be there.
    training : Training, callable or None
        What follows each pruning: the training of this project; a loop of your own, called with the network (yours,
        with its last layer in place), which trains it in place while its pruned weights are held at zero
        (`tepones.ranking.loops.own_loop`); or nothing. The schedules gradual, acdc, rigl and str prune while they
        train, and need a `Training`; one-shot and surgeon never train, and take one only for a new head.
    prepared : Preparation, optional
        How pictures become the input of the network, in the data and when the ladder is ranked. A network of your own
        needs it; of others it is known, and this overrides it.
    head : str, optional
        Name of the last layer of a network of your own, if it is not the last linear layer or convolution to be
        registered.
    new_head : bool
        Put a newly drawn last layer, with as many outputs as the data have classes, in the place of the network's own,
        and train the whole network by `training` before anything is pruned: this is then the first rung.
    early : nn.Module, Encoder, str or Path, optional
        The same network early in its training, to which the schedule lottery rewinds, and with it reinitialised, which
        starts from its rungs. With `new_head` it is the network before that training if it is not given.
    seed : int
        Decides everything random: orders of images, new weights, samples of images.

    Returns
    -------
    DataFrame
        One row for each rung: ``rung``, ``sparsity`` as stored, ``training_accuracy`` (of the images that were read,
        the share that the rung classifies right, in [0, 1]; NaN where the labels are not those of the network) and
        ``file``, which ``tepones.load`` takes, for a network of your own together with the network.

    Raises
    ------
    UsageError
        If method, sparsities, data, network or output are not as above, or do not go together: a criterion or training
        that needs labels has none that fit the last layer; lottery has no early state; str and structured have another
        criterion than magnitude; structured cannot reach a sparsity. Before anything is trained the ladder is climbed
        once with one step of training for each rung, or none, so that this is told at once.
    TeponesError
        If a training does not stay finite, or a step of the network fails. In any case no ladder is written.

    Notes
    -----
    Cost: the trainings; what criterion and schedule say of themselves, twice if there is training; for each rung one
    pass over the images and some forward passes. Memory: the images, and four copies of the network.
    """
    criterion, schedule = _parse(method)
    targets = _rising(sparsities)
    ladder = _free(Path(output))
    _check_training(training, schedule, new_head)
    start = _start(model, prepared, head)
    source = open_source(data, start.preparation, None if isinstance(training, Training) else N_IMAGES)
    backbone = start.backbone
    if source.images.dtype == np.uint8:
        backbone.mean, backbone.std = start.preparation.mean, start.preparation.std
    else:
        backbone.mean, backbone.std = (0.0,) * 3, (1.0,) * 3  # prepared already
    if new_head:
        _renew(backbone, source, seed)
    rewound = None
    if early is not None:
        rewound = _state(_start(early, prepared, head).backbone, backbone, new_head)
    elif new_head:
        rewound = copy.deepcopy(backbone.state_dict())
    misfit = source.misfit(len(backbone.classifier.weight))
    if not start.classifies and not new_head:
        misfit = "the network's file came without its last layer"
    if misfit and isinstance(training, Training):
        raise UsageError(f"{misfit}; new_head=True (--new-head) puts one for the data in its place, and trains it")
    if "lottery" in (schedule, STARTS.get(schedule)) and rewound is None:
        raise UsageError(
            f"the schedule {schedule} rewinds to weights from early in the training of the network: give them as early "
            "(--early)"
        )
    setting = Setting(
        images=source.images,
        labels=None if misfit else source.labels,
        criterion=CRITERIA.load(criterion) if criterion else None,
        training=training,
        seed=1000 * seed,
        early=rewound,
    )

    def rungs(dense: Backbone, loop: Callable[[str], loops.Train]) -> Iterator[Backbone]:
        return climb(dense, schedule, targets, setting, loop, start.draw, new_head)

    if training is not None:
        with _told(method, misfit, others=True):
            for _ in rungs(copy.deepcopy(backbone), loops.rehearsal(training)):
                pass
    found: list[float] = []

    def judge(rung: Backbone) -> None:
        found.append(float("nan") if misfit else accuracy(rung, source.images, source.labels))

    config = {"criterion": criterion, "schedule": schedule, "scope": setting.scope, "new_head": new_head}
    about = {
        "architecture": start.architecture,
        "task": {"task": source.name, "images": len(source.labels), "classes": source.n_classes},
        "side": start.preparation.crop,
        "method": method,
        "config": config | {"training": _described(training)},
        "seed": seed,
        "versions": {"tepones": __version__} | {name: version(name) for name in LIBRARIES},
        "preparation": asdict(start.preparation),
        "head": getattr(backbone, "head", ""),
    }
    ladder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{ladder.name}.", dir=ladder.parent) as folder:
        whole = Path(folder) / ladder.name
        # What a loop of the user's own raises is the user's.
        with _told(method, misfit, others=training is None or isinstance(training, Training)):
            zoo.write(whole, rungs(backbone, loops.of(training)), about, judge)
        if ladder.is_dir():
            ladder.rmdir()
        os.rename(whole, ladder)
    written = zoo.manifest(ladder).rungs
    return pd.DataFrame(
        {
            "rung": range(len(written)),
            "sparsity": [rung.sparsity for rung in written],
            "training_accuracy": found,
            "file": [str(ladder / rung.file) for rung in written],
        }
    )


@dataclass(frozen=True)
class _Start:
    """What a ladder is pruned from: a backbone to work on, and what its manifest and its data need to know."""

    backbone: Backbone
    architecture: str
    preparation: Preparation
    classifies: bool

    def draw(self) -> dict[str, torch.Tensor]:
        """State of such a backbone with newly drawn weights."""
        if self.architecture.startswith(zoo.OWN):
            return redrawn(self.backbone)
        return BACKBONES.load(self.architecture)(len(self.backbone.classifier.weight)).state_dict()


def _parse(method: str) -> tuple[str | None, str]:
    """Criterion and schedule of a method; a schedule that removes nothing has no criterion."""
    words = method.split()
    if len(words) == 1 and words[0] in UNPRUNED:
        return None, words[0]
    if len(words) != 2 or words[1] in UNPRUNED:
        raise UsageError(
            f"method {method!r}: expected a criterion and a schedule, as 'magnitude iterative', or control alone; "
            f"criteria: {', '.join(CRITERIA)}; schedules: {', '.join(SCHEDULES)}"
        )
    for registry, name in zip((CRITERIA, SCHEDULES), words, strict=True):
        registry.module(name)  # an unknown one is told, with those that there are
    return words[0], words[1]


def _rising(sparsities: Sequence[float]) -> list[float]:
    """The sparsities to prune to, without a first one of 0."""
    try:
        targets = [float(sparsity) for sparsity in sparsities]
    except (TypeError, ValueError):
        raise UsageError(f"sparsities {sparsities!r}: expected numbers in [0, 1), rising") from None
    told = ", ".join(f"{target:g}" for target in targets)
    if not all(0 <= target < 1 for target in targets) or targets != sorted(set(targets)):
        raise UsageError(f"sparsities {told}: expected numbers in [0, 1), rising")
    targets = [target for target in targets if target > 0]
    if not targets:
        raise UsageError("sparsities: nothing to prune to; expected numbers in [0, 1), rising, beside 0 at least one")
    return targets


def _free(ladder: Path) -> Path:
    """The folder of a new ladder, which is not there, or empty."""
    if ladder.is_dir() and not any(ladder.iterdir()):
        return ladder
    if ladder.exists():
        raise UsageError(f"{shown(ladder)}: is there already, and nothing is overwritten; name another folder")
    if not ladder.name:
        raise UsageError(f"{shown(ladder)}: names no folder to make")
    return ladder


def _check_training(training: object, schedule: str, new_head: bool) -> None:
    if isinstance(training, Training):
        numbers = (training.epochs, training.learning_rate, training.batch_size)
        if not all(math.isfinite(number) and number > 0 for number in numbers):
            raise UsageError(f"{training}: expected epochs, a learning rate and a batch size above 0")
    elif training is not None and not callable(training):
        raise UsageError(
            f"training is {type(training).__name__}; expected a Training, a function of the network, or None"
        )
    elif training is None and new_head:
        raise UsageError("a new last layer says nothing untrained: new_head (--new-head) needs a training (--epochs)")
    elif schedule in WHILE_TRAINING:
        raise UsageError(f"the schedule {schedule} prunes while it trains: it needs training=Training(...) (--epochs)")
    if training is not None and STARTS.get(schedule) == "dense" and not new_head:
        raise UsageError(f"the schedule {schedule} never trains: leave the training out, or take iterative, which does")


def _described(training: Training | Callable[[nn.Module], object] | None) -> dict[str, float] | str | None:
    """A training for a manifest."""
    return asdict(training) if isinstance(training, Training) else training and "a loop of one's own"


def _start(model: Model, prepared: Preparation | None, head: str) -> _Start:
    """A backbone of whatever a ladder can be pruned from; a copy."""
    if isinstance(model, str | Path):
        model = backbones.load(model)
    if isinstance(model, nn.Module):
        if prepared is None:
            raise UsageError(
                "how pictures become the input of a network of your own is not known: "
                "give prepared=Preparation(resize, crop, mean, std)"
            )
        own = f"{zoo.OWN}{type(model).__name__}"
        return _Start(from_module(model, head, prepared.crop), own, prepared, True)
    if not isinstance(model, Encoder):
        raise UsageError(f"model is {type(model).__name__}; expected a network, an encoder, or what tepones.load takes")
    zeros = budget.sparsity(model)
    if abs(model.facts.get("sparsity", zeros) - zeros) > 1e-6:
        raise UsageError(
            f"{shown(model.name)}: has lost channels, and sparsity counts from the dense network; prune that one"
        )
    prepared = prepared or model.preparation
    if model.architecture in BACKBONES or model.architecture.partition(":")[0] in BACKBONES.families:
        if head:
            raise UsageError(f"{shown(model.name)}: its last layer is known; head is for a network of your own")
        return _Start(_named(model, prepared.crop), model.architecture, prepared, model.classifies)
    own = f"{zoo.OWN}{model.architecture.removeprefix(zoo.OWN) or type(model.model).__name__}"
    return _Start(from_module(model.model, head or model.head, prepared.crop), own, prepared, model.classifies)


def _named(encoder: Encoder, side: int) -> Backbone:
    """A backbone as its architecture is built by name, with the weights of an encoder; so a ladder will be read."""
    name, network = encoder.architecture, copy.deepcopy(encoder.model)
    if not isinstance(network, Backbone):
        network = {"torchvision": from_torchvision, "timm": from_timm}[name.partition(":")[0]].split(network)
    with torch.random.fork_rng(devices=[]):
        backbone = BACKBONES.load(name)(len(network.classifier.weight))
    pictures = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    try:
        backbone.load_state_dict(network.state_dict())
        with torch.no_grad():
            same = torch.allclose(backbone.eval()(pictures), encoder.model.eval()(pictures), rtol=1e-3, atol=1e-3)
    except Exception as error:  # networks raise of every kind
        reason = f"cannot be built as {name} ({one_line(error)[:200]})"
        raise UsageError(f"{shown(encoder.name)}: {reason}; {_AS_ONES_OWN}") from error
    if not same:
        reason = f"computes something else than {name} does, built with its weights"
        raise UsageError(f"{shown(encoder.name)}: {reason}; {_AS_ONES_OWN}")
    return backbone


def _renew(backbone: Backbone, source: Source, seed: int) -> None:
    """Give a backbone a newly drawn last layer for the classes of a source, in place."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        with_classes(backbone, source.n_classes)


def _state(early: Backbone, backbone: Backbone, new_head: bool) -> dict[str, torch.Tensor]:
    """The early state of a backbone; one that gets a new last layer has that one in it."""
    state, own = early.state_dict(), backbone.state_dict()
    if new_head:
        state |= {name: tensor.clone() for name, tensor in own.items() if name.startswith("classifier.")}
    if {name: tensor.shape for name, tensor in state.items()} != {name: tensor.shape for name, tensor in own.items()}:
        raise UsageError("early is another network than the one to be pruned: its tensors have other names or shapes")
    return state


@contextmanager
def _told(method: str, misfit: str | None, others: bool) -> Iterator[None]:
    """Tell in one line what goes wrong while rungs are made; if `others`, also what torch and networks raise."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{error}: {misfit}" if misfit else str(error)) from None
    except (TeponesError, OSError):
        raise
    except Exception as error:
        if not others:
            raise
        raise TeponesError(f"{method} fails on this network: {one_line(error)}") from error
