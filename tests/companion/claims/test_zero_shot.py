"""Statistics of the second-order study, by hand on a small table."""

import pandas as pd
import pytest

from tepones.companion.claims import zero_shot
from tepones.companion.claims.statistic import NotTestable

AFTER, TUNED = "right after pruning", "fine-tuned"
BAND = {"low": 0.8, "high": 0.95}


def frame():
    """One dense backbone; two seen tasks, one unseen, the source; accuracies are whole points."""
    points = {
        ("", "", 0.0): (50, 60, 40, 70),
        ("", "control", 0.0): (52, 62, 42, 72),
        ("block", AFTER, 0.8): (48, 56, 37, 60),
        ("block", AFTER, 0.9): (46, 52, 35, 50),
        ("block", AFTER, 0.99): (0, 0, 0, 0),
        ("diagonal", AFTER, 0.8): (40, 50, 30, 30),
        ("diagonal", AFTER, 0.9): (20, 30, 10, 10),
        ("block", TUNED, 0.8): (51, 61, 41, 69),
        ("block", TUNED, 0.9): (49, 59, 41, 67),
    }
    rows = [
        {"unit": "a", "criterion": criterion, "when": when, "sparsity": sparsity, "rung": int(sparsity > 0)}
        | {"target": target, "seen": seen, "accuracy": accuracy / 100}
        for (criterion, when, sparsity), accuracies in points.items()
        for (target, seen), accuracy in zip(
            (("0", True), ("1", True), ("2", False), ("source", True)), accuracies, strict=True
        )
    ]
    return pd.DataFrame(rows)


def values(found):
    return {(row.unit, row.target): pytest.approx(row.value) for row in found.itertuples()}


def test_changes_are_points_over_the_dense_backbone_on_the_tasks_asked_for():
    for tasks, expected in (
        ("seen", {("a", "0"): -3, ("a", "1"): -6}),
        ("unseen", {("a", "2"): -4}),
        ("source", {("a", "source"): -15}),
    ):
        assert values(zero_shot.change_zero_shot(frame(), "block", AFTER, tasks, **BAND)) == expected


def test_advantages_pair_the_same_sparsities():
    found = zero_shot.advantage_zero_shot(frame(), "block", AFTER, "diagonal", AFTER, "unseen", **BAND)
    assert values(found) == {("a", "2"): (7 + 25) / 2}
    tuned = zero_shot.advantage_zero_shot(frame(), "block", TUNED, "block", AFTER, "seen", 0.9, 0.9)
    assert values(tuned) == {("a", "0"): 3, ("a", "1"): 7}


def test_the_control_has_one_sparsity_and_meets_all():
    found = zero_shot.advantage_zero_shot(frame(), "block", TUNED, "", "control", "unseen", **BAND)
    assert values(found) == {("a", "2"): -1}


def test_unseen_tasks_are_set_against_the_mean_of_the_seen_ones():
    assert values(zero_shot.unseen_above_seen(frame(), "block", AFTER, **BAND)) == {("a", "2"): -4 + 4.5}


@pytest.mark.parametrize(
    ("criterion", "when", "low", "reason"),
    [("snip", AFTER, 0.8, "no backbone by snip, right after"), ("block", TUNED, 0.95, "no rung between 95")],
)
def test_what_is_not_there_is_not_tested(criterion, when, low, reason):
    with pytest.raises(NotTestable, match=reason):
        zero_shot.change_zero_shot(frame(), criterion, when, "unseen", low, 0.96)
