"""Scores: numbers that predict, without training, how well a backbone transfers to a labelled target."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tepones.common.errors import TeponesError, UsageError, one_line
from tepones.common.registry import Registry

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
        Names from `SCORES`; all that the given input allows if left out. One that is named must be computable; of
        all, one that fails is a row that says why.
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
          first score that needs the eigendecomposition pays for it;
        * ``error``, why there is no value (NaN); empty where there is one.

    Raises
    ------
    UsageError
        On an unknown score, one whose input is missing, what `tepones.scores.inputs.sound` refuses, and rows of
        `probabilities` that are no distribution; if the pass over the rows, or a score that is named, is beyond
        `tepones.scores.limits`.
    TeponesError
        If a score that is named fails, or all of them do: one line that names the score.

    Notes
    -----
    Cost: one pass of N·D², three of N·D for checks and the shuffled labels, and what each score says of itself. After a
    failure every score has a pass of its own.

    Examples
    --------
    >>> import numpy as np
    >>> features = np.random.default_rng(0).normal(size=(60, 4))
    >>> table = score(features, np.arange(60) % 3, scores=["gaussian", "h_score"])
    >>> list(table["score"])
    ['gaussian', 'h_score']
    """
    import pandas as pd

    from tepones.scores import inputs, limits, table

    given = inputs.sound(features, labels, probabilities)
    size = limits.Size(
        *given.features.shape,
        given.n_classes,
        int(np.bincount(given.codes).max()),
        0 if probabilities is None else given.probabilities.shape[1],
    )
    too_much = limits.excess(size)
    if too_much:
        raise UsageError(f"scores {too_much}")
    names = table.names(scores, probabilities is not None, facts or {})
    beyond = {name: limits.excess(size, name) for name in names}
    errors: dict[str, Exception] = {name: UsageError(text) for name, text in beyond.items() if text}
    known = {"probabilities": given.probabilities, "facts": facts, "seed": seed, "null": null}

    able = [name for name in names if name not in errors]
    found, failed = _attempted(able, lambda wanted: table.score(given.features, given.codes, wanted, **known))
    errors |= failed
    if errors and (scores is not None or len(errors) == len(names)):
        name, error = next(iter(errors.items()))
        kind = UsageError if isinstance(error, UsageError) else TeponesError
        raise kind(f"score {name!r}: {one_line(error)}")
    found = [row | {"error": ""} for row in found if row["score"] not in errors]
    nothing = {"part": "", "value": np.nan, "null": np.nan, "saturated": False, "seconds": np.nan}
    found += [found[0] | nothing | {"score": name, "error": one_line(error)} for name, error in errors.items()]
    return pd.DataFrame(sorted(found, key=lambda row: names.index(row["score"])))


def _attempted(
    names: list[str], table: Callable[[list[str]], "pd.DataFrame"]
) -> tuple[list[dict[str, Any]], dict[str, Exception]]:
    """Rows of the scores of these names, and the errors of those that fail."""
    errors: dict[str, Exception] = {}
    try:
        found = table(names).to_dict("records")
    except UsageError:  # of the input, whatever score it was that looked at it
        raise
    except Exception:  # numerical libraries raise of many classes; which score it was, each of them alone tells
        found = []
        for name in names:
            try:
                found += table([name]).to_dict("records")
            except UsageError:
                raise
            except Exception as error:
                errors[name] = error
    return found, errors | {
        row["score"]: TeponesError(f"its value is {row['value']}") for row in found if not np.isfinite(row["value"])
    }


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
