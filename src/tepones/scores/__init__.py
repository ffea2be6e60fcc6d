"""Scores: numbers that predict, without training, how well a backbone transfers to a labelled target."""

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tepones.common.errors import UsageError
from tepones.common.registry import Registry
from tepones.scores.base import Score

if TYPE_CHECKING:
    import pandas as pd

#: The scores by name. `SCORES.load(name)` is a `tepones.scores.base.Score`, which says what the score is.
SCORES = Registry(
    "score",
    {
        "gaussian": "tepones.scores.intra_class:GAUSSIAN",
        "binary": "tepones.scores.intra_class:BINARY",
        "posterior": "tepones.scores.intra_class:POSTERIOR",
        "h_score": "tepones.scores.h_score:H_SCORE",
        "shrunk_h_score": "tepones.scores.h_score:SHRUNK_H_SCORE",
        "wilks": "tepones.scores.h_score:WILKS",
        "logme": "tepones.scores.logme:LOGME",
        "nce": "tepones.scores.leep:NCE",
        "leep": "tepones.scores.leep:LEEP",
        "n_leep": "tepones.scores.leep:N_LEEP",
        "transrate": "tepones.scores.transrate:TRANSRATE",
        "gbc_diagonal": "tepones.scores.gbc:GBC_DIAGONAL",
        "gbc_spherical": "tepones.scores.gbc:GBC_SPHERICAL",
        "parc": "tepones.scores.parc:PARC",
        "sfda": "tepones.scores.sfda:SFDA",
        "energy": "tepones.scores.energy:ENERGY",
        "lda": "tepones.scores.lda:LDA",
        "lda_accuracy": "tepones.scores.lda:LDA_ACCURACY",
        "tmi": "tepones.scores.tmi:TMI",
        "ncti": "tepones.scores.ncti:NCTI",
        "entropi": "tepones.scores.entropi:ENTROPI",
        "knn": "tepones.scores.knn:KNN",
        "probe": "tepones.scores.probe:PROBE",
        "sparsity": "tepones.scores.controls:SPARSITY",
        "nonzero_weights": "tepones.scores.controls:NONZERO_WEIGHTS",
        "source_accuracy": "tepones.scores.controls:SOURCE_ACCURACY",
        "feature_norm": "tepones.scores.controls:FEATURE_NORM",
        "effective_rank": "tepones.scores.controls:EFFECTIVE_RANK",
        "active_features": "tepones.scores.controls:ACTIVE_FEATURES",
        "random": "tepones.scores.controls:RANDOM",
    },
)


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
    """Transferability scores of one backbone on one labelled target, as a tidy table.

    Parameters
    ----------
    features : ndarray (may be memory-mapped) or torch tensor, shape (N, D)
        What the backbone makes of the target's images. Never changed.
    labels : sequence of N hashable classes
    scores : iterable of str, optional
        Names from `SCORES`; all that the given input allows if left out.
    probabilities : ndarray or torch tensor, shape (N, C_s), optional
        Output of the source classifier after the softmax, for NCE and LEEP.
    facts : mapping of str to float, optional
        What is known of the backbone: ``sparsity``, ``nonzero_weights``, ``source_accuracy``.
    seed : int
        Decides everything random: the shuffled labels, subsamples, initial values.
    null : bool
        Whether to compute every score a second time, on shuffled labels.

    Returns
    -------
    DataFrame
        One row for each score and part, higher values predicting better transfer unless the score says
        otherwise:

        * ``score``, ``part`` (empty if there is one value only), ``value``;
        * ``null``, the value on shuffled labels (NaN if not computed, or if labels play no part);
        * ``n``, ``n_features``, ``active_features``;
        * ``effective_rank``, the participation ratio of the covariance;
        * ``n_le_d``, whether there are no more rows than active features;
        * ``saturated``, whether the value is the largest that there is, or the null less than 10⁻⁶ of it below;
        * ``seconds``, wall time of the value without the pass over the rows that all closed-form scores share; the
          first score that needs the eigendecomposition pays for it.

    Raises
    ------
    UsageError
        On an unknown score, one whose input is missing, shapes that do not match, NaN, fewer than two classes, or
        rows of `probabilities` that are no distribution: one line that names the score, row, column or class.

    Notes
    -----
    Cost: one pass of N·D², one of N·D for the shuffled labels, and what each score says of itself.

    Examples
    --------
    >>> import numpy as np
    >>> features = np.random.default_rng(0).normal(size=(60, 4))
    >>> table = score(features, np.arange(60) % 3, scores=["gaussian", "h_score"])
    >>> list(table["score"])
    ['gaussian', 'h_score']
    """
    import pandas as pd

    from tepones.scores import policy
    from tepones.scores.moments import ClassMoments

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


def behaviour() -> "pd.DataFrame":
    """Table of what each score does under changes of its input and on degenerate input; every cell is tested.

    Returns
    -------
    DataFrame
        One row for each score; the words are those of `tepones.scores.base.Behaviour`, and ``refused`` is an
        error of one line that names the row or the number of classes.
    """
    import pandas as pd

    rows = []
    for name in SCORES:
        entry = SCORES.load(name).behaviour
        rows.append(
            {
                "score": name,
                "scaling": entry.scaling,
                "shifting": entry.shifting,
                "duplicated columns": entry.duplicates,
                "dead columns": entry.dead,
                "N ≤ D": entry.few_rows,
                "one class": "refused",
                "no active feature": entry.empty,
                "NaN": "refused",
            }
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
