"""Every statistic by hand on small tables."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tepones.companion.claims import statistic
from tepones.companion.claims.statistic import STATISTICS, NotTestable


def rungs(accuracies, method="m", ladder="m 0", target="t", sparsities=(0.0, 0.5, 0.9), **more):
    """One ladder on one target."""
    about = {"ladder": ladder, "method": method, "seed": 0, "target": target} | more
    return pd.DataFrame(
        [
            about | {"rung": rung, "sparsity": sparsity, "accuracy": accuracy, "source_accuracy": 0.9 - 0.1 * rung}
            for rung, (sparsity, accuracy) in enumerate(zip(sparsities, accuracies, strict=True))
        ]
    )


def table(*parts):
    return pd.concat(parts, ignore_index=True)


def values(found):
    return {(row.ladder, row.target): pytest.approx(row.value) for row in found.itertuples()}


def test_every_registered_statistic_exists():
    for name in STATISTICS:
        assert callable(STATISTICS.load(name))
    assert set(statistic.BOUNDS) <= set(STATISTICS)


def test_gains_are_points_over_the_dense_rung_of_the_same_ladder_and_target():
    frame = table(rungs([0.5, 0.6, 0.4]), rungs([0.2, 0.3, 0.1], target="x"), rungs([0.9, 0.8, 0.9], ladder="m 1"))
    assert list(statistic.gains(frame)["gain"]) == pytest.approx([0, 10, -10, 0, 10, -10, 0, -10, 0])
    assert statistic.gains(frame[frame["rung"] > 0])["gain"].isna().all()


def test_gain_is_taken_at_the_rung_that_other_ladders_choose():
    frame = table(rungs([0.5, 0.6, 0.4], ladder="a"), rungs([0.5, 0.4, 0.7], ladder="b"))
    assert values(statistic.gain_over_dense(frame)) == {("a", "t"): -10, ("b", "t"): -10}


def test_gain_at_a_common_level_is_taken_at_the_rung_that_other_targets_choose():
    frame = table(
        rungs([0.5, 0.6, 0.4], target="x"), rungs([0.5, 0.58, 0.52], target="y"), rungs([0.5, 0.49, 0.53], target="z")
    )
    found = statistic.gain_at_a_common_level(frame)
    assert values(found) == {("m 0", "x"): 10, ("m 0", "y"): 8, ("m 0", "z"): -1}
    assert statistic.gain_at_a_common_level(rungs([0.5, 0.6, 0.4])).empty


def test_gain_of_a_chosen_backbone_may_change_the_method():
    frame = table(
        rungs([0.5, 0.6, 0.4], ladder="a", target="x"),
        rungs([0.5, 0.55, 0.4], ladder="a", target="y"),
        rungs([0.5, 0.5, 0.52], ladder="b", target="x"),
        rungs([0.5, 0.5, 0.58], ladder="b", target="y"),
    ).assign(architecture="net")
    assert values(statistic.gain_of_a_chosen_backbone(frame)) == {("net", "x"): 2, ("net", "y"): 5}


def test_change_from_dense_is_the_mean_over_a_range_that_includes_its_ends():
    frame = rungs([0.5, 0.6, 0.3])
    assert values(statistic.change_from_dense(frame, 0.5, 0.9)) == {("m 0", "t"): -5}
    assert values(statistic.change_from_dense(frame, 0.9004, 1)) == {("m 0", "t"): -20}
    with pytest.raises(NotTestable, match=r"no rung between 0\.00% and 40\.00% sparsity"):
        statistic.change_from_dense(frame, 0, 0.4)


def test_change_of_source_accuracy_counts_a_ladder_once():
    frame = table(rungs([0.5, 0.6, 0.3], target="x"), rungs([0.5, 0.6, 0.3], target="y"))
    found = statistic.change_of_source_accuracy(frame, 0.5, 0.9)
    assert values(found) == {("m 0", "source task"): -15}


def test_frozen_above_full_compares_shares_of_levels():
    frame = table(
        rungs([0.5, 0.6, 0.7], ladder="net m linear", protocol="probe"),
        rungs([0.5, 0.6, 0.4], ladder="net m full", protocol="fine-tuning"),
    ).assign(architecture="net")
    assert values(statistic.frozen_above_full(frame)) == {("net m", "t"): 0.5}


def test_scores_are_compared_inside_ladders():
    frame = rungs([0.5, 0.6, 0.7])
    frame = table(
        *(frame.assign(score=name, value=sign * frame["accuracy"]) for name, sign in (("good", 1), ("bad", -1))),
        frame.assign(score="silent", value=1.0),
    )
    assert values(statistic.score_agreement(frame, "good")) == {("m 0", "t"): 1}
    assert values(statistic.score_agreement(frame, "silent")) == {("m 0", "t"): 0}
    assert values(statistic.agreement_above_control(frame, "good", "bad")) == {("m 0", "t"): 2}
    assert values(statistic.regret(frame, "bad")) == {("m 0", "t"): 20}
    with pytest.raises(NotTestable, match="no score better"):
        statistic.agreement_above_control(frame, "good", "better")


def test_advantage_of_a_method_matches_rungs():
    frame = table(
        rungs([0.5, 0.6, 0.4], "a", "a 0"), rungs([0.5, 0.3, 0.2], "b", "b 0"), rungs([0.5, 0.5, 0.2], "b", "b 1")
    )
    assert values(statistic.advantage_of_method(frame, "a", "b")) == {("a 0", "t"): 20}
    assert values(statistic.advantage_of_method(frame, "b", "a", above=0.8)) == {("b 0", "t"): -20, ("b 1", "t"): -20}
    with pytest.raises(NotTestable, match="no ladder of c"):
        statistic.advantage_of_method(frame, "a", "c")


def test_distance_between_methods_has_no_direction():
    frame = table(rungs([0.5, 0.6, 0.4], "a", "a 0"), rungs([0.5, 0.5, 0.3], "b", "b 0"))
    assert values(statistic.distance_between_methods(frame, 0.5, 0.9)) == {("a 0", "t"): 10, ("b 0", "t"): 10}
    with pytest.raises(NotTestable, match="second method"):
        statistic.distance_between_methods(frame[frame["method"] == "a"], 0.5, 0.9)


def seeds(*differences, source=False):
    """Ladders of a and b whose accuracies differ by known points at two rungs, one pair for each seed."""
    parts = []
    for seed, (first, second) in enumerate(differences):
        b = [0.5 + 0.1 * seed, 0.3, 0.2]
        a = [b[0], b[1] + first / 100, b[2] + second / 100]
        for method, accuracies in (("a", a), ("b", b)):
            part = rungs(accuracies, method, f"{method} {seed}").assign(seed=seed)
            parts.append(part.assign(source_accuracy=part["accuracy"], accuracy=0.5) if source else part)
    return table(*parts)


def test_paired_advantage_compares_ladders_of_one_seed():
    frame = seeds((10, 20), (30, 40))
    assert values(statistic.paired_advantage(frame, "a", "b", 0, 1)) == {("a 0", "t"): 15, ("a 1", "t"): 35}
    assert values(statistic.paired_advantage(frame, "b", "a", 0.85, 0.95)) == {("b 0", "t"): -20, ("b 1", "t"): -40}
    alone = frame[~((frame["method"] == "b") & (frame["seed"] == 1))]
    assert values(statistic.paired_advantage(alone, "a", "b", 0, 1)) == {("a 0", "t"): 15}


def test_paired_advantage_on_source_counts_a_ladder_once():
    frame = seeds((10, 20), (30, 40), source=True)
    frame = table(frame, frame.assign(target="u"))
    found = statistic.paired_advantage_on_source(frame, "a", "b", 0.85, 0.95)
    assert values(found) == {("a 0", "source task"): 20, ("a 1", "source task"): 40}


def test_the_least_paired_advantage_is_at_the_rung_that_other_seeds_choose():
    found = statistic.least_paired_advantage_on_source(seeds((10, 20), (40, 30), source=True), "a", "b")
    assert values(found) == {("a 0", "source task"): 20, ("a 1", "source task"): 40}


@given(st.lists(st.tuples(*[st.floats(-40, 40)] * 2), min_size=2, max_size=5))
def test_the_least_paired_advantage_is_no_less_than_each_seeds_own_least(differences):
    found = statistic.least_paired_advantage_on_source(seeds(*differences, source=True), "a", "b")
    assert (found["value"].to_numpy() >= [min(pair) - 1e-9 for pair in differences]).all()


def test_pairs_need_ladders_of_the_same_seed():
    frame = seeds((10, 20), (30, 40))
    apart = frame[(frame["method"] == "a") == (frame["seed"] == 0)]
    with pytest.raises(NotTestable, match="no seed with ladders of both a and b"):
        statistic.paired_advantage(apart, "a", "b", 0, 1)
    with pytest.raises(NotTestable, match="no ladder of c"):
        statistic.paired_advantage(frame, "a", "c", 0, 1)
    with pytest.raises(NotTestable, match="no source accuracies"):
        statistic.paired_advantage_on_source(frame.drop(columns="source_accuracy"), "a", "b", 0, 1)
    with pytest.raises(NotTestable, match="one seed has ladders of a and b"):
        statistic.least_paired_advantage_on_source(frame[frame["seed"] == 0], "a", "b")
