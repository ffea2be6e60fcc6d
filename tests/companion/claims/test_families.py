"""What the luck of dense backbones does to a claim: against studies whose backbones' luck is known."""

import math

import numpy as np
import pandas as pd
import pytest

from tepones.companion import study
from tepones.companion.claims import families, ledger
from tepones.companion.claims.ledger import Claim

RANKS = Claim(
    claim="c", source="s", words="w", unit="u", threshold=-1, side="above", profiles=("tiny",),
    statistic="change from dense", arguments={"low": 0.4, "high": 0.6},
)  # fmt: skip


def frame(changes, ladders_each=2):
    """Ladders of one rung; the change from dense is that of the family, in points."""
    rows = []
    for number, change in enumerate(changes):
        for copy in range(ladders_each):
            about = {"ladder": f"m {number} {copy}", "method": "m", "seed": number, "source_accuracy": 0.5}
            about |= {"score": "gaussian", "value": 0.0}
            for target in ("near", "far"):
                rows.append(about | {"rung": 0, "sparsity": 0.0, "target": target, "accuracy": 0.5})
                rows.append(about | {"rung": 1, "sparsity": 0.5, "target": target, "accuracy": 0.5 + change / 100})
    return pd.DataFrame(rows)


def family(table):
    return {ladder: ladder.rsplit(" ", 1)[0] for ladder in table["ladder"].unique()}


def test_the_standard_error_is_that_of_the_mean_of_families_however_many_ladders_they_have():
    changes = np.random.default_rng(0).normal(0, 2, 7)
    expected = changes.std(ddof=1) / math.sqrt(7)
    for ladders_each in (1, 3):
        table = frame(changes, ladders_each)
        found = families.standard_error(RANKS, table, family(table))
        assert found.value == pytest.approx(expected) and found.freedom == 6


def test_one_family_does_not_tell_how_families_vary():
    table = frame([1.0])
    found = families.standard_error(RANKS, table, family(table))
    assert math.isnan(found.value) and found.freedom == 0


def test_a_verdict_that_hangs_on_one_family_is_found():
    table = frame([0.4, 0.5, 0.6, 0.45, -9.0])
    assert ledger.judge(RANKS, table, "tiny")["verdict"] == "not supported"
    found = families.verdicts_without(RANKS, table, "tiny", family(table))
    assert found.pop("m 4") == "supported"
    assert set(found.values()) == {"not supported"}


def test_only_families_of_the_claims_methods_are_left_out():
    table = frame([1.0, 2.0, 3.0])
    other = frame([5.0]).assign(method="other").replace({"ladder": {"m 0 0": "o 0 0", "m 0 1": "o 0 1"}})
    both = pd.concat([table, other])
    claim = RANKS.model_copy(update={"only": {"method": ("m",)}})
    assert families.standard_error(claim, both, family(both)).freedom == 2


def test_a_family_is_what_starts_from_one_dense_backbone():
    rungs = study.load("embedded")["rungs"]
    found = families.families(rungs)
    seeds = dict(zip(rungs["ladder"], rungs["seed"], strict=True))
    assert set(found) == set(seeds)
    assert (
        len({(found[ladder], seeds[ladder]) for ladder in found})
        == len(set(found.values()))
        == len(set(seeds.values()))
    )


def test_a_claim_is_on_embedded_only_if_its_verdict_survives_without_any_family():
    tables = study.load("embedded")
    tidy, of = study.tidy(tables), families.families(tables["rungs"])
    for claim in ledger.claims():
        if isinstance(claim, Claim) and "embedded" in claim.profiles:
            verdict = ledger.judge(claim, tidy, "embedded")["verdict"]
            assert verdict != "not tested", claim.claim
            assert set(families.verdicts_without(claim, tidy, "embedded", of).values()) == {verdict}, claim.claim
