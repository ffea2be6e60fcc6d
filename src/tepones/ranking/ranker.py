"""Rank backbones on a target: one decode of each picture, one forward pass of each backbone, no training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from torch import nn

from tepones.backbones.encoder import Encoder
from tepones.common.errors import TeponesError, UsageError, as_text, one_line
from tepones.pruning import budget
from tepones.ranking import cache, certainty
from tepones.ranking.backbones import left_out_row, load_backbones
from tepones.ranking.onnx_files import OnnxEncoder
from tepones.ranking.outputs import outputs
from tepones.ranking.pictures import Damaged
from tepones.ranking.target import Target, open_target
from tepones.scores import SCORES, score

#: Scores of a ranking unless others are named; the first one decides the order. It was chosen by the rule of
#: `data/ranking/README.md` for networks of different widths and few images, where raw values of `gaussian` grow with
#: the width and `h_score` is the same for every network.
DEFAULT_SCORES = ("lda_accuracy", "logme", "gaussian")


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
        the encoder in a compressed file) and ``flops`` (of one picture; None where they cannot be counted).
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
    notes : DataFrame
        What was chosen, applied, left out or assumed of backbones: ``backbone``, ``note``.
    """

    table: pd.DataFrame
    left_out: pd.DataFrame
    deciding: str
    advice: tuple[str, ...] = ()
    damaged: tuple[Damaged, ...] = ()
    notes: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["backbone", "note"]))


def rank(
    target: str | Path | Target,
    backbones: Sequence[str | Path | Encoder | OnnxEncoder],
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
    backbones : sequence of str, Path, Encoder or OnnxEncoder
        As `load_backbones` takes them, or encoders: of your own modules as `encoder_of` makes them.
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
        Cost: one decode of each picture and one forward pass of each backbone, on disk 4·N·D bytes for each. What
        backbones that are named make of a folder or a task is kept (`tepones.ranking.cache`), so a second ranking of
        them by other scores takes seconds. No network runs again for the certainty; what that costs,
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
    for one in backbones:
        if isinstance(one, nn.Module):
            raise UsageError(f"a {type(one).__name__} is ranked as tepones.ranking.encoder_of(module, name)")
    loaded, left_out = load_backbones([b for b in backbones if isinstance(b, str | Path)], download, untrained)
    encoders = [*loaded, *(b for b in backbones if not isinstance(b, str | Path))]
    if pixels is not None:
        encoders = [replace(encoder, preparation=encoder.preparation.at(pixels)) for encoder in encoders]
    # What networks that were made in Python compute may change without their weights, so it is not kept.
    keys = [cache.key_of_encoder(e) if number < len(loaded) else None for number, e in enumerate(encoders)]
    limits = {key: limit for key, limit in {"bytes": max_bytes, "flops": max_flops}.items() if limit is not None}
    candidates = []
    for encoder, key in zip(encoders, keys, strict=True):
        try:
            candidates.append(_Candidate(encoder, key, _cost(encoder, key, asking, limits)))
        except _TooLarge as error:
            left_out.append(left_out_row(encoder.name, error) | {"failed": False})
        except TeponesError as error:
            left_out.append(left_out_row(encoder.name, error))
    to_run = [candidate.encoder for candidate in candidates]
    with outputs(opened, to_run, [candidate.key for candidate in candidates], bool(asking)) as found:
        labels = opened.labels[found.rows]
        table, deciding, advice, failures = _table(candidates, found.arrays, labels, scores, seed)
    notes = [(as_text(encoder.name), as_text(note)) for encoder in to_run for note in encoder.notes]
    return Ranking(
        table,
        pd.DataFrame([*left_out, *failures], columns=["backbone", "reason", "failed"]),
        deciding,
        advice,
        found.damaged,
        pd.DataFrame(notes, columns=["backbone", "note"]),
    )


class _Candidate(NamedTuple):
    """A backbone that can be ranked, its key in the cache, and what it costs."""

    encoder: Encoder | OnnxEncoder
    key: str | None
    cost: dict[str, float | None]


class _TooLarge(TeponesError):
    """A backbone is beyond the budget."""


def _table(
    candidates: Sequence[_Candidate],
    outputs: Sequence[Mapping[str, np.ndarray]],
    labels: np.ndarray,
    scores: Sequence[str],
    seed: int,
) -> tuple[pd.DataFrame, str, tuple[str, ...], list[dict[str, object]]]:
    """Table, deciding column and advice of a `Ranking`, and rows of `left_out` for what could not be scored."""
    scored, rows, spreads, failures, columns = [], [], [], [], list(scores)
    for candidate, made in zip(candidates, outputs, strict=True):
        facts = candidate.encoder.facts | {name: candidate.cost[name] for name in ("sparsity", "nonzero_weights")}
        made = {**made, "labels": labels, "facts": facts, "seed": seed}
        try:
            scored.append((candidate, made, score(scores=scores, **made)))
        except TeponesError as error:
            failures.append(left_out_row(candidate.encoder.name, error))
    name, advice = _deciding(scores, [table for *_, table in scored])
    for candidate, made, table in scored:
        try:
            if name not in scores:
                table = pd.concat([score(scores=[name], **made), table])
            spreads.append(certainty.deviations(name=name, **made))
        except TeponesError as error:
            failures.append(left_out_row(candidate.encoder.name, error))
            continue
        table = table.sort_values("score", key=lambda names: names != name, kind="stable")  # the deciding one first
        columns = _columns(table)
        rows.append(_row(candidate.encoder, table) | candidate.cost)
    table = _sorted(rows, spreads, columns, seed)
    if len(table) > 1:
        advice = (*advice, certainty.advice(table, len(labels)))
    return table, columns[0], advice, failures


def _cost(
    encoder: Encoder | OnnxEncoder, key: str | None, asking: Sequence[str], limits: Mapping[str, int]
) -> dict[str, float | None]:
    """What an encoder costs that is to be ranked by these scores of probabilities, within limits of these costs.

    What a file says of its sparsity comes first: the zeros that are left do not show the channels that are gone.
    Raises TeponesError if it cannot be ranked, `_TooLarge` if it is beyond a limit.
    """
    if asking and not encoder.classifies:
        raise TeponesError(f"score {asking[0]} needs the classifier of the source task, which is not there")
    measure = encoder.cost if isinstance(encoder, OnnxEncoder) else partial(_cost_of_modules, encoder)
    try:
        cost = cache.remembered("costs", key, measure) if key else measure()
    except (RuntimeError, AssertionError, ValueError) as error:  # what networks raise of a picture's size
        side = encoder.preparation.crop
        raise TeponesError(f"takes no picture of {side} pixels ({one_line(error)})") from None
    unknown = [key for key in limits if cost[key] is None]
    if unknown:
        raise TeponesError(f"its {unknown[0]} are not known, so not whether they are within the limit")
    over = [unit for unit, limit in limits.items() if cost[unit] > limit]
    if over:
        raise _TooLarge(f"takes {cost[over[0]]:,} {over[0]}; the limit is {limits[over[0]]:,}")
    return cost | {name: value for name, value in encoder.facts.items() if name in cost}


def _cost_of_modules(encoder: Encoder) -> dict[str, float | None]:
    return {
        "sparsity": budget.sparsity(encoder),
        "nonzero_weights": budget.nonzero_weights(encoder),
        "bytes": budget.stored_bytes(encoder)[1],
        "flops": budget.flops(encoder),
    }


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
        "backbone": as_text(encoder.name),
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
    if table["flops"].isna().any():  # or all counts would be floats, of which six digits are shown
        table["flops"] = pd.Series([row["flops"] for row in rows], dtype=object)
    sure = certainty.certainty(table[columns[0]].to_numpy(), np.column_stack(spreads), seed)
    table = pd.concat([table[["backbone"]], sure, table.drop(columns="backbone")], axis=1)
    # Last column first: each stable sort keeps the order of the ones before among its equals.
    for column in reversed(columns):
        table = table.sort_values(column, ascending=False, kind="stable", ignore_index=True)
    table.insert(0, "rank", table[columns[0]].rank(ascending=False, method="min").astype(int))
    return table
