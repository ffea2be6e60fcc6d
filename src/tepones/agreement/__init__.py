"""How well a score ranks pruned backbones by transfer accuracy, and how sure one can be of it.

`correlations` compares two orders, `choices` prices the decision, `inference` adds the uncertainty; `per_image` tells
how much of all this is noise of the test images; `within`, `between` and `tables` apply them to the table of a study.
The ladder is the unit of replication there: where several ladders come from one dense backbone, average them first and
give `two_level_interval` one row per dense backbone.
"""

from tepones.agreement.between import between_summary
from tepones.agreement.choices import optimum_distance, regret, regret_under_budget
from tepones.agreement.correlations import kendall, no_ranking, partial_tau, pearson, spearman, weighted_tau
from tepones.agreement.inference import (
    Ceiling,
    Interval,
    detectable,
    holm,
    noise_ceiling,
    sign_flip_test,
    two_level_interval,
)
from tepones.agreement.per_image import PerfectScore, cross_fitted_regret, halves, noise, perfect_score
from tepones.agreement.tables import MEASURES, paired_differences, summary
from tepones.agreement.within import COLUMNS, budget_regret, check, within_ladder

__all__ = [
    "COLUMNS",
    "MEASURES",
    "Ceiling",
    "Interval",
    "PerfectScore",
    "between_summary",
    "budget_regret",
    "check",
    "cross_fitted_regret",
    "detectable",
    "halves",
    "holm",
    "kendall",
    "no_ranking",
    "noise",
    "noise_ceiling",
    "optimum_distance",
    "paired_differences",
    "partial_tau",
    "pearson",
    "perfect_score",
    "regret",
    "regret_under_budget",
    "sign_flip_test",
    "spearman",
    "summary",
    "two_level_interval",
    "weighted_tau",
    "within_ladder",
]
