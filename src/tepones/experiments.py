"""The cells of the study: images, pre-training, rungs, transfer accuracy, scores."""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch

from tepones import tasks
from tepones.backbones import BACKBONES, OBJECTIVES
from tepones.backbones.base import Backbone
from tepones.backbones.features import accuracy, extract
from tepones.backbones.training import Training
from tepones.pruning import CRITERIA, SCHEDULES, STARTS
from tepones.pruning import masks as pruning_masks
from tepones.pruning.base import Setting
from tepones.records import Cell, Store, Tensors, Values
from tepones.scores import SCORES, score
from tepones.transfer import linear_probe

SPLITS = ("train_images", "train_labels", "test_images", "test_labels")

#: How far into pre-training lottery tickets are rewound, as a fraction of its steps. Frankle et al. 2019
#: (arXiv 1903.01611) find 0.1 % to 7 % to serve.
EARLY = 0.07


@dataclass(frozen=True)
class Images:
    """The images of a task, rendered or read once."""

    task: str
    train_per_class: int
    test_per_class: int

    def requires(self) -> list[Cell]:
        """Nothing."""
        return []

    def code(self) -> list[str]:
        """The module of the task."""
        return [tasks.TASKS.module(self.task)]

    def compute(self, store: Store) -> tuple[Values, Tensors]:
        """Number of classes; the images and labels of both splits."""
        task = tasks.load(self.task, self.train_per_class, self.test_per_class)
        return {"classes": list(task.classes)}, {split: getattr(task, split) for split in SPLITS}


@dataclass(frozen=True)
class Pretraining:
    """A dense backbone trained on the source task: rung 0 of every ladder that starts from it.

    `objective` says what for: the source labels (``"supervised"``), or without them (``"simclr"``).
    """

    backbone: str
    source: Images
    training: Training
    seed: int
    objective: str = "supervised"

    def requires(self) -> list[Cell]:
        """The source images."""
        return [self.source]

    def code(self) -> list[str]:
        """Backbone, training and evaluation."""
        return [BACKBONES.module(self.backbone), OBJECTIVES.module(self.objective), "tepones.pruning.masks"]

    def compute(self, store: Store) -> tuple[Values, Tensors]:
        """Train from scratch; the state early in training is kept too, under names that begin with `early:`."""
        images = _images(store, self.source)
        backbone = _new_backbone(store, self, self.seed)
        early = {}

        def keep_early(step: int, n_steps: int) -> None:
            if step == max(1, round(EARLY * n_steps)):
                early.update(_arrays(backbone, "early:"))

        train = OBJECTIVES.load(self.objective)
        labels = images["train_labels"]
        train(backbone, images["train_images"], labels, self.training, self.seed, after_step=keep_early)
        values, tensors = _rung_record(backbone, pruning_masks.dense(backbone), images)
        return values, {**tensors, **early}


@dataclass(frozen=True)
class Rung:
    """A pruned rung of a ladder; the last of `sparsities` is its own, the others are those of the rungs before it.

    `scope` says where weights are compared: in the whole network (``"global"``) or in each layer (``"layer"``).
    """

    pretraining: Pretraining
    criterion: str
    schedule: str
    sparsities: tuple[float, ...]
    training: Training
    scope: str = "global"

    def requires(self) -> list[Cell]:
        """The rung that this one starts from, the dense backbone and its images."""
        return [self.start(), self.pretraining, self.pretraining.source]

    def start(self) -> "Rung | Pretraining":
        """The rung that this one starts from: mostly the one before it, else as `tepones.pruning.STARTS` says."""
        start = STARTS.get(self.schedule)
        before = self.sparsities[:-1]
        if start == "dense" or not (start or before):
            return self.pretraining
        return replace(self, schedule=start) if start else replace(self, sparsities=before)

    def code(self) -> list[str]:
        """Criterion and schedule, with all they import."""
        return [CRITERIA.module(self.criterion), SCHEDULES.module(self.schedule), "tepones.pruning.masks"]

    def compute(self, store: Store) -> tuple[Values, Tensors]:
        """Prune the rung that this one starts from and train it."""
        images = _images(store, self.pretraining.source)
        backbone, masks = load_rung(store, self.start())
        level = 0 if STARTS.get(self.schedule) == "dense" else len(self.sparsities)
        seed = 1000 * self.pretraining.seed + level
        setting = Setting(
            images=images["train_images"],
            labels=images["train_labels"],
            criterion=CRITERIA.load(self.criterion),
            training=self.training,
            seed=seed,
            scope=self.scope,
            early=_tensors(store, self.pretraining, "early:"),
            fresh=_new_backbone(store, self.pretraining, seed).state_dict(),
        )
        masks = SCHEDULES.load(self.schedule)(backbone, masks, self.sparsities[-1], setting)
        return _rung_record(backbone, masks, images)


@dataclass(frozen=True)
class Transfer:
    """Transfer accuracy of a rung on a target task: a linear probe on its frozen features."""

    rung: Rung | Pretraining
    target: Images
    regularisation: tuple[float, ...]

    def requires(self) -> list[Cell]:
        """The rung and the target's images."""
        return [self.rung, self.target]

    def code(self) -> list[str]:
        """The probe."""
        return ["tepones.transfer", "tepones.backbones.features"]

    def compute(self, store: Store) -> tuple[Values, Tensors]:
        """Test accuracy, and the regularisation that cross-validation chose."""
        images = _images(store, self.target)
        train_features, test_features = _features(store, self.rung, self.target)
        probe = linear_probe(
            train_features, images["train_labels"], test_features, images["test_labels"], self.regularisation
        )
        return probe._asdict(), {}


@dataclass(frozen=True)
class Scoring:
    """Scores of a rung on the training split of a target task."""

    rung: Rung | Pretraining
    target: Images
    scores: tuple[str, ...]

    def requires(self) -> list[Cell]:
        """The rung and the target's images."""
        return [self.rung, self.target]

    def code(self) -> list[str]:
        """The scores, with all they import."""
        scores = [SCORES.module(name) for name in self.scores]
        return ["tepones.backbones.features", "tepones.scores.__init__", *scores]

    def compute(self, store: Store) -> tuple[Values, Tensors]:
        """One row for each score, as `tepones.score` gives them."""
        labels = _images(store, self.target)["train_labels"]
        train_features, _ = _features(store, self.rung, self.target)
        table = score(train_features, labels, scores=list(self.scores))
        return {"rows": table.astype(object).where(table.notna(), None).to_dict("records")}, {}


def load_rung(store: Store, rung: Rung | Pretraining) -> tuple[Backbone, pruning_masks.Masks]:
    """Backbone and masks of a recorded rung."""
    pretraining = rung if isinstance(rung, Pretraining) else rung.pretraining
    backbone = _new_backbone(store, pretraining, pretraining.seed)
    backbone.load_state_dict(_tensors(store, rung, "weight:"))
    return backbone.to(memory_format=torch.channels_last), _tensors(store, rung, "mask:")


def _new_backbone(store: Store, pretraining: Pretraining, seed: int) -> Backbone:
    """A backbone with weights drawn from a seed."""
    torch.manual_seed(seed)
    return BACKBONES.load(pretraining.backbone)(_n_classes(store, pretraining.source))


def _tensors(store: Store, rung: Rung | Pretraining, prefix: str) -> dict[str, torch.Tensor]:
    """The tensors of a record whose names begin with a prefix, without it."""
    found = store.require(rung).tensors().items()
    return {name.removeprefix(prefix): torch.as_tensor(array) for name, array in found if name.startswith(prefix)}


def _arrays(backbone: Backbone, prefix: str) -> dict[str, np.ndarray]:
    """Copies of all parameters and buffers."""
    return {f"{prefix}{name}": tensor.numpy().copy() for name, tensor in backbone.state_dict().items()}


def _rung_record(
    backbone: Backbone, masks: pruning_masks.Masks, images: dict[str, np.ndarray]
) -> tuple[Values, Tensors]:
    tensors = _arrays(backbone, "weight:")
    tensors |= {f"mask:{name}": mask.contiguous().numpy() for name, mask in masks.items()}
    values = {
        "sparsity": pruning_masks.sparsity(masks),
        "nonzero_weights": sum(int(mask.sum()) for mask in masks.values()),
        "collapsed": " ".join(pruning_masks.collapsed(masks)),
        "source_accuracy": accuracy(backbone, images["test_images"], images["test_labels"]),
    }
    return values, tensors


@lru_cache(maxsize=8)
def _images(store: Store, images: Images) -> dict[str, np.ndarray]:
    return dict(store.require(images).tensors())


@lru_cache(maxsize=8)
def _n_classes(store: Store, images: Images) -> int:
    return len(store.require(images).values["classes"])


@lru_cache(maxsize=1)
def _features(store: Store, rung: Rung | Pretraining, target: Images) -> tuple[np.ndarray, np.ndarray]:
    """Features of both splits; one is kept, for the cells of the same rung and target that follow."""
    backbone, _ = _last_rung(store, rung)
    images = _images(store, target)
    return extract(backbone, images["train_images"]), extract(backbone, images["test_images"])


@lru_cache(maxsize=1)
def _last_rung(store: Store, rung: Rung | Pretraining) -> tuple[Backbone, pruning_masks.Masks]:
    return load_rung(store, rung)
