"""Limits: what is told of a score beforehand is what it takes, and what is too much is not begun."""

import re
import time
import tracemalloc

import numpy as np
import pytest
from labelled_features import labelled

import tepones
from tepones.common.errors import UsageError
from tepones.scores import SCORES, limits
from tepones.scores.limits import Size, cost, excess
from tepones.scores.moments import ClassMoments

NAMES = [name for name in SCORES if SCORES.load(name).needs != "model facts"]

#: Many classes, many features, many rows.
SHAPES = [(1500, 20, 700), (300, 700, 10), (3000, 60, 3)]


def taken(function) -> int:
    """Bytes that a call takes besides what was there."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("shape", SHAPES)
def test_no_score_takes_more_memory_than_is_told_and_none_a_small_part_of_it(shape):
    n, d, c = shape
    x, _ = labelled(n=n, d=d, c=2, dtype=np.float32)
    y = np.arange(n) % c
    moments = ClassMoments().update(x, y)
    probabilities = np.random.default_rng(0).dirichlet(np.ones(30), n)
    assert moments.summary and taken(lambda: ClassMoments().update(x, y).relabelled(x, y)) <= cost(Size(n, d, c, 1))[0]
    given = {"moments": moments, "features": x, "labels": y, "probabilities": probabilities, "seed": 0}
    size = Size(n, d, c, -(-n // c), 30)
    for name in NAMES:
        if name == "n_leep" and c > 100:  # minutes
            continue
        entry = SCORES.load(name)
        told = cost(size, name)[0]
        found = taken(lambda entry=entry: entry.function(**{key: given[key] for key in entry.parameters}))
        assert found <= told + 10**6, (name, found, told)
        assert told <= 6 * found or found < 5 * 10**6, (name, found, told)


@pytest.mark.parametrize(
    ("size", "beyond"),
    [
        # Every row a class of its own; a row for two classes; wide features.
        (Size(20_000, 16, 20_000, 1), {"posterior", "lda_accuracy", "ncti", "probe", "gbc_diagonal", "n_leep"}),
        (
            Size(1_000_000, 2, 1_000_000, 1),
            {"posterior", "lda_accuracy", "ncti", "probe", "gbc_diagonal", "knn"},
        ),
        (Size(10_000, 512, 5_000, 2), {"posterior", "lda_accuracy", "n_leep"}),
        (Size(1_000_000, 64, 2, 500_000), {"knn", "tmi", "posterior"}),
        (Size(20, 20_000, 2, 10), {None}),
        (Size(20, 100_000, 2, 10), {None}),
        (Size(10**6, 10**4, 2, 10), {None}),
    ],
)
def test_what_is_endless_is_beyond_the_limits(size, beyond):
    for name in beyond:
        line = excess(size, name)
        factor = re.search(rf"{limits.FACTOR}=(\d+) in the environment$", line)[1]
        assert re.match(r"would take [\d.,e+]+ (GiB of memory|operations); the limit is [\d.e+]+ ", line), line
        assert f"({size.rows:,} × {size.features:,} features of {size.classes:,} classes)" in line
        assert int(factor) > 1


@pytest.mark.parametrize("size", [Size(50_000, 2_048, 100, 500, 1_000), Size(60_000, 512, 10, 6_000, 1_000)])
def test_what_people_score_is_not(size):
    assert [name for name in (None, *NAMES) if excess(size, name)] == []


def test_the_limit_is_raised_as_the_line_says(monkeypatch):
    size = Size(20_000, 16, 20_000, 1)
    factor = int(re.search(rf"{limits.FACTOR}=(\d+)", excess(size, "lda"))[1])
    monkeypatch.setenv(limits.FACTOR, str(factor))
    assert excess(size, "lda") is None
    monkeypatch.setenv(limits.FACTOR, str(factor - 1))
    assert excess(size, "lda")


@pytest.mark.parametrize("factor", ["many", "0", "-1", "nan", "inf", ""])
def test_a_factor_that_is_none_is_refused(monkeypatch, factor):
    monkeypatch.setenv(limits.FACTOR, factor)
    with pytest.raises(UsageError, match=f"{limits.FACTOR} is '{factor}'; expected a number above 0"):
        excess(Size(10, 2, 2, 5))


def test_a_named_score_beyond_the_limits_is_refused_at_once_and_of_all_it_is_a_row():
    x, y = np.random.default_rng(0).normal(size=(1000, 3)), np.arange(1000)
    started = time.process_time()
    with pytest.raises(UsageError, match=r"score 'posterior': would take .* GiB of memory; the limit is"):
        tepones.score(np.tile(x, (20, 1)), np.arange(20_000), ["gaussian", "posterior"])
    assert time.process_time() - started < 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(limits.FACTOR, "0.01")
        table = tepones.score(x, y, null=False).set_index("score")
    assert table.loc["gaussian", "error"] == "" and np.isfinite(table.loc["gaussian", "value"])
    assert table.loc["posterior", "error"].startswith("would take ") and np.isnan(table.loc["posterior", "value"])


def test_features_whose_products_are_too_many_are_refused():
    with pytest.raises(UsageError, match=r"^scores would take 149\.2 GiB .*; expected fewer features or classes, or"):
        tepones.score(np.zeros((20, 100_000), np.float32) + np.arange(20)[:, None], np.arange(20) % 2)
