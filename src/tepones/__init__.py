"""tepones: which pruned backbone transfers best, estimated without training on the target.

Importing this package imports neither torch nor pandas; names are resolved on first use.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOME = {
    "ClassMoments": "tepones.scores.moments",
    "load": "tepones.ranking.backbones",
    "prune": "tepones.ranking.pruner",
    "rank": "tepones.ranking.ranker",
    "score": "tepones.scores",
}

__all__ = ["ClassMoments", "__version__", "load", "prune", "rank", "score"]


def __getattr__(name: str):
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'tepones' has no attribute {name!r}")
