"""Rank backbones on a target: one decode of each picture, one forward pass of each backbone, no training."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from tepones.backbones.encoder import Encoder, Preparation
from tepones.common.errors import TeponesError, UsageError, one_line
from tepones.common.progress import progress_bar
from tepones.pruning import budget
from tepones.ranking.backbones import left_out_row, load_backbones
from tepones.ranking.target import Target, open_target
from tepones.scores import SCORES, score

#: Scores of a ranking unless others are named; the first one decides the order. It was chosen by the rule of
#: `data/ranking/README.md` for networks of different widths and few images, where raw values of `gaussian` grow with
#: the width and `h_score` is the same for every network.
DEFAULT_SCORES = ("lda_accuracy", "logme", "gaussian")

#: Pictures decoded at a time. Few, because activations that stay in the cache make a CPU twice as fast at 224 pixels.
BATCH = 16


@dataclass(frozen=True)
class Ranking:
    """What `rank` found.

    Attributes
    ----------
    table : DataFrame
        One row for each backbone, best first: ``rank``, ``backbone``, one column for each score, ``null`` (the
        first score on shuffled labels), ``flags`` (``N ≤ D``, ``saturated``, ``untrained``), ``input`` (pixels of
        the side of a picture, in brackets those of the shorter side before the square is cut from the centre),
        ``features``, ``active`` (features that are not constant), ``sparsity``, ``nonzero_weights``, ``bytes`` (of
        the encoder in a compressed file) and ``flops`` (of one picture).
    left_out : DataFrame
        Backbones that are not in the table: ``backbone``, ``reason``, ``failed`` (False if only the budget
        forbids it).
    deciding : str
        The column of the score that decides the order; `null` belongs to it.
    """

    table: pd.DataFrame
    left_out: pd.DataFrame
    deciding: str


def rank(
    target: str | Path,
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
    target : str or Path
        A registered task, or a folder with a sub-folder of pictures for each class.
    backbones : sequence of str, Path or Encoder
        As `load_backbones` takes them, or loaded already.
    scores : sequence of str
        Names from `tepones.scores.SCORES`. The first one decides the order, the others in turn among its equals, which
        share a rank.
    max_bytes, max_flops : int, optional
        Leave out backbones whose encoder takes more bytes in a compressed file, or more floating-point operations for
        one picture.
    download, untrained : bool
        As `load_backbones` takes them.
    pixels : int, optional
        Side of the input of every backbone, in place of its own; what is cut off around it keeps its share. To
        override more, load a backbone with a `Preparation`: `tepones.ranking.checkpoints.load`.
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
        If a score or the target is unknown, the folder is not one of classes, or `pixels` is below 1.
    TeponesError
        If a picture cannot be decoded. A backbone that cannot be loaded or scored raises nothing: it is in
        `Ranking.left_out`.
    """
    with_probabilities = any([SCORES.load(name).needs == "probabilities" for name in scores])
    if pixels is not None and pixels < 1:
        raise UsageError(f"pixels must be at least 1, not {pixels}")
    opened = open_target(target)
    encoders, left_out = load_backbones([b for b in backbones if not isinstance(b, Encoder)], download, untrained)
    encoders += [b for b in backbones if isinstance(b, Encoder)]
    if pixels is not None:
        encoders = [replace(encoder, preparation=_at(encoder.preparation, pixels)) for encoder in encoders]
    costs = {}
    for encoder in list(encoders):
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
    rows, columns = [], list(scores)
    with tempfile.TemporaryDirectory(prefix="tepones-") as folder:
        outputs = _run(opened, encoders, with_probabilities, Path(folder))
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
                left_out.append(left_out_row(encoder.name, error))
                continue
            columns = _columns(table)
            about = {name: facts[name] for name in ("sparsity", "nonzero_weights")}
            rows.append(_row(encoder, table) | about | costs[encoder.name])
        del outputs  # Windows removes no file that is still mapped
    left_out = pd.DataFrame(left_out, columns=["backbone", "reason", "failed"])
    return Ranking(_sorted(rows, columns), left_out, columns[0])


def _at(preparation: Preparation, pixels: int) -> Preparation:
    """The same preparation for an input of another side."""
    return replace(preparation, resize=round(preparation.resize * pixels / preparation.crop), crop=pixels)


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


def _sorted(rows: list[dict[str, object]], columns: list[str]) -> pd.DataFrame:
    """Best first: by the first column, which gives the rank; among equals by the next ones, then as they were given."""
    table = pd.DataFrame(rows)
    if table.empty:
        return table
    # Last column first: each stable sort keeps the order of the ones before among its equals.
    for column in reversed(columns):
        table = table.sort_values(column, ascending=False, kind="stable", ignore_index=True)
    table.insert(0, "rank", table[columns[0]].rank(ascending=False, method="min").astype(int))
    return table
