"""Figures, tables and numbers of the book."""

import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import vl_convert

from tepones.common.errors import UsageError
from tepones.companion import charts

TARGETS = ["handwritten digits", "greek", "cyrillic"]


@pytest.fixture
def frame():
    rows = [
        {
            "ladder": f"{method}-0",
            "method": method,
            "rung": k,
            "sparsity": 1 - 0.6**k,
            "target": target,
            "accuracy": 0.9 + (0.01 * k if k < 4 else -0.05 * k),
            "score": "gaussian",
            "value": 10.0 * k,
        }
        for method in ("magnitude", "random")
        for target in TARGETS
        for k in range(12)
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=0)


@pytest.fixture
def agreement():
    scores = ["a score with a rather long name", "H-score"]
    return pd.DataFrame([{"score": s, "target": t, "tau": len(s) / 40 - 0.5} for s in scores for t in TARGETS * 4])


@pytest.fixture
def glued(monkeypatch):
    found = {}
    monkeypatch.setattr(charts, "glue", lambda key, value, display=True: found.update({key: value}))
    return found


def rows_of(chart):
    return pd.DataFrame([row for data in chart.to_dict()["datasets"].values() for row in data])


@pytest.mark.parametrize("build", [charts.sweet_phase, charts.score_curves, charts.scatter])
def test_charts_are_deterministic_and_fit_the_column(build, frame):
    chart = build(frame)
    again = build(frame)
    assert chart.to_json() == again.to_json()
    svg = vl_convert.vegalite_to_svg(chart.to_dict())
    assert float(re.search(r'width="([\d.]+)"', svg)[1]) <= charts.WIDTH
    for target in TARGETS:
        assert target in svg


def test_heatmap_fits_the_column_and_shows_every_number(agreement):
    agreement["target"] += [str(i) for i in range(len(agreement) // 2)] * 2
    svg = vl_convert.vegalite_to_svg(charts.agreement_heatmap(agreement).to_dict())
    assert float(re.search(r'width="([\d.]+)"', svg)[1]) <= charts.WIDTH
    assert svg.count(">+0.28<") == 12
    assert svg.count(">−0.33<") == 12


def test_sweet_phase_marks_dense_and_best_rung(frame):
    rows = rows_of(charts.sweet_phase(frame))
    assert set(rows[rows["isDense"]]["rung"]) == {0}
    assert set(rows[rows["best"]]["rung"]) == {3}
    assert rows["best"].sum() == rows["isDense"].sum() == 2 * len(TARGETS)
    assert rows[rows["best"]]["gain"].round(6).eq(0.03).all()


def test_sweet_phase_shows_the_hump_rather_than_the_collapse(frame):
    panel = charts.sweet_phase(frame).to_dict()["concat"][0]
    domains = [layer["encoding"]["y"]["scale"]["domain"] for layer in panel["layer"]]
    assert domains[0][0] == pytest.approx(0.9 - charts.DEPTH)
    assert all(d == domains[0] for d in domains)
    assert frame["accuracy"].min() < domains[0][0]


def test_among_equal_rungs_the_sparsest_is_best(frame):
    rows = rows_of(charts.sweet_phase(frame.assign(accuracy=0.5)))
    assert set(rows[rows["best"]]["rung"]) == {11}


def test_score_curves_mark_both_optima(frame):
    rows = rows_of(charts.score_curves(frame))
    assert set(rows[rows["best"]]["rung"]) == {11}
    assert set(rows[rows["optimum"]]["rung"]) == {3}


def test_the_last_bits_of_a_machine_do_not_show(frame):
    nudged = frame.assign(accuracy=frame["accuracy"] * (1 + 1e-14), value=frame["value"] * (1 - 1e-14))
    for build in (charts.sweet_phase, charts.score_curves, charts.scatter):
        assert build(frame).to_json() == build(nudged).to_json()


@pytest.mark.parametrize("build", [charts.sweet_phase, charts.score_curves, charts.scatter, charts.agreement_heatmap])
def test_builders_name_a_missing_column(build, frame):
    with pytest.raises(UsageError, match=r"column 'target' is missing; the frame has: .*method"):
        build(frame.assign(tau=0).drop(columns="target"))
    with pytest.raises(UsageError, match="no rows"):
        build(frame.assign(tau=0).head(0))


@pytest.mark.parametrize("alt", ["", "   ", "Figure 1", "sweet phase plot"])
def test_figures_need_a_sentence_as_alt_text(alt, frame, glued):
    with pytest.raises(UsageError, match="figure 'fig': alt must be a sentence"):
        charts.show(charts.scatter(frame), "fig", alt=alt)
    assert not glued


def test_alt_text_becomes_the_description(frame, glued):
    charts.show(charts.scatter(frame), "fig", alt="Accuracy rises\n  with the score.")
    assert glued["fig"].to_dict()["description"] == "Accuracy rises with the score."


@pytest.mark.parametrize("key", ["", "two words", "a:b", "-a"])
def test_keys_are_names(key, frame, glued):
    for call in (lambda: charts.inline(1, key), lambda: charts.table(frame, key)):
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


def test_charts_need_no_torch():
    code = "import json, sys, tepones.companion.charts; print(json.dumps('torch' in sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) is False
