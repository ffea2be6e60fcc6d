"""Charts of the chapters on photographs, and the chapters themselves on whatever ladders there are."""

import re

import nbformat
import pandas as pd
import pytest
import vl_convert
from simulated_photographs import simulate

from tepones.common import paths
from tepones.common.errors import UsageError
from tepones.companion import charts, notebooks, study
from tepones.companion import photographs as photos
from tepones.companion.chapters import charts_photographs as pictures
from tepones.companion.chapters import charts_photographs_choice as choice
from tepones.companion.chapters import photographs_budget as budget
from tepones.companion.chapters import photographs_ranking as ranking

FINE_TUNED = ("magnitude iterative 0", "diagonal iterative 0")
NAMES = (
    "magnitude iterative 0",
    "magnitude iterative 1",
    "magnitude iterative 2",
    "compressed squeezenet magnitude one-shot 0",
)
CHAPTERS = ("photographs-sweet-phase", "photographs-ranking", "photographs-budget")


@pytest.fixture(scope="module")
def tables():
    return simulate(NAMES, fine_tuning=FINE_TUNED, scores=("gaussian", "posterior", "h_score", "nce", "probe"))


@pytest.fixture(scope="module")
def made(tables):
    """Every chart and the frame that it needs, by name."""
    rungs = photos.rungs_of(tables)
    methods, targets = photos.method_order(rungs), list(dict.fromkeys(rungs["target"]))
    gains = pd.concat([photos.chosen_gains(rungs, rule) for rule in photos.RULES])
    points = photos.gain_by_distance(gains[gains["rule"] == photos.OTHER_TARGETS], photos.distances(tables))
    cells = ranking.within(ranking.frames(tables))
    scores = pd.concat([ranking.compared(own, "gaussian").assign(judged=name) for name, own in cells.items()])
    pool = budget.candidates(tables, photos.TRAINED)
    drawn = ["gaussian", budget.LARGEST]
    regrets = budget.with_intervals(budget.regrets(pool, budget.budgets(pool, 4)), pool, drawn)
    first = methods[0]
    return {
        "gains": (lambda frame: pictures.gains(frame, methods, first), photos.curves(rungs)),
        "gain_heatmap": (lambda frame: pictures.gain_heatmap(frame, methods, targets), gains),
        "distance": (lambda frame: pictures.distance(frame, methods, first), points),
        "information": (lambda frame: pictures.information(frame, methods, first), photos.information(tables)),
        "scores": (choice.scores, scores),
        "by target": (lambda f: choice.heatmap(f, targets, upright=False), ranking.cells_by(cells, "target")),
        "by method": (lambda f: choice.heatmap(f, methods), ranking.cells_by(cells, "method")),
        "regrets": (lambda frame: choice.regrets(frame, drawn), regrets.assign(pool=photos.TRAINED)),
        "costs": (choice.costs, budget.costs(tables, ["gaussian", "h_score"])),
    }


ALL = ["gains", "gain_heatmap", "distance", "information", "scores", "by target", "by method", "regrets", "costs"]


@pytest.mark.parametrize("name", ALL)
def test_charts_fit_the_column_and_are_the_same_on_every_machine(made, name):
    build, frame = made[name]
    chart = build(frame)
    svg = vl_convert.vegalite_to_svg(chart.to_dict())
    assert float(re.search(r'width="([\d.]+)"', svg)[1]) <= charts.WIDTH
    floats = frame.select_dtypes("float").columns
    nudged = frame.assign(**{column: frame[column] * (1 + 1e-14) for column in floats})
    # A parameter's view is named by a counter.
    assert re.sub(r"view_\d+", "", build(nudged).to_json()) == re.sub(r"view_\d+", "", chart.to_json())


@pytest.mark.parametrize("name", ALL)
def test_builders_refuse_what_they_cannot_draw(made, name):
    build, frame = made[name]
    with pytest.raises(UsageError, match="no rows"):
        build(frame.iloc[:0])


@pytest.mark.parametrize("name", ALL)
def test_figures_need_a_description(made, name, monkeypatch):
    build, frame = made[name]
    with pytest.raises(UsageError, match="alt must be a sentence"):
        charts.show(build(frame), "fig", alt="A figure")
    found = {}
    monkeypatch.setattr(charts, "glue", lambda key, value, display=True: found.update({key: value}))
    charts.show(build(frame), "fig", alt="What is seen, in a sentence.")
    assert found["fig"].to_dict()["description"] == "What is seen, in a sentence."


def test_an_unknown_method_gives_way_to_the_first(tables):
    rungs = photos.rungs_of(tables)
    chart = pictures.gains(photos.curves(rungs), photos.method_order(rungs), "no such method").to_dict()
    assert chart["params"][0]["value"] == "magnitude iterative"


@pytest.fixture
def small_study(checkout):
    """Write tables of some ladders as the published records of a checkout of its own."""

    def write(*names, **options):
        folder = paths.published_records(photos.PROFILE)
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in simulate(names, ("cifar10", "pacs-photo"), **options).items():
            (folder / f"{name}.csv").write_text(study.to_csv(table), encoding="utf-8")

    return write


def said(path):
    """All that a chapter glued as text."""
    outputs = [o for c in nbformat.read(path, as_version=4).cells for o in c.get("outputs", [])]
    return "\n".join(str(value) for o in outputs for value in o.get("data", {}).values())


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_chapters_cope_with_one_ladder(small_study, tmp_path, chapter):
    small_study("magnitude iterative 0")
    text = said(notebooks.execute(chapter, {}, tmp_path / "out.ipynb"))
    assert "magnitude lottery 0" in text
    if chapter == "photographs-ranking":
        assert "No full fine-tuning is in the records yet" in text


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_chapters_cope_with_released_weights_and_full_fine_tuning(small_study, tmp_path, chapter):
    small_study("magnitude iterative 0", "diagonal iterative 0", "mobilenet block one-shot 0", fine_tuning=FINE_TUNED)
    first = notebooks.execute(chapter, {}, tmp_path / "out.ipynb").read_bytes()
    again = notebooks.execute(chapter, {}, tmp_path / "again.ipynb").read_bytes()
    assert first == again
    assert b"released on ImageNet" in first
    if chapter == "photographs-ranking":
        assert "a single run has a standard deviation" in said(tmp_path / "out.ipynb")
