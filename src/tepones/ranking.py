"""Rank backbones on a target: one decode of each picture, one forward pass of each backbone, no training."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tepones import tasks, zoo
from tepones.backbones import checkpoints
from tepones.backbones.encoder import Encoder
from tepones.errors import TeponesError, UsageError
from tepones.pruning import budget
from tepones.runner import progress_bar
from tepones.scores import SCORES, score
from tepones.tasks.folder import Folder, open_folder
from tepones.tasks.sources import SOURCES

if TYPE_CHECKING:
    import altair

#: Scores of a ranking unless others are named; the first one decides the order.
DEFAULT_SCORES = ("gaussian", "h_score", "logme")

#: Images of each class of a named task; of a folder all are taken.
PER_CLASS = 50

#: Side of a named task's photographs: what most ImageNet classifiers take; others resize them again.
PHOTOGRAPH = 224

#: Pictures decoded at a time. Few, because activations that stay in the cache make a CPU twice as fast at 224 pixels.
BATCH = 16


@dataclass(frozen=True)
class Ranking:
    """What `rank` found.

    Attributes
    ----------
    table : DataFrame
        One row for each backbone, best first: ``rank``, ``backbone``, one column for each score, ``null`` (the
        first score on shuffled labels), ``flags`` (``N ≤ D``, ``saturated``, ``untrained``), ``features``,
        ``active`` (features that are not constant), ``sparsity``, ``nonzero_weights``, ``bytes`` (of the
        encoder in sparse encoding) and ``flops`` (of one picture).
    left_out : DataFrame
        Backbones that are not in the table: ``backbone``, ``reason``, ``failed`` (False if only the budget
        forbids it).
    """

    table: pd.DataFrame
    left_out: pd.DataFrame


@dataclass(frozen=True)
class Target:
    """Labelled pictures to rank on.

    Attributes
    ----------
    name : str
    labels : ndarray of int64, shape (N,)
    pictures : iterable of ndarray
        N uint8 RGB arrays (H, W, 3).
    """

    name: str
    labels: np.ndarray
    pictures: Iterable[np.ndarray]


def open_target(name: str | Path) -> Target:
    """Training images of a registered task, or the pictures of a folder.

    Raises
    ------
    UsageError
        If the name is neither a task nor a folder, or the folder is not one of classes.
    """
    if str(name) in tasks.TASKS:
        pixels = {"pixels": PHOTOGRAPH} if str(name) in SOURCES else {}
        task = tasks.load(str(name), PER_CLASS, 1, **pixels)
        return Target(task.name, task.train_labels, task.train_images)
    if not Path(name).is_dir():
        raise UsageError(f"{name}: no task and no folder; tasks are: {', '.join(sorted(tasks.TASKS))}")
    found: Folder = open_folder(name)
    return Target(found.name, found.labels, found.pictures())


def load_backbones(
    names: Sequence[str | Path], download: bool = False
) -> tuple[list[Encoder], list[dict[str, object]]]:
    """Load what can be loaded.

    Parameters
    ----------
    names : sequence of str or Path
        Each is a checkpoint file, ``ARCHITECTURE=FILE``, a folder of checkpoints, a folder of a ladder, a
        ladder of the zoo, ``LADDER/RUNG``, or a torchvision classifier.
    download : bool
        Whether to fetch published weights of torchvision classifiers that torch's cache lacks.

    Returns
    -------
    encoders : list of Encoder
        No two of the same name.
    failures : list of dict
        Rows of `Ranking.left_out`.
    """
    encoders: dict[str, Encoder] = {}
    failures: list[dict[str, object]] = []
    for name in map(str, names):
        try:
            loaders = list(_loaders(name, download))
        except TeponesError as error:
            failures.append(_left_out(name, error))
            continue
        for one, load in loaders:
            try:
                encoder = load()
            except TeponesError as error:
                failures.append(_left_out(one, error))
                continue
            encoder.name = one if encoder.name in encoders else encoder.name
            encoders.setdefault(encoder.name, encoder)
    return list(encoders.values()), failures


def rank(
    target: str | Path,
    backbones: Sequence[str | Path | Encoder],
    scores: Sequence[str] = DEFAULT_SCORES,
    *,
    max_bytes: int | None = None,
    max_flops: int | None = None,
    download: bool = False,
    seed: int = 0,
) -> Ranking:
    """Rank backbones by how well they should transfer to a target.

    Parameters
    ----------
    target : str or Path
        A registered task, or a folder with a sub-folder of pictures for each class.
    backbones : sequence of str, Path or Encoder
        As `load_backbones` takes them, or loaded already.
    scores : sequence of str
        Names from `tepones.scores.SCORES`; the first one decides the order.
    max_bytes : int, optional
        Leave out backbones whose encoder takes more bytes in sparse encoding.
    max_flops : int, optional
        Leave out backbones whose encoder takes more floating-point operations for one picture.
    download : bool
        Whether to fetch published weights of torchvision classifiers that torch's cache lacks.
    seed : int
        Decides everything random in the scores.

    Returns
    -------
    Ranking
        Cost: one decode of each picture and one forward pass of each backbone; features are kept in a temporary
        file, 4·N·D bytes for each backbone.

    Raises
    ------
    UsageError
        If a score or the target is unknown, or the folder is not one of classes.
    TeponesError
        If a picture cannot be decoded. A backbone that cannot be loaded or scored raises nothing: it is in
        `Ranking.left_out`.
    """
    for name in scores:
        SCORES.load(name)
    opened = open_target(target)
    encoders, left_out = load_backbones([b for b in backbones if not isinstance(b, Encoder)], download)
    encoders += [b for b in backbones if isinstance(b, Encoder)]
    costs = {}
    for encoder in list(encoders):
        cost = {"bytes": budget.stored_bytes(encoder)[1], "flops": budget.flops(encoder)}
        limits = {"bytes": max_bytes, "flops": max_flops}
        over = [key for key, limit in limits.items() if limit is not None and cost[key] > limit]
        if over:
            reason = f"takes {cost[over[0]]:,} {over[0]}; the limit is {limits[over[0]]:,}"
            left_out.append({"backbone": encoder.name, "reason": reason, "failed": False})
            encoders.remove(encoder)
        costs[encoder.name] = cost
    rows = []
    with tempfile.TemporaryDirectory(prefix="tepones-") as folder:
        outputs = _run(opened, encoders, _wants_probabilities(scores), Path(folder))
        for encoder, (features, probabilities) in zip(encoders, outputs, strict=True):
            # What a manifest says comes first: the zeros that are left do not show the channels that are gone.
            facts = {
                "sparsity": budget.sparsity(encoder),
                "nonzero_weights": budget.nonzero_weights(encoder),
            } | encoder.facts
            try:
                table = score(
                    features, opened.labels, list(scores), probabilities=probabilities, facts=facts, seed=seed
                )
            except TeponesError as error:
                left_out.append(_left_out(encoder.name, error))
                continue
            about = {name: facts[name] for name in ("sparsity", "nonzero_weights")}
            rows.append(_row(encoder, table) | about | costs[encoder.name])
        del outputs  # Windows removes no file that is still mapped
    return Ranking(_sorted(rows), pd.DataFrame(left_out, columns=["backbone", "reason", "failed"]))


def read_features(path: str | Path) -> dict[str, np.ndarray]:
    """Read the arrays that `tepones.score` takes from a ``.npz`` file; nothing pickled in it is read.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict of str to ndarray
        ``features``, ``labels`` and, if the file has them, ``probabilities``.

    Raises
    ------
    UsageError
        If there is no such file, or `features` or `labels` is missing.
    TeponesError
        If the file is damaged, no ``.npz`` file, or holds Python objects.
    """
    expected = "expected a .npz file with the arrays features, labels and, if known, probabilities"
    try:
        stored = np.load(path, allow_pickle=False)
        if isinstance(stored, np.ndarray):
            raise UsageError(f"{path}: a single array; {expected}")
        with stored:
            arrays = {name: stored[name] for name in ("features", "labels", "probabilities") if name in stored}
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; {expected}") from None
    except UsageError:
        raise
    except Exception as error:  # zipfile, zlib and numpy raise of every kind
        raise TeponesError(f"{path}: cannot be read ({checkpoints.one_line(error)}); {expected}") from None
    for name in ("features", "labels"):
        if name not in arrays:
            raise UsageError(f"{path}: array {name} is missing; {expected}")
    return arrays


def chart(table: pd.DataFrame) -> "altair.TopLevelMixin":
    """The deciding score of each backbone, best on top, with what shuffled labels get.

    Parameters
    ----------
    table : DataFrame
        `Ranking.table`.

    Returns
    -------
    altair chart
    """
    import altair as alt

    name = _deciding(table)
    frame = table[["rank", "backbone", name, "null", "flags", "sparsity"]].rename(columns={name: "value"})
    base = alt.Chart(frame).encode(
        y=alt.Y("backbone:N", title=None, sort=list(frame["backbone"])).axis(labelLimit=240),
        tooltip=[
            "rank:O",
            "backbone:N",
            alt.Tooltip("value:Q", format=".4~g", title=name),
            alt.Tooltip("null:Q", format=".4~g", title="on shuffled labels"),
            alt.Tooltip("sparsity:Q", format=".2%"),
            "flags:N",
        ],
    )
    value = alt.X("value:Q", title=f"{name} (tick: on shuffled labels)").scale(zero=False)
    return alt.layer(
        base.mark_tick(thickness=2, color="#999999").encode(x="null:Q"),
        base.mark_point(filled=True, size=80, opacity=1).encode(x=value),
    ).properties(width=420)


def save_chart(table: pd.DataFrame, path: str | Path) -> None:
    """Write the chart of a ranking as an HTML page that loads nothing from elsewhere.

    Raises
    ------
    TeponesError
        If vl-convert, which puts the drawing library into the page, is not installed.
    """
    try:
        html = chart(table).to_html(inline=True)
    except (ImportError, ValueError):
        raise TeponesError("a chart needs vl-convert-python: pip install 'tepones[book]'") from None
    Path(path).write_text(html, encoding="utf-8")


def _loaders(name: str, download: bool) -> Iterator[tuple[str, object]]:
    """What a name stands for: pairs of a name for messages and a function that loads one encoder."""
    architecture, equals, file = name.partition("=")
    path = Path(file if equals else name)
    if equals:
        yield name, lambda: checkpoints.load(path, architecture)
    elif path.is_dir():
        yield from _inside(path)
    elif path.is_file() and (path.parent / zoo.MANIFEST).is_file():
        yield name, lambda: zoo.load(path.parent, path.name)
    elif path.is_file() or path.suffix in checkpoints.SUFFIXES:
        yield name, lambda: checkpoints.load(path)
    elif name in checkpoints.torchvision_names():
        yield name, lambda: checkpoints.from_torchvision(name, download)
    else:
        ladder, _, rung = name.partition("/")
        if ladder not in zoo.names():
            raise UsageError(
                f"{name}: no file, folder, torchvision classifier or ladder of the zoo; "
                f"ladders are: {', '.join(zoo.names()) or 'none'}"
            )
        if rung:
            yield name, lambda: zoo.load(zoo.folder() / ladder, f"{rung}.safetensors")
        else:
            yield from _inside(zoo.folder() / ladder)


def _inside(folder: Path) -> Iterator[tuple[str, object]]:
    """Rungs of a ladder's folder, or checkpoints of any other."""
    if (folder / zoo.MANIFEST).is_file():
        for rung in zoo.manifest(folder).rungs:
            yield f"{folder.name}/{rung.file}", lambda file=rung.file: zoo.load(folder, file)
        return
    files = sorted(file for file in folder.iterdir() if file.suffix in checkpoints.SUFFIXES)
    if not files:
        expected = ", ".join(checkpoints.SUFFIXES)
        raise UsageError(f"{folder}: holds no checkpoint; expected files that end in {expected}")
    for file in files:
        yield str(file), lambda file=file: checkpoints.load(file)


def _left_out(name: str, error: TeponesError) -> dict[str, object]:
    return {"backbone": name, "reason": str(error).removeprefix(f"{name}: "), "failed": True}


def _wants_probabilities(scores: Iterable[str]) -> bool:
    return any("probabilities" in SCORES.load(name).parameters for name in scores)


def _run(
    target: Target, encoders: Sequence[Encoder], with_probabilities: bool, folder: Path
) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """Features and, if wanted, source-class probabilities of every encoder, in files of `folder`."""
    n = len(target.labels)
    outputs = []
    for index, encoder in enumerate(encoders):
        shapes = [encoder.n_features] + [encoder.n_classes] * with_probabilities
        arrays = [
            np.memmap(folder / f"{index}-{part}", np.float32, "w+", shape=(n, size)) for part, size in enumerate(shapes)
        ]
        outputs.append((arrays[0], arrays[1] if with_probabilities else None))
    if not encoders:
        return outputs
    pictures = iter(target.pictures)
    with progress_bar(n, f"{len(encoders)} backbones on {target.name}", "images") as bar:
        for start in range(0, n, BATCH):
            batch = list(islice(pictures, BATCH))
            stop = start + len(batch)
            prepared = {}  # backbones that take the same input share it
            for encoder, (features, probabilities) in zip(encoders, outputs, strict=True):
                if encoder.preparation not in prepared:
                    prepared[encoder.preparation] = encoder.preparation(batch)
                found = encoder(prepared[encoder.preparation])
                features[start:stop] = found[0]
                if probabilities is not None:
                    probabilities[start:stop] = found[1]
            bar.update(len(batch))
    return outputs


def _row(encoder: Encoder, table: pd.DataFrame) -> dict[str, object]:
    names = [f"{name}:{part}" if part else name for name, part in zip(table["score"], table["part"], strict=True)]
    first = table.iloc[0]
    flags = {"N ≤ D": first["n_le_d"], "saturated": first["saturated"], "untrained": not encoder.trained}
    return {
        "backbone": encoder.name,
        **dict(zip(names, table["value"], strict=True)),
        "null": first["null"],
        "flags": ", ".join(flag for flag, raised in flags.items() if raised),
        "features": int(first["n_features"]),
        "active": int(first["active_features"]),
    }


def _sorted(rows: list[dict[str, object]]) -> pd.DataFrame:
    """Best first; among equals the order in which they were given."""
    table = pd.DataFrame(rows)
    if table.empty:
        return table
    name = table.columns[1]
    table = table.sort_values(name, ascending=False, kind="stable", ignore_index=True)
    table.insert(0, "rank", table[name].rank(ascending=False, method="min").astype(int))
    return table


def _deciding(table: pd.DataFrame) -> str:
    return table.columns[2]
