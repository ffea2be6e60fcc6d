"""Comparing ladders at matched sparsity: the summary covers the truth and its test holds its level."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from tepones.agreement import between_summary, weighted_tau
from tepones.agreement.between import _agreement
from tepones.common.errors import UsageError

STUDIES = 500


def numbers(rng, ladders, signal, levels=3, targets=4):
    """Ladders of different quality; the score sees it with an error that belongs to the ladder."""
    shape = (ladders, levels, targets)
    quality = rng.normal(size=(ladders, 1, 1)) + 0.5 * rng.normal(size=(ladders, 1, targets))
    accuracy = quality + 0.3 * rng.normal(size=shape)
    value = signal * quality + rng.normal(size=(ladders, 1, 1)) + 0.5 * rng.normal(size=shape)
    return value, 1 / (1 + np.exp(-accuracy))


def study(rng, ladders, signal):
    """The same as a tidy table."""
    value, accuracy = numbers(rng, ladders, signal)
    ladder, level, target = np.indices(value.shape).reshape(3, -1)
    return pd.DataFrame(
        {
            "ladder": ladder,
            "method": "magnitude",
            "seed": 0,
            "rung": level,
            "sparsity": level / 10,
            "source_accuracy": 0.5,
            "target": target,
            "score": "s",
            "value": value.ravel(),
            "accuracy": accuracy.ravel(),
        }
    )


@pytest.mark.parametrize("signal", [0, 1])
def test_the_interval_covers_and_the_permutation_of_ladders_holds_its_level(signal):
    rng = np.random.default_rng(signal)
    # Independent studies side by side, as if each were one score: (study, level, target, ladder).
    studies = [numbers(rng, 4, signal) for _ in range(STUDIES)]
    value, accuracy = (np.array(each).transpose(0, 2, 3, 1) for each in zip(*studies, strict=True))
    found = _agreement(value, accuracy)
    low, high, tau, p = (found[name] for name in ("low", "high", "weighted_tau", "p"))
    truth = 0 if signal == 0 else tau.mean()  # its standard error is far below the intervals' width
    assert ((low <= truth) & (truth <= high)).mean() >= 0.90
    if signal == 0:
        assert (p <= 0.05).mean() <= 0.08
    else:
        assert (p <= 0.05).mean() > 0.2


def mean_tau(frame):
    """Level by level and target by target, how the ladders rank."""
    cells = frame.groupby(["sparsity", "target"])
    return np.mean([weighted_tau(cell["value"], cell["accuracy"]) for _, cell in cells])


def test_summary_is_the_mean_over_shared_levels_with_an_exact_test():
    frame = study(np.random.default_rng(4), 4, 1)
    row = between_summary(frame).iloc[0]
    assert row["weighted_tau"] == pytest.approx(mean_tau(frame))
    keys = ["ladder", "sparsity", "target"]
    value = frame.set_index(keys)["value"]
    means = []
    for order in permutations(range(4)):
        taken = [(order[ladder], *rest) for ladder, *rest in frame[keys].itertuples(index=False)]
        means.append(mean_tau(frame.assign(value=value.loc[taken].to_numpy())))
    assert row["p"] == np.mean(np.array(means) >= row["weighted_tau"] - 1e-9)
    leave = [mean_tau(frame[frame.ladder != j]) for j in range(4)]
    assert (row["lowest"], row["highest"]) == (pytest.approx(min(leave)), pytest.approx(max(leave)))
    # A ladder with a level of its own does not change what is shared.
    extra = frame[(frame.ladder == 0) & (frame.rung == 0)].assign(rung=9, sparsity=0.77)
    assert between_summary(pd.concat([frame, extra], ignore_index=True)).equals(between_summary(frame))


def test_a_score_that_is_the_same_on_all_ladders_has_no_ranking():
    frame = study(np.random.default_rng(5), 8, 1)
    both = pd.concat([frame, frame.assign(score="sparsity", value=-frame["sparsity"])], ignore_index=True)
    table = between_summary(both).set_index("score")
    assert table.loc["sparsity", ["weighted_tau", "low", "high", "p"]].isna().all()
    assert table.loc["sparsity", "no_ranking"] == 12
    assert 1 / 1000 <= table.loc["s", "p"] <= 1


def test_too_few_ladders_or_no_shared_level_are_refused():
    frame = study(np.random.default_rng(6), 3, 1)
    with pytest.raises(UsageError, match="2 ladders"):
        between_summary(frame[frame["ladder"] < 2])
    with pytest.raises(UsageError, match="no level"):
        between_summary(frame.assign(sparsity=frame["sparsity"] + frame["ladder"] / 100))
