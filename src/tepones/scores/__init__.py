"""Scores: numbers that predict, without training, how well a backbone transfers to a labelled target."""

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from tepones.errors import UsageError, choose
from tepones.registry import Registry

if TYPE_CHECKING:
    import pandas as pd

SCORES = Registry(
    "score",
    {
        "gaussian": "tepones.scores.intra_class:GAUSSIAN",
        "h_score": "tepones.scores.h_score:H_SCORE",
        "shrunk_h_score": "tepones.scores.h_score:SHRUNK_H_SCORE",
        "wilks": "tepones.scores.h_score:WILKS",
        "logme": "tepones.scores.logme:LOGME",
    },
)


def score(
    features: Any,
    labels: Any,
    scores: list[str] | None = None,
    *,
    probabilities: Any = None,
    facts: dict[str, float] | None = None,
    seed: int = 0,
    null: bool = True,
) -> "pd.DataFrame":
    """Transferability scores of one backbone on one labelled target, as a tidy table.

    Parameters
    ----------
    features : ndarray (may be memory-mapped) or torch tensor, shape (N, D)
        What the backbone makes of the target's images. Never changed.
    labels : sequence of N hashable classes
    scores : list of str, optional
        Names from `SCORES`; all that the given input allows if left out.
    probabilities : ndarray or torch tensor, shape (N, C_s), optional
        Output of the source classifier after the softmax, for NCE and LEEP.
    facts : dict of str to float, optional
        What is known of the backbone: ``sparsity``, ``nonzero_weights``, ``source_accuracy``.
    seed : int
        Decides everything random: the shuffled labels, subsamples, initial values.
    null : bool
        Whether to compute every score a second time on shuffled labels.

    Returns
    -------
    DataFrame
        One row for each score and part: ``score``, ``part`` (empty if there is one value only), ``value``,
        ``null`` (the value on shuffled labels, NaN if not computed), ``n``, ``n_features``, ``active_features``,
        ``effective_rank`` (participation ratio of the covariance), ``n_le_d`` (no more rows than active features),
        ``saturated`` (at the largest value there is, or no more than 10⁻⁶ of it above the null), ``seconds``
        (wall time of the value alone, without the pass that all closed-form scores share).

    Raises
    ------
    UsageError
        On an unknown name, shapes that do not match, NaN, fewer than two classes, probabilities that are none;
        one line that names the row, column or class.

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

    chosen = {name: SCORES.load(name) for name in (SCORES if scores is None else scores)}
    moments = ClassMoments().update(features, labels)
    features = policy.as_array(features)
    codes, _ = policy.encode(labels)
    shuffled = np.random.default_rng(seed).permutation(codes)
    given = {"features": features, "facts": facts, "probabilities": probabilities, "seed": seed}
    true = given | {"moments": moments, "labels": codes}
    nothing = given | {"moments": moments.relabelled(features, shuffled), "labels": shuffled} if null else None
    spread = moments.summary.spread
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
        nulls = _parts(entry, nothing) if nothing else {}
        for part, value in values.items():
            rows.append(
                {"score": name, "part": part, "value": value, "null": nulls.get(part, np.nan)}
                | diagnostics
                | {"saturated": _saturated(entry, value, nulls.get(part), moments), "seconds": seconds}
            )
    return pd.DataFrame(rows)


def _parts(entry, available: dict[str, Any]) -> dict[str, float]:
    values = entry.function(**{name: available[name] for name in entry.parameters})
    return values if isinstance(values, dict) else {"": values}


def _saturated(entry, value: float, null: float | None, moments) -> bool:
    if entry.maximum is not None and value >= entry.maximum(len(moments.classes)) * (1 - 1e-6):
        return True
    return null is not None and value - null <= 1e-6 * abs(value)
