"""What the test images themselves tell of the ground truth: its noise, and what is left without the winner's curse.

Every function takes whether rung r classifies test image i right, so the rungs share the images and their errors are
paired. Arguments that recur:

``correct`` : bool array, shape (R, N)
    Whether rung r classifies test image i right.
``labels`` : int array, shape (N,)
    Class of each test image.
``groups`` : int array, shape (N,)
    Images of one group were sampled together and stay together: the frames of one track of GTSRB, say; where images
    are independent, ``numpy.arange(N)``. A group lies in one class.

Accuracy is the mean of the per-class accuracies, which does not change with the class mix of the test set.
"""

from itertools import product
from typing import NamedTuple

import numpy as np

from tepones.agreement.correlations import as_pair, weighted_tau
from tepones.common.errors import UsageError

# Accuracies that differ by less than 10^-9 are one number computed in another order.
_DECIMALS = 9
# What is held possible before the accuracies are seen: the true spread of the rungs that are close to each other, in
# units of the noise of one rung (less than the first can hardly be told from none), and their share of the rungs.
_SPREADS, _SHARES = (0.4, 0.8, 1.6, 3.2, 6.4), (0.5, 0.75, 1)
# Where the close rungs may lie: so far from one of the observed accuracies, in the same units.
_PLACES = (-1, -0.5, 0, 0.5, 1)
# κ in the notes of `perfect_score`, in units of all other variances.
_COMMON = 100


def halves(labels, groups, splits: int, seed: int = 0) -> np.ndarray:
    """Random halves of the test images that keep groups whole and classes even.

    Parameters
    ----------
    labels, groups : array_like of int, shape (N,)
        Class and group of each test image; a group lies in one class, and there are at least two groups.
    splits : int
        How many times the images are split, at least once.
    seed : int
        Of the draws.

    Returns
    -------
    ndarray of bool, shape (splits, N)
        True for one half, False for the other. Of every class each half has half the groups; the odd group of a class
        goes to either half with equal chance, and the odd groups of all classes are spread evenly over the halves, so
        that no half is ever empty.

    Raises
    ------
    UsageError
        If the arrays do not fit each other, a group lies in two classes, or there are fewer than two groups.

    Notes
    -----
    Groups are counted, not images. A class with a single group is absent from one half: the accuracy of a half is
    the mean over the classes that it has. Cost: splits × groups × log(groups).
    """
    label, group = _checked_images(labels, groups)
    return _halves(label, group, splits, seed)


def cross_fitted_regret(score, correct, labels, groups, splits: int = 20, seed: int = 0) -> float | np.ndarray:
    """Accuracy lost by trusting a score, against the rung that is best on *other* test images.

    The rung that is best on one half of the test images is compared with the rung that the score chooses, both judged
    on the other half; the mean over both directions and all splits. `regret` compares with the highest of several noisy
    accuracies instead, which lies above the best true accuracy (the winner's curse) and so charges every score, even
    a perfect one, with regret.

    Parameters
    ----------
    score : array_like, shape (..., R)
        Higher = predicted better. Several scores of the same rungs share the splits.
    correct : array_like of bool, shape (R, N)
        Whether rung r classifies test image i right.
    labels, groups : array_like of int, shape (N,)
        Class and group of each test image; a group lies in one class, and there are at least two groups.
    splits : int
        How many times the images are split (`halves`).
    seed : int
        Of the splits.

    Returns
    -------
    float, or ndarray of the leading shape
        Accuracy points in [-100, 100]. Its expectation is the true accuracy of a rung chosen by half the test images
        minus that of the rung chosen by the score: negative for a score that chooses better than those images.

    Raises
    ------
    UsageError
        If the arrays do not fit each other, a score is not finite, a group lies in two classes, or there are fewer
        than two groups.

    Notes
    -----
    Where the score, or the accuracy on a half, ties for its highest, the mean over the tied rungs counts, as in
    `regret`. The rung that half of the images find is on average a little worse than the truly best one, so the regret
    against that one is underestimated, for all scores by the same amount: differences between scores are not touched.
    Cost: splits × R × N, once for all scores.
    """
    correct, label, group = _checked(correct, labels, groups)
    half = _halves(label, group, splits, seed)
    score, _ = as_pair(score, np.zeros(len(correct)))
    accuracy = _accuracies(correct, label, np.concatenate([half, ~half]))
    judged = np.roll(accuracy, splits, axis=0)  # of every half, the accuracies on the other
    best = (_favourites(accuracy) * judged).sum(axis=-1).mean()
    lost = 100 * (best - _favourites(score) @ judged.mean(axis=0))
    return float(lost) if score.ndim == 1 else lost


def noise(correct, labels, groups) -> np.ndarray:
    """Covariance of the errors that the rungs' accuracies have because other test images might have been drawn.

    Parameters
    ----------
    correct : array_like of bool, shape (R, N)
        Whether rung r classifies test image i right.
    labels, groups : array_like of int, shape (N,)
        Class and group of each test image; a group lies in one class.

    Returns
    -------
    ndarray, shape (R, R)
        In squared fractions; symmetric, no eigenvalue below 0.

    Raises
    ------
    UsageError
        If the arrays do not fit each other or a group lies in two classes.

    Notes
    -----
    Classes are strata. In class c, with G groups, n images and accuracy p (all rungs at once), the group's residual is
    e_g = Σ_{i in g} (correct_i − p). As p is a ratio of two sums over independent groups (right images, images), its
    error is Σ_g e_g/n to first order, and its covariance is estimated by G/(G − 1) · Σ_g e_g e_gᵀ/n². That of the mean
    over C classes is the sum over the classes, divided by C². A class with a single group contributes the binomial
    covariance of its images as if they were independent, which is too small if they resemble each other; a class with
    a single image contributes nothing. Cost: R × N + R² × groups.
    """
    return _covariance(*_checked(correct, labels, groups))


class PerfectScore(NamedTuple):
    """What a score that knows the true accuracies would reach against the observed ones.

    Attributes
    ----------
    tau : float
        Expected weighted τ of the true accuracies with the observed ones.
    regret : float
        Expected naive regret (`regret`) of the truly best rung, in accuracy points: the winner's curse.
    """

    tau: float
    regret: float


def perfect_score(correct, labels, groups, draws: int = 200, seed: int = 0) -> PerfectScore:
    """How well a score could do at best, given how noisy the observed accuracies are: the ceiling of a perfect score.

    `noise_ceiling` compares repeated computations of the ground truth with each other; this needs only one.

    Parameters
    ----------
    correct : array_like of bool, shape (R, N)
        Whether rung r classifies test image i right; R >= 2.
    labels, groups : array_like of int, shape (N,)
        Class and group of each test image; a group lies in one class.
    draws : int
        True accuracies, each with new observations, that are drawn; the means over 200 are within about 0.02 of the
        means over infinitely many.
    seed : int
        Of the draws.

    Returns
    -------
    PerfectScore
        τ is NaN where there is no order to find, since all rungs are right on the same images. Where the images merely
        cannot tell the rungs apart, they do not show that these are equal either, and τ stays above 0 (see the notes).

    Raises
    ------
    UsageError
        If the arrays do not fit each other, a group lies in two classes, or there are fewer than two rungs.

    Notes
    -----
    The observed accuracies are the true ones plus errors with the covariance V of `noise`, so they spread more than the
    true ones, among close rungs relatively more than among distant ones. Taken for the true ones, or all shrunk by one
    factor, they overestimate τ by 0.2 where most rungs are about as good as each other and a few have collapsed. So the
    true accuracies are drawn from their posterior. Before the data, a share of 1/2, 3/4 or all of the rungs lies
    normally about one unknown place, with a spread of 0.4 to 6.4 times the noise of one rung, and the others about the
    same place with the range of the observed accuracies; all of this is averaged over, weighted by the likelihood, in
    which the errors of the rungs count as exchangeable. Given the spreads, the true accuracies follow from the normal
    distribution with all of V: a draw x from the prior, with the covariance T, becomes
    x + T (T + V + κ11ᵀ)⁻¹ (observed − x − e) with a draw e of the errors, which has the mean and the covariance of the
    posterior; κ is large, so that what all rungs have in common does not count. Neither sparsities nor the order of the
    rungs play a part.

    Measured on simulated test images, estimate minus truth in the mean over many data sets. Ladders shaped as the
    recorded ones, 12 rungs or the first 8, at 500, 1,000, 2,500 and 5,000 images: τ (true: 0.50 to 0.85) −0.03 to
    +0.04, with a root mean square error of 0.06 to 0.12 for one data set; regret (true: 0.1 to 1.0 points) −0.17 to
    +0.01. Single shapes, at 500 to 4,000 images: flat, then falling −0.08 to +0.11; a hump −0.10 to +0.02; evenly
    falling −0.08 to −0.03; a range of one or two points −0.10 to +0.18. The flatter the ladder, the more τ is
    overestimated, and the regret underestimated, by up to two fifths: rungs that are exactly equal (true τ: 0) are
    given 0.4, since small differences cannot be excluded.

    Cost: about 5 ms for 12 rungs and 1,000 images.
    """
    correct, label, group = _checked(correct, labels, groups)
    if len(correct) < 2:
        raise UsageError("one rung has no order; at least two rungs are needed")
    if draws < 1:
        raise UsageError(f"draws is {draws}; at least one is needed")
    rng = np.random.default_rng(seed)
    accuracy = _accuracies(correct, label, np.ones((1, len(label)), dtype=bool))[0]
    covariance = _covariance(correct, label, group)
    true = _posterior(accuracy, covariance, draws, rng).round(_DECIMALS)
    observed = (true + _normal(covariance, draws, rng)).round(_DECIMALS)
    lost = (_favourites(true) * (observed.max(axis=1, keepdims=True) - observed)).sum(axis=1)
    return PerfectScore(float(weighted_tau(true, observed).mean()), float(100 * lost.mean()))


def _posterior(accuracy: np.ndarray, covariance: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Draw true accuracies, up to a constant and of shape (draws, R), as the notes of `perfect_score` say."""
    variance = np.diag(covariance)
    pairs = np.triu_indices(len(accuracy), 1)
    # Half the variance of the difference of two rungs, which is that of one rung without what the two have in common.
    unit = np.sqrt(np.mean((variance[:, None] + variance - 2 * covariance)[pairs]) / 2)
    if unit < 10**-_DECIMALS:
        return np.tile(accuracy, (draws, 1))
    spread = unit * _spreads(accuracy / unit, draws, rng)
    prior = spread * rng.standard_normal(spread.shape)
    unlike = accuracy - prior - _normal(covariance, draws, rng)
    common = _COMMON * (spread.max() ** 2 + variance.sum())
    total = spread[:, :, None] ** 2 * np.eye(len(accuracy)) + covariance + common
    return prior + spread**2 * np.linalg.solve(total, unlike[..., None])[..., 0]


def _spreads(z: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Draw how widely the likes of every rung are spread, shape (draws, R), in units of noise as the accuracies z."""
    places = (z[:, None] + _PLACES).ravel()
    place, close, share = (column[:, None] for column in np.array([*product(places, _SPREADS, _SHARES)]).T)
    far = np.maximum(np.ptp(z), 2 * close)

    def density(spread: np.ndarray) -> np.ndarray:
        variance = 1 + spread**2
        return np.exp(-((z - place) ** 2) / (2 * variance)) / np.sqrt(variance)

    of_close, of_any = share * density(close), share * density(close) + (1 - share) * density(far)
    with np.errstate(divide="ignore"):
        likelihood = np.log(of_any).sum(axis=1)
    weight = np.exp(likelihood - likelihood.max())
    drawn = rng.choice(len(weight), draws, p=weight / weight.sum())
    is_close = rng.random((draws, len(z))) * of_any[drawn] < of_close[drawn]
    return np.where(is_close, close[drawn], far[drawn])


def _normal(covariance: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Normal draws with mean 0, shape (draws, R); the covariance may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    values[values < values[-1] * 10**-_DECIMALS] = 0  # rungs that are right on the same images must err alike
    return rng.standard_normal((draws, len(values))) @ (vectors * np.sqrt(values)).T


def _favourites(values: np.ndarray) -> np.ndarray:
    """Weights, adding up to 1 along the last axis, that the highest values share equally."""
    highest = values == values.max(axis=-1, keepdims=True)
    return highest / highest.sum(axis=-1, keepdims=True)


def _accuracies(correct: np.ndarray, label: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Accuracies of the rungs on each of the sets of images in `inside` (sets, N), shape (sets, R)."""
    counts = np.array([np.bincount(label[one], minlength=label.max() + 1) for one in inside])
    each = (counts > 0).sum(axis=1, keepdims=True) * np.take(counts, label, axis=1)
    weights = np.divide(inside, each, out=np.zeros(each.shape), where=inside)
    # Rounded, so that rungs that are equally good are equal, and no accuracy is above 1.
    return (weights @ correct.T.astype(float)).round(12)


def _halves(label: np.ndarray, group: np.ndarray, splits: int, seed: int) -> np.ndarray:
    if splits < 1:
        raise UsageError(f"splits is {splits}; at least one is needed")
    n_groups = group.max() + 1
    if n_groups < 2:
        raise UsageError("the test images form a single group; halves need at least two groups")
    rng = np.random.default_rng(seed)
    of_group = _class_of(group, label)
    size = np.bincount(of_group)
    # Every class has its groups in random order; they go to the two halves in turn.
    order = np.lexsort((rng.random((splits, n_groups)), np.tile(of_group, (splits, 1))))
    turn = np.arange(n_groups) - np.repeat(np.cumsum(size) - size, size)
    # The first half begins, or the second: where the class has an odd number of groups, it gets one more.
    odd = size % 2 == 1
    begins = np.zeros((splits, len(size)), dtype=int)
    spread = np.tile(np.arange(odd.sum()), (splits, 1)) + rng.integers(2, size=(splits, 1))
    begins[:, odd] = rng.permuted(spread, axis=1)
    side = np.empty((splits, n_groups), dtype=bool)
    np.put_along_axis(side, order, (turn + np.repeat(begins, size, axis=1)) % 2 == 0, axis=1)
    return side[:, group]


def _covariance(correct: np.ndarray, label: np.ndarray, group: np.ndarray) -> np.ndarray:
    images = np.bincount(label)
    single = np.bincount(_class_of(group, label)) == 1
    # Each image of a class with a single group is a unit of its own.
    units = np.where(single[label], group.max() + 1 + np.arange(len(group)), group)
    unit = np.unique(units, return_inverse=True)[1]
    of_unit = _class_of(unit, label)
    n_units = np.bincount(of_unit)
    residual = np.empty(correct.shape)
    for c in range(len(images)):
        of_class = correct[:, label == c]
        residual[:, label == c] = of_class - of_class.mean(axis=1, keepdims=True)
    # A class of a single unit has no residual.
    scale = np.sqrt(n_units / np.maximum(n_units - 1, 1)) / (images * len(images))
    scaled = np.array([np.bincount(unit, weights=row) for row in residual]) * scale[of_unit]
    return scaled @ scaled.T


def _class_of(group: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Class of each group, from the group and the class of each image."""
    found = np.empty(group.max() + 1, dtype=int)
    found[group] = label
    return found


def _checked(correct, labels, groups) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the three arrays, with classes and groups numbered from 0, or refuse them in one line."""
    correct = np.asarray(correct)
    if correct.ndim != 2 or correct.dtype != bool or 0 in correct.shape:
        raise UsageError(f"correct is {correct.dtype} of shape {correct.shape}; booleans, rungs × images, are needed")
    label, group = _checked_images(labels, groups)
    if len(label) != correct.shape[1]:
        raise UsageError(f"{len(label)} labels for {correct.shape[1]} test images")
    return correct, label, group


def _checked_images(labels, groups) -> tuple[np.ndarray, np.ndarray]:
    labels, groups = np.asarray(labels), np.asarray(groups)
    for name, numbers in (("labels", labels), ("groups", groups)):
        if numbers.ndim != 1 or not np.issubdtype(numbers.dtype, np.integer) or numbers.size == 0:
            raise UsageError(f"{name} is {numbers.dtype} of shape {numbers.shape}; one integer per image is needed")
    if len(labels) != len(groups):
        raise UsageError(f"{len(labels)} labels and {len(groups)} groups; both are of the same test images")
    label, group = (np.unique(numbers, return_inverse=True)[1] for numbers in (labels, groups))
    mixed = np.flatnonzero(_class_of(group, label)[group] != label)
    if mixed.size:
        raise UsageError(f"group {groups[mixed[0]]} lies in two classes; a group must lie in one")
    return label, group
