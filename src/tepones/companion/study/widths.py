"""Statistics that could order a ranking, on networks of different widths and few images: the records of the default.

The rule by which the default was chosen is in `data/ranking/README.md`, the records are in `data/records/widths`.
`compute` makes them again::

    from pathlib import Path
    from tepones.companion.study import tables, widths
    Path("networks.csv").write_text(tables.to_csv(widths.compute(Path("build/widths"))))

It needs the photographs and released weights of the folder of data sets, and timm for one network of 18.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy.linalg import eigh
from torch import nn

from tepones import tasks
from tepones.agreement.correlations import weighted_tau
from tepones.backbones import from_timm, released
from tepones.backbones.encoder import Encoder, Preparation
from tepones.common import paths
from tepones.common.errors import TeponesError
from tepones.common.files import check_sums
from tepones.common.progress import progress_bar
from tepones.pruning import masks
from tepones.ranking import zoo
from tepones.ranking.networks import build, canonical, preparation
from tepones.scores.h_score import h_score
from tepones.scores.intra_class import gaussian, posterior
from tepones.scores.lda import lda_accuracy
from tepones.scores.logme import logme
from tepones.scores.moments import ClassMoments
from tepones.scores.policy import DEAD
from tepones.scores.probe import probe
from tepones.scores.summary import NOISE, Spread, Summary, cholesky, squared_norm

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

#: Statistics that are also taken on shuffled labels, and those that are not.
SHUFFLED = (
    "gaussian",
    "logme",
    "shrunk_h_score",
    "h_score",
    "gaussian_principal",
    "gaussian_random",
    "h_score_principal",
    "h_score_random",
)
PLAIN = ("posterior", "lda_accuracy")
CONTROL = "probe"
#: Statistics that need a second pass over the rows; the others need their moments alone.
SECOND_PASS = {"gaussian_principal", "gaussian_random", "h_score_principal", "h_score_random", *PLAIN}
#: What a null is used for, and the sign that stands for it in the name of a candidate.
FORMS = ("", " − null", " in SD")
#: Candidates whose agreement is within this of the best count as equally good.
MARGIN = 0.02

KEYS = ["target", "per_class", "draw", "network"]

_BATCH = 50


class Network(NamedTuple):
    """A network of the records, and what loads it."""

    name: str
    trained: bool
    load: Callable[[], Encoder]


def networks() -> list[Network]:
    """The networks of the rule, trained ones first."""
    imagenet = preparation("torchvision:squeezenet1_1")
    halves = Preparation(mean=(127.5,) * 3, std=(127.5,) * 3, resampling="bicubic")
    lite = "efficientnet_lite0"

    def ours(architecture: str, sparsity: float = 0.0, suffix: str = "") -> Encoder:
        model, _ = released.read(f"{architecture}-imagenet{suffix}", f"torchvision:{architecture}")
        if sparsity:
            saliency = {key: weight.detach().abs() for key, weight in masks.prunable(model).items()}
            masks.apply(model, masks.select(saliency, sparsity, masks.dense(model)))
        return _encoder(model, imagenet)

    def rung(ladder: str, number: int) -> Encoder:
        return zoo.load(zoo.folder() / ladder, f"rung-{number:02d}{zoo.SUFFIX}")

    def initial(architecture: str) -> Encoder:
        return _encoder(build(canonical(architecture), 1000), imagenet)

    def small() -> Encoder:
        return Encoder("", "small-resnet", build("small-resnet", 62), Preparation())

    trained = {
        "squeezenet1_1": lambda: ours("squeezenet1_1"),
        "squeezenet1_1 50 %": lambda: ours("squeezenet1_1", 0.5),
        "squeezenet1_0 pruned": lambda: ours("squeezenet1_0", suffix="-pruned"),
        "mobilenet_v2": lambda: ours("mobilenet_v2"),
        "mobilenet_v2 50 %": lambda: ours("mobilenet_v2", 0.5),
        lite: lambda: _encoder(_timm(f"tf_{lite}", f"{lite}-imagenet"), halves),
        "letters dense": lambda: rung("magnitude-iterative-0", 0),
        "letters 97 %": lambda: rung("magnitude-iterative-0", 3),
        "letters 99.6 %": lambda: rung("magnitude-iterative-0", 5),
        "letters structured 92 %": lambda: rung("magnitude-structured-0", 2),
    }
    untrained = {
        "squeezenet1_1": lambda: initial("squeezenet1_1"),
        "squeezenet1_0": lambda: initial("squeezenet1_0"),
        "mobilenet_v2": lambda: initial("mobilenet_v2"),
        lite: lambda: _encoder(_timm(f"tf_{lite}"), halves),
        "resnet18": lambda: initial("resnet18"),
        "resnet50": lambda: initial("resnet50"),
        "vgg11": lambda: initial("vgg11"),
        "small-resnet": small,
    }
    return [
        *(Network(name, True, load) for name, load in trained.items()),
        *(Network(f"{name} untrained", False, load) for name, load in untrained.items()),
    ]


def _encoder(model: nn.Module, preparation: Preparation) -> Encoder:
    return Encoder("", "", model, replace(preparation, resize=SIDE, crop=SIDE))


def _timm(architecture: str, weights: str = "") -> nn.Module:
    """A classifier of timm's with released or initial weights."""
    from safetensors.torch import load_file

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = from_timm.installed().create_model(architecture, pretrained=False)
    if weights:
        model.load_state_dict(load_file(released.file(weights)))
    return model


def pictures(target: str, pool: int = POOL, official: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, SIDE, SIDE, 3) and labels (N,) of a target: of its `CLASSES` with most images, at most `pool` each.

    `official` is the number of all its classes, where the copy is not the official data set.
    """
    task = tasks.load(target, pool, pool, SIDE, official)
    images = np.concatenate([task.train_images, task.test_images])
    labels = np.concatenate([task.train_labels, task.test_labels])
    counts = np.bincount(labels)
    most = sorted(np.argsort(-counts, kind="stable")[:CLASSES])
    rows = np.concatenate([np.flatnonzero(labels == label)[:pool] for label in most])
    return images[rows], np.unique(labels[rows], return_inverse=True)[1]


def features(
    folder: Path,
    known: Sequence[Network],
    targets: Mapping[str, int | None] = TARGETS,
    pool: int = POOL,
) -> Iterator[tuple[str, Network, np.ndarray, np.ndarray]]:
    """Target, network, features (N, D) and labels (N,): computed once, then read from the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with progress_bar(len(known) * len(targets), "features", "files") as bar:
        for network in known:
            encoder = None
            for target, official in targets.items():
                path = folder / f"{target} {network.name}.npz"
                if not path.is_file():
                    encoder = encoder or network.load()
                    images, labels = pictures(target, pool, official)
                    found = [
                        encoder(encoder.preparation(list(images[start : start + _BATCH])))[0].numpy()
                        for start in range(0, len(images), _BATCH)
                    ]
                    np.savez(path, features=np.concatenate(found), labels=labels)
                with np.load(path) as stored:
                    yield target, network, stored["features"], stored["labels"]
                bar.update(1)


# The statistics of a cell. Rows are few and features may be many: everything is computed in a basis of the row space,
# with the number of features that there were, which gives what `tepones.scores` gives (a test compares them).


class _Rotated(Summary):
    """A summary of standardised features in a basis of their row space: not to be standardised again.

    `n_features`, the active features before the rotation, is what shrinking counts.
    """

    def __init__(self, moments: ClassMoments, n_features: int):
        spread = Spread(moments)
        spread.scale = np.ones(spread.n_active)
        super().__init__(moments, spread)
        self.d = n_features

    def within_factor(self) -> tuple[np.ndarray, float]:
        """As `Summary.within_factor`, for d features of which only these directions vary."""
        means = self.standardised_means()
        matrix = self.spread.covariance() - means.T @ means
        trace, squared, n = np.trace(matrix), squared_norm(matrix), self.n - self.n_classes
        distance = squared - trace**2 / self.d
        a = 1.0
        if n > 0 and distance > 0:
            a = float(min(1.0, ((1 - 2 / self.d) * squared + trace**2) / ((n + 1 - 2 / self.d) * distance)))
        matrix *= 1 - a
        np.einsum("ii->i", matrix)[:] += a * max(trace / self.d, 0.0) + NOISE
        return cholesky(np.asfortranarray(matrix)), a


def _rotate(rows: np.ndarray) -> np.ndarray:
    """Rows in the basis of their principal directions (about 0), largest last, without those that are rounding."""
    n, d = rows.shape
    if d < n:
        return rows @ eigh(rows.T @ rows)[1]
    values, vectors = eigh(rows @ rows.T)
    kept = values > 1e-10 * values[-1]
    return vectors[:, kept] * np.sqrt(values[kept])


def _moments(rows: np.ndarray, labels: np.ndarray, n_features: int | None = None) -> ClassMoments:
    moments = ClassMoments().update(rows, labels)
    if n_features is not None:
        moments._summary = _Rotated(moments, n_features)
    return moments


def _shrunk_h_score(rows: np.ndarray, labels: np.ndarray, n_features: int) -> float:
    """The shrunk H-score of centred rows in a basis of principal directions."""
    n = len(rows)
    variances = np.mean(rows**2, 0)
    squared, mean = variances @ variances, variances.sum() / n_features
    distance = squared - variances.sum() ** 2 / n_features
    error = max(np.sum(np.sum(rows**2, 1) ** 2) / n - squared, 0.0) / n
    a = max(0.0 if distance <= 0 else min(error / distance, 1.0), 1e-10)
    counts = np.bincount(labels)
    means = np.array([rows[labels == label].mean(0) for label in range(len(counts))])
    return float(np.sum((1 - a) * (counts / n) @ means**2 / ((1 - a) * variances + a * mean)))


def statistics(features: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Every statistic of a cell for one network: value, and of most the null and its standard deviation.

    Parameters
    ----------
    features : ndarray, shape (N, D)
    labels : ndarray of int, shape (N,)
        From 0, every class present.

    Returns
    -------
    dict of str to float
        ``NAME`` for each of `SHUFFLED`, `PLAIN` and `CONTROL`; ``NAME null`` and ``NAME sd`` for each of `SHUFFLED`.
        Cost: about 0.5 s for 500 rows.
    """
    features = np.asarray(features, float)
    n = len(features)
    mean, deviation = features.mean(0), features.std(0)
    active = deviation > DEAD * np.sqrt(mean**2 + deviation**2)
    d = int(active.sum())
    if not d:
        raise TeponesError("no feature is active")
    standardised = (features[:, active] - mean[active]) / deviation[active]
    rotated, centred = _rotate(standardised), _rotate(features[:, active] - mean[active])
    raw = _rotate(features[:, active])
    k = min(DIRECTIONS, n // 2)
    random = np.random.default_rng(d).normal(size=(d, k))
    rows = {"": rotated, "_principal": rotated[:, -k:], "_random": standardised @ random if d > k else rotated}

    def shuffled(order: np.ndarray) -> dict[str, float]:
        own = {name: _moments(part, order, None if name else d) for name, part in rows.items()}
        values = {f"gaussian{name}": gaussian(moments) for name, moments in own.items()}
        values |= {f"h_score{name}": h_score(moments) for name, moments in own.items()}
        return values | {
            "logme": logme(_moments(raw, order)),
            "shrunk_h_score": _shrunk_h_score(centred, order, d),
        }

    found = shuffled(labels)
    nulls = [shuffled(np.random.default_rng(number).permutation(labels)) for number in range(SHUFFLES)]
    for name in SHUFFLED:
        values = [null[name] for null in nulls]
        found |= {f"{name} null": float(np.mean(values)), f"{name} sd": float(np.std(values, ddof=1))}
    moments = _moments(rotated, labels, d)
    return found | {
        "posterior": posterior(rotated, labels, moments),
        "lda_accuracy": lda_accuracy(rotated, labels, moments),
        CONTROL: probe(rotated, labels, moments),
    }


def accuracy(features: np.ndarray, labels: np.ndarray) -> float:
    """The truth: accuracy of the linear probe, each row left out once, in [0, 1]."""
    deviation = features.std(0, dtype=float)
    active = deviation > DEAD * np.abs(features).max(0)
    rows = _rotate((features[:, active] - features[:, active].mean(0, dtype=float)) / deviation[active])
    return probe(rows, labels, _moments(rows, labels, int(active.sum())))


def draw(labels: np.ndarray, per_class: int, number: int) -> np.ndarray:
    """Rows of a draw: so many of each class; draws share no image where there are enough."""
    generator = np.random.default_rng(0)
    rows = []
    for label in range(labels.max() + 1):
        own = generator.permutation(np.flatnonzero(labels == label))
        start = max(0, min(number * per_class, len(own) - per_class))
        rows.append(own[start : start + per_class])
    return np.concatenate(rows)


def compute(folder: Path) -> pd.DataFrame:
    """The records: one row for each target, number of images, draw and network.

    Parameters
    ----------
    folder : Path
        Where features are kept, about 200 MB; those that are there are not computed again.

    Returns
    -------
    DataFrame
        `KEYS`, ``trained``, ``features`` (D), ``accuracy`` (the truth), and the columns of `statistics`. Cost: about
        half an hour of one core.
    """
    rows = []
    for target, network, found, labels in features(folder, networks()):
        about = {"trained": network.trained, "features": found.shape[1], "accuracy": accuracy(found, labels)}
        for per_class in PER_CLASS:
            for number in range(DRAWS):
                chosen = draw(labels, per_class, number)
                cell = dict(zip(KEYS, (target, per_class, number, network.name), strict=True))
                rows.append(cell | about | statistics(found[chosen], labels[chosen]))
    return pd.DataFrame(rows)


def load() -> pd.DataFrame:
    """The committed records, as `compute` makes them; `TeponesError` if they are not there."""
    path = paths.published_records("widths") / "networks.csv"
    if not path.is_file():
        raise TeponesError(f"{path} is missing; tepones.companion.study.widths.compute makes it again")
    check_sums(path.parent)
    return pd.read_csv(path)


# The rule of `data/ranking/README.md`.


def candidates(records: pd.DataFrame) -> pd.DataFrame:
    """Every candidate of the rule and the control: one row for each of them and each row of the records.

    Columns `KEYS`, ``trained``, ``features``, ``accuracy``, ``candidate``, ``value`` (higher predicts better).
    """
    about = records[[*KEYS, "trained", "features", "accuracy"]]
    tables = []
    for name in SHUFFLED:
        value, null, sd = (records[f"{name}{part}"] for part in ("", " null", " sd"))
        forms = (value, value - null, (value - null) / sd.clip(lower=1e-12))
        tables += [about.assign(candidate=name + form, value=v) for form, v in zip(FORMS, forms, strict=True)]
    tables += [about.assign(candidate=name, value=records[name]) for name in (*PLAIN, CONTROL)]
    return pd.concat(tables, ignore_index=True)


def pairs(found: pd.DataFrame) -> pd.DataFrame:
    """Pairs of a trained and an untrained network that the truth tells apart, for each of `candidates`.

    Columns ``candidate``, ``target``, ``per_class``, ``draw``, ``untrained``, ``trained``, and ``wrong``: whether the
    candidate has the untrained network level with the trained one or above it.
    """
    cell = ["candidate", "target", "per_class", "draw"]
    part = found[[*cell, "network", "accuracy", "value"]]
    both = part[found["trained"]].merge(part[~found["trained"]], on=cell, suffixes=("_trained", "_untrained"))
    both = both[both["accuracy_trained"] >= both["accuracy_untrained"] + AHEAD]
    both = both.rename(columns={"network_trained": "trained", "network_untrained": "untrained"})
    wrong = both["value_untrained"] >= both["value_trained"]
    return both.assign(wrong=wrong)[[*cell, "untrained", "trained", "wrong"]]


def _agreement(found: pd.DataFrame) -> pd.DataFrame:
    """Weighted τ between candidate and truth over the trained networks of each cell; 0 where there is no order."""
    cells = found[found["trained"]].groupby(["candidate", "target", "per_class", "draw"], sort=False)
    tau = cells[["value", "accuracy"]].apply(lambda cell: weighted_tau(cell["value"], cell["accuracy"]))
    return tau.fillna(0.0).rename("tau").reset_index()


def by_images(found: pd.DataFrame) -> pd.DataFrame:
    """What candidates do with few and many images.

    Columns ``candidate``, ``per_class``, ``share`` (of the pairs that the truth tells apart, those that the candidate
    has wrong), ``tau`` (mean over targets and draws).
    """
    keys = ["candidate", "per_class"]
    share = pairs(found).groupby(keys, sort=False)["wrong"].mean().rename("share")
    tau = _agreement(found).groupby(keys, sort=False)["tau"].mean()
    return pd.concat([share, tau], axis=1).reset_index()


def verdicts(found: pd.DataFrame) -> pd.DataFrame:
    """What the rule says of each candidate, the chosen one first.

    Columns ``candidate``, ``tau`` (mean over the cells), ``against`` (wrong pairs in all cells), ``pairs`` (that there
    are), ``cost`` (0: moments alone, 1: a second pass, plus 2 for shufflings), ``refused``, ``chosen``. The control is
    last and cannot be chosen.
    """
    wrong = pairs(found).groupby("candidate")["wrong"].agg(against="sum", pairs="size")
    tau = _agreement(found).groupby("candidate", sort=False)["tau"].mean()
    table = tau.to_frame().join(wrong).reset_index()
    table["cost"] = table["candidate"].map(_cost)
    table["refused"] = table["against"] > 0
    eligible = table[table["candidate"] != CONTROL]
    left = eligible[~eligible["refused"]]
    if left.empty:
        order = eligible.sort_values(["against", "tau"], ascending=[True, False])
    else:
        near = left[left["tau"] >= left["tau"].max() - MARGIN]
        order = near.sort_values(["cost", "tau"], ascending=[True, False])
    table["chosen"] = table["candidate"] == order["candidate"].iloc[0]
    table["last"] = table["candidate"] == CONTROL
    table = table.sort_values(["last", "chosen", "against", "tau"], ascending=[True, False, True, False])
    return table.drop(columns="last").reset_index(drop=True)


def _cost(candidate: str) -> int:
    name = candidate.removesuffix(FORMS[1]).removesuffix(FORMS[2])
    return (name in SECOND_PASS) + 2 * (name != candidate)
