"""Pruning: *criteria* say what to remove, *schedules* say when, *masks* hold the result.

A new criterion or schedule is one file and one line in its registry.
"""

from tepones.common.registry import Registry

#: The criteria by name, functions of a backbone and a setting that return a saliency for each prunable weight.
CRITERIA = Registry(
    "criterion",
    {
        "magnitude": "tepones.pruning.criteria.magnitude:magnitude",
        "random": "tepones.pruning.criteria.random_saliency:random",
        "snip": "tepones.pruning.criteria.snip:snip",
        "diagonal": "tepones.pruning.criteria.diagonal:diagonal",
        "block": "tepones.pruning.criteria.block:block",
    },
)

#: The schedules by name, functions that take a backbone from its masks to those of a given sparsity.
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
        "surgeon": "tepones.pruning.schedules.surgeon:surgeon",
        "control": "tepones.pruning.schedules.control:control",
    },
)

#: Where the rungs of a schedule start that do not start from the rung before them, which is from the dense backbone, or
#: from the rung of the same sparsity of another schedule.
STARTS = {"one-shot": "dense", "surgeon": "dense", "reinitialised": "lottery"}

#: Schedules that remove nothing, and so have no criterion.
UNPRUNED = {"control"}

#: Schedules that prune step by step while they train, and so need a training of this project.
WHILE_TRAINING = {"gradual", "acdc", "rigl", "str"}

__all__ = ["CRITERIA", "SCHEDULES", "STARTS", "UNPRUNED", "WHILE_TRAINING"]
