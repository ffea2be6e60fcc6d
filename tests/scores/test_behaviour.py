"""Every cell of the table of behaviour."""

import numpy as np
import pytest
from scipy.special import digamma

import tepones
from tepones.common.errors import UsageError
from tepones.scores import SCORES, behaviour

FACTS = {"sparsity": 0.5, "nonzero_weights": 1e6, "source_accuracy": 0.7}
TABLE = behaviour().set_index("score")
#: What no score is computed on, and says so before it starts.
REFUSED = {"one class": "labels hold 1 class; expected at least two", "NaN": "row 17, column 3 is nan"}
CELLS = [(name, column) for name in TABLE.index for column in TABLE.columns if column not in REFUSED]


def data(n=400, d=20, c=4, seed=0):
    """ReLU features of classes that overlap, on a scale where every dependence on scale shows."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % c
    x = np.maximum(0.06 * rng.normal(size=(c, d))[y] + 0.1 * rng.normal(size=(n, d)) + 0.03, 0)
    source = rng.dirichlet(np.ones(6), n)
    return x, y, source


def run(name, x, y, source):
    table = tepones.score(x, y, [name], probabilities=source, facts=FACTS)
    return table["value"].to_numpy(), table["null"].to_numpy()


#: Seeds of the data: what holds must hold on all of them, and what changes on one at least.
SEEDS = range(4)


def changed(name, change, seed):
    x, y, source = data(seed=seed)
    wide = {
        "scaling": lambda: 10 * x,
        "shifting": lambda: x + 1,
        "duplicated columns": lambda: np.column_stack([x, x]),
        "dead columns": lambda: np.column_stack([x, np.zeros_like(x[:, ::2]), np.full_like(x[:, ::2], 0.37)]),
    }[change]()
    return run(name, x, y, source)[0], run(name, wide, y, source)[0]


EMPTY = {
    "0": lambda pi, n: 0.0,
    "Σ π_c²": lambda pi, n: pi @ pi,
    "−½ mean log(2πe π_c)": lambda pi, n: -np.mean(np.log(2 * np.pi * np.e * pi)) / 2,
    "−log C(C − 1)": lambda pi, n: -np.log(len(pi) * (len(pi) - 1)),
    "−H(Y)": lambda pi, n: pi @ np.log(pi),
    "chance": lambda pi, n: np.sum(n * pi * (n * pi - 1)) / (n * (n - 1)),
    "largest class": lambda pi, n: pi.max(),
    "Σ π_c (ψ(n_c) − ψ(k))/C": lambda pi, n: pi @ (digamma(n * pi) - digamma(3)) / len(pi),
    "0, Σ π_c², ½ log Σ π_c² + log Σ √n_c": lambda pi, n: [
        0.0,
        pi @ pi,
        np.log(pi @ pi) / 2 + np.log(np.sum(np.sqrt(n * pi))),
    ],
}


def check(name, column, cell):
    x, y, source = data()
    if column == "no active feature":
        y = np.repeat([0, 1, 2, 3], [160, 120, 80, 40])
        alive, _ = run(name, x, y, source)
        for constant in (0.0, 0.37):
            value, null = run(name, np.full_like(x, constant), y, source)
            if cell == "no part":
                assert np.array_equal(value, alive)
            elif cell == "any":
                assert np.isfinite(value).all()
            else:
                np.testing.assert_allclose(value, EMPTY[cell](np.array([0.4, 0.3, 0.2, 0.1]), 400), atol=1e-12)
                if SCORES.load(name).uses_labels:
                    np.testing.assert_allclose(value, null, atol=1e-12)
    elif column == "N ≤ D":
        x, y, source = data(n=40, d=60)
        value, null = run(name, 10 * x, y, source)
        assert np.isfinite(value).all()
        if cell == "tells":
            assert value[0] > null[0] + 1e-6 * abs(value[0])
        elif cell == "reversed":
            assert value[0] < null[0]
        elif cell == "blind":
            np.testing.assert_allclose(value, null, rtol=1e-6)
        else:
            assert cell == "no part" and (name in ("nce", "leep") or np.isnan(null).all())
    else:
        pairs = [changed(name, column, seed) for seed in SEEDS]
        same = [np.allclose(after, before, rtol=1e-6, atol=1e-9) for before, after in pairs]
        if cell in ("same", "no part"):
            assert all(same)
        elif cell == "up":
            assert not any(same) and all((after >= before).all() for before, after in pairs)
        elif cell == "down":
            assert not any(same) and all((after <= before).all() for before, after in pairs)
        else:
            assert cell == "changes" and not all(same)


@pytest.mark.parametrize(("name", "column"), CELLS, ids=lambda value: value.replace(" ", "_"))
def test_cell(name, column):
    check(name, column, TABLE.loc[name, column])


@pytest.mark.parametrize("column", REFUSED)
def test_what_is_called_refused_is_refused_by_every_score(column):
    x, y, source = data()
    if column == "one class":
        y = np.zeros(len(x))
    else:
        x[17, 3] = np.nan
    refusing = []
    for name in TABLE.index:
        with pytest.raises(UsageError, match=REFUSED[column]):
            run(name, x, y, source)
        refusing.append(name)
    assert refusing == list(TABLE.index[TABLE[column] == "refused"])
