"""The chapter on the sweet phase: its sentences follow from the records."""

import pytest
from chapter_cells import run_cells

from tepones.companion import study


def test_the_gain_is_that_of_the_records(monkeypatch):
    """Where every rung has the accuracy of its dense one, but the last of each ladder five points more."""
    tables = study.load("embedded")
    transfer = tables["transfer"]
    last = transfer["rung"] == transfer.groupby("ladder")["rung"].transform("max")
    tables["transfer"] = transfer.assign(accuracy=0.8 + 0.05 * last)
    glued = run_cells("sweet-phase", monkeypatch, tables)
    assert glued["best-gain"] == pytest.approx(5) and glued["worst-gain"] == pytest.approx(5)
    assert glued["n-ladders"] == tables["rungs"]["ladder"].nunique()
