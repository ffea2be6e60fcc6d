"""What the chapters on photographs compute: by hand where that is possible, and on any part of the profile."""

import numpy as np
import pandas as pd
import pytest
from simulated_photographs import simulate

from tepones import agreement
from tepones.common.errors import UsageError
from tepones.companion import photographs as photos
from tepones.companion import study
from tepones.companion.chapters import photographs_budget as budget
from tepones.companion.chapters import photographs_ranking as ranking
from tepones.companion.chapters import photographs_words as words
from tepones.companion.claims import statistic
from tepones.companion.study import profiles

TARGETS = ("cifar10", "flowers102", "eurosat", "pacs-photo", "pacs-sketch", "gtsrb")
SCORES = ("gaussian", "posterior", "h_score", "logme", "nce", "energy", "lda", "ncti", "probe", "random")
FINE_TUNED = ("magnitude iterative 0", "diagonal iterative 0")
NAMES = (
    "magnitude iterative 0",
    "magnitude iterative 1",
    "magnitude iterative 2",
    "random iterative 0",
    "mobilenet magnitude one-shot 0",
    "mobilenet diagonal one-shot 0",
)


@pytest.fixture(scope="module")
def tables():
    return simulate(NAMES, TARGETS, fine_tuning=FINE_TUNED, scores=SCORES)


@pytest.fixture(scope="module")
def rungs(tables):
    return photos.rungs_of(tables)


def ladder_rows(accuracies, ladder="a", method="m", target="t", group=photos.TRAINED):
    gains = [100 * (accuracy - accuracies[0]) for accuracy in accuracies]
    about = {"ladder": ladder, "method": method, "group": group, "target": target, "seed": 0}
    return pd.DataFrame(
        [
            about | {"rung": rung, "sparsity": 1 - 0.5**rung, "accuracy": accuracy, "gain": gain}
            for rung, (accuracy, gain) in enumerate(zip(accuracies, gains, strict=True))
        ]
    )


def test_ladders_that_are_not_there_are_named(tables):
    profile = profiles.load("natural")
    absent = photos.absent(tables, profile)
    assert len(absent) == len(profile.ladders) - len(NAMES)
    assert not set(absent) & set(NAMES)
    assert photos.listed(["a", "b"]) == "*a*, *b*"
    assert photos.listed([]) == "none"


def test_records_of_another_version_are_told(tables):
    assert "(1): *random iterative 0*" in photos.outdated(tables)
    current = tables["rungs"].assign(current=True)
    assert "All were computed by the code of this version" in photos.outdated({"rungs": current})


def test_groups_and_methods(tables, rungs):
    assert set(rungs.loc[rungs["group"] == photos.RELEASED, "ladder"]) == set(NAMES[4:])
    assert photos.method_order(rungs.iloc[::-1])[-1].startswith("mobilenet")
    about = photos.ladders(tables).set_index("method")
    assert about.loc["magnitude iterative", "ladders"] == 3
    assert np.isnan(about.loc["mobilenet magnitude one-shot", "dense source accuracy (%)"])


def test_gain_is_zero_at_the_dense_rung_and_repeats_are_averaged(tables, rungs):
    assert rungs.loc[rungs["rung"] == 0, "gain"].eq(0).all()
    full = photos.rungs_of(tables, study.FULL)
    assert not full.duplicated(["ladder", "rung", "target"]).any()
    assert set(full["ladder"]) == {"magnitude iterative 0"}


def test_the_rules_choose_without_looking_except_in_hindsight():
    frame = pd.concat(
        [
            ladder_rows([0.5, 0.6, 0.4], "a", target="x"),
            ladder_rows([0.5, 0.4, 0.7], "a", target="y"),
            ladder_rows([0.5, 0.5, 0.8], "b", target="x"),
            ladder_rows([0.5, 0.55, 0.45], "b", target="y"),
        ]
    )

    def values(rule):
        found = photos.chosen_gains(frame, rule)
        assert set(found["method"]) == {"m"}
        return {(row.ladder, row.target): pytest.approx(row.value) for row in found.itertuples()}

    assert values(photos.OTHER_TARGETS) == {("a", "x"): -10, ("a", "y"): -10, ("b", "x"): 0, ("b", "y"): -5}
    assert values(photos.OTHER_LADDERS) == {("a", "x"): -10, ("a", "y"): -10, ("b", "x"): 0, ("b", "y"): -5}
    assert values(photos.HINDSIGHT) == {("a", "x"): 10, ("a", "y"): 20, ("b", "x"): 30, ("b", "y"): 5}
    with pytest.raises(UsageError, match="unknown rule"):
        photos.chosen_gains(frame, "best")


def test_hindsight_finds_a_gain_in_noise_and_the_other_rules_do_not():
    rng = np.random.default_rng(0)
    frame = pd.concat(
        ladder_rows([0.5, *(0.5 + rng.normal(0, 0.02, 11))], ladder, target=target)
        for ladder in "abcdefgh"
        for target in "stuvwxyz"
    )
    means = {rule: photos.chosen_gains(frame, rule)["value"].mean() for rule in photos.RULES}
    assert means[photos.HINDSIGHT] > 2
    assert abs(means[photos.OTHER_TARGETS]) < 0.75
    assert abs(means[photos.OTHER_LADDERS]) < 0.75


def test_an_interval_needs_three_ladders():
    three = pd.concat([ladder_rows([0.5, 0.5 + 0.01 * i], ladder) for i, ladder in enumerate("abc", start=1)])
    row = photos.curves(three).query("rung == 1").iloc[0]
    # Gains 1, 2, 3: mean 2, standard error 1/√3, Student's quantile on two degrees of freedom.
    half = 4.302653 / np.sqrt(3)
    assert (row["mean"], row["low"], row["high"]) == pytest.approx((2, 2 - half, 2 + half))
    assert photos.curves(three[three["ladder"] != "c"])["low"].isna().all()


def test_distance_is_what_uncertainty_remains_and_shared_dense_backbones_count_once(tables):
    far = photos.distances(tables)
    assert list(far) == sorted(far)
    chosen = tables["scores"].query("score == 'nce' and rung == 0 and target == 'gtsrb'")
    trained = chosen[~chosen["ladder"].str.startswith("mobilenet")]
    assert far["gtsrb"] == pytest.approx((trained["value"] / -2.1).mean())
    shared = tables | {"scores": pd.concat([tables["scores"], trained.assign(ladder="random iterative 0")])}
    assert photos.distances(shared)["gtsrb"] == pytest.approx(far["gtsrb"])
    without = tables | {"scores": tables["scores"].query("score != 'nce'")}
    assert photos.distances(without).empty


def test_spearman_interval_by_hand():
    # ρ = 0.9 of five points: z ± 1.96·√((1 + 0.405)/2).
    found = photos.spearman([1, 2, 3, 4, 5], [1, 2, 3, 5, 4])
    half = 1.959964 * np.sqrt(1.405 / 2)
    expected = np.tanh(np.arctanh(0.9) + np.array([-half, half]))
    assert (found.rho, found.low, found.high) == pytest.approx((0.9, *expected))
    assert np.isnan(photos.spearman([1, 2, 3], [1, 2, 3]).rho)
    assert np.isnan(photos.spearman([1] * 6, range(6)).rho)
    assert np.isnan(photos.spearman(range(6), range(6)).low)


def test_tops_say_how_far_apart_information_and_accuracy_are():
    frame = ladder_rows([0.5, 0.7, 0.6]).assign(gaussian=[1.0, 2.0, 3.0], gaussian_null=[0.1, 0.1, 4.0])
    row = photos.tops(frame, "gaussian").iloc[0]
    assert (row["accuracy_top"], row["information_top"], row["apart"], row["above_null"]) == (1, 2, 1, False)


def test_pools_normalise_over_their_own_models():
    rows = [
        {"ladder": "a", "rung": rung, "target": "t", "score": "ncti", "part": part, "value": value}
        for part, values in {"seli": (0, 2, 4), "ncc": (1, 1, 1), "vc": (5, 3, 4)}.items()
        for rung, value in enumerate(values)
    ]
    found = ranking.pooled(pd.DataFrame(rows), ["ladder", "target"])
    assert list(found["score"].unique()) == ["ncti"]
    # (0, ½, 1) + (0, 0, 0) − (1, 0, ½).
    assert list(found.sort_values("rung")["value"]) == [-1, 0.5, 0.5]


def test_frames_keep_groups_and_protocols_apart(tables):
    frames = ranking.frames(tables)
    assert list(frames) == [
        "probe, trained here",
        "probe, released on ImageNet",
        "fine-tuning, trained here",
    ]
    assert "source_accuracy" in set(frames["probe, trained here"]["score"])
    assert "source_accuracy" not in set(frames["probe, released on ImageNet"]["score"])
    assert frames["fine-tuning, trained here"]["ladder"].nunique() == 1
    for frame in frames.values():
        agreement.check(frame)


@pytest.mark.parametrize("lacks", ["rung", "repeat"])
def test_pairs_that_lack_a_rung_or_a_repeat_are_left_out(tables, lacks):
    transfer = tables["transfer"]
    gone = (transfer["ladder"] == NAMES[0]) & (transfer["protocol"] == study.FULL)
    gone &= (transfer["target"] == "eurosat") & (transfer["rung"] == 5)
    if lacks == "repeat":
        gone &= transfer["repeat"] == 1
    frames = ranking.frames(tables | {"transfer": transfer[~gone]})
    assert "eurosat" not in set(frames["fine-tuning, trained here"]["target"])
    assert frames["fine-tuning, trained here"]["target"].nunique() == 3


def test_a_ladder_that_was_fine_tuned_in_part_is_left_out(tables):
    transfer = tables["transfer"]
    late = (transfer["ladder"] == NAMES[0]) & (transfer["protocol"] == study.FULL) & (transfer["rung"] > 2)
    assert "fine-tuning, trained here" not in ranking.frames(tables | {"transfer": transfer[~late]})


def test_ladders_are_compared_within_the_network_that_most_share(tables):
    rungs = tables["rungs"]
    other = rungs["ladder"] == NAMES[3]
    mixed = tables | {"rungs": rungs.assign(backbone=rungs["backbone"].mask(other, "small-vit"))}
    frame = ranking.of_one_network(mixed)
    assert set(frame["ladder"]) == set(NAMES[:3])
    # A score that needs a pool spans one pool on each target, not one for each ladder.
    values = frame[frame["score"] == "ncti"].groupby("target")["value"]
    assert (values.max() - values.min() > 0).all()
    assert frame[frame["score"] == "ncti"].groupby(["target", "ladder"])["value"].max().nunique() > len(TARGETS)
    none = rungs["backbone"].str.startswith("torchvision:")
    assert ranking.of_one_network({**tables, "rungs": rungs[none]}).empty


def test_comparison_has_a_difference_to_every_other_score(tables):
    cells = ranking.within(ranking.frames(tables))["probe, trained here"]
    table = ranking.compared(cells, "gaussian").set_index("score")
    assert np.isnan(table.loc["gaussian", "difference"])
    expected = table.loc["gaussian", "weighted_tau"] - table["weighted_tau"]
    others = table.index != "gaussian"
    assert table["difference"][others].to_numpy() == pytest.approx(expected[others].to_numpy())
    assert table.loc["h_score", "kind"] == ranking.RIVAL
    assert table.loc["posterior", "kind"] == ranking.OWN
    assert table.loc["random", "kind"] == ranking.CONTROL


def test_ladders_at_equal_sparsity_have_no_dense_rung(tables):
    own = ranking.matched(ranking.of_one_network(tables))
    assert own["ladder"].nunique() == 4
    assert own["rung"].min() == 1
    assert agreement.between_summary(own)["levels"].iloc[0] == 11
    two = ranking.frames(simulate(NAMES[:2], TARGETS, scores=SCORES))["probe, trained here"]
    assert ranking.matched(two).empty


def test_noise_of_repeats(tables):
    found = ranking.noise(tables)
    assert len(found) == 4
    assert found["sd_points"].between(0.3, 3).all()
    assert ranking.noise(simulate(NAMES[:1], TARGETS, scores=SCORES)).empty
    transfer = tables["transfer"]
    partial = tables | {"transfer": transfer[(transfer["protocol"] != study.FULL) | (transfer["rung"] > 0)]}
    assert ranking.noise(partial).empty


def test_controls_under_a_budget(tables):
    pool = budget.candidates(tables, photos.TRAINED)
    assert {budget.LARGEST, budget.USUAL, budget.BLIND} <= set(pool["score"])
    assert budget.USUAL not in set(budget.candidates(tables, photos.RELEASED)["score"])
    assert pool["bytes"].max() == 4 * 1_100_000
    usual = pool[(pool["score"] == budget.USUAL) & (pool["target"] == "gtsrb")]
    assert usual.loc[usual["value"].idxmax(), "method"] == "magnitude iterative"
    assert (usual["value"][usual["method"] != "magnitude iterative"] < 0).all()


def test_no_ladder_of_a_group_is_an_empty_pool():
    assert budget.candidates(simulate(NAMES[:1], TARGETS, scores=SCORES), photos.RELEASED).empty


def test_the_bootstrap_computes_the_same_regret_as_the_package(tables):
    pool = budget.candidates(tables, photos.TRAINED)
    ladders = list(dict.fromkeys(pool["ladder"]))
    for size in budget.budgets(pool, 4):
        for score in ("gaussian", budget.BLIND, budget.LARGEST):
            part = pool[(pool["score"] == score) & (pool["target"] == "gtsrb")]
            # Every ladder, then all but the first.
            there = np.array([[True] * len(ladders), [False] + [True] * (len(ladders) - 1)])
            found = budget._without_some(part, size, ladders, there)
            for drawn, value in zip((part, part[part["ladder"] != ladders[0]]), found, strict=True):
                columns = (drawn[name].to_numpy(float) for name in ("value", "accuracy", "bytes"))
                assert value == pytest.approx(agreement.regret_under_budget(*columns, size))


def test_regret_has_intervals_with_several_ladders_only(tables):
    pool = budget.candidates(tables, photos.TRAINED)
    sizes = budget.budgets(pool, 5)
    found = budget.with_intervals(budget.regrets(pool, sizes), pool, ["gaussian", budget.BLIND])
    assert len(found) == 10
    assert (found["low"] <= found["high"]).all()
    table = budget.at(found, [sizes[0], sizes[-1]], ["gaussian"])
    assert table.shape == (1, 3)
    with pytest.raises(UsageError, match="no regret was computed at a budget of 1 bytes"):
        budget.at(found, [1], ["gaussian"])
    one = pool[pool["ladder"] == NAMES[0]]
    assert budget.with_intervals(budget.regrets(one, sizes), one, ["gaussian"])["low"].isna().all()


def test_lines_to_draw_are_those_named_and_the_best_rivals(tables):
    pool = budget.candidates(tables, photos.TRAINED)
    found = budget.regrets(pool, budget.budgets(pool, 3))
    drawn = budget.leaders(found, ["gaussian", "no such", "gaussian"], ["h_score", "logme", "nce"], n=3)
    assert drawn[0] == "gaussian"
    assert len(drawn) == 3
    assert set(drawn[1:]) < {"h_score", "logme", "nce"}


def test_costs_are_quantiles_of_the_records(tables):
    found = budget.costs(tables, ["gaussian", "h_score"]).set_index(["group", "what"])
    assert found.loc[(photos.TRAINED, "score h_score"), "median"] == pytest.approx(0.003)
    assert (photos.TRAINED, "full fine-tuning") in found.index
    assert (photos.RELEASED, "full fine-tuning") not in found.index
    own = tables["transfer"].query("protocol == 'probe' and ladder == @NAMES[4]")["seconds"]
    assert found.loc[(photos.RELEASED, "linear probe, with features"), "median"] == pytest.approx(own.median())


def test_sentences_have_true_numbers(tables, rungs):
    gains = pd.concat([photos.chosen_gains(rungs, rule) for rule in photos.RULES], ignore_index=True)
    overview = words.gain_overview(gains)
    assert list(overview["rung chosen by"][:3]) == list(photos.RULES)
    fair = gains[(gains["rule"] == photos.OTHER_TARGETS) & (gains["group"] == photos.TRAINED)]
    assert words.number(fair["value"].mean()) in words.gain_words(gains, overview)
    assert words.number(-0.5) == "−0.50"
    assert words.interval(np.nan, np.nan) == "no interval"
    assert [words.ordinal(n) for n in (1, 2, 3, 4, 11, 12, 21, 111)] == [
        *("1st", "2nd", "3rd", "4th", "11th", "12th", "21st", "111th")
    ]
    assert words.plain("*a* `b`") == "a b"
    assert words.count(1.0, "ladder") == "1 ladder"
    far = photos.distances(tables)
    points = photos.gain_by_distance(fair, far)
    assert f"*{far.index[0]}*" in words.distance_words(points, "magnitude iterative", far)
    assert "no distance" in words.distance_words(points.iloc[:0], "magnitude iterative", far)
    verdicts = {name: ranking.compared(own, "gaussian") for name, own in ranking.within(ranking.frames(tables)).items()}
    assert "standard deviation" in words.full_words(verdicts, ranking.noise(tables), "gaussian")
    assert "No full fine-tuning" in words.full_words({}, ranking.noise(tables), "gaussian")
    assert "denser" in words.released_words(verdicts["probe, released on ImageNet"], "gaussian")
    assert "No ladder" in words.released_words(None, "gaussian")


def test_claims_about_a_score_cope_with_an_unknown_source_accuracy(tables):
    found = statistic.score_agreement(study.tidy(tables), "gaussian")
    assert set(found["ladder"]) == set(NAMES)
    assert found["value"].between(-1, 1).all()


def test_what_is_there_is_said_first(tables):
    profile = profiles.load("natural")
    said = words.coverage(tables, profile)
    assert f"Of the {len(profile.ladders)} ladders of the profile *natural* {len(NAMES)} are there" in said
    assert "*magnitude lottery 0*" in said and "*magnitude iterative 0*" not in said
    whole = profile.model_copy(update={"ladders": [own for own in profile.ladders if own.name in NAMES]})
    assert words.coverage(tables, whole).startswith(f"All {len(NAMES)} ladders")


@pytest.mark.parametrize(("gain", "says"), [(2.0, "is above zero"), (0.02, "not to be told"), (-2.0, "is below zero")])
def test_better_training_is_compared_by_its_own_interval(gain, says):
    noise = np.random.default_rng(0).normal(0, 0.2, (2, 3, 8))
    rows = [
        {"method": method, "ladder": f"{method} {seed}", "target": f"t{t}", "value": mean + noise[m, seed, t]}
        for m, (method, mean) in enumerate({"plain": 1.0, "varied": gain}.items())
        for seed in range(3)
        for t in range(8)
    ]
    source = pd.DataFrame({0: [30.0, 40.0], 1: [29.0, 36.5]}, index=["plain", "varied"])
    said = words.varied_words(pd.DataFrame(rows), source, "plain", "varied")
    assert says in said and "40.0 %" in said and "36.5 and 29.0 %" in said
    assert "several ladders" in words.varied_words(pd.DataFrame(rows[:8]), source, "plain", "varied")


def test_what_is_left_of_the_transformer_is_said(tables):
    assert "no transformer" in words.transformer_words(tables)
    rungs = tables["rungs"].query("ladder == @NAMES[0]").assign(backbone="small-vit")
    last = rungs["rung"] == rungs["rung"].max()
    said = words.transformer_words(
        {"rungs": rungs.assign(collapsed=rungs["collapsed"].mask(last, "a.weight b.weight"))}
    )
    assert "2 layers of attention and MLP have no weight left" in said
    assert f"dense {100 * rungs['source_accuracy'].iloc[0]:.1f} %" in said
    assert "0 layers" in words.transformer_words({"rungs": rungs})
