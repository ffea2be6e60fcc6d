"""What charts, tables and numbers of the book share, and how they are handed to the text."""

import json
import re
import subprocess
import sys

import altair as alt
import numpy as np
import pandas as pd
import pytest
from drawn import rows_of, svg_of, width_of
from small_ladders import TARGETS, small_ladders

from tepones.common import paths
from tepones.common.errors import TeponesError, UsageError
from tepones.companion import charts, figures
from tepones.companion.study import profiles
from tepones.scores import SCORES

COLUMNS = ["ladder", "method", "rung", "sparsity", "target", "accuracy"]


@pytest.fixture
def frame():
    return charts.prepared(small_ladders(), COLUMNS)


@pytest.fixture
def chart():
    return alt.Chart(pd.DataFrame({"x": [1, 2]})).mark_point().encode(x="x:Q")


@pytest.fixture
def glued(monkeypatch):
    found = {}
    monkeypatch.setattr(charts, "glue", lambda key, value, display=True: found.update({key: value}))
    return found


@pytest.mark.parametrize("text", ["", "   ", "Figure 1", "sweet phase plot"])
def test_figures_need_a_sentence_as_alt_text(text, chart, glued):
    with pytest.raises(UsageError, match="figure 'fig': alt must be a sentence"):
        charts.show(chart, "fig", alt=text)
    assert not glued


def test_a_figure_is_glued_with_its_alt_text(chart, glued):
    charts.show(chart, "fig", alt="Accuracy rises\n  with the score.")
    _, [figure] = figures.split(glued["fig"].data)
    assert figure.key == "fig"
    assert figure.attributes["alt"] == figure.spec["description"] == "Accuracy rises with the score."


@pytest.mark.parametrize("key", ["", "two words", "a:b", "-a"])
def test_keys_are_names(key, frame, chart, glued):
    calls = (
        lambda: charts.inline(1, key),
        lambda: charts.table(frame, key),
        lambda: charts.holds(True, key),
        lambda: charts.show(chart, key, alt="A sentence of five words."),
        lambda: charts.figure(chart, key, alt="A sentence of five words."),
    )
    for call in calls:
        with pytest.raises(UsageError, match="letters, digits"):
            call()


def test_tables_are_markdown(glued):
    frame = pd.DataFrame({"name": ["a|b", None], "share": [0.125, float("nan")], "n": [1, 2], "x": [0.5, 2 / 3]})
    charts.table(frame, "tab", formats={"share": ".1%"})
    assert glued["tab"].data.splitlines() == [
        "| name | share | n | x |",
        "| :--- | ---: | ---: | ---: |",
        "| a\\|b | 12.5% | 1 | 0.500 |",
        "| – | – | 2 | 0.667 |",
    ]
    with pytest.raises(UsageError, match="column 'nope' is missing; the frame has: name, share, n, x"):
        charts.table(frame, "tab", formats={"nope": ".1%"})


def test_numbers_are_plain_and_rounded(glued):
    charts.inline(np.float64(1 / 3), "third")
    charts.inline(np.int64(3), "three")
    charts.inline("holds", "verdict")
    assert {k: repr(v) for k, v in glued.items()} == {"third": "0.333333", "three": "3", "verdict": "'holds'"}


@pytest.mark.parametrize("value", [float("nan"), np.inf, None, [1]])
def test_what_is_no_number_is_refused(value, glued):
    with pytest.raises(UsageError, match="value 'x': expected a finite number or a string"):
        charts.inline(value, "x")


def test_a_sentence_that_holds_has_nothing_behind_it(glued, monkeypatch):
    for guards in ("", charts.STRICT):
        monkeypatch.setenv(charts.GUARDS, guards)
        charts.holds(np.True_, "guard")
        assert glued.pop("guard").data == ""


def test_a_sentence_that_does_not_hold_gets_a_remark_or_is_not_published(glued, monkeypatch):
    monkeypatch.delenv(charts.GUARDS, raising=False)
    charts.holds(np.False_, "guard")
    assert "otherwise" in glued.pop("guard").data
    monkeypatch.setenv(charts.GUARDS, charts.STRICT)
    with pytest.raises(TeponesError, match="guarded by 'guard' is false"):
        charts.holds(False, "guard")
    assert not glued


def test_intervals_do_not_break_and_unknown_ones_are_left_out():
    nan = float("nan")
    means, lows, highs = pd.Series([0.5, 0.5, nan]), pd.Series([-0.25, nan, nan]), pd.Series([1.0, nan, nan])
    assert charts.bracketed(means, lows, highs, ".2f") == ["0.50 [−0.25,\N{NO-BREAK SPACE}1.00]", "0.50", "–"]


def test_a_menu_offers_what_it_is_given_and_starts_with_what_there_is():
    menu = charts.menu("wanted", ("a", "b"), "b", label="target").param.to_dict()
    assert menu == {
        "name": "wanted",
        "value": "b",
        "bind": {"input": "select", "options": ["a", "b"], "name": "target: "},
    }
    absent = charts.menu("wanted", ("a", "b"), "c", label="target", switch=True).param.to_dict()
    assert absent["value"] == "a" and absent["bind"]["input"] == "radio"
    assert absent["bind"]["labels"] == [" a ", " b "]


def test_panels_follow_what_is_pointed_at_in_any_of_them():
    frame = pd.DataFrame({"x": [0, 1, 0, 1], "ladder": list("aabb"), "target": list("cdcd")})
    ladder = charts.pointed("ladder")

    def panel(part, title):
        base = alt.Chart(part, title=title).encode(x="x:Q", detail="ladder:N")
        faint = base.mark_line().encode(opacity=charts.lit(ladder, 0.4))
        return alt.layer(faint, base.mark_point().encode(opacity=charts.lit(ladder)))

    chart = charts.linked(charts.panels(frame, ["target"], panel), ladder).to_dict()
    [selection] = chart["params"]
    assert selection["select"]["fields"] == ["ladder"]
    for drawn in chart["concat"]:
        names = {layer.get("name") for layer in drawn["layer"]}
        assert names & set(selection["views"])
        faint, strong = (layer["encoding"]["opacity"] for layer in drawn["layer"])
        for opacity, shown in ((faint, 0.4), (strong, 1)):
            assert opacity["condition"] == [{"param": "pointed", "value": shown}]
            assert opacity["value"] < 0.2


def test_the_numbers_of_a_heat_map_can_be_read_on_their_cells():
    frame = pd.DataFrame({"row": ["a", "a", "b", "b"], "column": ["c", "d"] * 2, "v": [-2.0, -0.5, 0.5, 2.0]})
    base = alt.Chart(frame).encode(x="column:N", y="row:N")
    chart = charts.heat_map(base, "v", "title", limit=2, form="+.1f").properties(width=100, height=60)
    svg = svg_of(chart)
    labels = {
        text: svg[: svg.index(f">{text}<")].rsplit('fill="', 1)[1].split('"')[0] for text in ("−2.0", "−0.5", "+2.0")
    }
    assert labels == {"−2.0": "white", "−0.5": "black", "+2.0": "white"}
    colour = chart.to_dict()["layer"][0]["encoding"]["color"]["scale"]
    assert colour["domain"] == [-2, 2] and colour["clamp"]


def test_the_sparsity_axis_reaches_from_dense_to_the_sparsest_rung(frame):
    x = charts.sparsity_axis(frame).to_dict()
    low, high = x["scale"]["domain"]
    assert low < 0.6**11 and high > 1 and x["scale"]["reverse"]
    assert x["axis"]["values"] == [1, 0.1, 0.01]
    drawn = svg_of(alt.Chart(frame).mark_point().encode(x=charts.sparsity_axis(frame)))
    assert all(f">{label}<" in drawn for label in ("dense", "90 %", "99 %"))


def test_a_method_has_one_mark_through_the_whole_book(frame):
    known = frame.replace({"method": {"magnitude": "magnitude iterative", "random": "random iterative"}})
    for table in (known, known[known["method"] == "random iterative"]):
        methods = sorted(set(table["method"]))
        for mark, which in ((charts.method_colour(table), 0), (charts.method_shape(table), 1)):
            scale = mark.to_dict()["scale"]
            assert scale == {"domain": methods, "range": [charts.METHODS[method][which] for method in methods]}


def test_every_method_of_every_profile_and_every_score_has_a_mark_of_its_own():
    folder = paths.data() / "profiles"
    methods = {ladder.method for path in folder.glob("*.yaml") for ladder in profiles.load(path.stem).ladders}
    assert methods <= set(charts.METHODS) and set(SCORES) <= set(charts.SCORES)
    for marks in (charts.METHODS, charts.SCORES):
        assert len(set(marks.values())) == len(marks)


def test_names_without_a_mark_get_those_that_no_other_has():
    names = ["a", "magnitude iterative", "b", "random iterative", "c"]
    colours, shapes = charts.colours(names), charts.shapes(names)
    assert colours[1::2] == ["#0072B2", "#D55E00"] and len(set(colours)) == len(set(shapes)) == len(names)
    many = charts.colours([str(number) for number in range(9)])
    assert many[:7] == charts.PALETTE and many[7:] == charts.PALETTE[:2]


def test_a_chart_has_the_colours_of_the_page_around_it(frame):
    """Nothing that has to be read has a colour of its own: the page decides, also while it is shown."""
    drawn = alt.Chart(frame, title="title").mark_point().encode(x="rung:Q", y="accuracy:Q", color="method:N")
    svg = svg_of(alt.layer(drawn, alt.Chart().mark_rule().encode(y=alt.datum(0.5))))
    assert "<rect" not in svg
    assert set(re.findall(r'<text [^>]*fill="([^"]+)"', svg)) == {charts.INK}
    assert set(re.findall(r'<(?:line|path) [^>]*stroke="([^"]+)"', svg)) <= {charts.INK, *charts.PALETTE}


def test_panels_are_titled_with_what_varies_and_fit_the_column(frame):
    def panel(part, title):
        return alt.Chart(part, title=title).mark_point().encode(x="rung:Q").properties(**charts.PANEL)

    titles = [p["title"] for p in charts.panels(frame, ["method", "target"], panel).to_dict()["concat"]]
    assert set(titles) == {f"{method} · {target}" for method in ("magnitude", "random") for target in TARGETS}
    one = frame[frame["method"] == "random"]
    assert {p["title"] for p in charts.panels(one, ["method", "target"], panel).to_dict()["concat"]} == set(TARGETS)
    alone = one[one["target"] == "greek"]
    assert charts.panels(alone, ["method", "target"], panel).to_dict()["concat"][0]["title"] == "greek"
    assert width_of(charts.panels(frame, ["method", "target"], panel)) <= charts.WIDTH


def test_the_best_rung_is_found_for_each_ladder_and_target_and_among_equals_the_sparsest(frame):
    assert set(frame["rung"][charts.is_best(frame, "accuracy")]) == {3}
    assert charts.is_best(frame, "accuracy").sum() == 2 * len(TARGETS)
    level = frame.assign(accuracy=0.5)
    assert set(level["rung"][charts.is_best(level, "accuracy")]) == {11}


def test_the_last_bits_of_a_machine_do_not_show():
    frame = small_ladders()
    nudged = frame.assign(accuracy=frame["accuracy"] * (1 + 1e-14), sparsity=frame["sparsity"] * (1 - 1e-14))
    pd.testing.assert_frame_equal(charts.prepared(frame, COLUMNS), charts.prepared(nudged, COLUMNS), check_exact=True)


def test_what_is_shown_is_sorted_by_rung_and_nothing_else_is_kept(frame):
    assert frame["rung"].is_monotonic_increasing and list(frame.columns) == [*COLUMNS, "remaining"]
    assert frame["remaining"].to_numpy() == pytest.approx(0.6 ** frame["rung"].to_numpy(), abs=1e-6)
    assert "value" not in rows_of(alt.Chart(frame).mark_point())


def test_a_missing_column_and_an_empty_frame_are_told():
    with pytest.raises(UsageError, match=r"column 'target' is missing; the frame has: .*method"):
        charts.prepared(small_ladders().drop(columns="target"), COLUMNS)
    with pytest.raises(UsageError, match="no rows"):
        charts.prepared(small_ladders().head(0), COLUMNS)


def test_charts_need_no_torch():
    code = "import json, sys, tepones.companion.charts; print(json.dumps('torch' in sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) is False
