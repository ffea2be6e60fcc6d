"""The study: profiles, the cells that they consist of, their records, and the tidy tables that the chapters read."""

from tepones.companion.study.tables import (
    ABLATIONS,
    COSTS,
    FULL,
    PROBE,
    PROTOCOLS,
    PROVENANCE,
    TABLES,
    load,
    published,
    tidy,
    to_csv,
    typical_costs,
)

__all__ = [
    "ABLATIONS",
    "COSTS",
    "FULL",
    "PROBE",
    "PROTOCOLS",
    "PROVENANCE",
    "TABLES",
    "load",
    "published",
    "tidy",
    "to_csv",
    "typical_costs",
]
