"""What the luck of dense backbones does to a claim: against studies whose backbones' luck is known."""

import math

import numpy as np
import pandas as pd
import pytest

from tepones.companion import study
from tepones.companion.claims import families, ledger
from tepones.companion.claims.ledger import Claim

KEPT = Claim(
    claim="c", source="s", words="w", unit="u", threshold=-1, margin=0.1, side="above", profiles=("tiny",),
    statistic="change from dense", arguments={"low": 0.4, "high": 0.6},
)  # fmt: skip


def frame(changes, ladders_each=2):
    """Ladders of one rung; the change from dense is that of their dense backbone, in points."""
    rows = []
    for number, change in enumerate(changes):
        for copy in range(ladders_each):
            about = {"ladder": f"m {number} {copy}", "method": "m", "seed": number, "source_accuracy": 0.5}
            about |= {"score": "gaussian", "value": 0.0, "unit": f"u {number}", "protocol": "probe"}
            for target in ("near", "far"):
                rows.append(about | {"rung": 0, "sparsity": 0.0, "target": target, "accuracy": 0.5})
                rows.append(about | {"rung": 1, "sparsity": 0.5, "target": target, "accuracy": 0.5 + change / 100})
    return pd.DataFrame(rows)


def test_the_standard_error_is_that_of_the_mean_of_dense_backbones_however_many_ladders_they_have():
    changes = np.random.default_rng(0).normal(0, 2, 7)
    expected = changes.std(ddof=1) / math.sqrt(7)
    for ladders_each in (1, 3):
        found = families.standard_error(KEPT, frame(changes, ladders_each))
        assert found.value == pytest.approx(expected) and found.freedom == 6


def test_one_dense_backbone_does_not_tell_how_they_vary():
    found = families.standard_error(KEPT, frame([1.0]))
    assert math.isnan(found.value) and found.freedom == 0


def test_a_claim_that_needs_every_dense_backbone_has_no_standard_error():
    """The rung is chosen by the other ladders of a method: without one of two there is none."""
    claim = KEPT.model_copy(update={"statistic": "gain over dense", "arguments": {}})
    found = families.standard_error(claim, frame([1.0, 2.0], ladders_each=1))
    assert math.isnan(found.value)
    assert families.verdicts_without(claim, frame([1.0, 2.0], ladders_each=1), "tiny") == {
        "u 0": "not tested",
        "u 1": "not tested",
    }


def test_a_verdict_that_hangs_on_one_dense_backbone_is_found():
    table = frame([0.4, 0.5, 0.6, 0.45, -9.0])
    assert ledger.judge(KEPT, table, "tiny")["verdict"] == "undecided"
    found = families.verdicts_without(KEPT, table, "tiny")
    assert found.pop("u 4") == "supported"
    assert found == dict.fromkeys(("u 0", "u 1", "u 2", "u 3"), "undecided")


@pytest.mark.parametrize("names", ["its methods", "the methods of its statistic"])
def test_only_dense_backbones_that_a_claim_is_about_are_left_out(names):
    """To leave others out changes nothing: they would count as backbones that all say the same."""
    changes = [1.0, 2.0, 4.0]
    others = frame([5.0, 5.5]).assign(method="other").replace({"unit": {"u 0": "o 0", "u 1": "o 1"}})
    if names == "its methods":
        claim = KEPT.model_copy(update={"only": {"method": ("m",)}})
        table = pd.concat([frame(changes, 1), others])
    else:
        arguments = {"method": "m", "over": "n", "low": 0.4, "high": 0.6}
        claim = KEPT.model_copy(update={"statistic": "advantage of method", "arguments": arguments})
        base = frame([0.0] * 3, 1).assign(method="n")
        base["ladder"] = "n " + base["ladder"]
        table = pd.concat([frame(changes, 1), base, others])
    found = families.standard_error(claim, table)
    assert found.value == pytest.approx(np.std(changes, ddof=1) / math.sqrt(3)) and found.freedom == 2
    assert set(families.verdicts_without(claim, table, "tiny")) == {"u 0", "u 1", "u 2"}


def test_a_claim_that_cannot_be_tested_has_no_verdict_without_a_backbone_either():
    claim = KEPT.model_copy(update={"only": {"method": ("absent",)}})
    assert families.verdicts_without(claim, frame([1.0, 2.0]), "tiny") == {}
    assert math.isnan(families.standard_error(claim, frame([1.0, 2.0])).value)


def test_the_dense_backbones_of_embedded_are_its_seeds():
    rungs = study.load("embedded")["rungs"]
    of_ladder, seeds = study.units(rungs), dict(zip(rungs["ladder"], rungs["seed"], strict=True))
    assert set(of_ladder) == set(seeds)
    assert len({(of_ladder[ladder], seeds[ladder]) for ladder in seeds}) == len(set(of_ladder.values())) == 5


def test_a_claim_is_on_embedded_only_if_its_verdict_survives_without_any_dense_backbone():
    measured = ledger.measurements("embedded")
    for claim in ledger.claims():
        if isinstance(claim, Claim) and "embedded" in claim.profiles:
            verdict = ledger.judge(claim, measured, "embedded")["verdict"]
            assert verdict != "not tested", claim.claim
            without = families.verdicts_without(claim, measured, "embedded")
            assert len(without) == 5 and set(without.values()) == {verdict}, claim.claim
