"""The chapter *Scores*: tables of what is registered and recorded, and weights that are those of the scores."""

import numpy as np
import pytest
from chapter_cells import run_cells
from drawn import rows_of, width_of

import tepones
from tepones.common.errors import TeponesError
from tepones.companion import charts
from tepones.companion.chapters import scores


def test_on_the_published_times_every_sentence_holds(monkeypatch):
    monkeypatch.setenv(charts.GUARDS, charts.STRICT)
    glued = run_cells("scores", monkeypatch)
    assert glued["guard-together"] == ""
    assert glued["t-left-out"] == "none"
    assert glued["tab-scores"].count("\n") == glued["n-scores"] + 1


def test_times_that_contradict_the_sentence(monkeypatch):
    times = scores.timing("large")
    times.loc[times["what"] == "closed-form family together", "ratio"] = 50.0
    monkeypatch.setattr(scores, "timing", lambda size: times)
    assert run_cells("scores", monkeypatch)["guard-together"]
    monkeypatch.setenv(charts.GUARDS, charts.STRICT)
    with pytest.raises(TeponesError, match="guard-together"):
        run_cells("scores", monkeypatch)


def test_a_score_is_shown_by_what_it_says_of_itself():
    table = scores.definitions().set_index("score")
    assert table.loc["`gaussian`"].tolist() == ["TEP-ones, Gaussian", "moments", "[0, ∞)", "nats"]
    assert table.loc["`leep`", "needs"] == "probabilities"
    assert table.index.is_unique and table["title"].is_unique


def test_controls_are_not_missed_in_a_record_of_times():
    times = scores.timing("large")
    assert scores.left_out(times) == []
    assert scores.left_out(times[~times["what"].isin(("tmi", "knn"))]) == ["tmi", "knn"]


def test_times_that_were_not_recorded_are_told_with_the_command():
    with pytest.raises(TeponesError, match="tepones bench --size huge"):
        scores.timing("huge")


@pytest.mark.parametrize("apart", [0.3, 1.0, 3.0])
def test_the_weight_of_one_direction_is_what_the_scores_give_a_single_feature(apart):
    features = np.array([[-1.0], [1.0], [-1.0], [1.0]]) + apart * np.array([[-1], [-1], [1], [1]])
    found = tepones.score(features, ["a", "a", "b", "b"], ["h_score", "wilks", "gaussian"], null=False)
    rho = apart**2 / (1 + apart**2)
    for name, weights in scores.family_weights().groupby("score"):
        expected = found.set_index("score").loc[name, "value"]
        # The grid of the figure has steps of 0.02, between which the curves are nearly straight.
        assert np.interp(rho, weights["rho"], weights["weight"]) == pytest.approx(expected, abs=2e-3)


def test_the_chart_of_times_has_the_fastest_on_top_and_the_product_as_its_rule():
    times = scores.timing("large")
    chart = scores.timing_chart(times)
    layers = chart.to_dict()["layer"]
    assert layers[0]["encoding"]["y"]["sort"] == {"field": "ratio", "order": "ascending"}
    assert layers[2]["encoding"]["x"] == {"datum": 1}
    assert set(rows_of(chart)["what"].dropna()) == set(times["what"]) and width_of(chart) <= charts.WIDTH


def test_the_chart_of_weights_keeps_the_order_of_the_family():
    chart = scores.weights_chart(scores.family_weights())
    assert chart.to_dict()["encoding"]["color"]["scale"]["domain"] == ["h_score", "wilks", "gaussian"]
    assert width_of(chart) <= charts.WIDTH
