"""What the luck of the dense backbones does to a claim: its estimate and verdict without each family of ladders.

Ladders that start from the same dense backbone are a family: they share what that backbone happens to be, so families,
not ladders, are what a repetition with other seeds would replace.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from tepones.companion.claims.ledger import Claim, judge, values
from tepones.companion.claims.statistic import NotTestable


def families(rungs: pd.DataFrame) -> dict[str, str]:
    """Family of each ladder: the cell of its dense rung, from the table `rungs` of a study."""
    dense = rungs[rungs["rung"] == 0]
    return dict(zip(dense["ladder"], dense["cell"], strict=True))


def verdicts_without(claim: Claim, frame: pd.DataFrame, profile: str, family: dict[str, str]) -> dict[str, str]:
    """Verdict on a claim with each family left out, by family."""
    return {name: str(judge(claim, part, profile)["verdict"]) for name, part in _without_each(claim, frame, family)}


class StandardError(NamedTuple):
    """Of an estimate.

    Attributes
    ----------
    value : float
        In the claim's unit; NaN if the claim cannot be tested without each of at least two families.
    freedom : int
        Degrees of freedom: one less than there are families.
    """

    value: float
    freedom: int


def standard_error(claim: Claim, frame: pd.DataFrame, family: dict[str, str]) -> StandardError:
    """How much a claim's estimate would differ from seed to seed: the jackknife over families.

    The jackknife's standard error is √((n − 1)/n · Σ(θᵢ − θ̄)²), of the n estimates θᵢ with one family left out
    (Efron and Tibshirani 1993, An Introduction to the Bootstrap, eq. 11.5).
    """
    parts = [part for _, part in _without_each(claim, frame, family)]
    try:
        estimates = [values(claim, part).to_numpy().mean() for part in parts]
    except NotTestable:
        estimates = []
    n = len(estimates)
    return StandardError(float(np.sqrt((n - 1) * np.var(estimates))) if n > 1 else math.nan, max(n - 1, 0))


def _without_each(claim: Claim, frame: pd.DataFrame, family: dict[str, str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Frame with each family left out that the claim is about."""
    methods = claim.only.get("method")
    about = frame[frame["method"].isin(methods)] if methods else frame
    of_rows = frame["ladder"].map(family)
    for name in about["ladder"].map(family).unique():
        yield name, frame[of_rows != name]
