"""Statistics of the test images: against references, and on simulated images whose true accuracies are known."""

import numpy as np
import pytest
from scipy import stats

from tepones.agreement import (
    cross_fitted_regret,
    halves,
    noise,
    perfect_score,
    regret,
    weighted_tau,
)
from tepones.common.errors import UsageError

#: True accuracies along ladders: as good as each other, then falling; and rising, then falling.
FLAT = 0.7 + np.array([0, 3, -2, 1, -3, 2, 0, -5, -15, -40, -100, -200]) / 1000
HUMP = 0.6 + 0.03 * np.sin(np.linspace(0, 1.4 * np.pi, 12))


def images(rng, accuracy, n, classes=10, sets=1):
    """Test sets on which the rungs err alike, since each image has its difficulty; (sets, R, n) and their labels."""
    shared = rng.normal(size=(sets, 1, n))
    own = rng.normal(size=(sets, len(accuracy), n))
    latent = np.sqrt(0.75) * shared + 0.5 * own
    return latent < stats.norm.ppf(accuracy)[:, None], np.arange(n) % classes


def small(seed=0, rungs=5):
    """Classes of 1 to 4 groups, groups of 1 to 5 images, rungs by chance."""
    rng = np.random.default_rng(seed)
    label_of_group = np.repeat([7, 3, 11, 5], [1, 2, 3, 4])
    groups = rng.permutation(np.repeat(np.arange(10), rng.integers(1, 6, 10)))
    return rng.random((rungs, len(groups))) < 0.6, label_of_group[groups], groups


def mean_class_accuracy(correct, labels):
    """Of every rung, as the definition says."""
    return np.mean([correct[:, labels == c].mean(axis=1) for c in np.unique(labels)], axis=0)


def test_halves_keep_groups_whole_and_classes_even():
    _, labels, groups = small()
    first = halves(labels, groups, splits=400)
    assert first.dtype == bool and first.shape == (400, len(labels))
    one_of_each = np.unique(groups, return_index=True)[1]
    assert np.array_equal(first, first[:, one_of_each][:, groups])
    by_group, label_of_group = first[:, one_of_each], labels[one_of_each]
    held = np.array([by_group[:, label_of_group == c].sum(axis=1) for c in (7, 3, 11, 5)])
    assert [set(row) for row in held] == [{0, 1}, {1}, {1, 2}, {2}]
    # Of the two classes with an odd number of groups each half gets one, whichever it is.
    assert set(held.sum(axis=0)) == {5}
    # Every group is on either side half the time, and not always together with the same others.
    assert by_group.mean(axis=0) == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(400))
    assert len(np.unique(by_group, axis=0)) > 50
    assert np.array_equal(first, halves(labels, groups, splits=400))
    assert not np.array_equal(first, halves(labels, groups, splits=400, seed=1))


def test_classes_of_one_group_are_spread_over_both_halves_in_every_way():
    first = halves([0, 0, 1, 1, 1], [4, 4, 2, 2, 2], splits=30)
    assert {tuple(half) for half in first} == {(True,) * 2 + (False,) * 3, (False,) * 2 + (True,) * 3}
    assert len(np.unique(halves(range(4), range(4), splits=100), axis=0)) == 6  # two of four


def regret_by_hand(score, correct, labels, halves_):
    """Half by half, tied rung by tied rung."""
    lost = []
    for half in halves_:
        for here, there in ((half, ~half), (~half, half)):
            found, judged = (
                np.array([np.mean([rung[part & (labels == c)].mean() for c in set(labels[part])]) for rung in correct])
                for part in (here, there)
            )
            best = judged[found >= found.max() - 1e-12].mean()
            lost.append(100 * (best - judged[score == score.max()].mean()))
    return np.mean(lost)


def test_cross_fitted_regret_equals_the_loop_over_halves_for_many_scores_at_once():
    rng = np.random.default_rng(3)
    correct, labels, groups = small(3)
    scores = rng.integers(0, 3, (2, 4, 5)).astype(float)  # ties are common
    found = cross_fitted_regret(scores, correct, labels, groups, splits=6, seed=2)
    first = halves(labels, groups, 6, seed=2)
    assert found.shape == (2, 4)
    for i, j in np.ndindex(2, 4):
        assert found[i, j] == pytest.approx(regret_by_hand(scores[i, j], correct, labels, first), abs=1e-9)
    assert cross_fitted_regret(scores[1, 2], correct, labels, groups, splits=6, seed=2) == found[1, 2]


def test_without_the_curse_equally_good_rungs_cost_nothing():
    rng = np.random.default_rng(1)
    many, labels = images(rng, np.full(10, 0.6), 400, sets=150)
    score = np.arange(10.0)
    crossed = [cross_fitted_regret(score, one, labels, np.arange(400), splits=5) for one in many]
    naive = [regret(score, mean_class_accuracy(one, labels)) for one in many]
    assert abs(np.mean(crossed)) < 4 * stats.sem(crossed) < 1
    assert np.mean(naive) > 2


def test_a_wrong_choice_costs_what_it_truly_costs():
    rng = np.random.default_rng(2)
    many, labels = images(rng, np.array([0.5, 0.6, 0.7]), 400, sets=150)
    groups = np.arange(400)
    crossed = np.array(
        [cross_fitted_regret([[0, 1, 2], [0, 2, 1], [1, 1, 0]], one, labels, groups, splits=5) for one in many]
    )
    assert crossed.mean(axis=0) == pytest.approx([0, 10, 15], abs=4 * stats.sem(crossed).max())
    assert stats.sem(crossed).max() < 0.3


def test_noise_of_single_images_is_the_covariance_of_each_class():
    correct, labels = images(np.random.default_rng(4), FLAT, 200)
    correct = correct[0]
    by_class = [np.cov(correct[:, labels == c]) / (labels == c).sum() for c in range(10)]
    assert noise(correct, labels, np.arange(200)) == pytest.approx(np.sum(by_class, axis=0) / 10**2)


def test_noise_is_how_the_accuracies_vary_when_groups_are_drawn_again():
    """Classes of 20 and 40 groups whose images resemble each other, drawn 1,000 times."""
    rng = np.random.default_rng(5)
    label_of_group = np.repeat([0, 1], [20, 40])
    found, accuracies = [], []
    for _ in range(1000):
        groups = np.repeat(np.arange(60), rng.integers(1, 9, 60))
        of_group = rng.normal(size=(3, 60)) + rng.normal(size=60)
        correct = of_group[:, groups] + rng.normal(size=(3, len(groups))) < [[0], [0.5], [1]]
        found.append(noise(correct, label_of_group[groups], groups))
        accuracies.append(mean_class_accuracy(correct, label_of_group[groups]))
    expected = np.cov(np.transpose(accuracies))
    assert np.mean(found, axis=0) == pytest.approx(expected, rel=0.12)
    # As if the images were independent, it would be far less.
    assert np.trace(noise(correct, label_of_group[groups], np.arange(len(groups)))) < 0.6 * np.trace(expected)


def test_a_class_of_one_group_counts_its_images_and_one_of_one_image_nothing():
    correct, labels = images(np.random.default_rng(6), np.array([0.4, 0.6]), 40, classes=2)
    correct = correct[0]
    groups = np.where(labels == 0, 99, np.arange(40))
    assert np.allclose(noise(correct, labels, groups), noise(correct, labels, np.arange(40)))
    with_third = np.append(labels, 2)
    more = noise(np.hstack([correct, [[True], [False]]]), with_third, np.arange(41))
    assert more == pytest.approx(noise(correct, labels, np.arange(40)) * 4 / 9)


def true_ceiling(rng, accuracy, n):
    """What the true accuracies reach in the mean over 1,000 test sets, by the definition."""
    taus, lost = [], []
    for _ in range(10):
        many, _ = images(rng, accuracy, n, sets=100)
        observed = many.reshape(100, len(accuracy), -1, 10).mean(axis=(2, 3))  # the classes are equally many
        taus.append(weighted_tau(accuracy, observed))
        lost.append(100 * (observed.max(axis=1) - observed[:, accuracy.argmax()]))
    return np.mean(taus), np.mean(lost)


@pytest.mark.parametrize(
    ("accuracy", "n", "of_tau", "of_regret"),
    [(FLAT, 600, 0.13, 0.7), (FLAT, 1500, 0.1, 0.4), (HUMP, 600, 0.06, 0.5), (HUMP, 1500, 0.05, 0.35)],
)
def test_a_perfect_score_reaches_what_the_true_accuracies_reach(accuracy, n, of_tau, of_regret):
    """The mean over 60 test sets, within the bias that the docstring tells."""
    rng = np.random.default_rng(n)
    tau, lost = true_ceiling(rng, accuracy, n)
    many, labels = images(rng, accuracy, n, sets=60)
    found = np.array([perfect_score(one, labels, np.arange(n), draws=100) for one in many])
    assert found[:, 0].mean() == pytest.approx(tau, abs=of_tau)
    assert found[:, 1].mean() == pytest.approx(lost, abs=of_regret)
    assert found[:, 0].std() < 0.15


def test_the_ceiling_is_right_on_average_over_ladders_as_it_supposes_them():
    rng = np.random.default_rng(0)
    found, reached = [], []
    for _ in range(300):
        close = rng.random(10) < rng.choice([0.5, 0.75, 1])
        spread = np.where(close, rng.choice([0.4, 0.8, 1.6, 3.2, 6.4]), 10)
        accuracy = np.clip(0.5 + 0.0145 * spread * rng.normal(size=10), 0.02, 0.98)  # the noise of 500 images
        (one,), labels = images(rng, accuracy, 500)
        observed = mean_class_accuracy(one, labels)
        found.append(perfect_score(one, labels, np.arange(500), draws=50))
        reached.append((weighted_tau(accuracy, observed), regret(accuracy, observed)))
    bias = np.subtract(found, reached)
    assert (np.abs(bias.mean(axis=0)) < [0.03, 0.2]).all()
    assert (stats.sem(bias) < [0.01, 0.07]).all()


def test_observed_accuracies_taken_for_true_ones_would_promise_too_much():
    """Why the true accuracies are drawn from a posterior: noise added to noisy accuracies hides less of their order."""
    rng = np.random.default_rng(8)
    tau, _ = true_ceiling(rng, FLAT, 600)
    many, labels = images(rng, FLAT, 600, sets=60)
    naive = []
    for one in many:
        observed, covariance = mean_class_accuracy(one, labels), noise(one, labels, np.arange(600))
        again = rng.multivariate_normal(observed, covariance, 100)
        naive.append(weighted_tau(observed, again).mean())
    assert np.mean(naive) > tau + 0.18


def test_more_images_raise_the_ceiling_and_groups_lower_it():
    rng = np.random.default_rng(9)
    (one,), labels = images(rng, HUMP, 8000)
    of_8000 = perfect_score(one, labels, np.arange(8000))
    of_500 = perfect_score(one[:, :500], labels[:500], np.arange(500))
    assert of_8000.tau > 0.8 > of_500.tau + 0.05 and of_8000.regret < of_500.regret
    # The same 500 images in ten copies each are no more than 500, if one says so.
    copies, groups = np.repeat(one[:, :500], 10, axis=1), np.repeat(np.arange(500), 10)
    told = perfect_score(copies, np.repeat(labels[:500], 10), groups)
    untold = perfect_score(copies, np.repeat(labels[:500], 10), np.arange(5000))
    assert told == pytest.approx(of_500) and untold.tau > told.tau + 0.05


def test_the_ceiling_without_noise_without_order_and_of_equal_rungs():
    labels = np.arange(40) % 4
    by_class = labels == np.arange(2)[:, None]
    assert perfect_score([by_class[0], by_class[0] | by_class[1]], labels, np.arange(40)) == (1, 0)
    same = perfect_score(np.tile(np.arange(40) % 3 == 0, (3, 1)), labels, np.arange(40))
    assert np.isnan(same.tau) and same.regret == 0
    # Rungs that are right on the same images stay tied: they do not count as if put in order.
    (one,), labels = images(np.random.default_rng(10), np.array([0.3, 0.5, 0.9]), 2000)
    assert perfect_score(one[[0, 0, 1, 2, 2]], labels, np.arange(2000)) == pytest.approx((1, 0), abs=1e-6)
    # Nothing shows that equal rungs are equal; but their order is known less than half.
    (one,), labels = images(np.random.default_rng(11), np.full(12, 0.6), 1000)
    assert 0 < perfect_score(one, labels, np.arange(1000)).tau < 0.5


def test_the_ceiling_is_reproducible_and_steady():
    (one,), labels = images(np.random.default_rng(12), FLAT, 1000)
    groups = np.arange(1000)
    assert perfect_score(one, labels, groups) == perfect_score(one, labels, groups)
    taus = [perfect_score(one, labels, groups, seed=seed).tau for seed in range(20)]
    assert 0 < np.std(taus) < 0.02
    assert perfect_score(one, labels, groups, draws=4000).tau == pytest.approx(np.mean(taus), abs=0.02)


def test_bad_use_is_refused_in_one_line():
    correct, labels, groups = small()
    n = len(labels)
    refused = [
        (lambda: noise(correct.astype(float), labels, groups), "correct is float64"),
        (lambda: noise(correct[0], labels, groups), "rungs × images"),
        (lambda: noise(correct[:, :0], labels[:0], groups[:0]), "rungs × images"),
        (lambda: noise(correct[:, 1:], labels, groups), f"{n} labels"),
        (lambda: noise(correct, labels * 1.0, groups), "labels is float64"),
        (lambda: noise(correct, labels, groups[:-1]), f"{n} labels and {n - 1} groups"),
        (lambda: noise(correct, labels, np.zeros(n, dtype=int)), "group 0 lies in two classes"),
        (lambda: halves(labels, groups, splits=0), "splits is 0"),
        (lambda: halves([1, 1], [5, 5], splits=1), "at least two groups"),
        (lambda: cross_fitted_regret([1, 2], correct, labels, groups), "same models"),
        (lambda: cross_fitted_regret([1, 2, np.nan, 0, 0], correct, labels, groups), r"score\[2\]"),
        (lambda: perfect_score(correct[:1], labels, groups), "two rungs"),
        (lambda: perfect_score(correct, labels, groups, draws=0), "draws is 0"),
    ]
    for call, message in refused:
        with pytest.raises(UsageError, match=message) as told:
            call()
        assert "\n" not in str(told.value)
