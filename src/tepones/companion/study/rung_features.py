"""Features of some rungs of the zoo on some targets, and scores of them: what the explorer computes from.

They are in `data/explorer`, whose README says what each file holds; `write` makes them again, in half a minute.

A *method* names the first ladder of that method in the profile `methods`, which is also a ladder of the zoo. All start
from one dense backbone, so that rung 0 is stored once. Of each target there are the first `MOST` training images of
each class, in the order of `chosen`.
"""

import functools
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from tepones import tasks
from tepones.agreement import regret, weighted_tau
from tepones.backbones.features import extract
from tepones.common import paths
from tepones.common.errors import TeponesError, choose
from tepones.common.files import check_sums, write_atomically, write_sums
from tepones.companion.study import profiles, tables
from tepones.companion.study.ablations import gaussian_at
from tepones.ranking import zoo
from tepones.scores import score
from tepones.scores.inputs import sound
from tepones.scores.moments import ClassMoments
from tepones.scores.rows import by_class

PROFILE = "methods"
SEED = 0
TARGETS = ("digits", "arrows", "symbols")
METHODS = ("magnitude iterative", "magnitude one-shot", "magnitude lottery", "magnitude structured")
#: Scores that need features alone, and take milliseconds of so few rows; the forms of TEP-ones first.
SCORES = ("gaussian", "binary", "posterior", "lda_accuracy", "logme", "h_score", "transrate", "knn")
#: Scores whose intensity of shrinkage can be given: see `scored`.
SHRUNK = ("gaussian",)
#: Images of each class of which scores are stored; features are stored of the largest number.
PER_CLASS = (4, 8, 16)
MOST = PER_CLASS[-1]
#: With fewer than two images a class has no variance.
LEAST = 2

CHOICE = ["target", "method", "score", "per_class"]

FEATURES, TABLE = "features.npz", "scores.csv"


def folder() -> Path:
    """Where the committed files are."""
    return paths.data() / "explorer"


def chosen(labels: np.ndarray, per_class: int) -> np.ndarray:
    """Numbers of the rows of the first images of each class, in one shuffled order of all rows; rising.

    More images of each class are the same ones and others. A class that has fewer gives all it has.
    """
    order = np.random.default_rng(SEED).permutation(len(labels))
    return np.sort(np.concatenate([order[rows[:per_class]] for rows in by_class(labels[order])]))


def images(target: str) -> tuple[np.ndarray, np.ndarray]:
    """Images of a target, one of `TARGETS`, whose features are stored: uint8 (N, 32, 32, 3), and labels (N,)."""
    choose("target", target, TARGETS)
    (size,) = (size for size in profiles.load(PROFILE).targets if size.task == target)
    task = tasks.load(target, size.train_per_class, size.test_per_class)
    rows = chosen(task.train_labels, MOST)
    return task.train_images[rows], task.train_labels[rows]


def compute(target: str) -> dict[str, np.ndarray]:
    """What is stored of a target: its labels, and the features of each rung of each ladder, by name.

    Returns
    -------
    dict of str to ndarray
        ``TARGET/labels``, int16 (N,), and ``TARGET/METHOD/RUNG``, float16 (N, D), column-major, which a file compresses
        better. Cost: a forward pass of each rung, some ten seconds.
    """
    pictures, labels = images(target)
    arrays = {f"{target}/labels": labels.astype(np.int16)}
    for method in METHODS:
        ladder = zoo.folder() / f"{method} {SEED}".replace(" ", "-")
        for number, rung in enumerate(zoo.manifest(ladder).rungs):
            name = _name(target, method, number)
            if name not in arrays:
                features = extract(zoo.load(ladder, rung.file).model, pictures)
                arrays[name] = np.asfortranarray(features.astype(np.float16))
    return arrays


def write() -> list[Path]:
    """Make the committed files again; they are returned."""
    arrays: dict[str, np.ndarray] = {}
    for target in TARGETS:
        arrays |= compute(target)
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    write_atomically(folder() / FEATURES, content.getvalue())
    table = pd.DataFrame([row for target in TARGETS for row in _scores(arrays, target)])
    write_atomically(folder() / TABLE, tables.to_csv(table).encode())
    return [folder() / FEATURES, folder() / TABLE, write_sums([folder() / FEATURES, folder() / TABLE])]


def load(target: str, method: str) -> tuple[np.ndarray, list[np.ndarray]]:
    """The stored labels of a target, int (N,), and the features of each rung of a ladder, float32 (N, D), dense first.

    Raises
    ------
    UsageError
        If there is no such target or method.
    TeponesError
        If the file is missing; `tepones.common.files.Damaged` if it is not what was committed.
    """
    choose("target", target, TARGETS)
    choose("method", method, METHODS)
    arrays = _stored(folder())
    return arrays[f"{target}/labels"], list(_rungs(arrays, target, method))


def table() -> pd.DataFrame:
    """The stored scores: `CHOICE`, ``rung``, ``value``, ``null``, and what the records say of the rungs.

    That is ``sparsity`` (a fraction) and ``accuracy`` (of the linear probe, a fraction). Errors are those of `load`.
    """
    _stored(folder())
    return pd.read_csv(folder() / TABLE).merge(truth(), on=["target", "method", "rung"])


def truth() -> pd.DataFrame:
    """What the records say of the rungs: ``target``, ``method``, ``rung``, ``sparsity`` and probe ``accuracy``."""
    study = tables.load(PROFILE)
    names = {f"{method} {SEED}": method for method in METHODS}
    rungs = study["rungs"][["ladder", "rung", "sparsity"]]
    probed = study["transfer"][study["transfer"]["protocol"] == tables.PROBE]
    known = rungs.merge(probed[["ladder", "rung", "target", "accuracy"]], on=["ladder", "rung"])
    known = known[known["ladder"].isin(names) & known["target"].isin(TARGETS)]
    known = known.assign(method=known["ladder"].map(names)).drop(columns="ladder")
    return known.sort_values(["target", "method", "rung"], ignore_index=True)


def scored(features: np.ndarray, labels: np.ndarray, name: str, intensity: float | None = None) -> dict[str, float]:
    """A score of some features, and its null, on shuffled labels.

    Parameters
    ----------
    features : ndarray, shape (N, D)
    labels : ndarray, shape (N,)
    name : str
        One of `SCORES`.
    intensity : float, optional
        Of shrinking the within-class covariance of a score of `SHRUNK`, in [0, 1]; the one that the score chooses from
        the data if left out.

    Returns
    -------
    dict of str to float
        ``value`` and ``null``, in the units of the score, as `tepones.score` returns them.

    Raises
    ------
    TeponesError
        What `tepones.score` raises.
    """
    # Also where the intensity is given: this refuses what is no input, and what would take too long.
    row = score(features, labels, [name]).iloc[0]
    if intensity is None:
        return {"value": float(row["value"]), "null": float(row["null"])}
    choose("score with a given shrinkage", name, SHRUNK)
    given = sound(features, labels)
    moments = ClassMoments().update(given.features, given.codes)
    shuffled = moments.relabelled(given.features, np.random.default_rng(0).permutation(given.codes))
    return {"value": gaussian_at(moments.summary, intensity), "null": gaussian_at(shuffled.summary, intensity)}


def agreement(frame: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """How well scores order the rungs of ladders.

    Parameters
    ----------
    frame : DataFrame
        Columns `by`, ``value`` and ``accuracy``; rows without an accuracy play no part.
    by : list of str
        Columns that tell the ladders and scores apart.

    Returns
    -------
    DataFrame
        `by`, the weighted ``tau`` (NaN where there is no ranking) and the ``regret`` in accuracy points.
    """
    measures = {"tau": weighted_tau, "regret": regret}
    rows = [
        dict(zip(by, key, strict=True))
        | {name: measure(own["value"], own["accuracy"]) for name, measure in measures.items()}
        for key, own in frame.dropna(subset="accuracy").groupby(by, sort=False)
    ]
    return pd.DataFrame(rows, columns=[*by, *measures])


def _name(target: str, method: str, number: int) -> str:
    return f"{target}/{method}/{number}" if number else f"{target}/dense"


def _rungs(arrays: dict[str, np.ndarray], target: str, method: str) -> Iterator[np.ndarray]:
    number = 0
    while (name := _name(target, method, number)) in arrays:
        yield arrays[name].astype(np.float32)
        number += 1


@functools.lru_cache(maxsize=1)
def _stored(where: Path) -> dict[str, np.ndarray]:
    path = where / FEATURES
    if not path.is_file():
        raise TeponesError(f"{path} is missing; `git checkout {where}` brings it back")
    check_sums(where)
    with np.load(path, allow_pickle=False) as stored:
        return dict(stored)


def _scores(arrays: dict[str, np.ndarray], target: str) -> Iterator[dict[str, object]]:
    labels = arrays[f"{target}/labels"]
    for method in METHODS:
        for name in SCORES:
            for per_class in PER_CLASS:
                rows = chosen(labels, per_class)
                for number, features in enumerate(_rungs(arrays, target, method)):
                    choice = dict(zip(CHOICE, (target, method, name, per_class), strict=True))
                    yield choice | {"rung": number} | scored(features[rows], labels[rows], name)
