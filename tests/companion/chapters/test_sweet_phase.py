"""The chapter *The sweet phase*: its sentences follow from the records, its chart shows the hump."""

import pandas as pd
import pytest
from chapter_cells import committed, run_cells
from drawn import rows_of, svg_of, width_of
from small_ladders import TARGETS, small_ladders

from tepones.common.errors import TeponesError, UsageError
from tepones.companion import charts, study
from tepones.companion.chapters import sweet_phase

GUARDS = ("guard-near-falls", "guard-source-pays")


@pytest.fixture
def tables():
    return study.load("embedded")


def test_on_the_published_records_every_sentence_holds():
    glued = committed("sweet-phase")
    assert [glued[guard] for guard in GUARDS] == ["", ""]


def rising_on_greek(tables):
    transfer = tables["transfer"]
    last = (transfer["target"] == "greek") & (transfer["rung"] == transfer["rung"].max())
    return {"transfer": transfer.assign(accuracy=transfer["accuracy"].where(~last, 1.0))}


def rising_on_the_source(tables):
    rungs = tables["rungs"]
    one = (rungs["ladder"] == rungs["ladder"][0]) & (rungs["rung"] == 4)
    return {"rungs": rungs.assign(source_accuracy=rungs["source_accuracy"].where(~one, 1.0))}


@pytest.mark.parametrize(
    ("change", "guard"),
    list(zip((rising_on_greek, rising_on_the_source), GUARDS, strict=True)),
)
def test_records_that_contradict_a_sentence_put_a_remark_behind_it_and_stop_the_publication(
    change, guard, tables, monkeypatch
):
    tables |= change(tables)
    glued = run_cells("sweet-phase", monkeypatch, tables)
    assert [key for key in GUARDS if glued[key]] == [guard]
    monkeypatch.setenv(charts.GUARDS, charts.STRICT)
    with pytest.raises(TeponesError, match=guard):
        run_cells("sweet-phase", monkeypatch, tables)


def test_how_many_ladders_rise_on_digits_is_counted(tables, monkeypatch):
    """All five by magnitude where every rung is better than the one before, none where all rungs are alike."""
    transfer = tables["transfer"]
    for step, expected in ((0.01, 5), (0, 0)):
        better = 0.5 + step * transfer["rung"]
        changed = transfer.assign(accuracy=transfer["accuracy"].where(transfer["target"] != "digits", better))
        glued = run_cells("sweet-phase", monkeypatch, tables | {"transfer": changed})
        assert (glued["n-far-rise"], glued["n-far"]) == (expected, 5)


def test_the_gain_is_that_of_the_records(tables, monkeypatch):
    """Where every rung has the accuracy of its dense one, but the last of each ladder five points more."""
    transfer = tables["transfer"]
    last = transfer["rung"] == transfer.groupby("ladder")["rung"].transform("max")
    tables["transfer"] = transfer.assign(accuracy=0.8 + 0.05 * last)
    glued = run_cells("sweet-phase", monkeypatch, tables)
    assert glued["best-gain"] == pytest.approx(5) and glued["worst-gain"] == pytest.approx(5)
    n_methods = tables["rungs"]["method"].nunique()
    assert glued["n-gains"] == glued["n-gain-rows"] == n_methods * transfer["target"].nunique()
    assert "| magnitude iterative | greek | 80.0 | +5.00 | +5.00 | +5.00 |" in glued["tab-gain"]


def test_ends_of_ladders():
    found = sweet_phase.ends(small_ladders()).set_index(["ladder", "target"])
    assert len(found) == 2 * len(TARGETS)
    assert found.loc[("random-0", "greek"), ["dense", "best", "last"]].tolist() == pytest.approx([0.9, 0.93, 0.35])


def test_the_dense_accuracy_of_a_table_of_gains_is_the_mean_of_all_ladders():
    dense = {("a", 0): 0.6, ("a", 1): 0.61, ("b", 0): 0.9}
    rows = [(f"{m} {s}", m, k, 0.4 * k, "t", accuracy) for (m, s), accuracy in dense.items() for k in (0, 1)]
    frame = pd.DataFrame(rows, columns=["ladder", "method", "rung", "sparsity", "target", "accuracy"])
    frame = frame.assign(seed=0, source_accuracy=0.5, score="s", value=1.0, unit=frame["ladder"])
    found = sweet_phase.gains(pd.concat([frame, frame.assign(score="another")]))
    assert found["method"].tolist() == ["a"]
    assert found["dense accuracy"].tolist() == pytest.approx([100 * (0.6 + 0.61 + 0.9) / 3])


def test_the_chart_marks_dense_and_best_rung():
    rows = rows_of(sweet_phase.accuracy_chart(small_ladders()))
    assert set(rows[rows["isDense"]]["rung"]) == {0}
    assert set(rows[rows["best"]]["rung"]) == {3}
    assert rows["best"].sum() == rows["isDense"].sum() == 2 * len(TARGETS)
    assert rows[rows["best"]]["gain"].round(6).eq(0.03).all()


def test_the_chart_shows_the_hump_rather_than_the_collapse():
    frame = small_ladders()
    panel = sweet_phase.accuracy_chart(frame).to_dict()["concat"][0]
    domains = [layer["encoding"]["y"]["scale"]["domain"] for layer in panel["layer"]]
    assert domains[0][0] == pytest.approx(0.9 - sweet_phase.DEPTH)
    assert all(d == domains[0] for d in domains)
    assert frame["accuracy"].min() < domains[0][0]


def test_the_chart_fits_the_column_and_names_its_panels():
    chart = sweet_phase.accuracy_chart(small_ladders())
    assert width_of(chart) <= charts.WIDTH
    assert all(target in svg_of(chart) for target in TARGETS)
    with pytest.raises(UsageError, match=r"column 'target' is missing; the frame has: .*method"):
        sweet_phase.accuracy_chart(small_ladders().drop(columns="target"))


def test_the_front_shows_gains_and_their_mean_by_target_and_method():
    frame = small_ladders()
    rows = rows_of(sweet_phase.front_chart(frame)).dropna(subset=["target"])
    of_ladders, means = rows[rows["ladder"].notna()], rows[rows["ladder"].isna()]
    assert set(of_ladders["gain"].round(6)[of_ladders["rung"] == 0]) == {0}
    assert of_ladders["gain"].max() == pytest.approx(3)
    expected = of_ladders.groupby(["target", "method", "rung"])["gain"].mean()
    assert means.set_index(["target", "method", "rung"])["gain"].to_dict() == pytest.approx(expected.to_dict())


def test_the_front_shows_the_control_beside_every_method():
    frame = small_ladders()
    control = frame[frame["method"] == frame["method"].iloc[0]]
    control = control.assign(method=sweet_phase.CONTROL, ladder="control " + control["ladder"])
    chart = sweet_phase.front_chart(pd.concat([frame, control])).to_dict()
    method = next(parameter for parameter in chart["params"] if parameter["name"] == "method")
    assert set(method["bind"]["options"]) == set(frame["method"])
    assert len(chart["layer"]) == len(sweet_phase.front_chart(frame).to_dict()["layer"]) + 1
    assert width_of(sweet_phase.front_chart(frame)) <= charts.WIDTH


def test_readmes_picture_shows_the_far_target_alone(checkout):
    path = sweet_phase.write_readme_picture()
    assert path == checkout / "book" / "_static" / "sweet-phase.svg"
    picture = path.read_text(encoding="utf-8")
    assert ">digits</text>" in picture and ">greek</text>" not in picture
