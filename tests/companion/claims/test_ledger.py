"""The ledger: verdicts follow from the data, and only from the data."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest

from tepones.common import paths
from tepones.common.errors import TeponesError, UsageError
from tepones.companion.claims import ledger
from tepones.companion.claims.ledger import Claim, Untested, judge

SPARSITIES = (0.0, 0.5, 0.8, 0.9, 0.95)


def study(hump=3.0, agreement=1.0, n_ladders=4, noise=0.1, seed=0):
    """A tidy frame: accuracy gains `hump` points at 80 % sparsity; the score follows it (or runs against it)."""
    rng = np.random.default_rng(seed)
    rows = []
    for ladder in range(n_ladders):
        for target in ("far", "near"):
            accuracy = 0.8 + np.array([0, 0.4, 1, 0.3, 0.2]) * hump / 100 + rng.normal(0, noise / 100, 5)
            score = agreement * accuracy + rng.normal(0, 0.004, 5)
            for rung, sparsity in enumerate(SPARSITIES):
                about = {"ladder": f"magnitude {ladder}", "method": "magnitude", "seed": ladder, "rung": rung}
                about |= {"sparsity": sparsity, "source_accuracy": 0.9 - 0.01 * rung, "target": target}
                about |= {"accuracy": accuracy[rung]}
                rows.append(about | {"score": "gaussian", "value": score[rung]})
                rows.append(about | {"score": "sparsity", "value": -sparsity})
    return pd.DataFrame(rows)


def claim(**fields):
    base = {"claim": "c", "source": "s", "words": "w", "unit": "u", "threshold": 0, "side": "above"}
    base |= {"statistic": "gain over dense", "profiles": ("tiny",)}
    return Claim(**(base | fields))


GAIN = claim()
RANKS = claim(statistic="agreement", arguments={"score": "gaussian"})
COMMON = claim(statistic="gain at a common level")
KEPT = claim(statistic="change from dense", arguments={"low": 0.85, "high": 0.95}, threshold=-1)


@pytest.mark.parametrize(
    ("the_claim", "for_it", "against_it"),
    [
        (GAIN, study(hump=3), study(hump=-3)),
        (RANKS, study(agreement=1), study(agreement=-1)),
        (COMMON, study(hump=3), study(hump=-3)),
        (KEPT, study(hump=3), study(hump=-10)),
        (claim(side="below"), study(hump=-3), study(hump=3)),
    ],
)
def test_flipping_the_data_flips_the_verdict(the_claim, for_it, against_it):
    assert judge(the_claim, for_it, "tiny")["verdict"] == "supported"
    assert judge(the_claim, against_it, "tiny")["verdict"] == "contradicted"


def test_noise_supports_nothing():
    verdicts = [judge(GAIN, study(hump=0, noise=1, seed=seed), "tiny")["verdict"] for seed in range(40)]
    assert verdicts.count("not supported") >= 36


def test_estimate_and_interval_surround_the_truth():
    row = judge(GAIN, study(hump=3, noise=0.1), "tiny")
    assert row["low"] < 3 < row["high"] and row["estimate"] == pytest.approx(3, abs=0.3)
    assert row["basis"] == "4 ladders × 2 targets"


def test_intervals_stay_where_the_statistic_can_be():
    row = judge(RANKS, study(hump=5, noise=2), "tiny")
    assert row["low"] < row["estimate"] < row["high"] <= 1


def test_the_gain_is_not_the_best_of_noise():
    """Taking each ladder's own best rung would find about one standard deviation of gain where there is none."""
    gains = [judge(GAIN, study(hump=0, noise=1, seed=seed), "tiny")["estimate"] for seed in range(20)]
    assert abs(np.mean(gains)) < 0.5


@pytest.mark.parametrize(
    ("fields", "frame", "reason"),
    [
        ({"profiles": ("natural",)}, study(), "not meant for profile tiny"),
        ({"only": {"method": ("block",)}}, study(), "the study has no ladder of block"),
        ({"only": {"method": ("magnitude", "block")}}, study(), "the study has no ladder of block"),
        ({"only": {"target": ("digits",)}}, study(), "the study has no target digits"),
        ({"only": {"protocol": ("full",)}}, study(), "the study has no protocol full"),
        ({"only": {"architecture": ("resnet50",)}}, study(), "the study has no architecture resnet50"),
        ({}, study(n_ladders=1), "no ladder or target besides"),
        ({"statistic": "agreement", "arguments": {"score": "gaussian"}}, study(n_ladders=1), "one ladder"),
        ({"statistic": "agreement", "arguments": {"score": "entropi"}}, study(), "the study has no score entropi"),
        (
            {"statistic": "change from dense", "arguments": {"low": 0.6, "high": 0.7}},
            study(),
            "no rung between 60.00% and 70.00% sparsity",
        ),
        ({"statistic": "distance between methods", "arguments": {"low": 0.5, "high": 1}}, study(), "second method"),
        ({"statistic": "frozen above full"}, study(), "both protocols"),
        (
            {"statistic": "advantage of method", "arguments": {"method": "block", "over": "magnitude"}},
            study(),
            "the study has no ladder of block",
        ),
        (
            {"statistic": "change of source accuracy", "arguments": {"low": 0.5, "high": 1}},
            study().drop(columns="source_accuracy"),
            "no source accuracies",
        ),
        (
            {"statistic": "change of source accuracy", "arguments": {"low": 0.5, "high": 1}},
            study(),
            "all ladders and targets give the same number",
        ),
    ],
)
def test_a_claim_without_data_is_not_tested(fields, frame, reason):
    row = judge(claim(**fields), frame, "tiny")
    assert row["verdict"] == "not tested" and reason in row["reason"] and row["estimate"] is None


def test_targets_and_methods_limit_the_data():
    row = judge(claim(only={"target": ("far",), "method": ("magnitude",), "protocol": ("linear",)}), study(), "tiny")
    assert row["basis"] == "4 ladders × 1 target"


@pytest.mark.parametrize("kind", [Claim, Untested])
def test_there_is_no_field_for_a_verdict(kind):
    assert "verdict" not in kind.model_fields
    with pytest.raises(ValueError, match="Extra inputs"):
        claim(verdict="supported")


def test_the_committed_claims_are_valid():
    found = ledger.claims()
    keys = re.findall(r"^@\w+\{(\w+),", (paths.book() / "references.bib").read_text(), re.MULTILINE)
    sources = {claim.source for claim in found}
    assert sources <= {*keys, ledger.COMPANION}
    for word in ("tepones", "entropi", "secondorder", "sparse", "2025when", "lottery", "ticket"):
        assert any(word in source for source in sources), word
    assert {name for claim in found if isinstance(claim, Claim) for name in claim.profiles} >= {"embedded", "natural"}


def test_published_tables_are_judged_like_a_study():
    frame = ledger.measurements("published")
    sparse = frame[(frame["rung"] > 0) & frame["ladder"].str.startswith("resnet50")]
    dense = frame[frame["rung"] == 0].set_index(["ladder", "target"])["accuracy"].rename("dense")
    above = sparse.join(dense, on=["ladder", "target"]).query("accuracy > dense")["protocol"].value_counts()
    assert above.to_dict() == {"linear": 50, "full": 16}
    verdicts = ledger.ledger(frame, "published").set_index("claim")["verdict"]
    assert verdicts["methods differ, full"] == "supported"
    assert verdicts["better than dense, full"] == "contradicted"
    assert verdicts["tickets transfer, full"] == "not tested"


def flipped(frame):
    """Every accuracy on the other side of its dense one."""
    dense = frame[frame["rung"] == 0].set_index(["ladder", "target"])["accuracy"].rename("dense")
    frame = frame.join(dense, on=["ladder", "target"])
    return frame.assign(accuracy=2 * frame.pop("dense") - frame["accuracy"])


def test_flipping_the_published_numbers_flips_their_verdicts():
    frame = ledger.measurements("published")
    verdicts = ledger.ledger(flipped(frame), "published").set_index("claim")["verdict"]
    assert verdicts["better than dense, full"] == "supported"
    assert verdicts["as good as dense, full"] == "supported"


def test_a_planned_profile_has_no_records_and_an_unknown_one_is_refused():
    with pytest.raises(TeponesError, match="no published records of profile imagenet: it is planned, not built"):
        ledger.measurements("imagenet")
    with pytest.raises(UsageError, match="unknown profile 'huge'; choose from: embedded, imagenet"):
        ledger.measurements("huge")


def test_the_whole_ledger_has_a_row_for_each_claim_and_profile(checkout):
    shutil.rmtree(checkout / "data" / "records" / "natural", ignore_errors=True)
    verdicts = ledger.everywhere({"embedded": "live"})
    claims = ledger.claims()
    expected = [(c.claim, name) for c in claims for name in getattr(c, "profiles", ("",))]
    assert list(zip(verdicts["claim"], verdicts["profile"], strict=True)) == expected
    reasons = verdicts.set_index(["profile", "claim"])["reason"]
    assert set(reasons["natural"]) == {"no published records of profile natural yet"}
    assert set(reasons["embedded"]) == {"no live records of profile embedded yet"}
    assert (verdicts.loc[verdicts["verdict"] == "not tested", "reason"] != "").all()
    assert not verdicts["reason"].str.contains(str(checkout)).any()


def test_a_planned_profile_is_judged_once_its_records_exist(checkout):
    records = checkout / "data" / "records" / "natural"
    records.mkdir(parents=True, exist_ok=True)
    about = ["ladder", "rung", "method", "seed", "sparsity", "source_accuracy"]
    frame = study(hump=3)
    frame[about].drop_duplicates().to_csv(records / "rungs.csv", index=False)
    transfer = frame[["ladder", "rung", "target", "accuracy"]].drop_duplicates().assign(protocol="probe")
    transfer.to_csv(records / "transfer.csv", index=False)
    scores = frame[frame["score"] == "gaussian"][["ladder", "rung", "target", "score", "value"]]
    scores.to_csv(records / "scores.csv", index=False)
    profiles = checkout / "data" / "profiles"
    (profiles / "natural.yaml").write_text((profiles / "tiny.yaml").read_text())
    verdicts = ledger.everywhere().set_index(["profile", "claim"])["verdict"]
    assert verdicts["natural", "ranks without fine-tuning"] == "supported"
    assert verdicts["natural", "diagonal below block"] == "not tested"


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
        (ENTRY.replace("gaussian", "horoscope"), "claim one: unknown score 'horoscope'; choose from: active_features"),
        (ENTRY.replace("score:", "skore:"), "claim one: arguments of 'agreement': missing a required argument"),
        (ENTRY.replace("{score: gaussian}", "{score: [a]}"), "claim one: arguments.score"),
        (ENTRY + "  only: {metod: [a]}\n", "claim one: only.metod"),
        (ENTRY + "  untested: too hard\n", "claim one: (statistic|arguments): Extra inputs"),
        ("- {claim: one, source: a, words: b, untested: ''}\n", "claim one: untested"),
        (ENTRY.replace("above", "left"), "claim one: side"),
        (ENTRY.replace("threshold: 0", "threshold: low"), "claim one: threshold"),
        (ENTRY + ENTRY, "claim one appears twice"),
        (ENTRY + "  verdict: supported\n", "claim one: verdict"),
        ("- nonsense\n", "claim number 1"),
        ("- 7\n", "claim number 1"),
        ("claim: one\n", "claims.yaml: expected a list of claims"),
        ("- {claim: [}\n", "claims.yaml: not valid YAML"),
    ],
)
def test_a_bad_claim_is_refused_in_one_line(checkout, text, complaint):
    (checkout / "data" / "claims.yaml").write_text(text)
    with pytest.raises(UsageError, match=complaint) as caught:
        ledger.claims()
    assert "\n" not in str(caught.value)
