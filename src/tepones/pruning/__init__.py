"""Pruning: *criteria* say what to remove, *schedules* say when, *masks* hold the result.

A new criterion or schedule is one file and one line in its registry.
"""

from tepones.common.registry import Registry

CRITERIA = Registry(
    "criterion",
    {
        "magnitude": "tepones.pruning.criteria.magnitude:magnitude",
        "random": "tepones.pruning.criteria.random:random",
        "snip": "tepones.pruning.criteria.snip:snip",
        "diagonal": "tepones.pruning.criteria.diagonal:diagonal",
        "block": "tepones.pruning.criteria.block:block",
    },
)

SCHEDULES = Registry(
    "schedule",
    {
        "iterative": "tepones.pruning.schedules.iterative:iterative",
        "one-shot": "tepones.pruning.schedules.one_shot:one_shot",
        "lottery": "tepones.pruning.schedules.lottery:lottery",
        "reinitialised": "tepones.pruning.schedules.reinitialised:reinitialised",
        "gradual": "tepones.pruning.schedules.gradual:gradual",
        "acdc": "tepones.pruning.schedules.acdc:acdc",
        "rigl": "tepones.pruning.schedules.rigl:rigl",
        "str": "tepones.pruning.schedules.soft_threshold:soft_threshold",
        "structured": "tepones.pruning.schedules.channels:channels",
    },
)

#: Schedules whose rungs do not start from the rung before: from the dense backbone, or from another schedule's
#: rung of the same sparsity.
STARTS = {"one-shot": "dense", "reinitialised": "lottery"}

__all__ = ["CRITERIA", "SCHEDULES", "STARTS"]
