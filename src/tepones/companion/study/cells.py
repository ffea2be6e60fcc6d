"""The cells of the study: images, pre-training, rungs, transfer accuracy, scores."""

from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from tepones import tasks
from tepones.backbones import BACKBONES, OBJECTIVES
from tepones.backbones.activations import layer_entropies
from tepones.backbones.base import Backbone
from tepones.backbones.features import accuracy, extract, predict
from tepones.backbones.released import file, read
from tepones.backbones.training import Training, train
from tepones.companion.study.ablations import vary
from tepones.companion.study.records import Cell, Store, Tensors, Values
from tepones.companion.study.tables import LAYER_ENTROPY
from tepones.pruning import CRITERIA, SCHEDULES, STARTS
from tepones.pruning import masks as pruning_masks
from tepones.pruning.base import Setting
from tepones.pruning.resize import resize
from tepones.scores import SCORES
from tepones.scores.table import score
from tepones.tasks.glyphs import ALPHABETS
from tepones.tasks.sources import SOURCES, locate, places
from tepones.transfer import linear_probe, mean_class_accuracy

SPLITS = ("train_images", "train_labels", "test_images", "test_labels", "test_groups")

#: Images that a distilled rung is trained on.
DISTILLED = 8000

#: How far into pre-training lottery tickets are rewound, as a fraction of its steps. Frankle et al. 2019
#: (arXiv 1903.01611) find 0.1 % to 7 % to serve.
EARLY = 0.07


@dataclass(frozen=True)
class Images(Cell):
    """The images of a task, rendered, or read and resized, once."""

    task: str
    train_per_class: int
    test_per_class: int | None = None
    pixels: int = 32
    classes: int | None = None

    def code(self) -> list[str]:
        """The task, and its own entry: of characters the alphabet, of photographs the data set."""
        tables = {"tepones.tasks.glyphs:ALPHABETS": ALPHABETS, "tepones.tasks.sources:SOURCES": SOURCES}
        return [tasks.TASKS[self.task], *(f"{table}[{self.task}]" for table in tables if self.task in tables[table])]

    def inputs(self) -> dict[str, Path]:
        """Of photographs, the folder of the data set."""
        if self.task not in SOURCES:
            return {}
        return {f"images {self.task}": locate(self.task) or places(self.task)[0]}

    def compute(self, store: Store) -> tuple[Values, Tensors]:
        """Names of the classes; the images and labels of both splits, and the groups of the test images."""
        task = tasks.load(self.task, self.train_per_class, self.test_per_class, self.pixels, self.classes)
        return {"classes": list(task.classes)}, {split: getattr(task, split) for split in SPLITS}


@dataclass(frozen=True)
class Pretraining(Cell):
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
        """Backbone and training."""
        return [BACKBONES[self.backbone], OBJECTIVES[self.objective]]

    def compute(self, store: Store) -> tuple[Values, Tensors]:
        """Train from scratch; the state early in training is kept too, under names that begin with `early:`."""
        images = _images(store, self.source)
        backbone = _new_backbone(store, self, self.seed)
        early = {}

        def keep_early(step: int, n_steps: int) -> None:
            if step == max(1, round(EARLY * n_steps)):
                early.update(_arrays(backbone, "early:"))

        pretrain = OBJECTIVES.load(self.objective)
        labels = images["train_labels"]
        pretrain(backbone, images["train_images"], labels, self.training, self.seed, after_step=keep_early)
        values, tensors = _rung_record(backbone, pruning_masks.dense(backbone), images)
        return values, {**tensors, **early}


@dataclass(frozen=True)
class Released(Cell):
    """A backbone with weights that others released: rung 0 of the ladders that start from it.

    `weights` is a file `weights/NAME.safetensors` of the root folder of data sets, with torchvision's names of
    tensors; weights that are zero in it count as pruned. `source` holds the images that criteria look at.
    """

    backbone: str
    weights: str
    source: Images
    seed: int = 0

    def requires(self) -> list[Cell]:
        """The images for the criteria."""
        return [self.source]

    def code(self) -> list[str]:
        """The backbone."""
        return [BACKBONES[self.backbone]]

    def inputs(self) -> dict[str, Path]:
        """The file of weights."""
        return {f"weights {self.weights}": file(self.weights)}

    def compute(self, store: Store) -> tuple[Values, Tensors]:
        """Read the file; the source accuracy is not known."""
        backbone, digest = read(self.weights, self.backbone)
        masks = {name: weight.detach() != 0 for name, weight in pruning_masks.prunable(backbone).items()}
        values, tensors = _rung_record(backbone, masks, _images(store, self.source))
        return {**values, "weights": digest}, tensors


@dataclass(frozen=True)
class Rung(Cell):
    """A pruned rung of a ladder; the last of `sparsities` is its own, the others are those of the rungs before it.

    `scope` says where weights are compared: in the whole network (``"global"``) or in each layer (``"layer"``). A
    schedule that chooses no weights has no criterion.
    """

    pretraining: Pretraining | Released
    criterion: str | None
    schedule: str
    sparsities: tuple[float, ...]
    training: Training
    scope: str = "global"

    def requires(self) -> list[Cell]:
        """The rung that this one starts from, the dense backbone and its images."""
        return [self.start(), self.pretraining, self.pretraining.source]

    def start(self) -> "Rung | Pretraining | Released":
        """The rung that this one starts from: mostly the one before it, else as `tepones.pruning.STARTS` says."""
        start = STARTS.get(self.schedule)
        before = self.sparsities[:-1]
        if start == "dense" or not (start or before):
            return self.pretraining
        return replace(self, schedule=start) if start else replace(self, sparsities=before)

    def code(self) -> list[str]:
        """Criterion and schedule, and what the schedule starts from if not from the rung before."""
        start = [f"tepones.pruning:STARTS[{self.schedule}]"] if self.schedule in STARTS else []
        criterion = [CRITERIA[self.criterion]] if self.criterion else []
        return [*criterion, SCHEDULES[self.schedule], *start]

    def compute(self, store: Store) -> tuple[Values, Tensors]:
        """Prune the rung that this one starts from and train it."""
        images = _images(store, self.pretraining.source)
        backbone, masks = load_rung(store, self.start())
        level = 0 if STARTS.get(self.schedule) == "dense" else len(self.sparsities)
        seed = 1000 * self.pretraining.seed + level
        fresh = _new_backbone(store, self.pretraining, seed).state_dict()
        setting = Setting(
            images=images["train_images"],
            labels=images["train_labels"],
            criterion=CRITERIA.load(self.criterion) if self.criterion else None,
            training=self.training,
            seed=seed,
            scope=self.scope,
            early=_tensors(store, self.pretraining, "early:"),
            fresh=fresh,
        )
        n_dense = sum(fresh[name].numel() for name in masks)
        masks = SCHEDULES.load(self.schedule)(backbone, masks, self.sparsities[-1], setting)
        return _rung_record(backbone, masks, images, n_dense)


@dataclass(frozen=True)
class Distilled(Rung):
    """A rung of a ladder of released weights, trained after each pruning to answer as its own dense network does.

    Labels of the released network's classes are not at hand, so it is distilled (Hinton, Vinyals and Dean 2015, arXiv
    1503.02531, temperature 1): the loss is the cross-entropy to the source-class probabilities that the dense network
    gives the same image. Of the `DISTILLED` images of a rung half are those of the source, as often as it takes, and
    half are drawn from `images`, by the seed: in a pilot, either of the two alone harmed the control more.
    """

    images: Images = field(kw_only=True)

    def requires(self) -> list[Cell]:
        """As those of a rung, and the images."""
        return [*super().requires(), self.images]

    def compute(self, store: Store) -> tuple[Values, Tensors]:
        """Prune the rung that this one starts from and train it.

        Of the test images of `images` the record says how often this rung and the dense network give the same class.
        """
        images, source = _images(store, self.images), _images(store, self.pretraining.source)
        dense, _ = load_rung(store, self.pretraining)
        backbone, masks = load_rung(store, self.start())
        seed = 1000 * self.pretraining.seed + len(self.sparsities)
        generator = np.random.default_rng(seed)
        drawn = generator.permutation(len(images["train_images"]))[: DISTILLED // 2]
        known = np.resize(generator.permutation(len(source["train_images"])), DISTILLED // 2)
        pictures = np.concatenate([images["train_images"][drawn], source["train_images"][known]])
        setting = Setting(
            images=pictures,
            labels=predict(dense, pictures),
            criterion=CRITERIA.load(self.criterion) if self.criterion else None,
            training=self.training,
            seed=seed,
            scope=self.scope,
        )
        masks = SCHEDULES.load(self.schedule)(backbone, masks, self.sparsities[-1], setting)
        values, tensors = _rung_record(backbone, masks, source)
        answers, expected = (predict(network, images["test_images"]).argmax(1) for network in (backbone, dense))
        return {**values, "fidelity": float((answers == expected).mean())}, tensors


@dataclass(frozen=True)
class Transfer(Cell):
    """Transfer accuracy of a rung on a target task: a linear probe on its frozen features."""

    rung: Rung | Pretraining | Released
    target: Images
    regularisation: tuple[float, ...]

    def requires(self) -> list[Cell]:
        """The rung and the target's images."""
        return [self.rung, self.target]

    def compute(self, store: Store) -> tuple[Values, Tensors]:
        """Test accuracy, the regularisation that cross-validation chose, and which test images are classified right."""
        images = _images(store, self.target)
        train_features, test_features = _features(store, self.rung, self.target)
        probe = linear_probe(
            train_features, images["train_labels"], test_features, images["test_labels"], self.regularisation
        )
        return {"accuracy": probe.accuracy, "regularisation": probe.regularisation}, _packed(probe.correct)


@dataclass(frozen=True)
class FineTuning(Cell):
    """Transfer accuracy of a rung on a target task: all weights that remain are trained on it.

    The seed decides the new classifier and the order of the images.
    """

    rung: Rung | Pretraining | Released
    target: Images
    training: Training
    seed: int

    def requires(self) -> list[Cell]:
        """The rung and the target's images."""
        return [self.rung, self.target]

    def compute(self, store: Store) -> tuple[Values, Tensors]:
        """Test accuracy after the last step, and which test images are classified right; they are used once."""
        images = _images(store, self.target)
        backbone, masks = load_rung(store, self.rung)
        torch.manual_seed(self.seed)
        backbone.classifier = torch.nn.Linear(backbone.classifier.in_features, _n_classes(store, self.target))
        train(backbone, images["train_images"], images["train_labels"], self.training, self.seed, masks)
        labels, predicted = images["test_labels"], predict(backbone, images["test_images"]).argmax(1)
        return {"accuracy": mean_class_accuracy(predicted, labels)}, _packed(predicted == labels)


@dataclass(frozen=True)
class Scoring(Cell):
    """Scores of a rung on the training split of a target task."""

    rung: Rung | Pretraining | Released
    target: Images
    scores: tuple[str, ...]

    def requires(self) -> list[Cell]:
        """The rung and the target's images."""
        return [self.rung, self.target]

    def code(self) -> list[str]:
        """The scores."""
        return [SCORES[name] for name in self.scores]

    def compute(self, store: Store) -> tuple[Values, Tensors]:
        """One row for each score, as `tepones.score` gives them."""
        images = _images(store, self.target)
        features, _ = _features(store, self.rung, self.target)
        probabilities = None
        if not {"nce", "leep"}.isdisjoint(self.scores):
            backbone, _ = _last_rung(store, self.rung)
            probabilities = predict(backbone, images["train_images"])
        table = score(features, images["train_labels"], scores=list(self.scores), probabilities=probabilities)
        return {"rows": table.astype(object).where(table.notna(), None).to_dict("records")}, {}


@dataclass(frozen=True)
class Entropies(Cell):
    """Entropy of the activations of every layer of a rung on the training split of a target task."""

    rung: Rung | Pretraining | Released
    target: Images

    def requires(self) -> list[Cell]:
        """The rung and the target's images."""
        return [self.rung, self.target]

    def compute(self, store: Store) -> tuple[Values, Tensors]:
        """Rows like those of scores: the mean of the layers, which is the score, and each layer as a part of it."""
        backbone, _ = _last_rung(store, self.rung)
        layers = layer_entropies(backbone, _images(store, self.target)["train_images"])
        rows = {None: fmean(layers.values())} | layers
        return {"rows": [{"score": LAYER_ENTROPY, "part": part, "value": value} for part, value in rows.items()]}, {}


@dataclass(frozen=True)
class Ablation(Cell):
    """The Gaussian TEP-ones score of a rung on the training split of a target task, one choice changed at a time."""

    rung: Rung | Pretraining | Released
    target: Images

    def requires(self) -> list[Cell]:
        """The rung and the target's images."""
        return [self.rung, self.target]

    def compute(self, store: Store) -> tuple[Values, Tensors]:
        """One row for each choice and level, as `tepones.companion.study.ablations.vary` gives them."""
        images = _images(store, self.target)
        backbone, _ = _last_rung(store, self.rung)
        return {"rows": vary(backbone, images["train_images"], images["train_labels"])}, {}


def load_rung(store: Store, rung: Rung | Pretraining | Released) -> tuple[Backbone, pruning_masks.Masks]:
    """Backbone and masks of a recorded rung."""
    pretraining = rung.pretraining if isinstance(rung, Rung) else rung
    backbone = _new_backbone(store, pretraining, pretraining.seed)
    state = _tensors(store, rung, "weight:")
    resize(backbone, state)
    backbone.load_state_dict(state)
    return backbone.to(memory_format=torch.channels_last), _tensors(store, rung, "mask:")


def _new_backbone(store: Store, pretraining: Pretraining | Released, seed: int) -> Backbone:
    """A backbone with weights drawn from a seed."""
    torch.manual_seed(seed)
    return BACKBONES.load(pretraining.backbone)(_n_classes(store, pretraining.source))


def _tensors(store: Store, rung: Rung | Pretraining | Released, prefix: str) -> dict[str, torch.Tensor]:
    """Copies of the tensors of a record whose names begin with a prefix, without it."""
    found = store.require(rung).tensors().items()
    return {name.removeprefix(prefix): torch.tensor(array) for name, array in found if name.startswith(prefix)}


def _arrays(backbone: Backbone, prefix: str) -> dict[str, np.ndarray]:
    """Copies of all parameters and buffers."""
    return {f"{prefix}{name}": tensor.numpy().copy() for name, tensor in backbone.state_dict().items()}


def _packed(correct: np.ndarray) -> Tensors:
    """Whether each test image is classified right, eight to a byte."""
    return {"correct": np.packbits(correct)}


def _rung_record(
    backbone: Backbone, masks: pruning_masks.Masks, images: dict[str, np.ndarray], n_dense: int | None = None
) -> tuple[Values, Tensors]:
    """What is recorded of a rung; of `n_dense` prunable weights, where a layer may have lost channels."""
    tensors = _arrays(backbone, "weight:")
    tensors |= {f"mask:{name}": mask.contiguous().numpy() for name, mask in masks.items()}
    n_alive = sum(int(mask.sum()) for mask in masks.values())
    judged = len(images["test_labels"]) > 0
    values = {
        "sparsity": 1 - n_alive / n_dense if n_dense else pruning_masks.sparsity(masks),
        "nonzero_weights": n_alive,
        "collapsed": " ".join(pruning_masks.collapsed(masks)),
        "source_accuracy": accuracy(backbone, images["test_images"], images["test_labels"]) if judged else None,
    }
    return values, tensors


@lru_cache(maxsize=8)
def _images(store: Store, images: Images) -> dict[str, np.ndarray]:
    return dict(store.require(images).tensors())


@lru_cache(maxsize=8)
def _n_classes(store: Store, images: Images) -> int:
    return len(store.require(images).values["classes"])


@lru_cache(maxsize=1)
def _features(store: Store, rung: Rung | Pretraining | Released, target: Images) -> tuple[np.ndarray, np.ndarray]:
    """Features of both splits; one is kept, for the cells of the same rung and target that follow."""
    backbone, _ = _last_rung(store, rung)
    images = _images(store, target)
    return extract(backbone, images["train_images"]), extract(backbone, images["test_images"])


@lru_cache(maxsize=1)
def _last_rung(store: Store, rung: Rung | Pretraining | Released) -> tuple[Backbone, pruning_masks.Masks]:
    return load_rung(store, rung)
