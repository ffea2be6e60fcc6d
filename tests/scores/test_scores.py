"""`tepones.score`: the table, and what it refuses."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from labelled_features import labelled, one_hot

import tepones
from tepones.common.errors import TeponesError, UsageError
from tepones.scores import SCORES
from tepones.scores.leep import leep
from tepones.scores.moments import ClassMoments

COLUMNS = [
    "score",
    "part",
    "value",
    "null",
    "n",
    "n_features",
    "active_features",
    "effective_rank",
    "n_le_d",
    "saturated",
    "seconds",
    "error",
]


def test_the_table_is_tidy():
    x, y = labelled(n=90, d=5, c=3)
    x[:, 1] = 7
    table = tepones.score(x, y, ["gaussian", "ncti", "random"])
    assert list(table.columns) == COLUMNS
    assert table[["score", "part"]].to_numpy().tolist() == [
        ["gaussian", ""],
        ["ncti", "seli"],
        ["ncti", "ncc"],
        ["ncti", "vc"],
        ["random", ""],
    ]
    assert set(table["n"]) == {90} and set(table["n_features"]) == {5} and set(table["active_features"]) == {4}
    values = np.linalg.eigvalsh(np.cov(x.T))
    np.testing.assert_allclose(table["effective_rank"], values.sum() ** 2 / np.sum(values**2))
    assert (table["seconds"] >= 0).all() and not table["n_le_d"].any()


def test_what_is_computed_follows_from_what_is_given():
    x, y = labelled(n=60, d=3, c=3)
    features_only = set(tepones.score(x, y, null=False)["score"])
    assert features_only == {
        name for name in SCORES if SCORES.load(name).needs in ("moments", "features")
    } and features_only.isdisjoint({"leep", "nce", "sparsity"})
    more = set(tepones.score(x, y, probabilities=one_hot(y), facts={"sparsity": 0.9}, null=False)["score"])
    assert more - features_only == {"leep", "nce", "sparsity"}


def test_the_value_and_the_null_are_the_scores_on_true_and_on_shuffled_labels():
    x, y = labelled(n=200, d=5, c=4)
    shuffled = np.random.default_rng(3).permutation(y)
    for name in ("gaussian", "binary", "logme", "gbc_diagonal", "posterior", "sfda", "transrate", "parc"):
        row = tepones.score(x, y, [name], seed=3).iloc[0]
        again = tepones.score(x, shuffled, [name], seed=3).iloc[0]
        assert row["null"] == pytest.approx(again["value"], rel=1e-9), name
        assert row["value"] > row["null"]


def test_the_null_can_be_left_out():
    x, y = labelled(n=60)
    table = tepones.score(x, y, ["gaussian", "knn"], null=False)
    assert table["null"].isna().all() and table["value"].notna().all()


def test_repeating_gives_the_same_and_the_seed_decides_the_null():
    x, y = labelled(n=700, d=4)
    names = ["gaussian", "parc", "n_leep", "random"]
    first, again, other = (tepones.score(x, y, names, seed=seed) for seed in (0, 0, 1))
    assert first.drop(columns="seconds").equals(again.drop(columns="seconds"))
    assert first["null"][0] != other["null"][0] and first["value"][0] == other["value"][0]


def test_flags():
    x, y = labelled(n=30, d=50, c=3)
    table = tepones.score(x, y, ["gaussian", "h_score", "wilks", "sfda"]).set_index("score")
    assert table["n_le_d"].all()
    assert table["saturated"].to_dict() == {"gaussian": False, "h_score": True, "wilks": True, "sfda": True}
    wide = tepones.score(*labelled(n=300, d=5, apart=0.3), ["h_score", "sfda"])
    assert not wide["n_le_d"].any() and not wide["saturated"].any()


def test_tensors_and_string_labels():
    x, y = labelled(n=80, d=4, c=3, dtype=np.float32)
    names = ["gaussian", "posterior", "leep"]
    plain = tepones.score(x, y, names, probabilities=one_hot(y))
    named = tepones.score(
        torch.as_tensor(x), [f"class {c}" for c in y], names, probabilities=torch.as_tensor(one_hot(y)).half()
    )
    np.testing.assert_allclose(plain["value"], named["value"], rtol=1e-6)


def test_a_score_takes_moments_that_came_in_parts():
    x, y = labelled(n=200, d=5)
    order = np.argsort(-y, kind="stable")
    moments = ClassMoments().update(x[order[:99]], y[order[:99]]).update(x[order[99:]], y[order[99:]])
    for name in SCORES:
        entry = SCORES.load(name)
        if entry.needs == "features" and name != "n_leep":
            value, expected = entry.function(x, y, moments), entry.function(x, y)
            assert value == pytest.approx(expected, rel=1e-8), name


def test_the_registry_describes_every_score():
    for name in SCORES:
        entry = SCORES.load(name)
        assert entry.needs in ("moments", "features", "probabilities", "model facts")
        assert all((entry.title, entry.range, entry.units))
        assert entry.function.__name__ == name
        assert entry.function.__doc__ and entry.function.__module__ == SCORES.module(name)
    assert {"moments", "features", "probabilities", "model facts"} == {SCORES.load(name).needs for name in SCORES}


@pytest.mark.parametrize("name", ["gaussian", "binary", "posterior"])
def test_tep_ones_says_that_it_is_a_reconstruction(name):
    text = " ".join(SCORES.load(name).function.__doc__.split())
    assert "Our reconstruction from the paper's abstract; the paper's formula was not available." in text


def test_importing_the_registry_imports_neither_torch_nor_pandas_nor_scipy():
    code = (
        "import sys, tepones.scores; tepones.scores.SCORES; "
        "assert not {'torch', 'pandas', 'scipy', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_closed_form_scores_do_not_import_torch():
    code = "import sys, numpy as np, tepones; tepones.score(np.eye(4), [0, 0, 1, 1]); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


GOOD, LABELS = labelled(n=20, d=4, c=2)


def broken(value, row=11, column=2):
    x = GOOD.copy()
    x[row, column] = value
    return x


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (broken(np.nan), LABELS, "features: row 11, column 2 is nan; expected finite numbers"),
        (broken(-np.inf), LABELS, "features: row 11, column 2 is -inf; expected finite numbers"),
        (broken(1e39), LABELS, r"features: row 11, column 2 is 1e\+39; expected .* range of float32"),
        (torch.as_tensor(broken(np.nan)), LABELS, "features: row 11, column 2 is nan"),
        (GOOD[:, 0], LABELS, r"features have shape \(20,\); expected \(rows, features\)"),
        (GOOD[:0], [], "features have zero rows"),
        (GOOD[:, :0], LABELS, "features have zero columns"),
        (GOOD.astype(str), LABELS, "features are of type <U32; expected real numbers"),
        (GOOD.astype(complex), LABELS, "features are of type complex128; expected real numbers"),
        (GOOD, LABELS[:-1], r"labels have shape \(19,\); expected \(20,\), one label for each row"),
        (GOOD, one_hot(LABELS), r"labels have shape \(20, 2\); expected"),
        (GOOD, [0] * 20, "labels hold 1 class; expected at least two"),
        (GOOD, [0.0, np.nan] * 10, "labels: row 1 is nan; expected a class"),
        (GOOD, [[0], [1]] * 10, "labels: row 0 is a list; expected a hashable class"),
    ],
)
def test_bad_arrays_are_refused_in_one_line(features, labels, message):
    with pytest.raises(UsageError, match=message) as caught:
        tepones.score(features, labels, ["gaussian"])
    assert "\n" not in str(caught.value)


def test_a_bad_row_is_counted_from_the_first_update():
    moments = ClassMoments().update(GOOD, LABELS)
    with pytest.raises(UsageError, match="row 31, column 2 is nan"):
        moments.update(broken(np.nan), LABELS)
    with pytest.raises(UsageError, match="features have 3 columns; expected 4, as before"):
        moments.update(GOOD[:, :3], LABELS)


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        (3 * one_hot(LABELS), "row 0 has the sum 3 and the smallest entry 0; expected probabilities, not logits"),
        (np.tile([1.5, -0.5], (20, 1)), "row 0 has the sum 1 and the smallest entry -0.5"),
        (np.where(np.arange(20)[:, None] == 7, np.nan, one_hot(LABELS)), "row 7 has the sum nan"),
        (one_hot(LABELS)[:-1], "probabilities have 19 rows; expected 20, as the features"),
        (one_hot(LABELS)[:, 0], r"probabilities have shape \(20,\); expected \(rows, source classes\)"),
    ],
)
@pytest.mark.parametrize("name", ["leep", "nce"])
def test_probabilities_that_are_none_are_refused(name, probabilities, message):
    with pytest.raises(UsageError, match=message):
        tepones.score(GOOD, LABELS, [name], probabilities=probabilities)


def test_probabilities_of_other_rows_are_refused():
    with pytest.raises(UsageError, match=r"labels have shape \(19,\); expected \(20,\)"):
        leep(one_hot(LABELS), LABELS[:-1])


def test_unknown_and_impossible_scores_are_named():
    with pytest.raises(UsageError, match="unknown score 'h-score'; choose from: active_features, binary"):
        tepones.score(GOOD, LABELS, ["h-score"])
    with pytest.raises(UsageError, match="score 'leep' needs probabilities"):
        tepones.score(GOOD, LABELS, ["leep"])
    with pytest.raises(UsageError, match="score 'sparsity' needs model facts"):
        tepones.score(GOOD, LABELS, ["sparsity"], facts={"source_accuracy": 0.5})


def test_moments_of_other_rows_are_refused():
    moments = ClassMoments().update(GOOD, LABELS)
    sfda = SCORES.load("sfda").function
    with pytest.raises(UsageError, match=r"features have shape \(10, 4\); expected \(20, 4\)"):
        sfda(GOOD[:10], LABELS[:10], moments)
    with pytest.raises(UsageError, match="class 5 is not among the moments' classes"):
        sfda(GOOD, np.where(LABELS == 1, 5, 0), moments)


def test_a_score_that_fails_is_a_row_that_says_why_and_the_others_are_as_ever():
    """Standard deviations of a million are too much for TransRate, and for none of the others."""
    x, y = labelled(n=60, d=90, c=3)
    table = tepones.score(1e6 * x, y)
    failed = table["error"] != ""
    assert table.loc[failed, "score"].tolist() == ["transrate"]
    row = table[failed].iloc[0]
    assert "90 features is not positive definite" in row["error"]
    assert np.isnan([row["value"], row["null"], row["seconds"]]).all() and not row["saturated"]
    assert (row["n"], row["n_features"], row["active_features"]) == (60, 90, 90)
    rest = [name for name in dict.fromkeys(table["score"]) if name != "transrate"]
    again = tepones.score(1e6 * x, y, rest)
    assert table[~failed].drop(columns="seconds").reset_index(drop=True).equals(again.drop(columns="seconds"))
    assert list(dict.fromkeys(table["score"])) == [name for name in SCORES if name in set(table["score"])]


def test_a_named_score_that_fails_is_named():
    x, y = labelled(n=60, d=90, c=3)
    with pytest.raises(TeponesError, match="score 'transrate': a covariance of 90 features") as caught:
        tepones.score(1e6 * x, y, ["gaussian", "transrate", "logme"])
    assert not isinstance(caught.value, UsageError)
    with pytest.raises(TeponesError, match=r"score 'source_accuracy': could not convert string to float: 'high'"):
        tepones.score(x, y, ["gaussian", "source_accuracy"], facts={"source_accuracy": "high"})
    with pytest.raises(TeponesError, match=r"score 'source_accuracy': its value is nan"):
        tepones.score(x, y, ["gaussian", "source_accuracy"], facts={"source_accuracy": float("nan")})


def test_if_every_score_fails_the_first_is_told(monkeypatch):
    from tepones.scores import table

    def broken(*_, **__):
        raise RuntimeError("out of\norder")

    monkeypatch.setattr(table, "score", broken)
    with pytest.raises(TeponesError, match=r"^score 'gaussian': out of order$"):
        tepones.score(*labelled(n=60))


def test_what_an_encoder_returns_is_two_arguments():
    features = torch.as_tensor(GOOD)
    with pytest.raises(UsageError, match=r"score\(outputs\[0\], labels, probabilities=outputs\[1\]\)"):
        tepones.score((features, torch.as_tensor(one_hot(LABELS))), LABELS)
