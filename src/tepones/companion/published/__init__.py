"""Numbers that others published: read and checked (`tables`), and computed again (`recompute`)."""

from tepones.companion.published.recompute import (
    sfda_comparison,
    sfda_scores,
    sparse_above_dense,
    sparse_best_levels,
    sparse_cells,
    sparse_linear_against_full,
    sparse_means,
    tep_ones_agreement,
    tllib_correlations,
)
from tepones.companion.published.tables import TABLES, load, tep_ones

__all__ = [
    "TABLES",
    "load",
    "sfda_comparison",
    "sfda_scores",
    "sparse_above_dense",
    "sparse_best_levels",
    "sparse_cells",
    "sparse_linear_against_full",
    "sparse_means",
    "tep_ones",
    "tep_ones_agreement",
    "tllib_correlations",
]
