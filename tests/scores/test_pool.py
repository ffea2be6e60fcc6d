"""Normalising scores over a pool of backbones, by hand."""

from tepones.scores import pool


def test_pools_normalise_outside_of_the_scores():
    assert pool.min_max([2.0, 4, 3]).tolist() == [0, 1, 0.5]
    assert pool.min_max([5.0, 5]).tolist() == [0, 0]
    assert pool.ncti([1, 2, 3], [0.1, 0.3, 0.2], [5, 5, 6]).tolist() == [0, 1.5, 0.5]
    assert pool.etran([0, 1], [1, 0]).tolist() == [0.85, 0.15]
