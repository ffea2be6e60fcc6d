"""Rank backbones on a target: one decode of each picture, one forward pass of each backbone, no training."""

import tempfile
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from tepones.backbones.encoder import Encoder, Preparation
from tepones.common.errors import TeponesError, UsageError, one_line, shown
from tepones.common.progress import progress_bar
from tepones.pruning import budget
from tepones.ranking import certainty
from tepones.ranking.backbones import left_out_row, load_backbones
from tepones.ranking.pictures import Damaged, listed
from tepones.ranking.target import Target, open_target
from tepones.scores import SCORES, score

#: Scores of a ranking unless others are named; the first one decides the order. It was chosen by the rule of
#: `data/ranking/README.md` for networks of different widths and few images, where raw values of `gaussian` grow with
#: the width and `h_score` is the same for every network.
DEFAULT_SCORES = ("lda_accuracy", "logme", "gaussian")

#: Pictures that go through a backbone at a time. Few, because activations that stay in the cache make a CPU twice as
#: fast at 224 pixels.
BATCH = 16


@dataclass(frozen=True)
class Ranking:
    """What `rank` found.

    Attributes
    ----------
    table : DataFrame
        One row for each backbone, best first: ``rank``, ``backbone``, ``first`` (the probability that it is the first
        with other images of the same classes), ``rank_low`` and ``rank_high`` (the interval of its rank; both as
        `tepones.ranking.certainty.certainty` defines them), one column for each score, the deciding one first, ``null``
        (that score on shuffled labels), ``flags`` (``N ≤ D``, ``saturated``, ``untrained``), ``input`` (pixels of
        the side of a picture, in brackets those of the shorter side before the square is cut from the centre),
        ``features``, ``active`` (features that are not constant), ``sparsity``, ``nonzero_weights``, ``bytes`` (of
        the encoder in a compressed file) and ``flops`` (of one picture).
    left_out : DataFrame
        Backbones that are not in the table: ``backbone``, ``reason``, ``failed`` (False if only the budget
        forbids it).
    deciding : str
        The column of the score that decides the order and the certainty: of the first score, unless that says nothing
        with so few images.
    advice : tuple of str
        Lines that say which score decides, if not the first one, and what to do next
        (`tepones.ranking.certainty.advice`); none where there is nothing to rank.
    damaged : tuple of Damaged
        Pictures that could not be decoded; the ranking is one without them.
    """

    table: pd.DataFrame
    left_out: pd.DataFrame
    deciding: str
    advice: tuple[str, ...] = ()
    damaged: tuple[Damaged, ...] = ()


def rank(
    target: str | Path | Target,
    backbones: Sequence[str | Path | Encoder],
    scores: Sequence[str] = DEFAULT_SCORES,
    *,
    max_bytes: int | None = None,
    max_flops: int | None = None,
    download: bool = False,
    untrained: bool = False,
    pixels: int | None = None,
    seed: int = 0,
) -> Ranking:
    """Rank backbones by how well they should transfer to a target.

    Parameters
    ----------
    target : str, Path or Target
        A registered task, or a folder with a sub-folder of pictures for each class; or one that is open already.
    backbones : sequence of str, Path or Encoder
        As `load_backbones` takes them, or loaded already.
    scores : sequence of str
        Names from `tepones.scores.SCORES`. The first one decides the order, the others in turn among its equals, which
        share a rank. A score that `tepones.scores.behaviour` calls blind or reversed where N ≤ D decides only if half
        of the images, which say how sure it is, are more than the active features of every backbone; else the next
        one decides, or the default where none that is named can.
    max_bytes, max_flops : int, optional
        Leave out backbones whose encoder takes more bytes in a compressed file, or more floating-point operations for
        one picture.
    download, untrained : bool
        As `load_backbones` takes them.
    pixels : int, optional
        Side of the input of every backbone, in place of its own; what is cut off around it keeps its share. To
        override more, load a backbone with a `Preparation`: `tepones.ranking.checkpoints.load`.
    seed : int
        Decides everything random in the scores, and the redraws that say how sure the ranking is.

    Returns
    -------
    Ranking
        Cost: one decode of each picture and one forward pass of each backbone; features are kept in a temporary
        file, 4·N·D bytes for each backbone. No network runs again for the certainty; what that costs,
        `tepones.ranking.certainty` says.

    Raises
    ------
    UsageError
        If a score or the target is unknown, the folder is not one of classes, or `pixels` is below 1.
    TeponesError
        If all pictures of a class or more than half of all pictures cannot be decoded; fewer are in `Ranking.damaged`.
        A backbone that cannot be loaded or scored raises nothing: it is in `Ranking.left_out`.
    """
    asking = [name for name in scores if SCORES.load(name).needs == "probabilities"]
    if pixels is not None and pixels < 1:
        raise UsageError(f"pixels must be at least 1, not {pixels}")
    opened = target if isinstance(target, Target) else open_target(target)
    encoders, left_out = load_backbones([b for b in backbones if not isinstance(b, Encoder)], download, untrained)
    encoders += [b for b in backbones if isinstance(b, Encoder)]
    if pixels is not None:
        encoders = [replace(encoder, preparation=_at(encoder.preparation, pixels)) for encoder in encoders]
    costs = {}
    for encoder in list(encoders):
        if asking and not encoder.classifies:
            reason = f"score {asking[0]} needs the classifier of the source task, which its file does not hold"
            left_out.append({"backbone": encoder.name, "reason": reason, "failed": True})
            encoders.remove(encoder)
            continue
        try:
            cost = {"bytes": budget.stored_bytes(encoder)[1], "flops": budget.flops(encoder)}
        except (RuntimeError, AssertionError, ValueError) as error:  # what networks raise of a picture's size
            reason = f"takes no picture of {encoder.preparation.crop} pixels ({one_line(error)})"
            left_out.append({"backbone": encoder.name, "reason": reason, "failed": True})
            encoders.remove(encoder)
            continue
        limits = {"bytes": max_bytes, "flops": max_flops}
        over = [key for key, limit in limits.items() if limit is not None and cost[key] > limit]
        if over:
            reason = f"takes {cost[over[0]]:,} {over[0]}; the limit is {limits[over[0]]:,}"
            left_out.append({"backbone": encoder.name, "reason": reason, "failed": False})
            encoders.remove(encoder)
        costs[encoder.name] = cost
    scored, rows, spreads, columns = [], [], [], list(scores)
    with tempfile.TemporaryDirectory(prefix="tepones-") as folder:
        outputs, rows_of, damaged = _run(opened, encoders, bool(asking), Path(folder))
        labels = opened.labels[rows_of]
        for encoder, (features, probabilities) in zip(encoders, outputs, strict=True):
            # What a manifest says comes first: the zeros that are left do not show the channels that are gone.
            facts = {
                "sparsity": budget.sparsity(encoder),
                "nonzero_weights": budget.nonzero_weights(encoder),
            } | encoder.facts
            given = {"probabilities": probabilities, "facts": facts, "seed": seed}
            try:
                table = score(features, labels, list(scores), **given)
            except TeponesError as error:
                left_out.append(left_out_row(encoder.name, error))
                continue
            scored.append((encoder, features, given, table))
        name, advice = _deciding(list(scores), [table for *_, table in scored])
        for encoder, features, given, table in scored:
            try:
                if name not in scores:
                    table = pd.concat([score(features, labels, [name], **given), table])
                spreads.append(certainty.deviations(features, labels, name, **given))
            except TeponesError as error:
                left_out.append(left_out_row(encoder.name, error))
                continue
            table = table.sort_values("score", key=lambda names: names != name, kind="stable")  # the deciding one first
            columns = _columns(table)
            about = {fact: given["facts"][fact] for fact in ("sparsity", "nonzero_weights")}
            rows.append(_row(encoder, table) | about | costs[encoder.name])
        del outputs, scored  # Windows removes no file that is still mapped
    ranked = _sorted(rows, spreads, columns, seed)
    if len(ranked) > 1:
        advice = (*advice, certainty.advice(ranked, len(labels)))
    left_out = pd.DataFrame(left_out, columns=["backbone", "reason", "failed"])
    return Ranking(ranked, left_out, columns[0], advice, tuple(damaged))


def _at(preparation: Preparation, pixels: int) -> Preparation:
    """The same preparation for an input of another side."""
    return replace(preparation, resize=round(preparation.resize * pixels / preparation.crop), crop=pixels)


def _run(
    target: Target, encoders: Sequence[Encoder], with_probabilities: bool, folder: Path
) -> tuple[list[tuple[np.ndarray, np.ndarray | None]], list[int], list[Damaged]]:
    """Features and, if wanted, source-class probabilities of every encoder, in files of `folder`.

    There is one row for each picture that could be decoded; with them come the numbers of these pictures, by which the
    rows find their labels, and those that could not.
    """
    n = len(target.labels)
    outputs = []
    for index, encoder in enumerate(encoders):
        shapes = [encoder.n_features] + [encoder.n_classes] * with_probabilities
        arrays = [
            np.memmap(folder / f"{index}-{part}", np.float32, "w+", shape=(n, size)) for part, size in enumerate(shapes)
        ]
        outputs.append((arrays[0], arrays[1] if with_probabilities else None))
    decoded: list[int] = []
    damaged: list[Damaged] = []
    if not encoders:
        return outputs, decoded, damaged
    with progress_bar(n, f"{len(encoders)} backbones on {shown(target.name)}", "images") as bar:
        # Backbones that take the same input share it.
        for numbers, prepared in _batches(target, {encoder.preparation for encoder in encoders}, damaged):
            start, stop = len(decoded), len(decoded) + len(numbers)
            for encoder, (features, probabilities) in zip(encoders, outputs, strict=True):
                found = encoder(prepared[encoder.preparation])
                features[start:stop] = found[0]
                if probabilities is not None:
                    probabilities[start:stop] = found[1]
            decoded += numbers
            bar.update(len(decoded) + len(damaged) - bar.n)
    # The last rows of the files belong to no picture if some are damaged.
    rows = len(decoded)
    return [(f[:rows], None if p is None else p[:rows]) for f, p in outputs], decoded, damaged


def _batches(
    target: Target, preparations: Collection[Preparation], damaged: list[Damaged]
) -> Iterator[tuple[list[int], dict[Preparation, torch.Tensor]]]:
    """Numbers of pictures, and the input that each preparation makes of them, `BATCH` at a time.

    Each picture is prepared as soon as it is decoded, so that one is held and not `BATCH` of them, each of which may
    have Pillow's limit of pixels. Those that cannot be decoded go to `damaged`.

    Raises
    ------
    TeponesError
        As soon as no picture of a class can be left, or less than half of all.
    """
    lost = defaultdict(list)
    numbers: list[int] = []
    inputs: dict[Preparation, list[torch.Tensor]] = defaultdict(list)
    for number, picture in enumerate(target.pictures):
        if isinstance(picture, Damaged):
            damaged.append(picture)
            lost[target.labels[number]].append(picture)
            _refuse_too_few(target, target.labels[number], lost[target.labels[number]], damaged)
            continue
        numbers.append(number)
        for preparation in preparations:
            inputs[preparation].append(preparation([picture]))
        if len(numbers) == BATCH:
            yield numbers, {preparation: torch.cat(inputs.pop(preparation)) for preparation in preparations}
            numbers = []
    if numbers:
        yield numbers, {preparation: torch.cat(made) for preparation, made in inputs.items()}


def _refuse_too_few(target: Target, label: int, of_class: Sequence[Damaged], damaged: Sequence[Damaged]) -> None:
    """Refuse to rank on what is left, after one more damaged picture of a class."""
    if len(of_class) == np.count_nonzero(target.labels == label):
        name = target.classes[label] if target.classes else label
        raise TeponesError(
            f"{shown(target.name)}: no picture of class '{shown(name)}' can be decoded: {listed(of_class)}"
        )
    if 2 * len(damaged) > len(target.labels):
        raise TeponesError(
            f"{shown(target.name)}: more than half of {len(target.labels):,} pictures cannot be decoded: "
            f"{listed(damaged)}"
        )


def _deciding(names: Sequence[str], tables: Sequence[pd.DataFrame]) -> tuple[str, tuple[str, ...]]:
    """Name of the score that decides, and a line that says why if it is not the first of the names."""
    few = [table for table in tables if table["n"][0] <= 2 * table["active_features"][0]]
    if not few:
        return names[0], ()
    silent = {name for name in names if SCORES.load(name).behaviour.few_rows in ("blind", "reversed")}
    name = next((name for name in names if name not in silent), DEFAULT_SCORES[0])
    if name == names[0]:
        return name, ()
    images, most = few[0]["n"][0], max(table["active_features"][0] for table in few)
    line = (
        f"{names[0]} says nothing with {images:,} images and {most:,} active features, of which it needs more than two "
        f"images each: {name} decides"
    )
    return name, (line,)


def _row(encoder: Encoder, table: pd.DataFrame) -> dict[str, object]:
    first, crop, resize = table.iloc[0], encoder.preparation.crop, encoder.preparation.resize
    flags = {"N ≤ D": first["n_le_d"], "saturated": first["saturated"], "untrained": not encoder.trained}
    return {
        "backbone": encoder.name,
        **dict(zip(_columns(table), table["value"], strict=True)),
        "null": first["null"],
        "flags": ", ".join(flag for flag, raised in flags.items() if raised),
        "input": f"{crop}" if crop == resize else f"{crop} ({resize})",
        "features": int(first["n_features"]),
        "active": int(first["active_features"]),
    }


def _columns(table: pd.DataFrame) -> list[str]:
    """Columns of a ranking for the rows of a table of scores: one for each score, or for each part of it."""
    return [f"{name}:{part}" if part else name for name, part in zip(table["score"], table["part"], strict=True)]


def _sorted(rows: list[dict[str, object]], spreads: list[np.ndarray], columns: list[str], seed: int) -> pd.DataFrame:
    """Best first: by the first column, which gives the rank; among equals by the next ones, then as they were given.

    `spreads` are the deviations of the first column, from which the certainty is computed.
    """
    table = pd.DataFrame(rows)
    if table.empty:
        return table
    sure = certainty.certainty(table[columns[0]].to_numpy(), np.column_stack(spreads), seed)
    table = pd.concat([table[["backbone"]], sure, table.drop(columns="backbone")], axis=1)
    # Last column first: each stable sort keeps the order of the ones before among its equals.
    for column in reversed(columns):
        table = table.sort_values(column, ascending=False, kind="stable", ignore_index=True)
    table.insert(0, "rank", table[columns[0]].rank(ascending=False, method="min").astype(int))
    return table
