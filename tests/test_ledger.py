"""The ledger: verdicts follow from the data, and only from the data."""

import numpy as np
import pandas as pd
import pytest

from tepones import ledger
from tepones.errors import UsageError
from tepones.ledger import Claim, judge

SPARSITIES = (0.0, 0.5, 0.8, 0.9, 0.95)


def study(hump=3.0, agreement=1.0, n_ladders=4, noise=0.1, seed=0):
    """A tidy frame: accuracy gains `hump` points at 80 % sparsity; the score follows it (or runs against it)."""
    rng = np.random.default_rng(seed)
    rows = []
    for ladder in range(n_ladders):
        for target in ("far", "near"):
            accuracy = 0.8 + np.array([0, 0.4, 1, 0.3, -0.8]) * hump / 100 + rng.normal(0, noise / 100, 5)
            for rung, (sparsity, value) in enumerate(zip(SPARSITIES, accuracy, strict=True)):
                about = {"ladder": f"magnitude {ladder}", "method": "magnitude", "seed": ladder, "rung": rung}
                about |= {"sparsity": sparsity, "source_accuracy": 0.9 - 0.01 * rung, "target": target}
                about |= {"accuracy": value}
                rows.append(about | {"score": "gaussian", "value": agreement * value})
                rows.append(about | {"score": "sparsity", "value": -sparsity})
    return pd.DataFrame(rows)


def claim(**fields):
    base = {"claim": "c", "source": "s", "words": "w", "unit": "u", "threshold": 0, "side": "above"}
    base |= {"statistic": "gain over dense", "profiles": ("tiny",)}
    return Claim(**(base | fields))


GAIN = claim()
RANKS = claim(statistic="agreement", arguments={"score": "gaussian"})


@pytest.mark.parametrize(
    ("the_claim", "for_it", "against_it"),
    [
        (GAIN, study(hump=3), study(hump=-3)),
        (RANKS, study(agreement=1), study(agreement=-1)),
        (claim(side="below", threshold=1), study(hump=-3), study(hump=3)),
    ],
)
def test_flipping_the_data_flips_the_verdict(the_claim, for_it, against_it):
    assert judge(the_claim, for_it, "tiny")["verdict"] == "supported"
    assert judge(the_claim, against_it, "tiny")["verdict"] == "contradicted"


def test_noise_supports_nothing():
    verdicts = {judge(GAIN, study(hump=0, noise=1, seed=seed), "tiny")["verdict"] for seed in range(5)}
    assert verdicts == {"not supported"}


def test_estimate_and_interval_surround_the_truth():
    row = judge(GAIN, study(hump=3, noise=0.1), "tiny")
    assert row["low"] < 3 < row["high"] and row["estimate"] == pytest.approx(3, abs=0.3)
    assert row["basis"] == "4 ladders × 2 targets"


def test_the_gain_is_not_the_best_of_noise():
    """Taking each ladder's own best rung would find about one standard deviation of gain where there is none."""
    gains = [judge(GAIN, study(hump=0, noise=1, seed=seed), "tiny")["estimate"] for seed in range(20)]
    assert abs(np.mean(gains)) < 0.5


@pytest.mark.parametrize(
    ("fields", "frame", "reason"),
    [
        ({"profiles": ("natural",)}, study(), "not meant for profile tiny"),
        ({"methods": ("lottery",)}, study(), "no ladder"),
        ({}, study(n_ladders=1), "no ladder"),
        ({"statistic": "agreement", "arguments": {"score": "gaussian"}}, study(n_ladders=1), "one ladder"),
    ],
)
def test_a_claim_without_data_is_not_tested(fields, frame, reason):
    row = judge(claim(**fields), frame, "tiny")
    assert row["verdict"] == "not tested" and reason in row["reason"] and row["estimate"] is None


def test_targets_and_methods_limit_the_data():
    row = judge(claim(targets=("far",)), study(), "tiny")
    assert row["basis"] == "4 ladders × 1 targets"


def test_there_is_no_field_for_a_verdict():
    with pytest.raises(ValueError, match="Extra inputs"):
        claim(verdict="supported")


def test_the_committed_claims_are_valid():
    assert len(ledger.claims()) >= 5


ENTRY = """
- claim: one
  source: a
  words: b
  statistic: agreement
  arguments: {score: gaussian}
  side: above
  threshold: 0
  unit: x
  profiles: [tiny]
"""


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            ENTRY.replace("agreement", "astrology"),
            "claim one: unknown statistic 'astrology'; choose from: advantage",
        ),
        (ENTRY.replace("tiny", "huge"), "claim one: unknown profile 'huge'; choose from: embedded"),
        (ENTRY.replace("above", "left"), "claim one: side"),
        (ENTRY.replace("threshold: 0", "threshold: low"), "claim one: threshold"),
        (ENTRY + ENTRY, "claim one appears twice"),
        (ENTRY + "  verdict: supported\n", "claim one: verdict"),
        ("- nonsense\n", "claim number 1"),
    ],
)
def test_a_bad_claim_is_refused_in_one_line(checkout, text, complaint):
    (checkout / "data" / "claims.yaml").write_text(text)
    with pytest.raises(UsageError, match=complaint) as caught:
        ledger.claims()
    assert "\n" not in str(caught.value)
