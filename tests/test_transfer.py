"""The linear probe, the ground truth of everything: against a second implementation, and what must not change it."""

import numpy as np
import pytest
from labelled_features import labelled
from scipy.optimize import minimize
from scipy.special import logsumexp
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold

from tepones import transfer
from tepones.transfer import linear_probe

GRID = (1e-4, 1e-2, 1.0, 100.0)


def fit(features, labels, c, mean=None, deviation=None):
    """Multinomial logistic regression as its definition says, fitted to machine precision: predicts classes.

    Minimises C Σ log-loss + ½ ‖W‖² over weights W and free intercepts, of features standardised by these rows if no
    mean and standard deviation are given.
    """
    mean, deviation = (features.mean(0), features.std(0)) if mean is None else (mean, deviation)
    x = (features - mean) / deviation
    classes, y = np.unique(labels, return_inverse=True)
    rows, d, k = np.arange(len(y)), x.shape[1], len(classes)

    def loss(parameters):
        weights, intercepts = parameters[: d * k].reshape(d, k), parameters[d * k :]
        logits = x @ weights + intercepts
        residual = np.exp(logits - logsumexp(logits, axis=1, keepdims=True))
        value = c * (logsumexp(logits, axis=1) - logits[rows, y]).sum() + 0.5 * (weights**2).sum()
        residual[rows, y] -= 1
        return value, np.concatenate([(c * x.T @ residual + weights).ravel(), c * residual.sum(0)])

    found = minimize(loss, np.zeros(d * k + k), jac=True, method="L-BFGS-B", options={"maxiter": 20_000, "ftol": 1e-14})
    weights, intercepts = found.x[: d * k].reshape(d, k), found.x[d * k :]
    return lambda given: classes[((given - mean) / deviation @ weights + intercepts).argmax(1)]


def held_out(features, labels, c, seed=0):
    """Mean accuracy on the three held-out thirds, each predicted by the fit on the other two, every class alike."""
    folds = StratifiedKFold(3, shuffle=True, random_state=seed).split(features, labels)
    of_all = features.mean(0), features.std(0)
    guesses = [(labels[b], fit(features[a], labels[a], c, *of_all)(features[b])) for a, b in folds]
    return np.mean([balanced_accuracy_score(*both) for both in guesses])


def split(noise=0.0, **options):
    """A training and a test split of the same classes; `noise` is the fraction of wrong training labels."""
    features, labels = labelled(n=2300, **options)
    features = (features * np.geomspace(0.1, 10, features.shape[1])).astype(np.float32)
    train, tested = labels[:300].copy(), slice(300, None)
    rng = np.random.default_rng(1)
    wrong = rng.random(300) < noise
    train[wrong] = rng.permutation(train[wrong])
    return features[:300], train, features[tested], labels[tested]


EASY, NOISY = {"d": 10, "apart": 1.5}, {"d": 60, "apart": 0.5, "noise": 0.4}


@pytest.mark.parametrize(("data", "seed"), [(EASY, 0), (NOISY, 3)], ids=["easy", "noisy"])
def test_the_choice_is_the_best_by_cross_validation(data, seed):
    x, y, tested, labels = split(**data)
    found = linear_probe(x, y, tested, labels, GRID, seed)
    accuracies = [held_out(x.astype(float), y, c, seed) for c in GRID]
    # One held-out image of 300 may fall on the other side: the probe stops at a gradient of 1e-3.
    assert accuracies[GRID.index(found.regularisation)] >= max(accuracies) - 1 / 300 - 1e-9
    assert max(accuracies) - min(accuracies) > 0.03


def test_accuracy_counts_every_class_alike():
    x, y, tested, labels = split(**NOISY)
    rows = np.concatenate([np.flatnonzero(labels == 0), np.flatnonzero(labels != 0)[::7]])
    found = linear_probe(x, y, tested[rows], labels[rows], GRID)
    of_each = [found.correct[labels[rows] == label].mean() for label in np.unique(labels)]
    assert found.accuracy == pytest.approx(np.mean(of_each)) != pytest.approx(found.correct.mean(), abs=0.005)
    assert np.array_equal(found.correct, linear_probe(x, y, tested, labels, GRID).correct[rows])


def test_noisy_labels_ask_for_a_stronger_penalty():
    chosen = [linear_probe(*split(**data), GRID).regularisation for data in (EASY, NOISY)]
    assert chosen[1] < chosen[0]


@pytest.mark.parametrize("data", [EASY, NOISY], ids=["easy", "noisy"])
def test_predictions_are_those_of_the_definition(data):
    """Accuracy on labels that the reference predicts is the fraction of test images on which the two agree."""
    x, y, tested, labels = split(**data)
    references = {c: fit(x.astype(float), y, c)(tested.astype(float)) for c in GRID}
    for c, expected in references.items():
        agreement = {other: linear_probe(x, y, tested, expected, [other]).accuracy for other in GRID}
        assert max(agreement, key=agreement.get) == c and agreement[c] > 0.97
        # Where a weak penalty overfits, stopping at a gradient of 1e-3 is worth half a point.
        accuracy = linear_probe(x, y, tested, labels, [c]).accuracy
        assert accuracy == pytest.approx((expected == labels).mean(), abs=0.01)


@pytest.mark.parametrize("data", [EASY, NOISY], ids=["easy", "noisy"])
def test_the_unit_and_the_origin_of_a_feature_do_not_matter(data):
    x, y, tested, labels = split(**data)
    scale, shift = np.geomspace(100, 0.01, x.shape[1]), np.linspace(-3, 3, x.shape[1])
    before = linear_probe(x, y, tested, labels, GRID)
    after = linear_probe(x * scale + shift, y, tested * scale + shift, labels, GRID)
    assert after.regularisation == before.regularisation
    assert after.accuracy == pytest.approx(before.accuracy, abs=1e-3)


def test_features_that_are_constant_do_not_matter():
    x, y, tested, labels = split(**NOISY)
    wider = [np.column_stack([part, np.full((len(part), 3), [0, 0.37, -5], np.float32)]) for part in (x, tested)]
    before = linear_probe(x, y, tested, labels, GRID)
    assert linear_probe(wider[0], y, wider[1], labels, GRID)[:2] == pytest.approx(before[:2], abs=1e-3)


def test_the_test_split_decides_nothing_but_the_accuracy():
    """Test images on which the choice by cross-validation is the worst one: it is made all the same."""
    x, y, tested, labels = split(**NOISY)
    chosen = linear_probe(x, y, tested, labels, GRID).regularisation
    against = fit(x.astype(float), y, GRID[-1])(tested.astype(float))
    assert linear_probe(x, y, 50 * tested - 7, labels[::-1], GRID).regularisation == chosen
    assert linear_probe(x, y, tested, against, GRID).regularisation == chosen != GRID[-1]
    accuracies = [linear_probe(x, y, tested, against, [c]).accuracy for c in GRID]
    assert linear_probe(x, y, tested, against, GRID).accuracy == accuracies[GRID.index(chosen)] < max(accuracies)


def test_the_order_of_the_test_images_and_the_names_of_the_classes_do_not_matter():
    x, y, tested, labels = split(**EASY)
    before = linear_probe(x, y, tested, labels, GRID)
    backwards = linear_probe(x, y, tested[::-1], labels[::-1], GRID)
    assert backwards[:2] == before[:2] and np.array_equal(backwards.correct, before.correct[::-1])
    renamed = linear_probe(x, y + 7, tested, labels + 7, GRID)
    assert renamed[:2] == pytest.approx(before[:2], abs=1e-3)


def test_labels_that_mean_nothing_are_judged_at_chance():
    rng = np.random.default_rng(0)
    x, _, tested, _ = split(**EASY)
    found = [
        linear_probe(x, rng.permutation(np.arange(300) % 4), tested, rng.permutation(np.arange(2000) % 4), GRID)
        for _ in range(5)
    ]
    assert np.mean([probe.accuracy for probe in found]) == pytest.approx(0.25, abs=0.02)


def test_a_fit_that_does_not_converge_is_no_failure(monkeypatch, recwarn):
    monkeypatch.setattr(transfer, "ITERATIONS", 2)
    x, y, tested, labels = split(**EASY)
    assert linear_probe(x, y, tested, labels, [1e6]).accuracy > 0.5
    assert not recwarn.list
