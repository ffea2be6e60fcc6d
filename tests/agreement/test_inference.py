"""Intervals that cover, tests that hold their level: shown on simulated studies whose truth is known."""

import time
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from tepones.agreement import (
    detectable,
    holm,
    noise_ceiling,
    sign_flip_test,
    two_level_interval,
    weighted_tau,
)
from tepones.common import paths
from tepones.common.errors import UsageError

STUDIES = 500
# A proportion of 500 that is 5 % in truth stays below this with probability 0.999.
LEVEL = stats.binom.ppf(0.999, STUDIES, 0.05) / STUDIES


def simulated_taus(rng, studies, ladders, targets, spread, rungs=8):
    """Taus of a score whose skill varies with the ladder and with the target, from accuracies of humps."""
    place = np.linspace(0, 1, rungs)
    hump = 0.5 + 0.2 * rng.normal(size=(studies, ladders, targets, 1))
    accuracy = 0.8 - 0.3 * (place - hump) ** 2
    skill = 1 + spread * (rng.normal(size=(studies, ladders, 1, 1)) + rng.normal(size=(studies, 1, targets, 1)))
    score = skill * accuracy + 0.04 * rng.normal(size=accuracy.shape)
    return weighted_tau(score, accuracy)


@pytest.mark.parametrize("ladders,targets", [(3, 4), (4, 8), (6, 6), (12, 8)])
@pytest.mark.parametrize("spread", [0.2, 1.0])
def test_intervals_cover_the_true_mean_tau(ladders, targets, spread):
    rng = np.random.default_rng([ladders, targets])
    # Expectation of one cell, from many ladders and targets that no study shares.
    truth = simulated_taus(rng, 20_000, 1, 1, spread).mean()
    cells = simulated_taus(rng, STUDIES, ladders, targets, spread)
    found = two_level_interval(cells, replicates=1000, bounds=(-1, 1))
    assert ((found.low <= truth) & (truth <= found.high)).mean() >= 0.90
    assert (found.low >= -1).all() and (found.high <= 1).all()


def simulated_regrets(rng, studies, ladders, targets, spread, rungs=12):
    """Top-1 regrets (points) of such a score on ladders that also collapse at their sparse end."""
    place = np.linspace(0, 1, rungs)
    shift = rng.normal(size=(studies, ladders, 1, 1)) + rng.normal(size=(studies, 1, targets, 1))
    accuracy = 0.8 - 0.3 * (place - 0.5 - 0.15 * shift) ** 2 - 0.4 * np.clip(place - 0.8, 0, 1)
    skill = 1 + spread * (rng.normal(size=(studies, ladders, 1, 1)) + rng.normal(size=(studies, 1, targets, 1)))
    score = skill * accuracy + 0.04 * rng.normal(size=accuracy.shape)
    chosen = np.take_along_axis(accuracy, score.argmax(axis=-1)[..., None], axis=-1)[..., 0]
    return 100 * (accuracy.max(axis=-1) - chosen)


@pytest.mark.parametrize("spread,least", [(0.2, 0.90), (0.5, 0.75)])
@pytest.mark.parametrize("ladders,targets", [(3, 4), (6, 6)])
def test_intervals_of_regret_cover_unless_failures_are_rare_and_large(spread, least, ladders, targets):
    """The second case is the known limit: a score that fails badly on the few ladders that nobody drew."""
    rng = np.random.default_rng([ladders, targets])
    truth = simulated_regrets(rng, 20_000, 1, 1, spread).mean()
    cells = simulated_regrets(rng, STUDIES, ladders, targets, spread)
    found = two_level_interval(cells, replicates=1000, bounds=(0, 100))
    assert ((found.low <= truth) & (truth <= found.high)).mean() >= least


@pytest.mark.parametrize("ladders,targets", [(3, 4), (6, 6)])
def test_differences_of_equally_good_scores_are_found_no_more_often_than_the_level(ladders, targets):
    rng = np.random.default_rng([ladders, targets])
    first, second = (simulated_taus(rng, STUDIES, ladders, targets, 0.5) for _ in range(2))
    found = two_level_interval(first - second, replicates=1000)
    assert (found.p <= 0.05).mean() <= LEVEL
    assert ((found.low <= 0) & (found.high >= 0)).mean() >= 0.90


def test_plain_percentiles_would_not_cover_with_few_ladders():
    """Why the interval is stretched: with three ladders the percentiles miss far too often."""
    rng = np.random.default_rng(0)
    cells = rng.normal(size=(STUDIES, 3, 1)) + 0.5 * rng.normal(size=(STUDIES, 3, 8))
    draw_l = rng.multinomial(3, [1 / 3] * 3, 1000) / 3
    draw_t = rng.multinomial(8, [1 / 8] * 8, 1000) / 8
    low, high = np.quantile(np.einsum("bl,slt,bt->sb", draw_l, cells, draw_t), [0.025, 0.975], axis=1)
    assert ((low <= 0) & (high >= 0)).mean() < 0.85
    found = two_level_interval(cells, replicates=1000)
    assert ((found.low <= 0) & (found.high >= 0)).mean() >= 0.90


@pytest.mark.parametrize("parts", [(1, 0, 0.5), (0, 1, 0.5), (0.5, 0.5, 1), (0, 0, 1)])
@pytest.mark.parametrize("ladders,targets", [(3, 4), (8, 6)])
def test_intervals_and_p_values_under_a_mean_of_zero(parts, ladders, targets):
    rng = np.random.default_rng([ladders, targets])
    of_ladder, of_target, rest = parts
    cells = (
        of_ladder * rng.normal(size=(STUDIES, ladders, 1))
        + of_target * rng.normal(size=(STUDIES, 1, targets))
        + rest * rng.normal(size=(STUDIES, ladders, targets))
    )
    found = two_level_interval(cells, replicates=1000)
    assert ((found.low <= 0) & (found.high >= 0)).mean() >= 0.90
    assert (found.p <= 0.05).mean() <= LEVEL


def simulated_families(rng, studies, dense, correlation, ladders=3, targets=11):
    """Cells (study, dense backbone, ladder, target) with mean 0; the ladders of one dense backbone resemble each other.

    The effects of ladders have variance 1, of which the share `correlation` is that of their dense backbone.
    """

    def effect(variance, *shape):
        return np.sqrt(variance) * rng.normal(size=(studies, *shape))

    return (
        effect(correlation, dense, 1, 1)
        + effect(1 - correlation, dense, ladders, 1)
        + effect(0.3, 1, 1, targets)
        + effect(0.3, dense, 1, targets)
        + effect(0.5, dense, ladders, targets)
    )


def covers_zero(cells):
    found = two_level_interval(cells, replicates=400)
    return ((found.low <= 0) & (found.high >= 0)).mean()


@pytest.mark.parametrize("dense", [3, 6])
@pytest.mark.parametrize("correlation", [0, 0.05, 0.2, 0.5])
def test_means_by_dense_backbone_cover_however_alike_its_ladders_are(dense, correlation):
    rng = np.random.default_rng([dense, int(100 * correlation)])
    cells = simulated_families(rng, 2000, dense, correlation)
    assert covers_zero(cells.mean(axis=2)) >= 0.93


@pytest.mark.parametrize("dense", [3, 6])
def test_ladders_of_one_dense_backbone_taken_for_independent_cover_too_seldom(dense):
    cells = simulated_families(np.random.default_rng(dense), STUDIES, dense, 0.5)
    assert covers_zero(cells.reshape(STUDIES, -1, 11)) < 0.90


@pytest.mark.parametrize(("dense", "least"), [(3, 0.74), (6, 0.77), (12, 0.77)])
@pytest.mark.parametrize("of_target", [0, 1])
def test_the_detectable_mean_is_told_from_zero_in_four_of_five_studies(dense, least, of_target):
    rng = np.random.default_rng(dense)
    cells = (
        rng.normal(size=(1500, dense, 1))
        + of_target * rng.normal(size=(1500, 1, 11))
        + rng.normal(size=(1500, dense, 11))
    )
    mean = np.sqrt((detectable(cells) ** 2).mean())
    # The test of `two_level_interval`, whose p-value needs no replicates.
    assert least <= (two_level_interval(cells + mean, replicates=2).p <= 0.05).mean() <= 0.83


def test_the_detectable_mean_with_one_target_is_that_of_students_test():
    values = np.random.default_rng(3).normal(0.4, 0.2, size=12)
    expected = (stats.t.ppf(0.975, 11) + stats.t.ppf(0.8, 11)) * stats.sem(values)
    assert detectable(values[:, None]) == pytest.approx(expected)
    assert detectable(values[:, None] + 5) == pytest.approx(expected)


def test_no_mean_is_detectable_where_nothing_tells_how_ladders_vary():
    cells = np.random.default_rng(0).normal(size=(2, 4, 3))
    assert detectable(cells).shape == (2,) and (detectable(cells) > 0).all()
    assert np.isnan(detectable(cells[:, :1])).all() and np.isnan([detectable(np.ones((4, 3)))]).all()
    with pytest.raises(UsageError, match="ladders × targets"):
        detectable([0.1, 0.2])


def test_with_one_target_the_interval_is_about_that_of_student():
    values = np.random.default_rng(3).normal(0.4, 0.2, size=12)
    found = two_level_interval(values[:, None])
    low, high = stats.t.interval(0.95, 11, loc=values.mean(), scale=stats.sem(values))
    assert (found.low, found.high) == (pytest.approx(low, abs=0.02), pytest.approx(high, abs=0.02))
    assert found.p == pytest.approx(stats.ttest_1samp(values, 0).pvalue)


def test_standard_error_is_that_of_the_two_way_table():
    """The mean squares of statsmodels' two-way analysis of variance give the same p-value."""
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    rng = np.random.default_rng(5)
    cells = 0.3 + rng.normal(size=(5, 1)) + rng.normal(size=(1, 4)) + 0.3 * rng.normal(size=(5, 4))
    ladder, target = np.indices(cells.shape).reshape(2, -1)
    frame = pd.DataFrame({"y": cells.ravel(), "ladder": ladder, "target": target})
    table = anova_lm(ols("y ~ C(ladder) + C(target)", frame).fit())
    a, b, e = table["sum_sq"] / table["df"]
    df = (a + b - e) ** 2 / (a**2 / 4 + b**2 / 3 + e**2 / 12)
    t = cells.mean() / np.sqrt((a + b - e) / 20)
    assert two_level_interval(cells).p == pytest.approx(2 * stats.t.sf(abs(t), df))


def test_degenerate_tables_are_told_apart():
    one_ladder = two_level_interval(np.ones((1, 5)))
    assert one_ladder.mean == 1 and np.isnan([one_ladder.low, one_ladder.high, one_ladder.p]).all()
    no_spread = two_level_interval(np.ones((4, 5)))
    assert no_spread.mean == 1 and np.isnan([no_spread.low, no_spread.high, no_spread.p]).all()
    same = two_level_interval(np.zeros((4, 5)))
    assert (same.mean, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_the_interval_is_reproducible_and_refuses_bad_use():
    cells = np.random.default_rng(0).normal(size=(2, 4, 3))
    assert all(np.array_equal(x, y) for x, y in zip(two_level_interval(cells), two_level_interval(cells), strict=True))
    assert two_level_interval(cells[1]).low == two_level_interval(cells).low[1]
    with pytest.raises(UsageError, match="ladders × targets"):
        two_level_interval([0.1, 0.2])
    with pytest.raises(UsageError, match=r"cells\[0, 1\]"):
        two_level_interval([[0.1, np.nan]])


def test_ten_thousand_replicates_of_a_large_study_take_seconds():
    cells = np.random.default_rng(0).normal(size=(20, 20, 10))
    start = time.perf_counter()
    two_level_interval(cells, replicates=10_000)
    assert time.perf_counter() - start < 60


def counted_by_hand(values):
    signs = np.array(list(product((1, -1), repeat=len(values))))
    return np.mean((signs * values).mean(axis=1) >= values.mean() - 1e-9)


def test_the_sign_flip_test_counts_every_sign():
    assert sign_flip_test([0.9, 0.8, 0.7, 0.95]) == 2**-4
    assert sign_flip_test([0.5, -0.5]) == 0.75
    assert (sign_flip_test([0.3]), sign_flip_test([-0.3]), sign_flip_test([0])) == (0.5, 1, 1)
    # 0.1 + 0.2 is not quite 0.3: of the eight means that are 0 or more, two are 0 only but for rounding.
    assert sign_flip_test([0.1, 0.2, -0.3]) == 5 / 8
    values = np.random.default_rng(0).normal(0.2, 0.5, 12)
    assert sign_flip_test(values) == counted_by_hand(values)


def test_more_ladders_than_can_be_enumerated_are_judged_by_random_signs():
    assert sign_flip_test(np.ones(200)) == 1 / 10_001
    values = np.random.default_rng(1).normal(0.1, 0.5, 15)
    drawn = [sign_flip_test(values, seed) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert drawn == pytest.approx([counted_by_hand(values)] * 3, abs=0.02)


@pytest.mark.parametrize("ladders", [5, 8])
def test_the_sign_flip_test_holds_its_level(ladders):
    rng = np.random.default_rng(ladders)
    p = [sign_flip_test(rng.uniform(-1, 1, ladders), seed=i) for i in range(STUDIES)]
    assert np.mean(np.array(p) <= 0.05) <= LEVEL


def test_holm_equals_statsmodels_and_passes_nan_by():
    p = np.random.default_rng(0).uniform(0, 0.2, 9)
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])
    with_gap = np.insert(p, 4, np.nan)
    assert np.isnan(holm(with_gap)[4]) and np.delete(holm(with_gap), 4) == pytest.approx(holm(p))


@pytest.mark.parametrize("sd,mean,worst", [(0.1, 0.96, 0.92), (0.3, 0.88, 0.81), (0.5, 0.80, 0.69)])
def test_noise_ceiling_of_the_sfda_accuracies(sd, mean, worst):
    """Accuracies against themselves with noise added; the reference's figures, to its two decimals."""
    table = pd.read_csv(paths.data() / "published" / "sfda_group1_finetuned_acc.csv")
    rng = np.random.default_rng(0)
    found = []
    for _, rows in table.groupby("dataset"):
        truth = rows["finetuned_acc"].to_numpy() / 100
        reruns = [noise_ceiling([truth, truth + sd / 100 * rng.normal(size=11)]).tau for _ in range(300)]
        found.append(np.mean(reruns))
    assert np.mean(found) == pytest.approx(mean, abs=0.015)
    assert min(found) == pytest.approx(worst, abs=0.025)


def test_noise_ceiling_counts_every_pair_of_runs():
    runs = np.array([[0.5, 0.6, 0.7], [0.5, 0.6, 0.7], [0.5, 0.7, 0.6]])
    found = noise_ceiling(runs)
    swap = weighted_tau(runs[0], runs[2])
    assert found.tau == pytest.approx((1 + 2 * swap) / 3)
    assert found.sd_points == pytest.approx(100 * np.sqrt(runs.var(axis=0, ddof=1).mean()))
    with pytest.raises(UsageError, match="two runs"):
        noise_ceiling(runs[:1])
    with pytest.raises(UsageError, match="not per cent"):
        noise_ceiling(100 * runs)
    with pytest.raises(UsageError, match="finite"):
        noise_ceiling(np.where(runs == 0.5, np.nan, runs))
