"""Controls: numbers that know little or nothing of the target, which a score must beat to earn its place."""

import zlib

import numpy as np

from tepones.common.errors import UsageError
from tepones.scores.base import Behaviour, Score
from tepones.scores.moments import ClassMoments


def sparsity(facts: dict[str, float]) -> float:
    """Fraction of the prunable weights that are zero, in [0, 1): the fact ``sparsity``, as given."""
    return _fact(facts, "sparsity")


def nonzero_weights(facts: dict[str, float]) -> float:
    """Number of weights that are not zero: the fact ``nonzero_weights``, as given."""
    return _fact(facts, "nonzero_weights")


def source_accuracy(facts: dict[str, float]) -> float:
    """Accuracy of the pruned model on its source task, in [0, 1]: the fact ``source_accuracy``, as given."""
    return _fact(facts, "source_accuracy")


def feature_norm(moments: ClassMoments) -> float:
    """Root mean square norm √E‖x‖² of the active features, in [0, ∞); 0 if none is active. Cost: d."""
    spread = moments.summary.spread
    return float(np.sqrt(spread.variance.sum() + spread.mean @ spread.mean))


def effective_rank(moments: ClassMoments) -> float:
    """Participation ratio (Σλ)²/Σλ² of the covariance, in [1, d]; 0 if no feature is active. Cost: d²."""
    return moments.summary.spread.effective_rank


def active_features(moments: ClassMoments) -> float:
    """Number d of active features, in [0, D]."""
    return float(moments.summary.n_active)


def random(moments: ClassMoments, seed: int = 0) -> float:
    """A pseudo-random number in [0, 1), decided by the seed and the features: what guessing is worth."""
    summary = moments.summary
    content = np.concatenate([summary.spread.mean, summary.spread.variance, [summary.n]]).astype(np.float32)
    return float(np.random.default_rng([seed, zlib.crc32(content.tobytes())]).random())


def _fact(facts: dict[str, float], name: str) -> float:
    if name not in facts:
        raise UsageError(f"no fact {name!r}; facts given: {', '.join(sorted(facts)) or 'none'}")
    return float(facts[name])


_NO_PART = Behaviour("no part", "no part", "no part", "no part", "no part", "no part")


def _control(function, title: str, range: str, units: str, behaviour: Behaviour = _NO_PART) -> Score:
    return Score(function, title, range, units, behaviour, uses_labels=False)


SPARSITY = _control(sparsity, "Sparsity", "[0, 1)", "fraction")
NONZERO_WEIGHTS = _control(nonzero_weights, "Non-zero weights", "[0, ∞)", "weights")
SOURCE_ACCURACY = _control(source_accuracy, "Source accuracy", "[0, 1]", "accuracy")
_OF_NORM = Behaviour(scaling="up", shifting="changes", duplicates="up", few_rows="no part")
FEATURE_NORM = _control(feature_norm, "Feature norm", "[0, ∞)", "as the features", _OF_NORM)
EFFECTIVE_RANK = _control(effective_rank, "Effective rank", "[0, D]", "dimensions", Behaviour(few_rows="no part"))
_OF_COUNT = Behaviour(duplicates="up", few_rows="no part")
ACTIVE_FEATURES = _control(active_features, "Active features", "[0, D]", "features", _OF_COUNT)
_OF_CHANCE = Behaviour("changes", "changes", "changes", few_rows="no part", empty="any")
RANDOM = _control(random, "Random", "[0, 1)", "none", _OF_CHANCE)
