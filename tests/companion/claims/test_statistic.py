"""Every statistic by hand on small tables."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tepones.companion import study
from tepones.companion.claims import statistic
from tepones.companion.claims.statistic import STATISTICS, NotTestable


def rungs(accuracies, method="m", ladder="m 0", target="t", sparsities=(0.0, 0.5, 0.9), **more):
    """One ladder on one target, with a score that nobody asks for; its dense backbone is its own."""
    about = {"ladder": ladder, "unit": ladder, "method": method, "seed": 0, "target": target} | more
    about |= {"score": "unasked", "value": 77.0}
    return pd.DataFrame(
        [
            about | {"rung": rung, "sparsity": sparsity, "accuracy": accuracy, "source_accuracy": 0.9 - 0.1 * rung}
            for rung, (sparsity, accuracy) in enumerate(zip(sparsities, accuracies, strict=True))
        ]
    )


def table(*parts):
    return pd.concat(parts, ignore_index=True)


def values(found):
    return {(row.unit, row.target): pytest.approx(row.value) for row in found.itertuples()}


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


def control_study(*points):
    """For each dense backbone ladders of `m` and of a control, by their points at three rungs, from the same dense one.

    A control loses nothing: its sparsity is 0 at every rung.
    """
    parts = []
    for number, (pruned, trained) in enumerate(points):
        for method, rises, sparsities in (("m", pruned, (0.0, 0.5, 0.9, 0.95)), ("control", trained, (0.0,) * 4)):
            accuracies = [0.5, *(0.5 + rise / 100 for rise in rises)]
            parts.append(rungs(accuracies, method, f"{method} {number}", sparsities=sparsities, unit=f"u{number}"))
    return table(*parts)


def test_gain_over_a_control_is_what_pruning_adds_to_the_same_trainings():
    frame = control_study(((9, 4, 2), (1, 2, 3)), ((0, 8, 8), (0, 1, 5)))
    found = statistic.gain_over_control(frame, "m", "control", 0.9, 0.95)
    assert values(found) == {("u0", "t"): (2 - 1) / 2, ("u1", "t"): (7 + 3) / 2}
    found = statistic.gain_over_control(frame, "m", "control", 0.5, 0.5)
    assert values(found) == {("u0", "t"): 8, ("u1", "t"): 0}
    # A pruned ladder whose dense backbone has no control tells nothing.
    alone = frame[frame["ladder"] != "control 1"]
    assert values(statistic.gain_over_control(alone, "m", "control", 0.5, 0.5)) == {("u0", "t"): 8}
    for lacking in ("m", "control"):
        with pytest.raises(NotTestable, match=f"no ladder of {lacking}"):
            statistic.gain_over_control(frame[frame["method"] != lacking], "m", "control", 0.5, 0.5)
    with pytest.raises(NotTestable, match=r"no rung between 96\.00% and 99\.00% sparsity"):
        statistic.gain_over_control(frame, "m", "control", 0.96, 0.99)


def test_what_the_trainings_alone_win_is_counted_at_the_same_rungs():
    frame = control_study(((9, 4, 2), (1, 2, 3)), ((0, 8, 8), (0, 1, 5)))
    found = statistic.control_over_dense(frame, "m", "control", 0.9, 0.95)
    assert values(found) == {("u0", "t"): 2.5, ("u1", "t"): 3}
    assert values(statistic.control_over_dense(frame, "m", "control", 0.5, 0.5)) == {("u0", "t"): 1, ("u1", "t"): 0}


POINTS = st.tuples(*[st.floats(-40, 40)] * 3)


@given(st.lists(st.tuples(POINTS, POINTS), min_size=1, max_size=4))
def test_trainings_and_pruning_together_are_the_change_from_dense(points):
    frame = control_study(*points)
    pruning = statistic.gain_over_control(frame, "m", "control", 0.5, 0.95)
    training = statistic.control_over_dense(frame, "m", "control", 0.5, 0.95)
    change = statistic.change_from_dense(frame[frame["method"] == "m"], 0.5, 0.95)
    both = pruning.set_index("unit")["value"] + training.set_index("unit")["value"]
    assert both.to_numpy() == pytest.approx(change.set_index("unit")["value"][both.index].to_numpy(), abs=1e-9)


def scored(frame, **scores):
    """A ladder with scores by name, each with its values from the dense rung on."""
    return table(*(frame.assign(score=name, value=np.array(own, float)) for name, own in scores.items()))


def test_scores_are_compared_inside_ladders():
    frame = scored(rungs([0.5, 0.6, 0.7]), good=(1, 2, 3), bad=(3, 2, 1), silent=(1, 1, 1), half=(1, 3, 2))
    assert values(statistic.score_agreement(frame, "good")) == {("m 0", "t"): 1}
    assert values(statistic.score_agreement(frame, "bad")) == {("m 0", "t"): -1}
    assert values(statistic.score_agreement(frame, "silent")) == {("m 0", "t"): 0}
    assert values(statistic.advantage_in_agreement(frame, "good", "bad")) == {("m 0", "t"): 2}
    assert values(statistic.advantage_in_agreement(frame, "silent", "good")) == {("m 0", "t"): -1}
    # Up to half of the weights there are two rungs, which `half` has in order.
    assert values(statistic.score_agreement(frame, "half", most=0.5)) == {("m 0", "t"): 1}
    assert values(statistic.advantage_in_agreement(frame, "half", "bad", most=0.5)) == {("m 0", "t"): 2}
    assert statistic.score_agreement(frame, "half")["value"].item() < 1
    for lacking in ("good", "better"):
        with pytest.raises(NotTestable, match="no score better"):
            statistic.advantage_in_agreement(frame, lacking, "better")
    published = rungs([0.5, 0.6, 0.7]).drop(columns=["score", "value"])
    for ladder in (published, rungs([0.5, 0.6, 0.7])):
        with pytest.raises(NotTestable, match="no score good"):
            statistic.score_agreement(ladder, "good")


def test_what_a_score_says_of_a_control_does_not_count():
    """Its rungs are all dense: nobody chooses among them."""
    frame = table(
        scored(rungs([0.5, 0.6, 0.7]), good=(1, 2, 3)),
        scored(rungs([0.5, 0.6, 0.7], "control", "control 0", sparsities=(0.0,) * 3), good=(3, 2, 1)),
        scored(rungs([0.5, 0.6, 0.7], "wide control", "wide 0", sparsities=(0.0,) * 3), good=(3, 2, 1)),
        scored(rungs([0.5, 0.6, 0.7], "control wide", "other 0"), good=(1, 2, 3)),
    )
    assert values(statistic.score_agreement(frame, "good")) == {("m 0", "t"): 1, ("other 0", "t"): 1}
    assert values(statistic.gain_of_the_choice(frame, "good")) == {("m 0", "t"): 20, ("other 0", "t"): 20}


def test_gain_of_the_choice_is_that_of_the_rung_ranked_first_and_of_tied_ones_their_mean():
    frame = scored(
        rungs([0.5, 0.56, 0.4]), dense=(3, 2, 1), middle=(1, 3, 2), last=(1, 2, 3), tie=(1, 2, 2), silent=(1, 1, 1)
    )
    expected = {"dense": 0, "middle": 6, "last": -10, "tie": -2, "silent": -4 / 3}
    for score, gain in expected.items():
        assert values(statistic.gain_of_the_choice(frame, score)) == {("m 0", "t"): gain}
    assert values(statistic.gain_of_the_choice(frame, "last", most=0.5)) == {("m 0", "t"): 6}


def test_the_choice_is_set_against_the_rung_that_is_best_on_the_other_targets():
    frame = table(
        scored(rungs([0.5, 0.6, 0.4], target="x"), s=(1, 2, 3)),
        scored(rungs([0.5, 0.58, 0.52], target="y"), s=(3, 1, 2)),
        scored(rungs([0.5, 0.49, 0.66], target="z"), s=(1, 3, 2)),
    )
    # Best on y and z is the last rung (0.59 to 0.535), on x and z (0.545 to 0.53) and on x and y the first.
    found = statistic.choice_above_common_level(frame, "s")
    expected = {"x": 0.4 - 0.4, "y": 0.5 - 0.58, "z": 0.49 - 0.49}
    assert values(found) == {("m 0", target): 100 * value for target, value in expected.items()}
    # Up to a half of the weights there is no last rung, neither to choose nor to be best.
    found = statistic.choice_above_common_level(frame, "s", most=0.5)
    expected = {"x": 0.6 - 0.6, "y": 0.5 - 0.58, "z": 0.49 - 0.49}
    assert values(found) == {("m 0", target): 100 * value for target, value in expected.items()}
    assert statistic.choice_above_common_level(frame[frame["target"] == "x"], "s").empty


def test_the_common_level_may_be_the_dense_backbone():
    frame = table(
        scored(rungs([0.5, 0.4, 0.3], target="x"), s=(1, 2, 3)), scored(rungs([0.5, 0.6, 0.3], target="y"), s=(1, 3, 2))
    )
    found = statistic.choice_above_common_level(frame, "s")
    assert values(found) == {("m 0", "x"): 100 * (0.3 - 0.4), ("m 0", "y"): 100 * (0.6 - 0.5)}


#: Nine test images of two classes and five groups; rungs that are right on all, on one class, and on none.
IMAGES = study.TestImages(np.array([0] * 4 + [1] * 5), np.array([0, 0, 1, 1, 2, 2, 3, 3, 4]))
RIGHT = {"all": [True] * 9, "one class": [True] * 4 + [False] * 5, "none": [False] * 9}


def with_images(frame, *right):
    packed = np.resize(np.array([np.packbits(RIGHT[one]).tobytes() for one in right], object), len(frame))
    return frame.assign(correct=packed, images=[IMAGES] * len(frame))


def test_regret_is_judged_on_images_that_did_not_choose_the_best_rung():
    """Whichever half of the images is looked at, these rungs are right on all, on a half, and on none of a half."""
    frame = scored(rungs([0.5, 1.0, 0.0]), good=(1, 3, 2), dense=(3, 2, 1), bad=(1, 2, 3), tie=(3, 3, 1))
    frame = with_images(frame, "one class", "all", "none")
    for score, expected in {"good": 0, "dense": 50, "bad": 100, "tie": 25}.items():
        assert values(statistic.cross_fitted_regret(frame, score)) == {("m 0", "t"): expected}
    # The best up to a half is the same; without it, the dense one.
    assert values(statistic.cross_fitted_regret(frame, "dense", most=0.5)) == {("m 0", "t"): 50}
    assert values(statistic.cross_fitted_regret(frame, "dense", most=0.4)) == {("m 0", "t"): 0}


def test_regret_of_the_best_rung_is_below_zero_where_half_of_the_images_prefer_another():
    """The third rung is right on four groups of six in each class, the others on two; against the best it loses 0."""
    groups = np.arange(12)
    right = [groups % 6 < 2, (groups % 6 > 1) & (groups % 6 < 4), groups % 6 > 1]
    frame = scored(rungs([1 / 3, 1 / 3, 2 / 3]), s=(1, 2, 3))
    packed = [np.packbits(row).tobytes() for row in right]
    frame = frame.assign(correct=packed, images=[study.TestImages(groups // 6, groups)] * 3)
    assert -100 / 3 < statistic.cross_fitted_regret(frame, "s")["value"].item() < 0


def test_regret_needs_the_correctness_of_the_test_images():
    frame = scored(rungs([0.5, 1.0, 0.0]), good=(1, 3, 2))
    with pytest.raises(NotTestable, match="did not keep which test images are classified right"):
        statistic.cross_fitted_regret(frame, "good")
    with pytest.raises(NotTestable, match="no score better"):
        statistic.cross_fitted_regret(with_images(frame, "one class", "all", "none"), "better")


def test_the_order_of_rows_does_not_matter():
    frame = table(
        with_images(scored(rungs([0.5, 1.0, 0.0], target="x"), s=(1, 2, 3)), "one class", "all", "none"),
        with_images(scored(rungs([0.0, 0.5, 1.0], target="y"), s=(1, 3, 2)), "none", "one class", "all"),
    )
    backwards = frame.iloc[::-1].reset_index(drop=True)
    measures = ("agreement", "cross-fitted regret", "gain of the choice", "choice above common level")
    for measure in map(STATISTICS.load, measures):
        one, other = (measure(rows, "s").set_index("target")["value"].to_dict() for rows in (frame, backwards))
        assert one == pytest.approx(other) and set(one) == {"x", "y"}


def test_distance_between_methods_has_no_direction():
    frame = table(rungs([0.5, 0.6, 0.4], "a", "a 0"), rungs([0.5, 0.5, 0.3], "b", "b 0"))
    assert values(statistic.distance_between_methods(frame, 0.5, 0.9)) == {("a 0", "t"): 10, ("b 0", "t"): 10}
    with pytest.raises(NotTestable, match="second method"):
        statistic.distance_between_methods(frame[frame["method"] == "a"], 0.5, 0.9)


def pairs(*differences, source=False):
    """Ladders of a and b whose accuracies differ by known points at two rungs, one pair for each dense backbone."""
    parts = []
    for seed, (first, second) in enumerate(differences):
        b = [0.5 + 0.1 * seed, 0.3, 0.2]
        a = [b[0], b[1] + first / 100, b[2] + second / 100]
        for method, accuracies in (("a", a), ("b", b)):
            part = rungs(accuracies, method, f"{method} {seed}", seed=seed, unit=f"u{seed}")
            parts.append(part.assign(source_accuracy=part["accuracy"], accuracy=0.5) if source else part)
    return table(*parts)


def test_advantage_of_a_method_is_over_ladders_from_the_same_dense_backbone():
    frame = pairs((10, 20), (30, 40))
    assert values(statistic.advantage_of_method(frame, "a", "b", 0, 1)) == {("u0", "t"): 15, ("u1", "t"): 35}
    found = statistic.advantage_of_method(frame, "b", "a", 0.85, 0.95)
    assert values(found) == {("u0", "t"): -20, ("u1", "t"): -40}
    alone = frame[~((frame["method"] == "b") & (frame["seed"] == 1))]
    assert values(statistic.advantage_of_method(alone, "a", "b", 0, 1)) == {("u0", "t"): 15}


def test_seeds_do_not_make_a_pair_and_dense_backbones_do():
    """As with backbones of two kinds, which have the same seeds."""
    frame = pairs((10, 20), (30, 40))
    apart = frame.assign(seed=0)
    assert values(statistic.advantage_of_method(apart, "a", "b", 0, 1)) == {("u0", "t"): 15, ("u1", "t"): 35}
    of_other = frame.assign(unit=frame["unit"].where(frame["method"] == "a", "other " + frame["unit"]))
    with pytest.raises(NotTestable, match="no dense backbone with ladders of both a and b"):
        statistic.advantage_of_method(of_other, "a", "b", 0, 1)


def test_advantage_on_source_counts_a_ladder_once():
    frame = pairs((10, 20), (30, 40), source=True)
    frame = table(frame, frame.assign(target="u"))
    found = statistic.advantage_of_method_on_source(frame, "a", "b", 0.85, 0.95)
    assert values(found) == {("u0", "source task"): 20, ("u1", "source task"): 40}


def test_the_least_advantage_is_at_the_rung_that_other_dense_backbones_choose():
    found = statistic.least_advantage_of_method_on_source(pairs((10, 20), (40, 30), source=True), "a", "b")
    assert values(found) == {("u0", "source task"): 20, ("u1", "source task"): 40}


@given(st.lists(st.tuples(*[st.floats(-40, 40)] * 2), min_size=2, max_size=5))
def test_the_least_advantage_is_no_less_than_each_backbones_own_least(differences):
    found = statistic.least_advantage_of_method_on_source(pairs(*differences, source=True), "a", "b")
    assert (found["value"].to_numpy() >= [min(pair) - 1e-9 for pair in differences]).all()


def test_pairs_need_ladders_of_the_same_dense_backbone():
    frame = pairs((10, 20), (30, 40))
    apart = frame[(frame["method"] == "a") == (frame["seed"] == 0)]
    with pytest.raises(NotTestable, match="no dense backbone with ladders of both a and b"):
        statistic.advantage_of_method(apart, "a", "b", 0, 1)
    with pytest.raises(NotTestable, match="no ladder of c"):
        statistic.advantage_of_method(frame, "a", "c", 0, 1)
    with pytest.raises(NotTestable, match="no source accuracies"):
        statistic.advantage_of_method_on_source(frame.drop(columns="source_accuracy"), "a", "b", 0, 1)
    with pytest.raises(NotTestable, match="one dense backbone has ladders of a and b"):
        statistic.least_advantage_of_method_on_source(frame[frame["seed"] == 0], "a", "b")
