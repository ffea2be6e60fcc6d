"""One choice of the score changed at a time: every ablation holds the score itself, and known cases come out."""

import numpy as np
import pytest

from tepones.backbones import BACKBONES
from tepones.companion.study import ablations
from tepones.scores.intra_class import gaussian
from tepones.scores.moments import ClassMoments


@pytest.fixture
def features():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), 40)
    means = rng.normal(size=(6, 12))
    return (means[labels] + rng.normal(size=(240, 12))).astype(np.float32), labels


def level(rows, name):
    return next(row["value"] for row in rows if row["level"] == name)


def test_every_choice_holds_the_score_itself(features):
    value = gaussian(ClassMoments().update(*features))
    assert level(ablations.by_samples(*features), "all") == pytest.approx(value)
    assert level(ablations.by_shrinkage(*features), "from the data") == pytest.approx(value)
    assert level(ablations.by_null(*features), "not used") == pytest.approx(value)


def test_a_fixed_intensity_gives_what_the_score_gives_with_it(features):
    moments = ClassMoments().update(*features)
    _, chosen = moments.summary.within_factor()
    assert ablations.gaussian_at(moments.summary, chosen) == pytest.approx(gaussian(moments), rel=1e-9)


def test_without_shrinkage_it_follows_from_canonical_correlations(features):
    x, labels = features
    x = (x - x.mean(0)) / x.std(0)
    means = np.stack([x[labels == label].mean(0) for label in range(6)])
    rho = np.linalg.eigvals(np.linalg.solve(x.T @ x / 240, means.T @ means / 6)).real
    expected = -np.log1p(-(rho.clip(0, 1) ** 2)).sum() / 2
    assert ablations.gaussian_at(ClassMoments().update(*features).summary, 0.0) == pytest.approx(expected, rel=1e-4)


def test_subsamples_are_of_every_class_and_grow(features):
    x, labels = features
    rows = list(ablations.by_samples(x, labels))
    assert [row["level"] for row in rows] == ["2", "5", "10", "20", "all"]
    uneven = np.r_[np.arange(40), np.arange(40, 240, 8)]  # a class of 40, five of 5
    levels = [row["level"] for row in ablations.by_samples(x[uneven], labels[uneven])]
    assert levels == ["2", "5", "10", "20", "all"]


def test_labels_that_mean_nothing_are_their_own_null(features):
    x, labels = features
    shuffled = np.random.default_rng(99).permutation(labels)
    rows, true = list(ablations.by_null(x, shuffled)), list(ablations.by_null(x, labels))
    assert abs(level(rows, "standardised")) < 4 < level(true, "standardised")
    assert abs(level(rows, "subtracted")) < 0.2 * level(rows, "not used")


def test_the_last_layer_is_the_feature(images):
    from tepones.backbones.features import extract

    backbone = BACKBONES.load("small-resnet")(4)
    rows = list(ablations.by_layer(backbone, *images))
    assert [row["level"] for row in rows] == [f"block {number}" for number in (1, 2, 3, 4)]
    value = gaussian(ClassMoments().update(extract(backbone, images[0]), images[1]))
    assert rows[-1]["value"] == pytest.approx(value, rel=1e-3)


def test_no_active_feature_is_no_information():
    moments = ClassMoments().update(np.ones((8, 3), np.float32), np.arange(8) % 2)
    assert ablations.gaussian_at(moments.summary, 0.1) == 0
