"""Cells of the study of the second-order paper: pruned backbones judged on tasks by heads of the dense one.

Heads are fitted on training images and judged on others. What the study is, `second_order` says.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from sklearn.linear_model import LogisticRegression, RidgeClassifierCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn import functional

from tepones.backbones.base import Backbone
from tepones.backbones.features import extract
from tepones.backbones.training import Training
from tepones.companion.study.cells import Images, Pretraining, Rung, load_rung
from tepones.companion.study.records import Cell, Store, Tensors, Values
from tepones.pruning.base import Setting, sample
from tepones.pruning.criteria.diagonal import diagonal
from tepones.pruning.masks import dense as everything
from tepones.pruning.masks import prunable, select
from tepones.transfer import mean_class_accuracy

#: Penalties of ridge heads, of which the best by leave-one-out is taken; features are standardised.
PENALTIES = tuple(np.logspace(-1, 5, 13))
#: Leading eigenvalues of a task's Hessian, and images that it is taken of.
N_EIGENVALUES, N_IMAGES = 3, 256
#: Where the loss is taken on the line from the dense backbone (0) to the pruned one (1).
PLACES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Part(Cell):
    """Some of the classes of a task, from number `first` to before `last`: images as of a task of their own."""

    whole: Images
    first: int
    last: int

    def requires(self) -> list[Cell]:
        """The whole task."""
        return [self.whole]

    def compute(self, store: Store) -> tuple[Values, Tensors]:
        """Names of the classes; images, and labels that count from 0."""
        record = store.require(self.whole)
        tensors, found = record.tensors(), {}
        for split in ("train", "test"):
            labels = tensors[f"{split}_labels"]
            rows = np.flatnonzero((labels >= self.first) & (labels < self.last))
            found |= {f"{split}_images": tensors[f"{split}_images"][rows], f"{split}_labels": labels[rows] - self.first}
        found["test_groups"] = np.arange(len(rows))
        return {"classes": record.values["classes"][self.first : self.last]}, found


@dataclass(frozen=True)
class ZeroShot(Cell):
    """Accuracy of a rung on tasks, by heads of its dense backbone and by heads of its own."""

    rung: Rung | Pretraining
    tasks: tuple[Part, ...]

    def requires(self) -> list[Cell]:
        """The rung, its dense backbone and the tasks."""
        return [self.rung, _dense(self.rung), *self.tasks]

    def compute(self, store: Store) -> tuple[Values, Tensors]:
        """One row for each task: mean class accuracies on the test images, ``zero_shot`` and ``refitted``."""
        heads = _ridge_heads(store, _dense(self.rung), self.tasks)
        backbone, _ = load_rung(store, self.rung)
        rows = []
        for number, (task, head) in enumerate(zip(self.tasks, heads, strict=True)):
            images = store.require(task).tensors()
            features = extract(backbone, images["test_images"])
            own = _ridge_head(extract(backbone, images["train_images"]), images["train_labels"])
            found = (mean_class_accuracy(each.predict(features), images["test_labels"]) for each in (head, own))
            rows.append({"task": number, **dict(zip(("zero_shot", "refitted"), map(float, found), strict=True))})
        return {"rows": rows}, {}


@dataclass(frozen=True)
class Landscape(Cell):
    """How alike tasks see the loss around a dense backbone.

    Each task has a logistic head on the dense features; its loss is the cross-entropy of its training images, as a
    function of the prunable weights of the encoder.
    """

    dense: Pretraining
    tasks: tuple[Part, ...]
    sparsities: tuple[float, ...]

    def requires(self) -> list[Cell]:
        """The dense backbone and the tasks."""
        return [self.dense, *self.tasks]

    def compute(self, store: Store) -> tuple[Values, Tensors]:
        """Of each task its eigenvalues; of each pair how alike their diagonals, masks and leading eigenvectors are.

        ``eigenvalues`` has a list for each task, largest first. ``pairs`` has rows with first, second (numbers of
        tasks), ``correlation`` (Spearman, of the diagonals of their Fisher matrices), ``eigenvectors`` (absolute cosine
        of the leading ones), and for each sparsity ``overlap SPARSITY``: the fraction of the weights that both keep
        among those that one keeps, which for masks drawn at random is 1 minus the sparsity.
        """
        ranks, vectors, values, masks = [], [], [], []
        backbone, _ = load_rung(store, self.dense)
        for task in self.tasks:
            own = _with_head(backbone, store, self.dense, task)
            setting = _setting(store, task)
            saliency = diagonal(own, setting)
            weights = prunable(own)
            curvature = torch.cat([(saliency[name] / weights[name].detach() ** 2).flatten() for name in weights])
            ranks.append(np.argsort(np.argsort(curvature.nan_to_num().numpy())))
            kept = [select(saliency, level, everything(own)) for level in self.sparsities]
            masks.append([torch.cat([mask.flatten() for mask in each.values()]).numpy() for each in kept])
            found, leading = _eigen(own, *sample(setting, N_IMAGES))
            values.append(found)
            vectors.append(leading)
        pairs = []
        for first, second in _pairs(len(self.tasks)):
            row = {"first": first, "second": second, "eigenvectors": abs(float(vectors[first] @ vectors[second]))}
            row["correlation"] = float(np.corrcoef(ranks[first], ranks[second])[0, 1])
            for level, one, other in zip(self.sparsities, masks[first], masks[second], strict=True):
                row[f"overlap {level:g}"] = float((one & other).sum() / one.sum())
            pairs.append(row)
        return {"eigenvalues": values, "pairs": pairs}, {}


@dataclass(frozen=True)
class Line(Cell):
    """Loss of every task on the straight line from a dense backbone to a rung pruned from it, without training."""

    rung: Rung
    tasks: tuple[Part, ...]

    def requires(self) -> list[Cell]:
        """The rung, its dense backbone and the tasks."""
        return [self.rung, self.rung.pretraining, *self.tasks]

    def compute(self, store: Store) -> tuple[Values, Tensors]:
        """Rows with task, place (of `PLACES`) and the cross-entropy of the test images, by the dense logistic head."""
        dense, _ = load_rung(store, self.rung.pretraining)
        pruned, _ = load_rung(store, self.rung)
        rows = []
        for number, task in enumerate(self.tasks):
            own = _with_head(dense, store, self.rung.pretraining, task)
            images = store.require(task).tensors()
            for place in PLACES:
                with torch.no_grad():
                    ends = zip(prunable(own).values(), prunable(dense).values(), prunable(pruned).values(), strict=True)
                    for weight, start, end in ends:
                        weight.copy_(torch.lerp(start, end, place))
                    features = torch.as_tensor(extract(own, images["test_images"]))
                    loss = functional.cross_entropy(own.classifier(features), torch.tensor(images["test_labels"]))
                rows.append({"task": number, "place": place, "loss": float(loss)})
        return {"rows": rows}, {}


def _dense(rung: Rung | Pretraining) -> Pretraining:
    return rung.pretraining if isinstance(rung, Rung) else rung


@lru_cache(maxsize=1)
def _ridge_heads(store: Store, dense: Pretraining, parts: tuple[Part, ...]) -> list[Pipeline]:
    backbone, _ = load_rung(store, dense)
    images = [store.require(part).tensors() for part in parts]
    return [_ridge_head(extract(backbone, each["train_images"]), each["train_labels"]) for each in images]


def _ridge_head(features: np.ndarray, labels: np.ndarray) -> Pipeline:
    """Closed-form ridge regression to one-hot labels on standardised features, every class weighing alike."""
    return make_pipeline(StandardScaler(), RidgeClassifierCV(PENALTIES, class_weight="balanced")).fit(features, labels)


def _setting(store: Store, task: Part) -> Setting:
    """Images and labels of a task for criteria; nothing is trained."""
    images = store.require(task).tensors()
    return Setting(images["train_images"], images["train_labels"], diagonal, Training(1, 0.1), seed=0)


def _with_head(backbone: Backbone, store: Store, dense: Pretraining, task: Part) -> Backbone:
    """A copy of a backbone whose classifier is a logistic head for a task, fitted on the dense backbone's features."""
    own = copy.deepcopy(backbone)
    own.classifier = copy.deepcopy(_logistic_head(store, dense, task))
    return own


@lru_cache(maxsize=32)
def _logistic_head(store: Store, dense: Pretraining, task: Part) -> nn.Linear:
    backbone, _ = load_rung(store, dense)
    images = store.require(task).tensors()
    features = extract(backbone, images["train_images"])
    scaler = StandardScaler().fit(features)
    fitted = LogisticRegression(C=0.1, max_iter=300, tol=1e-3).fit(scaler.transform(features), images["train_labels"])
    weight = fitted.coef_ / scaler.scale_
    head = nn.Linear(features.shape[1], len(weight))
    with torch.no_grad():
        head.weight.copy_(torch.as_tensor(weight))
        head.bias.copy_(torch.as_tensor(fitted.intercept_ - weight @ scaler.mean_))
    return head


def _eigen(backbone: Backbone, images: torch.Tensor, labels: torch.Tensor) -> tuple[list[float], np.ndarray]:
    """Largest eigenvalues of the Hessian of the mean cross-entropy by the prunable weights; the leading eigenvector.

    By the Lanczos method of ARPACK, from products with the Hessian. The network is in evaluation mode.
    """
    backbone.eval()
    weights = list(prunable(backbone).values())
    sizes = [weight.numel() for weight in weights]
    loss = functional.cross_entropy(backbone(backbone.prepare(images)), labels)
    slope = torch.cat([part.flatten() for part in torch.autograd.grad(loss, weights, create_graph=True)])

    def product(vector: np.ndarray) -> np.ndarray:
        direction = torch.as_tensor(vector.ravel(), dtype=slope.dtype)
        found = torch.autograd.grad(slope @ direction, weights, retain_graph=True)
        return torch.cat([part.flatten() for part in found]).numpy()

    hessian = LinearOperator((sum(sizes),) * 2, matvec=product, dtype=np.float32)
    start = np.random.default_rng(0).standard_normal(sum(sizes)).astype(np.float32)
    values, vectors = eigsh(hessian, k=N_EIGENVALUES, which="LA", v0=start, tol=1e-2)
    order = np.argsort(-values)
    return [float(value) for value in values[order]], vectors[:, order[0]]


def _pairs(n: int) -> Iterator[tuple[int, int]]:
    return ((first, second) for first in range(n) for second in range(first + 1, n))
