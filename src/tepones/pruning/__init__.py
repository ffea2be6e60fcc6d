"""Pruning: *criteria* say what to remove, *schedules* say when, *masks* hold the result.

A new criterion or schedule is one file and one line in its registry.
"""

from tepones.registry import Registry

CRITERIA = Registry(
    "criterion",
    {
        "magnitude": "tepones.pruning.criteria.magnitude:magnitude",
        "random": "tepones.pruning.criteria.random:random",
    },
)

SCHEDULES = Registry(
    "schedule",
    {
        "iterative": "tepones.pruning.schedules.iterative:iterative",
    },
)

__all__ = ["CRITERIA", "SCHEDULES"]
