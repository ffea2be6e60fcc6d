"""The tables of the Scores chapter: complete, and refusing what was not measured."""

import pytest

from tepones.common.errors import TeponesError
from tepones.companion.chapters import scores
from tepones.scores import SCORES, behaviour


def test_every_score_is_described():
    table = scores.definitions()
    assert [name.strip("`") for name in table["score"]] == list(SCORES)
    assert table.map(lambda text: bool(str(text).strip())).all().all()
    assert list(behaviour()["score"]) == list(SCORES)


def test_times_that_were_not_recorded_are_told_with_the_command():
    with pytest.raises(TeponesError, match="tepones bench --size huge"):
        scores.timing("huge")
