"""How sure a ranking is: calibrated where the truth is known, fair to ties, and honest where images are few."""

import numpy as np
import pandas as pd
import pytest

from tepones.ranking import certainty
from tepones.scores import score
from tepones.scores.lda import lda_accuracy


def _features(rng, per_class, distances, d=6, classes=4, noise=1.0):
    """Features of one set of images for several backbones that tell classes apart by these distances of their means.

    All backbones see the same images: half of the noise is the image's.
    """
    labels = np.repeat(np.arange(classes), per_class)
    shared = rng.normal(size=(len(labels), d))
    means = np.eye(classes, d)[labels]
    return [far * means + noise * (shared + rng.normal(size=shared.shape)) / np.sqrt(2) for far in distances], labels


def _sure(features, labels, name="lda_accuracy", seed=0):
    values = [score(x, labels, [name], null=False)["value"][0] for x in features]
    spreads = [certainty.deviations(x, labels, name, seed=seed) for x in features]
    return values, certainty.certainty(values, np.column_stack(spreads), seed)


# lda_accuracy: the credits of the images


@pytest.mark.parametrize("per_class", [1, 2, 7])
def test_credits_are_the_images_shares_of_the_score(per_class):
    (x,), labels = _features(np.random.default_rng(0), per_class, [1.5])
    credits = certainty._credits(x, labels)
    assert credits.mean() == pytest.approx(lda_accuracy(x, labels), abs=1e-12)
    assert certainty._credits(np.ones((9, 3)), np.arange(9) // 6).mean() == pytest.approx(6 / 9)


def test_the_closed_form_is_the_bootstrap_of_the_images_of_each_class():
    rng = np.random.default_rng(1)
    pair, labels = _features(rng, 12, [1.0, 2.0])
    errors = np.column_stack([certainty.deviations(x, labels, "lda_accuracy") for x in pair])
    credits = np.column_stack([certainty._credits(x, labels) for x in pair])
    drawn = 12 * np.arange(4)[:, None] + rng.integers(12, size=(20_000, 4, 12))
    means = credits[drawn.reshape(len(drawn), -1)].mean(1)
    np.testing.assert_allclose(errors.T @ errors, np.cov(means.T) * 12 / 11, rtol=0.05)


@pytest.mark.parametrize("name", ["lda_accuracy", "logme", "gaussian", "knn"])
def test_the_spread_is_that_of_the_score_over_other_images(name):
    rng = np.random.default_rng(2)
    values, squares = [], []
    for number in range(60):
        (one, other), labels = _features(rng, 15, [1.2, 1.6])
        values.append(np.diff([score(x, labels, [name], null=False)["value"][0] for x in (one, other)])[0])
        if number % 5:
            continue
        errors = certainty.deviations(one, labels, name) - certainty.deviations(other, labels, name)
        squares.append(errors @ errors)
    assert 0.7 < np.sqrt(np.mean(squares)) / np.std(values) < 1.6


def test_a_class_of_one_image_does_not_vary_and_both_halves_have_it():
    (x,), labels = _features(np.random.default_rng(0), 6, [1.0])
    rows = np.r_[0, 6 : len(labels)]
    errors = certainty.deviations(x[rows], labels[rows], "lda_accuracy")
    assert errors[0] == 0 and errors.any()
    for one, other in certainty._halves(labels[rows], 0):
        assert set(one) & set(other) == {0} and set(one) | set(other) == set(range(len(rows)))
        assert abs(len(one) - len(other)) <= 1
    assert np.isfinite(certainty.deviations(x[rows], labels[rows], "knn")).all()


# Certainty


def test_intervals_hold_the_rank_of_the_truth_and_of_other_images_and_first_is_no_overstatement():
    """Six backbones, some of them alike; the truth is the score of many images."""
    rng = np.random.default_rng(3)
    held, fresh, claimed, came = [], [], [], []
    for _ in range(60):
        distances = 1.2 + 0.5 * rng.random(6)
        features, labels = _features(rng, 10, distances)
        _, sure = _sure(features, labels)
        likely = sure["first"].idxmax()
        claimed.append(sure["first"].max())
        came.append(distances.argmax() == likely)
        for ranks, where in (
            (pd.Series(distances), held),
            (pd.Series(_sure(*_features(rng, 10, distances))[0]), fresh),
        ):
            ranks = ranks.rank(ascending=False, method="min")
            where.append(((sure["rank_low"] <= ranks) & (ranks <= sure["rank_high"])).mean())
    assert np.mean(held) > 0.9 and np.mean(fresh) > 0.9
    assert np.mean(claimed) < np.mean(came) + 0.15


def test_intervals_of_backbones_that_are_all_alike_hold_every_rank():
    rng = np.random.default_rng(4)
    held = []
    for _ in range(100):
        errors = rng.normal(size=(8, 15))
        sure = certainty.certainty(rng.normal(size=15), errors / np.sqrt(8))
        truth = rng.permutation(15) + 1
        held.append(((sure["rank_low"] <= truth) & (truth <= sure["rank_high"])).mean())
    assert np.mean(held) > 0.95


def test_what_is_clear_is_said():
    features, labels = _features(np.random.default_rng(5), 40, [0.3, 6.0, 2.0])
    values, sure = _sure(features, labels)
    assert np.argsort(values).tolist() == [0, 2, 1]
    assert sure["rank_low"].tolist() == sure["rank_high"].tolist() == [3, 1, 2]
    assert sure["first"].round(2).tolist() == [0, 1, 0]


def test_two_identical_backbones_share_everything():
    (x, other), labels = _features(np.random.default_rng(6), 8, [2.0, 0.5])
    _, sure = _sure([x, other, x.copy()], labels)
    assert sure.iloc[0].equals(sure.iloc[2]) and sure["first"].sum() == pytest.approx(1)
    assert sure.loc[0, ["rank_low", "rank_high"]].tolist() == [1, 2] and sure["first"][0] == pytest.approx(
        0.5, abs=0.01
    )


def test_ties_without_any_spread_share_the_first_place():
    sure = certainty.certainty([1.0, 1.0, 0.5], np.zeros((30, 3)))
    assert sure["first"].tolist() == [0.5, 0.5, 0]
    assert sure["rank_low"].tolist() == [1, 1, 3] and sure["rank_high"].tolist() == [2, 2, 3]


def test_one_backbone_alone_is_first():
    assert certainty.certainty([0.7], np.ones((5, 1))).iloc[0].tolist() == [1, 1, 1]


def test_a_seed_decides_everything():
    features, labels = _features(np.random.default_rng(7), 8, [1.0, 1.1, 1.2])
    for name in ("lda_accuracy", "logme"):
        (_, one), (_, again), (_, other) = (_sure(features, labels, name, seed) for seed in (1, 1, 2))
        assert one.equals(again) and not one["first"].equals(other["first"])


def test_order_of_the_backbones_plays_no_part():
    features, labels = _features(np.random.default_rng(8), 10, [1.0, 1.5, 2.5])
    _, sure = _sure(features, labels)
    _, turned = _sure(features[::-1], labels)
    np.testing.assert_allclose(turned["first"][::-1].to_numpy(), sure["first"], atol=0.02)


def test_probabilities_are_halved_with_the_features():
    rng = np.random.default_rng(9)
    (x,), labels = _features(rng, 10, [1.0])
    probabilities = rng.dirichlet(np.ones(5), len(labels))
    assert certainty.deviations(x, labels, "leep", probabilities=probabilities).any()
    assert not certainty.deviations(x, labels, "sparsity", facts={"sparsity": 0.5}).any()


# The sentence


def _table(first, low):
    return pd.DataFrame({"backbone": list("abcdef")[: len(first)], "first": first, "rank_low": low})


def test_the_sentence_follows_from_the_table():
    assert certainty.advice(_table([0.968, 0.032], [1, 2]), 60) == (
        "take a: it is first in 97 % of the redraws of these 60 images"
    )
    assert "first in more than 99 % of" in certainty.advice(_table([1.0, 0], [1, 2]), 60)
    alike = certainty.advice(_table([0.5, 0.2, 0.2, 0.1], [1, 1, 2, 1]), 1200)
    assert alike.startswith("3 backbones cannot be told apart with these 1,200 images: a, b, d; label more")


def test_names_are_escaped():
    table = _table([1.0, 0], [1, 2]).assign(backbone=["x\x1b[31m\ny", "b"])
    assert certainty.advice(table, 9).isprintable()
    assert certainty.advice(table.assign(rank_low=1), 9).isprintable()
