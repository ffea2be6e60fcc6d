"""The time that remains, against runs whose cells take a known time."""

import dataclasses

import pytest
from small_cells import Step

from tepones.companion.study import plan, profiles
from tepones.companion.study.costs import ToGo, group
from tepones.companion.study.records import Cell


@dataclasses.dataclass(frozen=True)
class Training(Cell):
    backbone: str
    seed: int = 0

    def compute(self, store):
        raise NotImplementedError


LARGE, SMALL, OTHER = (Training(name) for name in ("large", "small", "other"))


def test_cells_of_a_group_cost_alike_and_groups_tell_the_dear_ones():
    embedded = profiles.load("embedded")
    cells = [cell for ladder in embedded.ladders for cell in plan.cells(embedded, ladder)]
    groups = {group(cell) for cell in cells}
    assert "rung magnitude iterative global" in groups and "transfer digits" in groups
    assert len(groups) < 30 < len(cells)


def test_nothing_is_known_before_the_first_cell_without_records():
    to_go = ToGo({})
    assert to_go.seconds([LARGE]) is None
    to_go.learn(LARGE, 8.0)
    assert to_go.seconds([Training("large", 1), SMALL]) == pytest.approx(16)


def test_typical_costs_tell_it_before_anything_is_computed():
    to_go = ToGo({group(LARGE): 20.0, group(SMALL): 0.5})
    assert to_go.seconds([LARGE, LARGE, SMALL]) == pytest.approx(40.5)
    # A group that nobody has seen costs as others of its kind do.
    assert to_go.seconds([OTHER]) == pytest.approx(10.25)
    assert to_go.seconds([Step(0, "")]) == pytest.approx(10.25)


def test_a_slower_machine_is_noticed_with_the_first_cells():
    to_go = ToGo({group(LARGE): 20.0, group(SMALL): 0.5})
    to_go.learn(SMALL, 1.0)
    to_go.learn(SMALL, 1.2)
    assert to_go.seconds([LARGE, SMALL]) == pytest.approx(20 * 2.2 + 1.1)


def test_a_number_of_cells_would_have_been_wrong_by_far():
    """Five dear cells first, then a hundred cheap ones: after the first dear one the rest is known within a tenth."""
    known = {group(LARGE): 30.0, group(SMALL): 0.3}
    to_go = ToGo(known)
    to_go.learn(LARGE, 33.0)
    true = 4 * 33 + 100 * 0.33
    assert to_go.seconds([LARGE] * 4 + [SMALL] * 100) == pytest.approx(true, rel=0.1)
