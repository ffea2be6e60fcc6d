"""The benchmark: what it times, on what, and what it says of memory."""

import numpy as np
import pytest

from tepones.cli import rank
from tepones.common.errors import UsageError
from tepones.companion.bench import scores as bench


def test_the_features_are_those_of_a_network_and_the_same_each_time():
    first, second = (bench.synthetic(3000, 64, 5) for _ in range(2))
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])
    features = first["features"]
    assert features.dtype == np.float32 and features.shape == (3000, 64)
    assert features.min() == 0 and 0.3 < (features == 0).mean() < 0.7
    assert len(np.unique(first["labels"])) == 5
    np.testing.assert_allclose(first["probabilities"].sum(1), 1, rtol=1e-5)


def test_the_floor_is_the_product():
    features = bench.synthetic(3000, 64, 5)["features"]
    expected = features.T.astype(float) @ features
    np.testing.assert_allclose(np.tril(bench._product(features)), np.tril(expected), rtol=1e-12)


def test_memory_is_what_arrays_take_at_most():
    _, peak = bench._measure(lambda: np.ones(10**6).sum() + np.ones(2 * 10**6).sum())
    assert 16e6 <= peak < 17e6


@pytest.fixture(scope="module")
def table():
    return bench.bench("small", ["gaussian", "nce", "leep"])


def test_a_row_for_each_floor_and_score(table):
    assert table["what"].tolist() == ["XᵀX float32", "XᵀX float64", "gaussian", "nce", "leep"]
    assert table["ratio"][1] == 1
    assert (table["seconds"] > 0).all() and (table["ratio"] > 0).all()


def test_leep_and_nce_take_less_than_a_tenth_of_a_second(table):
    assert table.set_index("what").loc[["nce", "leep"], "seconds"].max() < 0.1


def test_the_closed_form_family_needs_the_same_memory_for_any_number_of_rows():
    data = [bench.synthetic(n, 128, 10) for n in (2**15, 2**16)]
    peaks = [bench._measure(lambda made=made: bench._compute(bench.FAMILY, made))[1] for made in data]
    assert peaks[1] < 1.1 * peaks[0] < 200e6


def test_wrong_use_is_refused():
    with pytest.raises(UsageError, match="unknown size 'huge'; choose from: large, medium, small"):
        bench.bench("huge")
    with pytest.raises(UsageError, match="unknown score 'best'"):
        bench.bench("small", ["best"])


def test_the_command_prints_the_table(monkeypatch):
    from click.testing import CliRunner

    monkeypatch.setitem(bench.SIZES, "small", (400, 16, 3))
    done = CliRunner().invoke(rank.bench, ["--size", "small", "--format", "csv"])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "what,seconds,ratio,peak_mb"
    assert "closed-form family together" in done.stdout and "gaussian" in done.stdout and "random" not in done.stdout
