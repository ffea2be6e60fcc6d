"""How sure a ranking is: what would become of it with other images of the same classes.

Only features and labels are needed, so no network runs again. `deviations` says of one backbone how its score varies
with the images, on the same redraws for all backbones, so that what is easy or hard for all of them at once does not
count as a difference; `certainty` makes probabilities and intervals of them, and `advice` a sentence.

`data/ranking/certainty.md` has the figures by which this way was chosen among others, and what it costs.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tepones.common.errors import shown
from tepones.ranking.pictures import listed
from tepones.scores import policy, score
from tepones.scores.discriminant import left_out_posteriors
from tepones.scores.probe import TIE
from tepones.scores.rows import by_class, prepare

#: Redraws of all scores.
DRAWS = 4000
#: A backbone is clearly above another if it is so in this share of the redraws.
LEVEL = 0.95
#: How often the images are divided into halves, for scores that are not an average over images.
HALVINGS = 8


def deviations(
    features: Any,
    labels: np.ndarray,
    name: str,
    *,
    probabilities: Any = None,
    facts: Mapping[str, float] | None = None,
    seed: int = 0,
) -> np.ndarray:
    """How a score of one backbone varies with the images, class by class: as many numbers for every backbone.

    Put side by side, as columns of E (m, K), they say how the scores of K backbones vary together: the covariance is
    EᵀE. Images are drawn anew within each class, whose numbers of images stay. A class of one image does not tell how
    it varies, and counts as one that does not.

    * ``lda_accuracy`` is the mean over the images of a credit, 1 where the image is put into the right class when it is
      left out of the fit. EᵀE is then the covariance of a bootstrap over the images of each class, with
      n_c/(n_c − 1) for the one degree of freedom that the mean of a class takes (Efron and Tibshirani, 1993, *An
      introduction to the bootstrap*), in closed form: m = N. Images drawn twice do not enter a fit, where one would
      betray the class of the other; in return, that the fits themselves vary is not counted.
    * Any other score is computed on random halves of every class. Two halves share no image, so half of the difference
      of their scores has half the variance that the score has on half of the images, which is its variance on all
      wherever that falls as 1/N: m = `HALVINGS`.

    Parameters
    ----------
    features : ndarray (may be memory-mapped) or torch tensor, shape (N, D)
    labels : ndarray of int, shape (N,)
    name : str
        A name from `tepones.scores.SCORES`; of a score in parts, the first part is taken.
    probabilities, facts
        As `tepones.scores.score` takes them.
    seed : int
        Decides the halves, and everything random in the score.

    Returns
    -------
    ndarray of float64, shape (m,)
        In the unit of the score. Cost: for ``lda_accuracy`` once that score, of others 2·`HALVINGS` times the score of
        half the rows, in memory of half the features.

    Raises
    ------
    TeponesError
        As `tepones.scores.score` does.
    """
    if name == "lda_accuracy":
        credits = _credits(features, labels)
        found = np.zeros(len(credits))
        for rows in by_class(labels):
            correction = np.sqrt(len(rows) / max(len(rows) - 1, 1))
            found[rows] = correction * (credits[rows] - credits[rows].mean()) / len(credits)
        return found
    features = policy.as_array(features)
    probabilities = None if probabilities is None else policy.as_array(probabilities)

    def value(rows: np.ndarray) -> float:
        given = {"probabilities": None if probabilities is None else probabilities[rows], "facts": facts}
        return float(score(features[rows], labels[rows], [name], null=False, seed=seed, **given)["value"].iloc[0])

    halved = [(value(one) - value(other)) / 2 for one, other in _halves(labels, seed)]
    return np.array(halved) / np.sqrt(HALVINGS)


def _credits(features: Any, labels: np.ndarray) -> np.ndarray:
    """What every row adds to N times `tepones.scores.lda.lda_accuracy`, (N,)."""
    features, codes, summary = prepare(features, labels, None)
    if summary.n_active:
        posteriors = left_out_posteriors(features, codes, summary)
    else:
        posteriors = np.tile(summary.priors, (summary.n, 1))
    tied = posteriors >= posteriors.max(1, keepdims=True) - TIE
    return tied[np.arange(summary.n), codes] / tied.sum(1)


def _halves(labels: np.ndarray, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of rows in rising order, `HALVINGS` times; of classes with an odd number, the halves take turns."""
    generator = np.random.default_rng(seed)
    for _ in range(HALVINGS):
        halves: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        more = int(generator.integers(2))
        for rows in by_class(labels):
            if len(rows) == 1:  # each half needs every class
                halves[0].append(rows)
                halves[1].append(rows)
                continue
            rows = generator.permutation(rows)
            middle = (len(rows) + more) // 2
            more ^= len(rows) % 2
            halves[0].append(rows[:middle])
            halves[1].append(rows[middle:])
        one, other = (np.sort(np.concatenate(half)) for half in halves)
        yield one, other


def certainty(values: Sequence[float], deviations: np.ndarray, seed: int = 0) -> pd.DataFrame:
    """Probability of being first and interval of the rank of K backbones, from redraws of their scores.

    A redraw is what another set of as many images might say: ``values`` plus an error with the covariance 2 EᵀE, once
    for the images at hand and once for the others, of Student's distribution with m degrees of freedom, because EᵀE is
    an estimate from m numbers. A backbone is *clearly above* another if it has the larger score in a share `LEVEL` of
    the redraws. The interval of a rank goes from one more than the backbones that are clearly above to K less those
    that are clearly below, so that it errs to each side in 5 % at most where K is 2; percentiles of the redrawn ranks
    would be too narrow where backbones are alike, since the best of the values is the one that luck has helped most.
    Those whose interval begins at 1 cannot be told apart from the first.

    Parameters
    ----------
    values : sequence of K floats
        The scores, higher is better.
    deviations : ndarray, shape (m, K)
        E: what `deviations` returns for each backbone, as columns.
    seed : int
        Decides the redraws.

    Returns
    -------
    DataFrame
        A row for each backbone: ``first`` (probability in [0, 1]; they sum to 1, and backbones that tie for the first
        place in a redraw share it), ``rank_low`` and ``rank_high`` (in 1..K). Backbones that are equal in everything
        have equal rows. Cost: m·K² and `DRAWS`·K²; memory of `DRAWS`·K numbers and m·K.
    """
    k, m = len(values), len(deviations)
    # Equal backbones are drawn once, or rounding would tell them apart.
    distinct, index = np.unique(np.vstack([values, deviations]), axis=1, return_inverse=True)
    _, sizes, axes = np.linalg.svd(distinct[1:], full_matrices=False)
    generator = np.random.default_rng(seed)
    errors = generator.normal(size=(DRAWS, len(sizes))) @ (sizes[:, None] * axes)
    errors *= np.sqrt(2 * m / generator.chisquare(m, DRAWS))[:, None]
    draws = (distinct[0] + errors)[:, index]
    first = draws == draws.max(1, keepdims=True)
    clearly = np.array([(draws[:, [j]] > draws).mean(0) >= LEVEL for j in range(k)])
    return pd.DataFrame(
        {
            "first": (first / first.sum(1, keepdims=True)).mean(0),
            "rank_low": 1 + clearly.sum(0),
            "rank_high": k - clearly.sum(1),
        }
    )


def advice(table: pd.DataFrame, n: int) -> str:
    """What to do next, of a table with the columns of `certainty` and ``backbone``, best first, on n images.

    Take the first, if no other backbone's interval of ranks begins at 1, which is the rule of `certainty`; else those
    that cannot be told apart are named.
    """
    alike = table[table["rank_low"] == 1]
    if len(alike) > 1:
        names = listed(list(alike["backbone"]))
        return (
            f"{len(alike)} backbones cannot be told apart with these {n:,} images: {names}; "
            "label more images, or try each of them"
        )
    name, first = alike["backbone"].iloc[0], alike["first"].iloc[0]
    share = "more than 99" if first > 0.99 else f"{100 * first:.0f}"
    return f"take {shown(name)}: it is first in {share} % of the redraws of these {n:,} images"
