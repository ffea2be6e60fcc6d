"""The chapter *Published numbers*: tables, charts, its text on other numbers, and what a reader's file adds."""

import re
from functools import cache

import altair as alt
import pandas as pd
import pytest
import vl_convert
from chapter_cells import committed, run_cells

from tepones.common import paths
from tepones.common.errors import TeponesError, UsageError
from tepones.companion import charts, published
from tepones.companion.chapters import published as chapter
from tepones.companion.charts import WIDTH
from tepones.companion.published import recompute

HEADER = "backbone,pretraining,pruning_method,sparsity,target,protocol,score,value,accuracy_percent,place"


def cells(architecture="resnet50"):
    found = published.sparse_cells()
    return found[found["architecture"] == architecture]


def study():
    """A small study of ours in the tidy form."""
    rows = [
        {"ladder": "m 0", "method": "m", "seed": 0, "rung": k, "sparsity": 0.3 * k, "source_accuracy": 0.9 - 0.1 * k}
        | {"target": target, "accuracy": 0.8 - 0.02 * k, "score": "gaussian", "value": 3.0 - k}
        for target in ("far", "near")
        for k in range(4)
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def filled(checkout):
    """A checkout whose template a reader has filled in."""
    lines = [HEADER]
    for protocol in ("linear", "full"):
        for sparsity, accuracy in ((0.0, 70.0), (0.5, 72.5), (0.9, 68.0)):
            for score, value in (("TEP-ones", accuracy / 10), ("LogME", 1 - sparsity)):
                values = f"{sparsity},a target,{protocol},{score},{value},{accuracy},Table 1 p. 7"
                lines.append(f"a network,a source,a method,{values}")
    path = checkout / "data" / "published" / "tep-ones-reader.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


printed = cache(published.tllib_correlations)

BUILDERS = {
    "printed": lambda: chapter.printed_chart(printed()),
    "rankers": lambda: chapter.rankers_chart(published.sfda_scores()),
    "heat map": lambda: chapter.heat_map_chart(cells()),
    "small heat map": lambda: chapter.heat_map_chart(cells("mobilenetv1")),
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


def test_the_heat_map_shows_one_protocol_at_a_time():
    chart = chapter.heat_map_chart(cells())
    svg = svg_of(chart)
    assert svg.count(">+7.8<") == 1 and svg.count("<text") > 228
    assert chart.params[0].bind.options == ["frozen encoder", "full fine-tuning"]
    chart.params[0].value = "full fine-tuning"
    assert ">+7.8<" not in svg_of(chart)


@pytest.mark.parametrize(
    ("build", "frame"),
    [
        (chapter.rankers_chart, published.sfda_scores().drop(columns="kind")),
        (chapter.heat_map_chart, cells().drop(columns="noise")),
        (chapter.heat_map_chart, cells().iloc[:0]),
        (chapter.printed_chart, printed().iloc[:0]),
    ],
)
def test_a_frame_that_cannot_be_drawn_is_refused(build, frame):
    with pytest.raises(UsageError, match=r"is missing|no rows"):
        build(frame)


def test_figures_of_tep_ones_numbers(filled):
    theirs, ours = published.tep_ones(), study()
    svg = svg_of(chapter.tep_ones_curves_chart(theirs, ours))
    assert "frozen encoder" in svg and "full fine-tuning" in svg and "a network a source a method" in svg
    within = ours.groupby(["score", "target"]).size().reset_index().assign(weighted_tau=0.5)
    svg = svg_of(chapter.tep_ones_agreement_chart(published.tep_ones_agreement(), within))
    assert "TEP-ones, recomputed from its numbers" in svg and ">LogME<" in svg and ">gaussian<" in svg


def test_changes_of_tep_ones_curves_are_from_the_densest(filled):
    chart = chapter.tep_ones_curves_chart(published.tep_ones(), study()).to_dict()
    rows = pd.DataFrame([row for data in chart["datasets"].values() for row in data])
    theirs = rows[(rows["target"] == "a target") & (rows["protocol"] == "full")]
    assert theirs.set_index("sparsity")["change"].to_dict() == {0.0: 0.0, 0.5: 2.5, 0.9: -2.0}


def test_the_table_of_means_begins_with_dense_and_has_both_protocols():
    table, formats = chapter.means_table("resnet50")
    rows = table.set_index(table["model"].str.replace("\N{NO-BREAK SPACE}", " "))
    assert list(rows.index[:3]) == ["Dense", "AC/DC 80 %", "AC/DC 90 %"] and len(rows) == 20
    assert rows.loc["AC/DC 80 %", "frozen"] == pytest.approx(75.53, abs=0.005)
    assert rows.loc["AC/DC 80 %", "frozen, above"] == 9 and pd.isna(rows.loc["Dense", "full, above"])
    assert set(formats) == set(table) - {"model"}


def test_the_table_of_best_levels_counts_every_data_set_once():
    levels = published.sparse_best_levels()
    table = chapter.best_levels_table(levels[levels["architecture"] == "resnet50"])
    assert list(table) == ["protocol", "method", "dense", "80 %", "90 %", "95 %", "98 %"]
    assert (table.iloc[:, 2:].sum(axis=1) == 12).all()
    row = table[(table["protocol"] == "frozen encoder") & (table["method"] == "STR")].iloc[0]
    assert list(row[2:]) == [4, 7, 1, 0, 0]


def test_the_table_of_protocols_begins_where_they_agree_least():
    table = chapter.protocols_table(published.sparse_linear_against_full())
    assert table["τ"].is_monotonic_increasing and table["data set"].iloc[0] == "aircraft"
    first = table.iloc[0]
    assert first["frozen: dense (rank)"] == "49.16 (13)" and first["full: best"] == "84.87 LTH-T 0.9"


GUARDS = {"baseline-unresolved", "undecided", "level-moves", "rankings-differ"}


@pytest.fixture
def without_charts(monkeypatch):
    """Charts take most of a chapter's time, and then the ties of a table that no test changes."""
    monkeypatch.setattr(published, "tllib_correlations", lambda: printed().copy())
    for name in [name for name in vars(chapter) if name.endswith("_chart")]:
        monkeypatch.setattr(chapter, name, lambda *_: alt.Chart())


@pytest.fixture
def run(without_charts, monkeypatch):
    """Run the chapter on published tables that a function changed: what stands behind its sentences, by guard."""

    def guards(change=lambda name, table: table):
        load = published.load
        monkeypatch.setattr(recompute, "load", lambda name: change(name, load(name)))
        glued = run_cells("published", monkeypatch)
        return {key: glued[key] for key in GUARDS}

    return guards


def sparse_cells_at(name, table, **places):
    """Which rows of the sparse-transfer table belong to a model and protocol; none of another table."""
    if name != "sparse-imagenet-transfer":
        return pd.Series(False, index=table.index)
    return pd.concat([table[column] == value for column, value in places.items()], axis=1).all(axis=1)


def a_score_and_a_model_that_win_everywhere(name, table):
    if name == "sfda_readme_wtau_supervised":
        return table.where(table["Method"] != "SFDA", table.assign(**dict.fromkeys(table.columns[1:], 1.0)))
    places = {"pruning_method": "AC/DC", "nominal_sparsity": 0.8, "transfer_protocol": "linear"}
    winner = sparse_cells_at(name, table, **places)
    return table.assign(mean_accuracy_percent=table["mean_accuracy_percent"] + 5 * winner) if winner.any() else table


def pruning_that_only_harms(name, table):
    dense = sparse_cells_at(name, table, pruning_method="Dense")
    if not dense.any():
        return table
    return table.assign(mean_accuracy_percent=table["mean_accuracy_percent"].where(dense, 1.0))


def one_protocol_twice(name, table):
    full = sparse_cells_at(name, table, transfer_protocol="full")
    if not full.any():
        return table
    keys = ["architecture", "dataset", "pruning_method", "nominal_sparsity"]
    frozen = table[~full].set_index(keys)["mean_accuracy_percent"].rename("frozen")
    return table.assign(mean_accuracy_percent=table.join(frozen, on=keys)["frozen"])


def test_every_sentence_holds_on_the_published_tables():
    text = (paths.notebooks() / "published.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\{glue:md\}`([\w-]+)`", text)) == GUARDS
    glued = committed("published")
    assert {glued[key] for key in GUARDS} == {""}


@pytest.mark.parametrize(
    ("change", "keys"),
    [
        (a_score_and_a_model_that_win_everywhere, {"baseline-unresolved", "undecided"}),
        (pruning_that_only_harms, {"undecided", "level-moves", "rankings-differ"}),
        (one_protocol_twice, {"rankings-differ"}),
    ],
)
def test_a_sentence_that_the_tables_contradict_gets_a_remark(run, change, keys):
    assert {key for key, remark in run(change).items() if remark} == keys


def test_a_false_sentence_is_not_published(run, monkeypatch):
    monkeypatch.setenv(charts.GUARDS, charts.STRICT)
    with pytest.raises(TeponesError, match="guarded by 'rankings-differ' is false"):
        run(one_protocol_twice)


REAL = {"curves": chapter.tep_ones_curves_chart, "agreement": chapter.tep_ones_agreement_chart}


def test_the_chapter_draws_the_numbers_of_tep_ones_once_there_are_any(filled, without_charts, monkeypatch):
    given = {}
    for name in REAL:
        monkeypatch.setattr(
            chapter, f"tep_ones_{name}_chart", lambda *frames, name=name: given.setdefault(name, frames) and alt.Chart()
        )
    assert run_cells("published", monkeypatch)["n-tep-ones"] == 12
    assert "a network a source a method" in svg_of(REAL["curves"](*given["curves"]))
    assert "TEP-ones, recomputed" in svg_of(REAL["agreement"](*given["agreement"]))
