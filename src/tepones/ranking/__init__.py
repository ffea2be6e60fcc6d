"""People's own backbones: read what they bring, prune it, rank it on a target."""

from tepones.ranking.backbones import load, load_backbones
from tepones.ranking.features import read_features
from tepones.ranking.modules import encoder_of
from tepones.ranking.pruner import prune
from tepones.ranking.ranker import DEFAULT_SCORES, Ranking, rank
from tepones.ranking.target import Target, open_target

__all__ = [
    "DEFAULT_SCORES",
    "Ranking",
    "Target",
    "encoder_of",
    "load",
    "load_backbones",
    "open_target",
    "prune",
    "rank",
    "read_features",
]
