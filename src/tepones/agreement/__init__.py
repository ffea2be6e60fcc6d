"""How well a score ranks pruned backbones by transfer accuracy, and how sure one can be of it.

`rankings` compares two orders, `choices` prices the decision, `inference` adds the uncertainty; `tidy`,
`between` and `tables` apply them to the table of a study. The ladder is the unit of replication throughout.
"""

from tepones.agreement.between import between_ladder, between_summary
from tepones.agreement.choices import optimum_distance, regret, regret_under_budget
from tepones.agreement.inference import (
    Ceiling,
    Interval,
    Significance,
    holm,
    noise_ceiling,
    null_taus,
    permutation_test,
    sign_flip_test,
    two_level_interval,
)
from tepones.agreement.rankings import kendall, no_ranking, partial_tau, pearson, spearman, weighted_tau
from tepones.agreement.tables import MEASURES, leave_one_out, paired_differences, summary
from tepones.agreement.tidy import COLUMNS, budget_regret, check, pooled, within_ladder

__all__ = [
    "COLUMNS",
    "MEASURES",
    "Ceiling",
    "Interval",
    "Significance",
    "between_ladder",
    "between_summary",
    "budget_regret",
    "check",
    "holm",
    "kendall",
    "leave_one_out",
    "no_ranking",
    "noise_ceiling",
    "null_taus",
    "optimum_distance",
    "paired_differences",
    "partial_tau",
    "pearson",
    "permutation_test",
    "pooled",
    "regret",
    "regret_under_budget",
    "sign_flip_test",
    "spearman",
    "summary",
    "two_level_interval",
    "weighted_tau",
    "within_ladder",
]
