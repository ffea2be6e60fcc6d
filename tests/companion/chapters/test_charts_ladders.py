"""Charts of the chapter *Ladders*, on made-up tables of every method."""

import re

import pandas as pd
import pytest
import vl_convert

from tepones.common.errors import UsageError
from tepones.companion.chapters import charts_ladders as pictures
from tepones.companion.chapters import ladders
from tepones.companion.charts import WIDTH

SPARSITIES = (0.0, 0.784, 0.92224, 0.9720064)
TARGETS = (ladders.SOURCE, ladders.ALL_TARGETS, "digits", "greek")
FRAME = 'stroke="#D55E00" stroke-width="2"'
PAIR = "magnitude lottery", "magnitude reinitialised"


def each(methods=ladders.METHODS):
    for method in methods:
        for rung, sparsity in enumerate(SPARSITIES):
            yield {"method": method, "rung": rung, "sparsity": sparsity}


def curves():
    rows = [
        row | {"seeds": 1, "target": target, "accuracy": 0.9 - 0.1 * row["rung"]}
        for row in each()
        for target in TARGETS
    ]
    return pd.DataFrame(rows)


def densities():
    rows = []
    for row in each():
        for position, layer in enumerate(("first conv", "block 1, conv 1", "block 1, conv 2")):
            density = 0.0 if layer == "block 1, conv 2" and row["rung"] == 3 else (1 - row["sparsity"]) * (3 - position)
            about = {"layer": layer, "position": position, "size": 100, "density": min(1.0, density)}
            rows.append(row | about | {"relative": density / (1 - row["sparsity"]), "collapsed": density == 0})
    return pd.DataFrame(rows)


def costs():
    rows = []
    for row in each():
        for field, (quantity, unit, _) in ladders.COSTS.items():
            about = {"field": field, "quantity": quantity, "unit": unit, "stored": 100.0, "shrunk": 90.0 - row["rung"]}
            rows.append(row | about)
    return pd.DataFrame(rows)


def pair():
    accuracies, differences = [], []
    for measured in (ladders.SOURCE, ladders.ALL_TARGETS):
        for seed in range(3):
            about = {"measured": measured, "seed": seed}
            accuracies += [about | row | {"accuracy": 0.8 - 0.1 * row["rung"]} for row in each(PAIR)]
            for row in [row for row in each(PAIR[:1]) if row["rung"]]:
                place = {"rung": row["rung"], "sparsity": row["sparsity"]}
                differences.append(about | place | {"difference": 5.0 + seed, "mean": 6.0, "low": 3.0, "high": 9.0})
    return pd.DataFrame(accuracies), pd.DataFrame(differences)


BUILDERS = {
    "accuracies": lambda: pictures.accuracies(curves()),
    "densities": lambda: pictures.densities(densities(), 1),
    "costs": lambda: pictures.costs(costs()),
    "pair": lambda: pictures.pair(*pair(), *PAIR),
}


def svg_of(chart):
    svg = vl_convert.vegalite_to_svg(chart.to_dict())
    assert float(re.search(r'width="([\d.]+)"', svg)[1]) <= WIDTH
    return svg


@pytest.mark.parametrize("name", BUILDERS)
def test_charts_are_deterministic_and_fit_the_column(name):
    chart = BUILDERS[name]()
    assert chart.to_json() == BUILDERS[name]().to_json()
    svg_of(chart)


def test_no_question_holds_a_colour_twice_and_the_reference_is_black():
    for group in ladders.QUESTIONS.values():
        colours = [pictures._COLOURS[method] for method in group]
        assert len(set(colours)) == len(group) and colours[0] == "#000000"


def test_accuracies_show_every_method_and_follow_the_menus():
    chart = pictures.accuracies(curves())
    target, lit = chart.params
    assert target.bind.options == [ladders.ALL_TARGETS, "digits", "greek"]
    assert lit.bind.options == [pictures.ALL_METHODS, *ladders.METHODS]
    svg = svg_of(chart)
    for method in ladders.METHODS:
        assert f">{method}<" in svg
    assert ">97.2 %<" in svg and ">dense<" in svg
    assert 'opacity="0.12"' not in svg
    lit.value = "magnitude str"
    assert 'opacity="0.12"' in svg_of(chart)


def test_the_heat_map_shows_one_sparsity_at_a_time_and_marks_collapsed_layers():
    chart = pictures.densities(densities(), 1)
    (level,) = chart.params
    assert level.bind.options == [1, 2, 3] and "97.2 %" in level.bind.labels[2]
    svg = svg_of(chart)
    assert svg.count(">43<") == svg.count(">22<") == len(ladders.METHODS)
    assert svg.count(FRAME) == 0
    level.value = 3
    svg = svg_of(chart)
    assert svg.count(">8.4<") == svg.count(">5.6<") == len(ladders.METHODS)
    assert svg.count(FRAME) == len(ladders.METHODS)


def test_a_missing_rung_leaves_an_empty_row():
    frame = densities()
    frame = frame[~((frame["method"] == "magnitude structured") & (frame["rung"] == 3))]
    svg = svg_of(pictures.densities(frame, 3))
    assert ">magnitude structured<" in svg and svg.count(">5.6<") == len(ladders.METHODS) - 1


@pytest.mark.parametrize(
    ("fraction", "words"),
    [(1, "100"), (0.0996, "10"), (0.0994, "9.9"), (0.00996, "1.0"), (0.0034, "0.34"), (4e-5, "0.004"), (0, "0.00")],
)
def test_percentages_have_two_digits(fraction, words):
    assert pictures._percent(fraction) == words


def test_costs_have_a_panel_for_each_quantity_and_a_menu_without_structured_pruning():
    chart = pictures.costs(costs())
    assert len(chart.to_dict()["concat"]) == len(ladders.COSTS)
    (chosen,) = chart.params
    assert chosen.value == ladders.REFERENCE and pictures.STRUCTURED not in chosen.bind.options


def test_a_pair_has_a_line_for_each_seed_and_begins_its_differences_after_dense():
    chart = pictures.pair(*pair(), *PAIR).to_dict()
    rows = [pd.DataFrame(data) for data in chart["datasets"].values()]
    differences = [part for part in rows if "difference" in part]
    assert all(set(part["seed"]) == {0, 1, 2} and part["rung"].min() == 1 for part in differences)
    assert len(chart["concat"]) == 4


@pytest.mark.parametrize(
    ("build", "frame"),
    [
        (pictures.accuracies, curves().drop(columns="seeds")),
        (pictures.costs, costs().iloc[:0]),
        (lambda frame: pictures.densities(frame, 1), densities().drop(columns="relative")),
        (lambda frame: pictures.pair(frame, pair()[1], *PAIR), pair()[0].iloc[:0]),
    ],
)
def test_a_frame_that_cannot_be_drawn_is_refused(build, frame):
    with pytest.raises(UsageError, match=r"is missing|no rows"):
        build(frame)
