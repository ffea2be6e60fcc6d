"""The chapter *The score*: exact information against independent references, and sentences that follow from records."""

import numpy as np
import pandas as pd
import pytest
from chapter_cells import run_cells
from drawn import rows_of, width_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from small_ladders import small_ladders

from tepones.common.errors import TeponesError, UsageError
from tepones.companion import charts, study
from tepones.companion.chapters import the_score
from tepones.companion.chapters.the_score import ENTROPY, INTRA_CLASS, WITH_LABEL, gaussian_classes


def test_the_label_information_against_adaptive_quadrature():
    for m in (0.6, 1.0, 2.0, 3.0):

        def entropy_of_mixture(z, m=m):
            p = 0.5 * (stats.norm.pdf(z, m) + stats.norm.pdf(z, -m))
            return -p * np.log(p)

        mixture = integrate.quad(entropy_of_mixture, -m - 12, m + 12, limit=200)[0]
        expected = mixture - 0.5 * np.log(2 * np.pi * np.e)
        assert gaussian_classes([-m, m])[WITH_LABEL] == pytest.approx(expected, abs=1e-7)


def test_the_intra_class_information_against_simulation():
    m, n = 1.0, 400_000
    rng = np.random.default_rng(0)
    y = rng.choice([-m, m], n)
    z, other = y + rng.normal(size=n), y + rng.normal(size=n)
    posterior, posterior_other = 1 / (1 + np.exp(-2 * m * z)), 1 / (1 + np.exp(-2 * m * other))
    ratio = 2 * (posterior * posterior_other + (1 - posterior) * (1 - posterior_other))
    found = np.log(ratio)
    assert gaussian_classes([-m, m])[INTRA_CLASS] == pytest.approx(found.mean(), abs=4 * found.std() / np.sqrt(n))


def test_a_finer_grid_changes_nothing(monkeypatch):
    coarse = gaussian_classes([-1, 0.5, 3], [0.2, 0.5, 0.3])
    monkeypatch.setattr(the_score, "STEP", the_score.STEP / 2)
    assert coarse == pytest.approx(gaussian_classes([-1, 0.5, 3], [0.2, 0.5, 0.3]), abs=1e-10)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-4, 4), min_size=2, max_size=4), st.integers(0, 1000))
def test_the_chain_of_bounds(means, seed):
    priors = np.random.default_rng(seed).dirichlet(np.full(len(means), 3.0))
    found = gaussian_classes(means, priors)
    assert -1e-9 <= found[INTRA_CLASS] <= found[WITH_LABEL] + 1e-9
    assert found[WITH_LABEL] <= found[ENTROPY] + 1e-9 <= np.log(len(means)) + 2e-9


def test_equal_means_carry_nothing_and_distant_means_everything():
    nothing = gaussian_classes([2, 2, 2])
    assert (nothing[INTRA_CLASS], nothing[WITH_LABEL]) == pytest.approx((0, 0), abs=1e-9)
    assert gaussian_classes([-20, 0, 20])[INTRA_CLASS] == pytest.approx(np.log(3), abs=1e-9)


def test_samples_have_the_means_they_should():
    features, labels = the_score.sample([-2, 5], 20_000, seed=0)
    assert features.shape == (40_000, 1) and features.dtype == np.float32
    assert features[labels == 1].mean() == pytest.approx(5, abs=0.04)


GUARDS = ("guard-bounds", "guard-beyond", "guard-falls")


def test_on_the_published_records_every_sentence_holds(monkeypatch, capsys):
    monkeypatch.setenv(charts.GUARDS, charts.STRICT)
    glued = run_cells("the-score", monkeypatch, parameters={"samples_per_class": 500})
    assert [glued[guard] for guard in GUARDS] == ["", "", ""]
    by_hand, computed = capsys.readouterr().out.split("\n")[0::2][:2]
    assert by_hand.split()[-1] == computed.split()[-1] == "0.143841"


def test_a_score_that_rises_at_the_end_contradicts_its_sentence(monkeypatch):
    tables = study.load("embedded")
    scores = tables["scores"]
    last = scores["rung"] == scores["rung"].max()
    tables["scores"] = scores.assign(value=scores["value"].where(~last, 99.0))
    glued = run_cells("the-score", monkeypatch, tables, {"samples_per_class": 50})
    assert glued["guard-falls"] and glued["highest-until"] == pytest.approx(97.2, abs=0.01)
    monkeypatch.setenv(charts.GUARDS, charts.STRICT)
    with pytest.raises(TeponesError, match="guard-falls"):
        run_cells("the-score", monkeypatch, tables, {"samples_per_class": 50})


@pytest.mark.parametrize(
    ("quantity", "nats", "guard"), [("I(Z; Z′)", 0.8, "guard-bounds"), ("gaussian", 0.1, "guard-beyond")]
)
def test_information_that_contradicts_a_sentence(quantity, nats, guard, monkeypatch):
    known = the_score.chain([1.0, 3.5], 50)
    known.loc[known["quantity"] == quantity, "nats"] = nats
    monkeypatch.setattr(the_score, "chain", lambda means, per_class: known)
    glued = run_cells("the-score", monkeypatch)
    assert [key for key in GUARDS if glued[key]] == [guard]


@pytest.mark.parametrize(
    ("intra", "label", "hold"), [(0.1, 0.2, True), (-0.1, 0.2, False), (0.3, 0.2, False), (0.1, 0.8, False)]
)
def test_each_of_the_bounds_is_looked_at(intra, label, hold):
    values = {"I(Z; Z′)": intra, "I(Z; Y)": label, "H(Y)": 0.69, "gaussian": 1.0, "posterior": 1.0}
    known = pd.DataFrame([{"mean": 1.0, "quantity": name, "nats": nats} for name, nats in values.items()])
    assert the_score.bounds(known)["hold"].tolist() == [hold]


def test_where_a_ladders_score_is_highest():
    frame = small_ladders()
    assert the_score.optima(frame)["highest"].tolist() == pytest.approx([1 - 0.6**11] * 6)
    assert not the_score.optima(frame)["falls"].any()
    assert the_score.optima(frame.assign(value=-frame["value"]))["falls"].all()
    assert the_score.optima(frame.assign(value=-frame["value"]))["highest"].eq(0).all()


def test_the_chart_of_a_score_marks_both_optima_and_fits_the_column():
    chart = the_score.score_chart(small_ladders())
    rows = rows_of(chart)
    assert set(rows[rows["best"]]["rung"]) == {11}
    assert set(rows[rows["optimum"]]["rung"]) == {3}
    assert width_of(chart) <= charts.WIDTH
    with pytest.raises(UsageError, match="no rows"):
        the_score.score_chart(small_ladders().head(0))


def test_exact_quantities_are_lines_and_estimates_points():
    chart = the_score.information_chart(the_score.chain([1.0, 2.0], 50)).to_dict()
    marks = {layer["mark"]["type"]: layer["transform"][0]["filter"] for layer in chart["layer"]}
    assert marks == {"line": "datum.kind == 'exact'", "point": "datum.kind == 'estimate'"}
