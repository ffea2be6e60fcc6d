"""The chapter *Ladders*: frames by hand and on a network with known zeros, charts, and its text on other records."""

import hashlib
import json
import re
from functools import cache

import altair as alt
import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
import vl_convert
from chapter_cells import committed, run_cells

from tepones import backbones
from tepones.common import paths
from tepones.common.errors import TeponesError, UsageError
from tepones.companion import charts, study
from tepones.companion.chapters import ladders
from tepones.companion.charts import WIDTH
from tepones.companion.study import profiles
from tepones.companion.study.records import versions
from tepones.pruning.budget import compress
from tepones.pruning.masks import prunable
from tepones.ranking import zoo

BUDGET = {"nonzero_weights": 100, "bytes_dense": 4000, "bytes_sparse": 700, "flops": 2e6}
BUDGET |= {"latency_ms": 0.5, "peak_activation_bytes": 3000}


def tables(*rows):
    """Rungs, transfer and scores of ladders: (method, seed, source accuracies, {target: accuracies})."""
    rungs, transfer = [], []
    for method, seed, source, targets in rows:
        for rung, accuracy in enumerate(source):
            place = {"ladder": f"{method} {seed}", "rung": rung}
            place["cell"] = f"{method} {seed} {rung}" if rung else f"dense {seed}"
            about = {"method": method, "seed": seed, "sparsity": (0.0, 0.8, 0.9)[rung], "source_accuracy": accuracy}
            rungs.append(place | about)
            for target, accuracies in targets.items():
                row = {"target": target, "protocol": "probe", "repeat": 0, "accuracy": accuracies[rung]}
                transfer.append(place | row)
    transfer = pd.DataFrame(transfer, columns=["ladder", "rung", "cell", "target", "protocol", "repeat", "accuracy"])
    scores = transfer[["ladder", "rung", "target"]].assign(score="gaussian", value=1.0)
    return {"rungs": pd.DataFrame(rungs), "transfer": transfer, "scores": scores}


LOTTERY, CONTROL = "magnitude lottery", "magnitude reinitialised"
TWO_SEEDS = tables(
    (LOTTERY, 0, [0.9, 0.8, 0.6], {"a": [0.7, 0.7, 0.6], "b": [0.5, 0.5, 0.4]}),
    (LOTTERY, 1, [0.9, 0.9, 0.8], {"a": [0.7, 0.9, 0.8], "b": [0.5, 0.5, 0.4]}),
    (CONTROL, 0, [0.9, 0.7, 0.3], {"a": [0.7, 0.6, 0.2], "b": [0.5, 0.4, 0.2]}),
    (CONTROL, 1, [0.9, 0.6, 0.4], {"a": [0.7, 0.6, 0.4], "b": [0.5, 0.4, 0.2]}),
)


def test_curves_are_means_over_seeds_and_targets():
    found = ladders.curves(TWO_SEEDS).set_index(["method", "rung", "target"])
    assert found["accuracy"][LOTTERY, 1, ladders.SOURCE] == pytest.approx(0.85)
    assert found["accuracy"][LOTTERY, 1, ladders.ALL_TARGETS] == pytest.approx(0.65)
    assert found["accuracy"][CONTROL, 2, "a"] == pytest.approx(0.3)
    assert set(found["seeds"]) == {2}
    assert set(found.reset_index()["target"]) == {ladders.SOURCE, ladders.ALL_TARGETS, "a", "b"}


def test_a_method_of_which_the_chapter_does_not_know_is_refused():
    with pytest.raises(UsageError, match="unknown method 'astrology'; choose from"):
        ladders.curves(tables(("astrology", 0, [0.9], {"a": [0.7]})))


def test_every_method_of_the_profile_belongs_to_a_question():
    assert {ladder.method for ladder in profiles.load("methods").ladders} == set(ladders.METHODS)
    for group in ladders.QUESTIONS.values():
        assert group[0] == ladders.REFERENCE


def test_pairs_are_differences_of_ladders_from_the_same_dense_backbone():
    accuracies, differences = ladders.pair(TWO_SEEDS, LOTTERY, CONTROL)
    assert len(accuracies) == 2 * 4 * 3 and set(differences["rung"]) == {1, 2}
    found = differences.set_index(["measured", "rung", "seed"])
    assert found["difference"][ladders.SOURCE, 1, 0] == pytest.approx(10)
    assert found["difference"][ladders.SOURCE, 1, 1] == pytest.approx(30)
    assert found["difference"][ladders.ALL_TARGETS, 2, 0] == pytest.approx(30)
    row = found.loc[(ladders.SOURCE, 1, 0)]
    assert row["mean"] == pytest.approx(20) and row["low"] < 10 and row["high"] > 30


def test_the_lead_on_the_source_is_told_once_for_each_rung():
    _, differences = ladders.pair(TWO_SEEDS, LOTTERY, CONTROL)
    lead = ladders.source_lead(differences)
    assert list(lead.index) == [1, 2]
    assert lead.loc[1, ["sparsity", "mean", "range"]].tolist() == pytest.approx([0.8, 20, 20])
    assert lead.loc[2, ["sparsity", "mean", "range"]].tolist() == pytest.approx([0.9, 35, 10])


def test_a_rung_that_a_method_lacks_is_refused():
    rungs = tables((LOTTERY, 0, [0.9, 0.8, 0.6], {}), (CONTROL, 0, [0.9, 0.7], {}))["rungs"]
    assert ladders.common_sparsity(rungs, 1) == 0.8
    for rung in (0, 2):
        with pytest.raises(UsageError, match=f"unknown rung of all methods '{rung}'; choose from: 1"):
            ladders.common_sparsity(rungs, rung)


def test_one_seed_has_no_interval():
    _, differences = ladders.pair(tables_of_seed(0), LOTTERY, CONTROL)
    assert differences["low"].isna().all() and differences["difference"].notna().all()


def tables_of_seed(seed):
    rungs = TWO_SEEDS["rungs"]
    keep = set(rungs.loc[rungs["seed"] == seed, "ladder"])
    return {name: table[table["ladder"].isin(keep)] for name, table in TWO_SEEDS.items()}


def test_layers_have_short_names():
    names = ["encoder.0.weight", "encoder.3.conv1.weight", "encoder.4.conv2.weight", "encoder.4.shortcut.0.weight"]
    names += ["encoder.layers.2.mlp.weight"]
    words = ["first conv", "block 1, conv 1", "block 2, conv 2", "block 2, shortcut", "layers.2.mlp"]
    assert list(ladders.layer_labels(names).values()) == words


@pytest.fixture(scope="module")
def small_zoo(tmp_path_factory):
    """Two rungs of a ladder: the second lacks every second weight of one layer and all of another."""
    folder = tmp_path_factory.mktemp("zoo") / "magnitude-one-shot-0"
    folder.mkdir()
    torch.manual_seed(0)
    backbone = backbones.BACKBONES.load("small-resnet")(3)
    rungs, total = [], sum(weight.numel() for weight in prunable(backbone).values())
    for level in range(2):
        weights = prunable(backbone)
        if level:
            with torch.no_grad():
                weights["encoder.3.conv1.weight"].view(-1)[::2] = 0
                weights["encoder.3.conv2.weight"].zero_()
        left = sum(int(weight.count_nonzero()) for weight in weights.values())
        state = {name: tensor.contiguous() for name, tensor in backbone.state_dict().items()}
        content = compress(safetensors.torch.save(state))
        file = f"rung-{level:02d}{zoo.SUFFIX}"
        (folder / file).write_bytes(content)
        rung = {"file": file, "sha256": hashlib.sha256(content).hexdigest(), "sparsity": 1 - left / total}
        shrunk = {name: value / (1 + level) for name, value in BUDGET.items()}
        rungs.append(rung | {"source_accuracy": 0.5, "budget": BUDGET, "shrunk": shrunk})
    committed = json.loads(next(paths.data().glob(f"zoo/*/{zoo.MANIFEST}")).read_text())
    about = committed | {"method": "magnitude one-shot", "seed": 0, "versions": versions(), "rungs": rungs}
    (folder / zoo.MANIFEST).write_text(json.dumps(about))
    return folder.parent


def test_densities_count_what_is_left(small_zoo):
    found = ladders.densities(small_zoo)
    assert (found.loc[found["rung"] == 0, ["density", "relative"]] == 1).all(axis=None)
    layers = found[found["rung"] == 1].set_index("layer")
    assert layers["density"]["block 1, conv 1"] == pytest.approx(0.5)
    assert layers["density"]["block 1, conv 2"] == 0
    assert list(layers.index[layers["collapsed"]]) == ["block 1, conv 2"]
    total = layers["size"].sum()
    assert layers["relative"]["first conv"] == pytest.approx(total / (total - 1.5 * 2304), rel=1e-5)
    assert (layers["density"] * layers["size"]).sum() / total == pytest.approx(1 - layers["sparsity"].iloc[0])


def test_extremes_name_the_layers_that_a_method_spares_most_and_least(small_zoo):
    found = ladders.densities(small_zoo)
    (row,) = ladders.extremes(found, 1).to_dict("records")
    assert row["least spared"] == "block 1, conv 2" and row["spread"] == np.inf and row["collapsed"] == 1
    dense = ladders.extremes(found, 0).loc["magnitude one-shot"]
    assert dense["spread"] == 1 and dense["collapsed"] == 0


def test_costs_come_in_units_as_stored_and_shrunk(small_zoo):
    found = ladders.costs(small_zoo)
    assert len(found) == 2 * len(ladders.COSTS)
    assert found.loc[found["field"] == "flops", "stored"].eq(2).all()
    told = found[found["rung"] == 1].set_index("field")[["quantity", "unit", "stored", "shrunk"]]
    assert {field: tuple(row) for field, row in told.T.items()} == {
        "nonzero_weights": ("non-zero weights", "weights", 100, 50),
        "bytes_dense": ("plain file", "kB", 4, 2),
        "bytes_sparse": ("compressed file", "kB", 0.7, 0.35),
        "flops": ("operations", "MFLOP", 2, 1),
        "latency_ms": ("latency", "ms", 0.5, 0.25),
        "peak_activation_bytes": ("peak activations", "kB", 3, 1.5),
    }


SPARSITIES = (0.0, 0.784, 0.92224, 0.9720064)
TARGETS = (ladders.SOURCE, ladders.ALL_TARGETS, "digits", "greek")
FRAME = 'stroke="#D55E00" stroke-width="2"'
PAIR = "magnitude lottery", "magnitude reinitialised"


def each(methods=ladders.METHODS):
    for method in methods:
        for rung, sparsity in enumerate(SPARSITIES):
            yield {"method": method, "rung": rung, "sparsity": sparsity}


def drawn_curves():
    rows = [
        row | {"seeds": 1, "target": target, "accuracy": 0.9 - 0.1 * row["rung"]}
        for row in each()
        for target in TARGETS
    ]
    return pd.DataFrame(rows)


def drawn_densities():
    rows = []
    for row in each():
        for position, layer in enumerate(("first conv", "block 1, conv 1", "block 1, conv 2")):
            density = 0.0 if layer == "block 1, conv 2" and row["rung"] == 3 else (1 - row["sparsity"]) * (3 - position)
            about = {"layer": layer, "position": position, "size": 100, "density": min(1.0, density)}
            rows.append(row | about | {"relative": density / (1 - row["sparsity"]), "collapsed": density == 0})
    return pd.DataFrame(rows)


def drawn_costs():
    rows = []
    for row in each():
        for field, (quantity, unit, _) in ladders.COSTS.items():
            about = {"field": field, "quantity": quantity, "unit": unit, "stored": 100.0, "shrunk": 90.0 - row["rung"]}
            rows.append(row | about)
    return pd.DataFrame(rows)


def drawn_pair():
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
    "accuracies": lambda: ladders.accuracy_chart(drawn_curves()),
    "densities": lambda: ladders.density_chart(drawn_densities(), 1),
    "costs": lambda: ladders.cost_chart(drawn_costs()),
    "pair": lambda: ladders.pair_chart(*drawn_pair(), *PAIR),
}


def svg_of(chart):
    svg = vl_convert.vegalite_to_svg(chart.to_dict())
    assert float(re.search(r'width="([\d.]+)"', svg)[1]) <= WIDTH
    return svg


@cache
def built(name):
    """A chart's description and SVG, as it is built."""
    chart = BUILDERS[name]()
    return chart.to_json(), svg_of(chart)


@pytest.mark.parametrize("name", BUILDERS)
def test_charts_are_deterministic_and_fit_the_column(name):
    assert BUILDERS[name]().to_json() == built(name)[0]


def test_no_question_holds_a_colour_or_a_shape_twice():
    for group in ladders.QUESTIONS.values():
        assert len(set(charts.colours(group))) == len(set(charts.shapes(group))) == len(group)


def test_accuracies_show_every_method_and_follow_the_menus():
    chart = ladders.accuracy_chart(drawn_curves())
    target, lit = chart.params
    assert target.bind.options == [ladders.ALL_TARGETS, "digits", "greek"]
    assert lit.bind.options == [ladders.ALL_METHODS, *ladders.METHODS]
    svg = built("accuracies")[1]
    for method in ladders.METHODS:
        assert f">{method}<" in svg
    assert ">97.2 %<" in svg and ">dense<" in svg
    assert 'opacity="0.12"' not in svg
    lit.value = "magnitude str"
    assert 'opacity="0.12"' in svg_of(chart)


def test_the_heat_map_shows_one_sparsity_at_a_time_and_marks_collapsed_layers():
    chart = ladders.density_chart(drawn_densities(), 1)
    (level,) = chart.params
    assert level.bind.options == ["78.4 %", "92.2 %", "97.2 %"] and level.value == "78.4 %"
    svg = built("densities")[1]
    assert svg.count(">43<") == svg.count(">22<") == len(ladders.METHODS)
    assert svg.count(FRAME) == 0
    level.value = "97.2 %"
    svg = svg_of(chart)
    assert svg.count(">8.4<") == svg.count(">5.6<") == len(ladders.METHODS)
    assert svg.count(FRAME) == len(ladders.METHODS)


def test_a_missing_rung_leaves_an_empty_row():
    frame = drawn_densities()
    frame = frame[~((frame["method"] == "magnitude structured") & (frame["rung"] == 3))]
    svg = svg_of(ladders.density_chart(frame, 3))
    assert ">magnitude structured<" in svg and svg.count(">5.6<") == len(ladders.METHODS) - 1


@pytest.mark.parametrize(
    ("fraction", "words"),
    [(1, "100"), (0.0996, "10"), (0.0994, "9.9"), (0.00996, "1.0"), (0.0034, "0.34"), (4e-5, "0.004"), (0, "0.00")],
)
def test_percentages_have_two_digits(fraction, words):
    assert ladders._percent(fraction) == words


def test_costs_have_a_panel_for_each_quantity_and_a_menu_without_structured_pruning():
    chart = ladders.cost_chart(drawn_costs())
    assert len(chart.to_dict()["concat"]) == len(ladders.COSTS)
    (chosen,) = chart.params
    assert chosen.value == ladders.REFERENCE and ladders.STRUCTURED not in chosen.bind.options


def test_a_pair_has_a_line_for_each_seed_and_begins_its_differences_after_dense():
    chart = ladders.pair_chart(*drawn_pair(), *PAIR).to_dict()
    rows = [pd.DataFrame(data) for data in chart["datasets"].values()]
    differences = [part for part in rows if "difference" in part]
    assert all(set(part["seed"]) == {0, 1, 2} and part["rung"].min() == 1 for part in differences)
    assert len(chart["concat"]) == 4


@pytest.mark.parametrize(
    ("build", "frame"),
    [
        (ladders.accuracy_chart, drawn_curves().drop(columns="seeds")),
        (ladders.cost_chart, drawn_costs().iloc[:0]),
        (lambda frame: ladders.density_chart(frame, 1), drawn_densities().drop(columns="relative")),
        (lambda frame: ladders.pair_chart(frame, drawn_pair()[1], *PAIR), drawn_pair()[0].iloc[:0]),
    ],
)
def test_a_frame_that_cannot_be_drawn_is_refused(build, frame):
    with pytest.raises(UsageError, match=r"is missing|no rows"):
        build(frame)


@pytest.fixture(scope="module")
def records():
    """Published tables, and what the zoo holds, read once."""
    return study.load("methods"), ladders.densities(zoo.folder()), ladders.costs(zoo.folder())


@pytest.fixture
def run(records, monkeypatch):
    """Run the chapter on records that a function changed: what stands behind its sentences, by guard."""
    # Building the charts takes most of the time, and they are tested above.
    for name in ("accuracy_chart", "density_chart", "cost_chart", "pair_chart"):
        monkeypatch.setattr(ladders, name, lambda *_: alt.Chart())

    def guards(change=None, **parameters):
        tables, layers, budgets = ({name: table.copy() for name, table in records[0].items()}, *records[1:])
        if change:
            tables, layers, budgets = change(tables, layers.copy(), budgets.copy())
        monkeypatch.setattr(ladders, "densities", lambda folder: layers)
        monkeypatch.setattr(ladders, "costs", lambda folder: budgets)
        glued = run_cells("ladders", monkeypatch, tables, parameters)
        return {key: glued[key] for key in GUARDS}

    return guards


def source_of(method, rung, accuracy):
    """A change of the source accuracy of all ladders of a method at a rung."""

    def change(tables, layers, budgets):
        place = (tables["rungs"]["method"] == method) & (tables["rungs"]["rung"] == rung)
        tables["rungs"].loc[place, "source_accuracy"] = accuracy
        return tables, layers, budgets

    return change


def transfer_of(method, rung, accuracy):
    def change(tables, layers, budgets):
        ladder = tables["rungs"].loc[tables["rungs"]["method"] == method, "ladder"]
        place = tables["transfer"]["ladder"].isin(ladder) & (tables["transfer"]["rung"] == rung)
        tables["transfer"].loc[place, "accuracy"] = accuracy
        return tables, layers, budgets

    return change


def in_layers(method, rung, layer, column, value):
    def change(tables, layers, budgets):
        place = (layers["method"] == method) & (layers["rung"] == rung) & (layers["layer"] == layer)
        assert place.sum() == 1
        layers.loc[place, column] = value
        return tables, layers, budgets

    return change


def in_costs(method, rung, field, column, value):
    def change(tables, layers, budgets):
        place = (budgets["method"] == method) & (budgets["rung"] == rung) & (budgets["field"] == field)
        assert place.sum() == 1
        budgets.loc[place, column] = value
        return tables, layers, budgets

    return change


def all_of(*changes):
    def change(*records):
        for one in changes:
            records = one(*records)
        return records

    return change


def one_more_rung(tables, layers, budgets):
    """Structured pruning reaches the last sparsity."""
    for name in study.TABLES:
        table = tables[name]
        more = table[table["ladder"].str.contains("structured") & (table["rung"] == 4)].assign(rung=5)
        tables[name] = pd.concat([table, more], ignore_index=True)
    return tables, layers, budgets


def four_seeds(tables, layers, budgets):
    """Of a method of which the chapter has one, there are four."""
    for name in (*study.TABLES, study.CORRECT):
        table = tables[name]
        own = table[table["ladder"] == "simclr magnitude one-shot 0"]
        more = [own.assign(ladder=f"simclr magnitude one-shot {seed}") for seed in (1, 2, 3)]
        if name == "rungs":
            more = [ladder.assign(seed=seed) for seed, ladder in enumerate(more, start=1)]
        tables[name] = pd.concat([table, *more], ignore_index=True)
    return tables, layers, budgets


CONTRADICTIONS = [
    {
        "criteria-part": all_of(*(source_of(method, 5, 0.4) for method in ladders.ACROSS)),
        "layer-costs": source_of("per layer magnitude iterative", 3, 0.81),
        "acdc-fails": source_of("magnitude acdc", 4, 0.5),
        "collapse-ends": source_of("magnitude acdc", 4, 0.5),
        "structured-ends": one_more_rung,
        "classifier-first": source_of("magnitude one-shot", 2, 0.5),
        "tickets-exceed": transfer_of(LOTTERY, 2, 0.8),
        "three-seeds": four_seeds,
        "small-spared": in_layers("snip iterative", 3, "block 4, shortcut", "relative", 0.9),
        "collapsed-alone": in_layers("magnitude rigl", 4, "block 4, conv 2", "collapsed", True),
        "zeros-save": in_costs("magnitude rigl", 2, "flops", "stored", 8.0),
        "little-arithmetic": in_costs(ladders.STRUCTURED, 3, "latency_ms", "stored", 0.1),
    },
    {
        "str-crosses": source_of("magnitude rigl", 5, 0.53),
        "gain-hidden": transfer_of(ladders.REFERENCE, 1, 0.95),
        "lead-shrinks": source_of("random iterative", 3, 0.4),
        "seeds-decide": all_of(source_of(LOTTERY, 5, 0.9), source_of(CONTROL, 5, 0.5)),
        "str-milder": in_layers("magnitude str", 3, "first conv", "relative", 30.0),
        "shrink-later": in_costs("magnitude rigl", 4, "flops", "shrunk", 0.01),
        "structured-pays": transfer_of(ladders.STRUCTURED, 3, 0.8),
    },
    # One change may contradict two sentences.
    {
        "str-crosses": source_of("magnitude str", 5, 0.3),
        "which-and-where": source_of("per layer magnitude iterative", 3, 0.9),
        "layer-costs": source_of("per layer magnitude iterative", 3, 0.9),
    },
]
"""For each guard a change of the records that contradicts its sentence; one run of the chapter for each group."""

GUARDS = {key for group in CONTRADICTIONS for key in group}


def test_every_sentence_holds_on_the_published_records():
    told = set(re.findall(r"\{glue:md\}`([\w-]+)`", (paths.notebooks() / "ladders.md").read_text(encoding="utf-8")))
    glued = committed("ladders")
    assert told == GUARDS and {glued[key] for key in GUARDS} == {""}


@pytest.mark.parametrize("group", CONTRADICTIONS, ids=lambda group: next(iter(group)))
def test_a_sentence_that_the_records_contradict_gets_a_remark(run, group):
    fallen = {key for key, remark in run(all_of(*group.values())).items() if remark}
    assert fallen == set(group)


def test_a_false_sentence_is_not_published(run, monkeypatch):
    monkeypatch.setenv(charts.GUARDS, charts.STRICT)
    with pytest.raises(TeponesError, match="guarded by 'structured-pays' is false"):
        run(CONTRADICTIONS[1]["structured-pays"])


def test_the_chapter_is_about_any_rung_that_all_methods_have(run):
    assert set(run(rung=4)) == GUARDS
