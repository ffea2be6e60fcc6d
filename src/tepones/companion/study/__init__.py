"""The study: profiles, the cells that they consist of, their records, and the tidy tables that the chapters read.

Names are resolved on first use: the processes that compute cells need no tables.
"""

from importlib import import_module

__all__ = [
    "ABLATIONS",
    "CORRECT",
    "COSTS",
    "FULL",
    "PROBE",
    "PROTOCOLS",
    "PROVENANCE",
    "TABLES",
    "TEST_IMAGES",
    "TestImages",
    "files",
    "load",
    "published",
    "read",
    "stored",
    "tidy",
    "to_csv",
    "typical_costs",
    "units",
    "unpacked",
    "with_correctness",
    "write",
]


def __getattr__(name: str):
    if name in __all__:
        return getattr(import_module("tepones.companion.study.tables"), name)
    raise AttributeError(f"module 'tepones.companion.study' has no attribute {name!r}")
