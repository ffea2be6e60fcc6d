"""Charts of published numbers, and what appears once the numbers of TEP-ones are filled in."""

import re

import nbformat
import pandas as pd
import pytest
import vl_convert

from tepones.common.errors import UsageError
from tepones.companion import notebooks, published
from tepones.companion.chapters import charts_published as pictures
from tepones.companion.charts import WIDTH

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


BUILDERS = {
    "printed": lambda: pictures.printed_against_recomputed(published.tllib_correlations()),
    "rankers": lambda: pictures.rankers(published.sfda_scores()),
    "heat map": lambda: pictures.sparse_heatmap(cells()),
    "small heat map": lambda: pictures.sparse_heatmap(cells("mobilenetv1")),
    "curves": lambda: pictures.sparse_curves(cells()),
    "outcomes": lambda: pictures.sparse_outcomes(cells()),
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
    chart = pictures.sparse_heatmap(cells())
    svg = svg_of(chart)
    assert svg.count(">+7.8<") == 1 and svg.count("<text") > 228
    assert chart.to_dict()["params"][0]["bind"]["options"] == ["linear", "full"]
    chart.params[0].value = "full"
    assert ">+7.8<" not in svg_of(chart)


def test_curves_begin_at_dense_and_offer_every_data_set():
    chart = pictures.sparse_curves(cells()).to_dict()
    (menu,) = chart["params"]
    assert menu["bind"]["options"][0] == menu["value"] == pictures.ALL_TARGETS
    assert len(menu["bind"]["options"]) == 13
    rows = pd.DataFrame([row for data in chart["datasets"].values() for row in data])
    assert (rows.loc[rows["level"] == "dense", "gain"] == 0).all()
    mean = rows[(rows["dataset"] == pictures.ALL_TARGETS) & (rows["protocol"] == "linear")]
    assert mean.set_index(["method", "level"])["gain"].loc[("AC/DC", "80 %")] == pytest.approx(75.53 - 74.48, abs=0.01)


def test_outcomes_count_all_cells():
    chart = pictures.sparse_outcomes(cells()).to_dict()
    rows = pd.DataFrame([row for data in chart["datasets"].values() for row in data])
    above = rows[rows["cells"].str.startswith("above")].groupby("protocol")["number"].sum()
    assert rows.groupby("protocol")["number"].sum().to_dict() == {"linear": 228, "full": 228}
    assert above.to_dict() == {"linear": 50, "full": 16}


@pytest.mark.parametrize(
    ("build", "frame"),
    [
        (pictures.rankers, published.sfda_scores().drop(columns="kind")),
        (pictures.sparse_heatmap, cells().drop(columns="noise")),
        (pictures.sparse_curves, cells().iloc[:0]),
        (pictures.printed_against_recomputed, published.tllib_correlations().iloc[:0]),
    ],
)
def test_a_frame_that_cannot_be_drawn_is_refused(build, frame):
    with pytest.raises(UsageError, match=r"is missing|no rows"):
        build(frame)


def test_figures_of_tep_ones_numbers(filled):
    theirs, ours = published.tep_ones(), study()
    svg = svg_of(pictures.tep_ones_curves(theirs, ours))
    assert "frozen encoder" in svg and "full fine-tuning" in svg and "a network a source a method" in svg
    within = ours.groupby(["score", "target"]).size().reset_index().assign(weighted_tau=0.5)
    svg = svg_of(pictures.tep_ones_agreement(published.tep_ones_agreement(), within))
    assert "TEP-ones, recomputed from its numbers" in svg and ">LogME<" in svg and ">gaussian<" in svg


def test_changes_of_tep_ones_curves_are_from_the_densest(filled):
    chart = pictures.tep_ones_curves(published.tep_ones(), study()).to_dict()
    rows = pd.DataFrame([row for data in chart["datasets"].values() for row in data])
    theirs = rows[(rows["target"] == "a target") & (rows["protocol"] == "full")]
    assert theirs.set_index("sparsity")["change"].to_dict() == {0.0: 0.0, 0.5: 2.5, 0.9: -2.0}


def figures(path):
    found = nbformat.read(path, as_version=4)
    html = [o.data.get("text/html", "") for c in found.cells for o in c.get("outputs", []) if "data" in o]
    return [text for text in html if "vegaEmbed" in text]


def test_the_chapter_shows_the_figures_of_tep_ones_once_they_can_be_drawn(filled, tmp_path):
    found = nbformat.read(notebooks.execute("published", {}, tmp_path / "filled.ipynb"), as_version=4)
    html = [o.data.get("text/html", "") for c in found.cells for o in c.get("outputs", []) if "data" in o]
    *others, curves, agreement = [text for text in html if "vegaEmbed" in text]
    assert len(others) == len(BUILDERS)
    assert '"description": "Accuracy change against sparsity' in curves and "a network a source a method" in curves
    assert '"description": "Weighted tau of each score' in agreement and "TEP-ones, recomputed" in agreement
