"""The table of scores as the records of the study hold it: of sound input, and a score that fails ends it.

`tepones.scores.score` looks after people's input and goes on where a score fails; what decides values is here. The code
that makes a record is part of its key, so that every edit here asks for the whole study again.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from tepones.common.errors import UsageError
from tepones.scores import SCORES, policy
from tepones.scores.base import Score
from tepones.scores.moments import ClassMoments


def names(scores: Iterable[str] | None, probabilities: bool, facts: Mapping[str, float]) -> list[str]:
    """Names of the wanted scores, or of all whose input is given; errors as in `tepones.scores.score`."""
    return list(_choose(scores, probabilities, facts))


def score(
    features: Any,
    labels: Any,
    scores: Iterable[str] | None = None,
    *,
    probabilities: Any = None,
    facts: Mapping[str, float] | None = None,
    seed: int = 0,
    null: bool = True,
) -> "pd.DataFrame":
    """Table of scores with the arguments of `tepones.scores.score`, and its columns but the last one.

    Raises whatever a score raises.
    """
    chosen = _choose(scores, probabilities is not None, facts or {})
    codes, _ = policy.encode(labels)
    moments = ClassMoments().update(features, codes)
    features = policy.as_array(features)
    if probabilities is not None and len(probabilities) != len(codes):
        raise UsageError(f"probabilities have {len(probabilities)} rows; expected {len(codes)}, as the features")
    given = {"features": features, "probabilities": probabilities, "facts": facts, "seed": seed}
    true, shuffled = given | {"moments": moments, "labels": codes}, None
    spread = moments.summary.spread
    if null:
        order = np.random.default_rng(seed).permutation(codes)
        shuffled = given | {"moments": moments.relabelled(features, order), "labels": order}
    diagnostics = {
        "n": spread.n,
        "n_features": spread.n_features,
        "active_features": spread.n_active,
        "effective_rank": spread.effective_rank,
        "n_le_d": spread.n <= spread.n_active,
    }
    rows = []
    for name, entry in chosen.items():
        started = time.perf_counter()
        values = _parts(entry, true)
        seconds = time.perf_counter() - started
        nulls = _parts(entry, shuffled) if shuffled and entry.uses_labels else {}
        for part, value in values.items():
            rows.append(
                {"score": name, "part": part, "value": value, "null": nulls.get(part, np.nan)}
                | diagnostics
                | {"saturated": _saturated(entry, value, nulls.get(part), len(moments.classes)), "seconds": seconds}
            )
    return pd.DataFrame(rows)


def _choose(names: Iterable[str] | None, probabilities: bool, facts: Mapping[str, float]) -> dict[str, Score]:
    """The wanted scores, by name; where none are named, all whose input is given."""
    entries = {name: SCORES.load(name) for name in (SCORES if names is None else names)}
    lacking = {
        name: entry.needs
        for name, entry in entries.items()
        if (entry.needs == "probabilities" and not probabilities)
        or (entry.needs == "model facts" and name not in facts)
    }
    if lacking and names is not None:
        name, need = next(iter(lacking.items()))
        raise UsageError(f"score {name!r} needs {need}; expected them beside the features")
    return {name: entry for name, entry in entries.items() if name not in lacking}


def _parts(entry: Score, available: Mapping[str, Any]) -> dict[str, float]:
    values = entry.function(**{name: available[name] for name in entry.parameters})
    return values if isinstance(values, dict) else {"": values}


def _saturated(entry: Score, value: float, null: float | None, n_classes: int) -> bool:
    if entry.maximum is not None and value >= entry.maximum(n_classes) - 1e-6:
        return True
    return null is not None and abs(value - null) <= 1e-6 * abs(value)
