"""The chapter *Explorer*: its frames against independent references, its charts, its sentences."""

import numpy as np
import pandas as pd
import pytest
import vl_convert
from chapter_cells import run_cells
from drawn import width_of
from scipy import stats

from tepones.common.errors import TeponesError, UsageError
from tepones.companion import charts
from tepones.companion.chapters import explorer
from tepones.companion.study.rung_features import CHOICE


@pytest.fixture(scope="module")
def stored():
    return explorer.stored()


@pytest.fixture
def one(stored):
    """The rows of one choice, and one of features of one's own."""
    rows = explorer.at_first(stored)
    own = rows.head(1).assign(name="own.npz", accuracy=np.nan, value=5.0)
    return pd.concat([rows, own], ignore_index=True)


def test_rungs_are_named_by_sparsity():
    assert [explorer.rung_name(sparsity) for sparsity in (0.0, 0.784, 0.99637)] == ["dense", "78.4 %", "99.6 %"]


def test_a_table_has_the_best_first_and_no_true_place_for_what_has_no_accuracy(one):
    table = explorer.ranked(one).set_index("rung")
    ours = one[one["accuracy"].notna()].set_index("name")
    assert table.index[0] == one.set_index("name")["value"].idxmax()
    assert table[explorer.BY_SCORE].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert table[explorer.BY_ACCURACY].drop("own.npz").to_dict() == {
        name: 1 + (ours["accuracy"] > accuracy).sum() for name, accuracy in ours["accuracy"].items()
    }
    assert table.loc["own.npz", explorer.BY_SCORE] == 2 and pd.isna(table.loc["own.npz", explorer.BY_ACCURACY])


def test_equal_scores_share_the_best_place(one):
    assert explorer.ranked(one.assign(value=1.0))[explorer.BY_SCORE].eq(1).all()


def test_means_over_all_ladders_and_targets(stored):
    own = stored[(stored["score"] == "logme") & (stored["per_class"] == 8)]
    taus = [stats.weightedtau(rows["value"], rows["accuracy"])[0] for _, rows in own.groupby(["target", "method"])]
    table = explorer.by_score(stored, "tau").set_index("score")
    assert len(taus) == 12 and table.loc["logme", "8 images of each class"] == pytest.approx(np.mean(taus))


def drawn(spec):
    """Texts of a chart's picture."""
    return [
        text.split("<")[0] for text in vl_convert.vegalite_to_svg(spec).split(">") if text.partition("<")[0].strip()
    ]


def test_the_live_chart_tells_the_agreement_and_both_orders(one):
    known = one[one["accuracy"].notna()]
    texts = drawn(explorer.live_chart(one[one.columns[::-1]]))
    tau = stats.weightedtau(known["value"], known["accuracy"])[0]
    lost = 100 * (known["accuracy"].max() - known["accuracy"][known["value"].idxmax()])
    assert f"weighted τ {tau:.2f}, regret {lost:.1f} points" in texts
    assert "1. 97.2 %" in texts and "1. 92.2 %" in texts, "first by the score, first by accuracy"
    assert "2. own.npz" in texts and len([text for text in texts if text.endswith("own.npz")]) == 2


def test_the_menus_choose_among_all_that_is_stored(stored):
    chart = explorer.static_chart(stored)
    (rows,) = chart.to_dict()["datasets"].values()
    assert len(rows) == len(stored[CHOICE].drop_duplicates()) == 288
    menus = [parameter for parameter in chart.to_dict()["params"] if "bind" in parameter]
    options = {menu["name"]: menu["bind"]["options"] for menu in menus}
    assert options == {f"explorer_{column}": [str(v) for v in stored[column].unique()] for column in explorer.LABELS}
    assert len(chart.to_json(indent=None)) < 300_000 and width_of(chart) <= charts.WIDTH


def test_at_first_the_static_chart_shows_what_the_explorer_shows(stored, one):
    known = one[one["accuracy"].notna()]
    assert drawn(explorer.static_chart(stored).to_dict()) == drawn(explorer.live_chart(known))


def test_a_frame_that_lacks_a_column_is_refused(stored):
    with pytest.raises(UsageError, match="'null' is missing"):
        explorer.static_chart(stored.drop(columns="null"))


def test_on_the_records_every_sentence_holds(monkeypatch):
    monkeypatch.setenv(charts.GUARDS, charts.STRICT)
    glued = run_cells("explorer", monkeypatch)
    assert glued["guard-explorer-gains"] == "" and glued["explorer-best"] == "gaussian"
    assert [glued[f"explorer-{name}"] for name in ("first", "true-first", "regret")] == ["97.2 %", "92.2 %", 0.625]
    assert "97.2 %" in glued["fig-explorer"].description and "92.2 %" in glued["fig-explorer"].description
    assert [glued[f"explorer-{name}"] for name in ("least", "most", "ladders", "rungs")] == [2, 16, 12, 6]


def test_a_gaussian_that_gains_contradicts_its_sentence(stored, monkeypatch):
    worse = (stored["score"] == "gaussian") & (stored["per_class"] == 4)
    frame = stored.assign(value=stored["value"].where(~worse, -stored["value"]))
    monkeypatch.setattr(explorer, "stored", lambda: frame)
    assert run_cells("explorer", monkeypatch)["guard-explorer-gains"]
    monkeypatch.setenv(charts.GUARDS, charts.STRICT)
    with pytest.raises(TeponesError, match="guard-explorer-gains"):
        run_cells("explorer", monkeypatch)
