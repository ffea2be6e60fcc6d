"""The ledger: verdicts follow from the data, and only from the data."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from simulated_photographs import simulate

from tepones import agreement as statistics
from tepones.common import paths
from tepones.common.errors import TeponesError, UsageError
from tepones.companion import study as studies
from tepones.companion.claims import ledger
from tepones.companion.claims.ledger import COMPANION, Claim, Unfinished, Untested, judge
from tepones.companion.study import profiles

SPARSITIES = (0.0, 0.5, 0.8, 0.9, 0.95)


def study(hump=3.0, agreement=1.0, n_ladders=4, noise=0.1, seed=0):
    """A tidy frame: accuracy gains `hump` points at 80 % sparsity; the score follows it (or runs against it).

    Every ladder has a dense backbone of its own.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for ladder in range(n_ladders):
        for target in ("far", "near"):
            accuracy = 0.8 + np.array([0, 0.4, 1, 0.3, 0.2]) * hump / 100 + rng.normal(0, noise / 100, 5)
            score = agreement * accuracy + rng.normal(0, 0.004, 5)
            for rung, sparsity in enumerate(SPARSITIES):
                about = {"ladder": f"magnitude {ladder}", "method": "magnitude", "seed": ladder, "rung": rung}
                about |= {"unit": f"dense {ladder}"}
                about |= {"sparsity": sparsity, "source_accuracy": 0.9 - 0.01 * rung, "target": target}
                about |= {"accuracy": accuracy[rung], "protocol": "probe"}
                rows.append(about | {"score": "gaussian", "value": score[rung]})
                rows.append(about | {"score": "sparsity", "value": -sparsity})
    return pd.DataFrame(rows)


def claim(**fields):
    base = {"claim": "c", "source": "s", "words": "w", "unit": "u", "threshold": 0, "margin": 1, "side": "above"}
    base |= {"statistic": "gain over dense", "profiles": ("tiny",)}
    return Claim(**(base | fields))


GAIN = claim()
RANKS = claim(statistic="agreement", arguments={"score": "gaussian"})
COMMON = claim(statistic="gain at a common level")
KEPT = claim(statistic="change from dense", arguments={"low": 0.85, "high": 0.95}, side="at least")


@pytest.mark.parametrize(
    ("the_claim", "for_it", "against_it"),
    [
        (GAIN, study(hump=3), study(hump=-3)),
        (RANKS, study(agreement=1), study(agreement=-1)),
        (COMMON, study(hump=3), study(hump=-3)),
        (KEPT, study(hump=3), study(hump=-10)),
        (claim(side="below"), study(hump=-3), study(hump=3)),
        (claim(side="at most"), study(hump=-3), study(hump=3)),
    ],
)
def test_flipping_the_data_flips_the_verdict(the_claim, for_it, against_it):
    assert judge(the_claim, for_it, "tiny")["verdict"] == "supported"
    assert judge(the_claim, against_it, "tiny")["verdict"] == "contradicted"


def test_noise_supports_nothing():
    verdicts = [judge(GAIN, study(hump=0, noise=1, seed=seed), "tiny")["verdict"] for seed in range(40)]
    assert verdicts.count("undecided") + verdicts.count("equivalent") >= 36


def test_estimate_and_interval_surround_the_truth():
    row = judge(GAIN, study(hump=3, noise=0.1), "tiny")
    assert row["low"] < 3 < row["high"] and row["estimate"] == pytest.approx(3, abs=0.3)
    assert row["basis"] == "4 dense backbones × 2 targets"


def test_what_the_design_detects_is_told_beside_the_verdict():
    precise, noisy = (judge(GAIN, study(noise=noise), "tiny") for noise in (0.1, 1))
    for row, noise in ((precise, 0.1), (noisy, 1)):
        assert row["detects"] == statistics.detectable(ledger.values(GAIN, study(noise=noise)).to_numpy())
    assert 0 < precise["detects"] < noisy["detects"]


def test_ladders_of_one_dense_backbone_count_once():
    """Twice as many ladders of the same backbones, and of the same accuracies, tell no more."""
    frame = study()
    doubled = pd.concat([frame, frame.assign(ladder="other " + frame["ladder"], method="other")])
    for one in (RANKS, KEPT):
        first, second = judge(one, frame, "tiny"), judge(one, doubled, "tiny")
        assert second == pytest.approx(first) and second["basis"] == "4 dense backbones × 2 targets"
    # Of unequal ladders of a backbone the mean counts.
    worse = frame.assign(ladder="other " + frame["ladder"], method="other")
    worse["accuracy"] -= 0.02 * (worse["rung"] > 0)
    whole = ledger.values(KEPT, frame)
    pd.testing.assert_frame_equal(ledger.values(KEPT, pd.concat([frame, worse])), whole - 1)


@pytest.mark.parametrize(
    ("side", "low", "high", "expected"),
    [
        ("above", 2.1, 9, "supported"),
        ("above", 2, 9, "undecided"),
        ("above", -5, 1.9, "contradicted"),
        ("above", 1.6, 1.9, "contradicted"),
        ("above", 1.6, 2.4, "equivalent"),
        ("above", 2.1, 2.4, "supported"),
        ("above", 1.6, 2.6, "undecided"),
        ("above", 1.4, 2.4, "undecided"),
        ("below", -9, 1.9, "supported"),
        ("below", 1.6, 1.9, "supported"),
        ("below", 2.1, 9, "contradicted"),
        ("below", 1.6, 2.4, "equivalent"),
        ("below", 1.4, 2.4, "undecided"),
        # Better than the threshold made worse by the margin is enough, and within the margin is no verdict of its own.
        ("at least", 1.6, 9, "supported"),
        ("at least", 1.6, 2.4, "supported"),
        ("at least", 1.4, 9, "undecided"),
        ("at least", 1.4, 1.9, "undecided"),
        ("at least", -9, 1.4, "contradicted"),
        ("at least", 1.2, 1.4, "contradicted"),
        ("at most", -9, 2.4, "supported"),
        ("at most", 1.6, 2.4, "supported"),
        ("at most", -9, 2.6, "undecided"),
        ("at most", 2.6, 9, "contradicted"),
        ("at most", 2.1, 2.6, "undecided"),
    ],
)
def test_verdicts_by_hand(side, low, high, expected):
    """Threshold 2, margin a half: intervals from `low` to `high`."""
    assert ledger.verdict(claim(side=side, threshold=2, margin=0.5), low, high) == expected


SIDES = ("above", "below", "at least", "at most")
#: Also numbers that coincide with each other and with the ends of margins.
NUMBERS = st.one_of(st.floats(-4, 4), st.integers(-4, 4).map(float))


@given(st.sampled_from(SIDES), NUMBERS, st.one_of(st.floats(0, 2), st.just(1.0)), NUMBERS, NUMBERS)
def test_every_interval_has_one_verdict_and_its_mirror_image_the_same_on_the_other_side(side, at, margin, one, other):
    low, high = sorted((one, other))
    found = ledger.verdict(claim(side=side, threshold=at, margin=margin), low, high)
    assert found in ledger.VERDICTS[:-1]
    mirrored = {"above": "below", "below": "above", "at least": "at most", "at most": "at least"}[side]
    assert ledger.verdict(claim(side=mirrored, threshold=-at, margin=margin), -high, -low) == found
    if found == "equivalent":
        assert side in ("above", "below") and at - margin < low <= at <= high < at + margin


@given(st.sampled_from(SIDES), NUMBERS, st.one_of(st.floats(0, 2), st.just(1.0)), NUMBERS, NUMBERS)
def test_another_verdict_is_as_far_away_as_the_slack_says(side, at, margin, one, other):
    low, high = sorted((one, other))
    the_claim = claim(side=side, threshold=at, margin=margin)
    here, slack = ledger.verdict(the_claim, low, high), ledger.slack(the_claim, low, high)

    def verdicts(step):
        return {ledger.verdict(the_claim, low + move, high + move) for move in (step, -step)}

    assert 0 <= slack < np.inf
    for share in (0.1, 0.5, 0.9, 1 - 1e-6):
        # A move is no nearer to another verdict than rounding lets it be.
        assert verdicts(max(0.0, slack * share - 1e-6)) == {here}
    assert verdicts(slack * (1 + 1e-6) + 1e-6) != {here}


@pytest.mark.parametrize(
    ("side", "low", "high", "expected"),
    [
        ("above", 2.1, 9, 0.1),  # then it holds the threshold
        ("above", -5, 1.75, 0.25),
        ("above", 1.75, 2.25, 0.25),  # equivalent: supported or contradicted are as near as the margin
        ("above", 1.7, 2.4, 0.1),  # equivalent: then it ends beyond the margin
        ("above", 1.0, 2.25, 0.25),  # undecided: then it is contradicted
        ("at least", 1.75, 9, 0.25),
        ("at least", 1.0, 1.25, 0.25),
        ("at most", 1.0, 2.25, 0.25),
    ],
)
def test_slack_by_hand(side, low, high, expected):
    """Threshold 2, margin a half, as above."""
    assert ledger.slack(claim(side=side, threshold=2, margin=0.5), low, high) == pytest.approx(expected)


def test_two_scores_that_rank_alike_everywhere_are_equivalent_and_any_difference_would_tell():
    """The difference is 0 in every cell, and so is its interval."""
    the_claim = claim(statistic="advantage in agreement", arguments={"score": "gaussian", "over": "same"}, margin=0.05)
    frame = study()
    same = frame[frame["score"] == "gaussian"].assign(score="same")
    row = judge(the_claim, pd.concat([frame, same]), "tiny")
    assert (row["verdict"], row["low"], row["high"], row["slack"]) == ("equivalent", 0, 0, pytest.approx(0, abs=1e-6))


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
        ({"protocol": "fine-tuning"}, study(), "the study has no accuracies by fine-tuning"),
        ({"only": {"architecture": ("resnet50",)}}, study(), "the study has no architecture resnet50"),
        ({}, study(n_ladders=1), "no ladder or target besides"),
        ({"statistic": "agreement", "arguments": {"score": "gaussian"}}, study(n_ladders=1), "one dense backbone does"),
        (
            {"statistic": "agreement", "arguments": {"score": "gaussian"}},
            pd.concat([study(n_ladders=1), study(n_ladders=1).assign(ladder="second", method="other")]),
            "one dense backbone does not tell how they vary",
        ),
        (
            {"statistic": "agreement", "arguments": {"score": "gaussian"}},
            study().query("not (unit == 'dense 2' and target == 'far')"),
            "target far lacks a unit that other targets have (dense 2)",
        ),
        (
            {"statistic": "cross-fitted regret", "arguments": {"score": "gaussian"}},
            study(),
            "did not keep which test images are classified right",
        ),
        (
            {
                "statistic": "gain over control",
                "arguments": {"method": "magnitude", "control": "control", "low": 0, "high": 1},
            },
            study(),
            "the study has no ladder of control",
        ),
        ({"statistic": "agreement", "arguments": {"score": "entropi"}}, study(), "the study has no score entropi"),
        (
            {"statistic": "change from dense", "arguments": {"low": 0.6, "high": 0.7}},
            study(),
            "no rung between 60.00% and 70.00% sparsity",
        ),
        ({"statistic": "distance between methods", "arguments": {"low": 0.5, "high": 1}}, study(), "second method"),
        ({"statistic": "frozen above full"}, study(), "both protocols"),
        (
            {
                "statistic": "advantage of method",
                "arguments": {"method": "block", "over": "magnitude", "low": 0, "high": 1},
            },
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
            "all units and targets give the same number",
        ),
    ],
)
def test_a_claim_without_data_is_not_tested(fields, frame, reason):
    row = judge(claim(**fields), frame, "tiny")
    assert row["verdict"] == "not tested" and reason in row["reason"] and row["estimate"] is None


def test_targets_and_methods_limit_the_data():
    row = judge(claim(only={"target": ("far",), "method": ("magnitude",)}), study(), "tiny")
    assert row["basis"] == "4 dense backbones × 1 target"


def test_a_claim_is_judged_by_its_protocol():
    tuned = study(hump=-3).assign(protocol="fine-tuning")
    both = pd.concat([study(hump=3), tuned], ignore_index=True)
    assert judge(GAIN, both, "tiny") == judge(GAIN, study(hump=3), "tiny")
    assert judge(claim(protocol="fine-tuning"), both, "tiny")["verdict"] == "contradicted"


@pytest.mark.parametrize("kind", [Claim, Untested])
def test_there_is_no_field_for_a_verdict(kind):
    assert "verdict" not in kind.model_fields
    with pytest.raises(ValueError, match="Extra inputs"):
        claim(verdict="supported")


def test_the_committed_claims_are_valid():
    found = ledger.claims()
    keys = re.findall(r"^@\w+\{(\w+),", (paths.book() / "references.bib").read_text(), re.MULTILINE)
    sources = {claim.source for claim in found}
    assert sources <= {*keys, COMPANION}
    for word in ("tepones", "entropi", "secondorder", "sparse", "2025when", "lottery", "ticket"):
        assert any(word in source for source in sources), word
    tested_on = {name for claim in found if isinstance(claim, Claim) for name in claim.profiles}
    assert tested_on >= {"embedded", "photographs", "published", "second-order"}


def committed():
    """Entries of `data/claims.yaml`, as they are written."""
    return yaml.safe_load((paths.data() / "claims.yaml").read_text(encoding="utf-8"))


def test_names_of_committed_claims_are_unique():
    names = [entry["claim"] for entry in committed()]
    assert len(names) == len(set(names)) > 30


def test_every_committed_claim_names_the_margin_that_the_rules_of_the_file_give_it():
    """One accuracy point; 0.05 in weighted τ between two scores, 0.1 of one; none where the threshold says how much."""
    rules = {
        ("accuracy points", 0): 1,
        ("accuracy points", 1): 0,
        ("weighted τ", 0): {"agreement": 0.1, "advantage in agreement": 0.05},
        ("share of levels", 0): 0,
    }
    for entry in committed():
        if "untested" not in entry:
            rule = rules[entry["unit"], entry["threshold"]]
            assert entry["margin"] == (rule[entry["statistic"]] if isinstance(rule, dict) else rule), entry["claim"]


def test_published_tables_are_judged_like_a_study():
    frame = ledger.measurements("published")
    sparse = frame[(frame["rung"] > 0) & frame["ladder"].str.startswith("resnet50")]
    dense = frame[frame["rung"] == 0].set_index(["ladder", "target"])["accuracy"].rename("dense")
    above = sparse.join(dense, on=["ladder", "target"]).query("accuracy > dense")["protocol"].value_counts()
    assert above.to_dict() == {"probe": 50, "fine-tuning": 16}
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
    shutil.rmtree(checkout / "data" / "records" / "photographs", ignore_errors=True)
    verdicts = ledger.everywhere({"embedded": "live"})
    claims = ledger.claims()
    expected = [(c.claim, name) for c in claims for name in getattr(c, "profiles", ("",))]
    assert list(zip(verdicts["claim"], verdicts["profile"], strict=True)) == expected
    reasons = verdicts.set_index(["profile", "claim"])["reason"]
    assert set(reasons["photographs"]) == {"no published records of profile photographs yet"}
    assert set(reasons["embedded"]) == {"no live records of profile embedded yet"}
    assert (verdicts.loc[verdicts["verdict"] == "not tested", "reason"] != "").all()
    assert not verdicts["reason"].str.contains(str(checkout)).any()


@pytest.fixture(scope="module")
def simulated():
    """Measurements of the study of photographs as it might come out, on three targets, with the scores of claims."""
    photographs = profiles.load("photographs")
    arguments = [claim.arguments for claim in ledger.claims() if isinstance(claim, Claim)]
    named = {given.get(which) for given in arguments for which in ("score", "over")}
    scores = sorted(named & {*photographs.scores, "layer_entropy"})
    targets, full = ("cifar10", "flowers102", "gtsrb"), photographs.full_fine_tuning.ladders
    tables = simulate(targets=targets, fine_tuning=full, scores=scores, name="photographs")
    # Where every dense backbone loses the same on the source, nobody knows how they vary.
    tables["rungs"]["source_accuracy"] *= 1 - tables["rungs"]["rung"] * (2 + tables["rungs"]["seed"]) / 1000
    return ledger.of_tables(tables)


def test_every_claim_about_the_photographs_can_be_judged_once_they_are_computed(simulated):
    verdicts = ledger.ledger(simulated, "photographs")
    claims = {claim.claim for claim in ledger.claims() if isinstance(claim, Claim) and "photographs" in claim.profiles}
    assert set(verdicts["claim"]) == claims
    assert verdicts.loc[verdicts["verdict"] == "not tested", ["claim", "reason"]].to_numpy().tolist() == []
    numbers = verdicts[["estimate", "low", "high", "slack", "detects"]]
    assert np.isfinite(numbers).all(axis=None)
    assert (numbers["low"] < numbers["estimate"]).all() and (numbers["estimate"] < numbers["high"]).all()
    # Six dense backbones of each residual network, however many ladders start from one; full fine-tuning of three.
    bases = verdicts.set_index("claim")["basis"]
    assert bases["sweet phase by pruning"] == bases["any removal will do"] == "6 dense backbones × 3 targets"
    assert bases["ranks where one would choose"] == "12 dense backbones × 3 targets"
    assert bases["ranks for full fine-tuning"] == "6 dense backbones × 2 targets"


def test_every_claim_about_the_embedded_study_can_be_judged_once_it_is_computed():
    tables = simulate(name="embedded", scores=(*profiles.load("embedded").scores, "layer_entropy"))
    tables["rungs"]["source_accuracy"] *= 1 - tables["rungs"]["rung"] * (2 + tables["rungs"]["seed"]) / 1000
    verdicts = ledger.ledger(ledger.of_tables(tables), "embedded").set_index("claim")
    assert verdicts.loc[verdicts["verdict"] == "not tested", "reason"].to_dict() == {}
    assert verdicts.loc["what is removed matters", "basis"] == "5 dense backbones × 6 targets"


def test_statistics_of_a_pair_look_at_no_other_ladder(simulated):
    the_claim = next(claim for claim in ledger.claims() if claim.claim == "sweet phase by pruning, varied images")
    pair = set(the_claim.arguments.values()) & set(simulated["method"])
    assert len(pair) == 2
    whole, alone = (ledger.values(the_claim, part) for part in (simulated, simulated[simulated["method"].isin(pair)]))
    pd.testing.assert_frame_equal(whole, alone)


TINY = """
- claim: one
  source: companion
  words: w
  statistic: agreement
  arguments: {score: gaussian}
  side: above
  threshold: 0
  margin: 0.1
  unit: x
  profiles: [tiny]
"""


def put(tables, profile="tiny"):
    for name, table in tables.items():
        studies.write(paths.published_records(profile), name, table)


def test_a_study_is_judged_once_all_of_its_ladders_are_there(checkout):
    (checkout / "data" / "claims.yaml").write_text(TINY, encoding="utf-8")
    shutil.rmtree(paths.published_records("tiny"))
    tables = simulate(name="tiny")
    rungs = tables["rungs"]
    ladders = list(rungs["ladder"].unique())
    assert len(ladders) == 3
    put(tables | {"rungs": rungs[rungs["ladder"] != ladders[-1]]})
    with pytest.raises(Unfinished, match=r"^2 of the 3 ladders of profile tiny are computed; all are judged at once$"):
        ledger.measurements("tiny")
    [row] = ledger.everywhere().to_dict("records")
    assert row["verdict"] == "not tested" and row["reason"].startswith("2 of the 3 ladders of profile tiny")
    assert np.isnan(row["estimate"])
    put(tables)
    [row] = ledger.everywhere().to_dict("records")
    assert row["verdict"] != "not tested" and row["basis"] == "2 dense backbones × 2 targets"


def test_full_fine_tuning_is_part_of_the_study(checkout):
    """It is computed last: with some of it, claims about it would be judged on what happens to be there."""
    path = checkout / "data" / "profiles" / "tiny.yaml"
    full = "{targets: [digits], ladders: [random iterative 0, magnitude iterative 1], most: 0.9, "
    full += "training: {epochs: 1, learning_rate: 0.1}, repeats: 2}"
    path.write_text(path.read_text() + f"full_fine_tuning: {full}\n")
    names = profiles.load("tiny").full_fine_tuning.ladders
    shutil.rmtree(paths.published_records("tiny"))
    # Of each ladder the dense rung and those of 50 and 90 %, twice.
    for part, there in ((names[:1], 6), ((), 0)):
        put(simulate(fine_tuning=part, name="tiny"))
        with pytest.raises(Unfinished, match=rf"^{there} of the 12 full fine-tunings of profile tiny are"):
            ledger.measurements("tiny")
    put(simulate(fine_tuning=names, name="tiny"))
    found = ledger.measurements("tiny").query("protocol == 'fine-tuning' and score == 'gaussian'")
    assert found.groupby("ladder")["rung"].apply(sorted).to_dict() == {name: [0, 1, 2] for name in names}


def test_records_of_the_first_study_are_no_records_for_claims(checkout):
    (checkout / "data" / "claims.yaml").write_text(TINY, encoding="utf-8")
    shutil.rmtree(paths.published_records("tiny"))
    put({name: table for name, table in simulate(name="tiny").items() if name in studies.TABLES})
    with pytest.raises(TeponesError, match="records of the first study"):
        ledger.measurements("tiny")
    [row] = ledger.everywhere().to_dict("records")
    assert row["reason"] == "no published records of profile tiny yet"


ENTRY = """
- claim: one
  source: a
  words: b
  statistic: agreement
  arguments: {score: gaussian}
  side: above
  threshold: 0
  margin: 0.1
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
        (ENTRY.replace("threshold: 0", "threshold: .nan"), "claims.yaml: not valid YAML: '.nan' is no finite number"),
        (ENTRY.replace("threshold: 0", "threshold: NaN"), "claim one: threshold: .*finite number"),
        (ENTRY.replace("margin: 0.1", "margin: inf"), "claim one: margin: .*finite number"),
        (ENTRY.replace("claim: one", "claim: [one, [two]]"), "claim number 1: claim: .*valid string"),
        (ENTRY.replace("claim: one", f"claim: {'o' * 5000}"), "claim number 1: claim: .*at most 100 characters"),
        (ENTRY.replace("margin: 0.1", ""), "claim one: margin: Field required"),
        (ENTRY.replace("margin: 0.1", "margin: -0.1"), "claim one: margin: .*greater than or equal to 0"),
        (ENTRY + "  protocol: guess\n", "claim one: protocol: .*'probe', 'fine-tuning' or 'both'"),
        (ENTRY + "  only: {protocol: [probe]}\n", "claim one: only.protocol"),
        (
            ENTRY.replace("agreement", "advantage in agreement").replace("gaussian", "gaussian, over: horoscope"),
            "claim one: unknown score 'horoscope'; choose from: .*layer_entropy",
        ),
        (ENTRY + ENTRY, "claim one appears twice"),
        (ENTRY + "  verdict: supported\n", "claim one: verdict"),
        ("- nonsense\n", "claim number 1"),
        ("- 7\n", "claim number 1"),
        ("claim: one\n", "claims.yaml: expected a list of claims"),
        ("- {claim: [}\n", "claims.yaml: not valid YAML"),
        ("", "claims.yaml: expected a list of claims"),
    ],
)
def test_a_bad_claim_is_refused_in_one_line(checkout, text, complaint):
    (checkout / "data" / "claims.yaml").write_text(text)
    with pytest.raises(UsageError, match=complaint) as caught:
        ledger.claims()
    assert "\n" not in str(caught.value)
