"""What the luck of the dense backbones does to a claim: its estimate and verdict without each of them.

All ladders that start from one dense backbone share what it happens to be, so dense backbones, not ladders, are what a
repetition with other seeds would replace. They are the units of a frame.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from tepones.companion.claims.ledger import Claim, judge, values
from tepones.companion.claims.statistic import NotTestable


def verdicts_without(claim: Claim, frame: pd.DataFrame, profile: str) -> dict[str, str]:
    """Verdict on a claim with each unit left out, by unit."""
    return {name: str(judge(claim, part, profile)["verdict"]) for name, part in _without_each(claim, frame)}


class StandardError(NamedTuple):
    """Of an estimate.

    Attributes
    ----------
    value : float
        In the claim's unit; NaN if the claim cannot be tested without each of at least two units.
    freedom : int
        Degrees of freedom: one less than there are units.
    """

    value: float
    freedom: int


def standard_error(claim: Claim, frame: pd.DataFrame) -> StandardError:
    """How much a claim's estimate would differ from seed to seed: the jackknife over units.

    The jackknife's standard error is √((n − 1)/n · Σ(θᵢ − θ̄)²), of the n estimates θᵢ with one unit left out
    (Efron and Tibshirani 1993, An Introduction to the Bootstrap, eq. 11.5).
    """
    parts = [part for _, part in _without_each(claim, frame)]
    try:
        estimates = [values(claim, part).to_numpy().mean() for part in parts]
    except NotTestable:
        estimates = []
    n = len(estimates)
    return StandardError(float(np.sqrt((n - 1) * np.var(estimates))) if n > 1 else math.nan, max(n - 1, 0))


def _without_each(claim: Claim, frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Frame with each unit left out that the claim's statistic is of; none if the claim cannot be tested."""
    try:
        units = values(claim, frame).index
    except NotTestable:
        return
    for unit in units:
        yield unit, frame[frame["unit"] != unit]
