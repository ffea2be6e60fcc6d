"""The chapter *Reproduction report*: it counts the verdicts that were reached again."""

import pytest
from chapter_cells import run_cells

from tepones.common import paths
from tepones.companion import study


@pytest.fixture
def live(checkout):
    """The published records of embedded as those of this machine, but every pruned rung as bad as can be."""
    tables = study.load("embedded")
    transfer = tables["transfer"]
    tables["transfer"] = transfer.assign(accuracy=transfer["accuracy"].where(transfer["rung"] == 0, 0.0))
    for name, table in tables.items():
        study.write(paths.records("embedded"), name, table)
    provenance = (paths.published_records("embedded") / "provenance.csv").read_text()
    (paths.records("embedded") / "provenance.csv").write_text(
        provenance.replace("profile,embedded", "profile,elsewhere")
    )


def test_other_records_are_not_reproduced_and_the_text_counts_the_verdicts(live, monkeypatch):
    glued = run_cells("reproduction", monkeypatch, parameters={"profile": "embedded", "records": "live"})
    assert glued["outcome"] == "not reproduced"
    rows = [row.strip("| ").split(" | ") for row in glued["tab-verdicts"].splitlines()[2:]]
    assert len(rows) == glued["n-claims"]
    verdicts = [[cell.rstrip("+−.0123456789").strip() for cell in row[1:3]] for row in rows]
    assert sum(before == now for before, now in verdicts) == glued["n-same"] < glued["n-claims"]
    assert "differ" in {row[-1] for row in rows}
    assert "| profile | embedded | elsewhere |" in glued["tab-provenance"]
    differences = dict(line.split(" | ", 1) for line in glued["tab-differences-records"].splitlines()[2:])
    assert differences["| source accuracy"].endswith("| 0 | 0 |")
    assert not differences["| transfer accuracy"].endswith("| 0 | 0 |")
