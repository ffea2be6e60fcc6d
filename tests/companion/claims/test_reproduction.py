"""Two sets of records beside each other, with differences that are known; and single records made again."""

import os
import random
import shutil

import numpy as np
import pandas as pd
import pytest

from tepones.common import paths
from tepones.common.errors import TeponesError, UsageError
from tepones.common.files import write_sums
from tepones.companion import study
from tepones.companion.claims import reproduction
from tepones.companion.study import plan, profiles, records

#: Which share of a profile's records is sampled: those that, with all that they need, took least.
CHEAP = 0.1

#: Between machines rounding may turn the class of a few test images, and moves scores in their third digit.
ACCURACY, SCORE = 0.02, 0.01

CLAIMS = """\
- {claim: gains, source: companion, words: w, statistic: gain over dense, side: above, threshold: 0, margin: 1,
   unit: points, profiles: [tiny]}
- {claim: ranks, source: companion, words: w, statistic: agreement, arguments: {score: gaussian}, side: above,
   threshold: 0, margin: 0.1, unit: τ, profiles: [tiny]}
- {claim: elsewhere, source: companion, words: w, statistic: gain over dense, side: above, threshold: 0, margin: 1,
   unit: points, profiles: [natural]}
"""


def tables(hump, seed=0):
    """Records of four ladders on two targets: accuracy gains `hump` points at the middle rung; the score follows it.

    Of no rung any test image is classified right: what claims make of that is another matter.
    """
    rng = np.random.default_rng(seed)
    rungs, transfer, scores = [], [], []
    for number in range(4):
        ladder = {"ladder": f"magnitude {number}"}
        for rung, sparsity in enumerate((0.0, 0.5, 0.8, 0.9)):
            place = ladder | {"rung": rung, "cell": f"{number} {rung}"}
            about = {"method": "magnitude", "seed": number, "sparsity": sparsity, "source_accuracy": 0.9 - 0.1 * rung}
            rungs.append(place | about)
            for target in ("near", "far"):
                accuracy = 0.7 + hump / 100 * (0, 0.5, 1, 0.4)[rung] + rng.normal(0, 0.0005)
                place["target"] = target
                transfer.append(place | {"protocol": "probe", "repeat": 0, "accuracy": accuracy})
                scores.append(place | {"score": "gaussian", "value": accuracy + rng.normal(0, 0.006)})
                scores.append(place | {"score": "logme", "value": float(rung)})
    made = {name: pd.DataFrame(rows) for name, rows in zip(study.TABLES, (rungs, transfer, scores), strict=True)}
    correct = made["transfer"].drop(columns="accuracy").assign(correct=bytes(1))
    images = pd.DataFrame(
        [{"target": target, "label": n % 2, "group": n} for target in ("near", "far") for n in range(8)]
    )
    return made | {study.CORRECT: correct, study.TEST_IMAGES: images}


def write(folder, tables, **made):
    for name, table in tables.items():
        study.write(folder, name, table)
    study.write(folder, study.PROVENANCE, pd.DataFrame({"item": made.keys(), "value": made.values()}))


@pytest.fixture
def put(checkout):
    """Give a checkout three claims, and two sets of records of the profile tiny."""
    (checkout / "data" / "claims.yaml").write_text(CLAIMS, encoding="utf-8")
    shutil.rmtree(paths.published_records("tiny"))

    def put(published, live):
        write(paths.published_records("tiny"), published, torch="1.0", seeds="4")
        write(paths.records("tiny"), live, torch="2.0", cores="2")

    return put


def test_the_same_records_are_reproduced_bit_for_bit(put):
    put(tables(3), tables(3))
    report = reproduction.compare("tiny", "live")
    assert report.outcome == "bit for bit"
    assert report.verdicts["claim"].tolist() == ["gains", "ranks"]
    assert report.verdicts["published"].tolist() == report.verdicts["compared"].tolist() == ["supported"] * 2
    assert report.n_same == 2 and report.verdicts["so they"].tolist() == ["are the same"] * 2
    assert (report.differences["largest"] == 0).all()


def test_other_seeds_of_the_same_study_are_within_noise(put):
    outcomes = []
    for seed in range(1, 13):
        put(tables(3), tables(3, seed))
        report = reproduction.compare("tiny", "live")
        outcomes.append(report.outcome)
        assert (report.verdicts["difference"] != 0).all()
    # Each is wrong in one case of twenty.
    assert outcomes.count("within noise") >= 10


def test_one_number_that_differs_or_is_missing_is_not_bit_for_bit(put):
    moved, shorter = tables(3), tables(3)
    moved["scores"].loc[5, "value"] += 1e-6
    shorter["transfer"] = shorter["transfer"].iloc[:-1]
    for here in (moved, shorter):
        put(tables(3), here)
        assert reproduction.compare("tiny", "live").outcome == "within noise"


def test_a_difference_beyond_seeds_is_not_reproduced_whatever_the_verdicts_say(put):
    put(tables(3), tables(2))
    report = reproduction.compare("tiny", "live")
    gains, ranks = report.verdicts.to_dict("records")
    assert report.outcome == "not reproduced" and report.n_same == 2
    assert gains["so they"] == "differ" and abs(gains["difference"]) > gains["by seeds alone, at most"]
    assert gains["difference"] == pytest.approx(-1, abs=0.2)
    assert ranks["so they"] == "are the same within noise"


def test_a_profile_without_claims_is_compared_too(put, checkout):
    (checkout / "data" / "claims.yaml").write_text("[]")
    put(tables(3), tables(2))
    report = reproduction.compare("tiny", "live")
    assert report.outcome == "within noise" and report.verdicts.empty
    assert list(report.verdicts.columns) == reproduction.VERDICTS


def test_a_verdict_that_turned_is_counted_and_shown_with_both_estimates(put):
    put(tables(3), tables(-3))
    report = reproduction.compare("tiny", "live")
    gains, ranks = report.verdicts.to_dict("records")
    assert (gains["published"], gains["compared"], gains["so they"]) == ("supported", "contradicted", "differ")
    assert gains["estimate"] == pytest.approx(3, abs=0.2) and gains["its estimate"] < -1
    # The score follows the accuracy in both.
    assert (ranks["published"], ranks["compared"]) == ("supported", "supported")
    assert report.n_same == 1
    assert reproduction.compare("tiny", "published").n_same == 2


def test_differences_are_over_what_both_have_each_score_apart(put):
    published, live = tables(3), tables(3)
    live["rungs"].loc[2, "source_accuracy"] += 0.25
    live["transfer"]["accuracy"] -= 0.125
    live["transfer"].loc[5, "accuracy"] -= 0.5
    live["scores"].loc[live["scores"]["score"] == "logme", "value"] *= -1
    # A ladder that only one of the two has, and the same rows in another order.
    live = {
        name: table[table["ladder"] != "magnitude 3"].sample(frac=1, random_state=0) if "ladder" in table else table
        for name, table in live.items()
    }
    put(published, live)
    found = reproduction.compare("tiny", "live").differences.set_index("quantity")
    assert found.index.tolist() == ["source accuracy", "transfer accuracy", "score gaussian", "score logme"]
    assert found["compared"].tolist() == [12, 24, 24, 24]
    assert found["median"].tolist() == pytest.approx([0, 0.125, 0, 3])
    assert found["largest"].tolist() == pytest.approx([0.25, 0.625, 0, 6])


def test_repeats_of_full_fine_tuning_are_compared_each_with_itself(put):
    published, live = tables(3), tables(3)
    for here, step in ((published, 0.25), (live, 0.5)):
        tuned = [here["transfer"].assign(protocol="fine-tuning", repeat=repeat) for repeat in range(2)]
        tuned[1]["accuracy"] += step
        here["transfer"] = pd.concat([here["transfer"], *tuned], ignore_index=True)
    put(published, live)
    found = reproduction.compare("tiny", "live").differences.set_index("quantity").loc["transfer accuracy"]
    assert found.tolist() == pytest.approx([96, 0, 0.25], abs=1e-6)


@pytest.mark.parametrize("names", ["ab", ""])
def test_each_part_of_a_score_is_compared_with_itself(put, names):
    """And the whole, which has no name of a part, with the whole."""
    published, live = tables(3), tables(3)
    for here, moved in ((published, 0), (live, 0.25)):
        scores = here["scores"].assign(part=None)
        whole = scores[scores["score"] == "logme"]
        parts = [whole.assign(part=part, value=10.0 * number) for number, part in enumerate(names)]
        changed = parts[1] if parts else scores
        changed.loc[changed["score"] == "logme", "value"] += moved
        here["scores"] = pd.concat([scores, *parts], ignore_index=True)
    put(published, live)
    report = reproduction.compare("tiny", "live")
    found = report.differences.set_index("quantity").loc["score logme"]
    assert found.tolist() == pytest.approx([(1 + len(names)) * 32, 0 if names else 0.25, 0.25])
    assert report.outcome == "within noise"
    put(published, published)
    assert reproduction.compare("tiny", "live").outcome == "bit for bit"


def test_provenance_shows_what_only_one_of_the_two_knows(put):
    put(tables(3), tables(3))
    made = reproduction.compare("tiny", "live").provenance.set_index("item").fillna("").T.to_dict("list")
    assert made == {"torch": ["1.0", "2.0"], "seeds": ["4", ""], "cores": ["", "2"]}


def test_a_missing_set_of_records_is_told(put, checkout):
    put(tables(3), tables(3))
    (paths.records("tiny") / "scores.csv").unlink()
    with pytest.raises(TeponesError, match="no live records of profile tiny: scores is missing"):
        reproduction.compare("tiny", "live")
    put({name: table for name, table in tables(3).items() if name in study.TABLES}, tables(3))
    for name in (study.CORRECT, study.TEST_IMAGES):
        for path in paths.published_records("tiny").glob(f"{name}.*"):
            path.unlink()
    with pytest.raises(TeponesError, match="records of the first study"):
        reproduction.compare("tiny", "live")


@pytest.fixture
def computed(published_tiny, tiny_checkout, checkout):
    """The tiny profile, in a checkout whose published tables are those of its records."""
    shutil.copytree(tiny_checkout / "build", checkout / "build")
    return profiles.load("tiny")


def test_numbers_of_a_record_are_shown_beside_the_published_ones(computed):
    path = paths.published_records("tiny") / "transfer.csv"
    published = pd.read_csv(path)
    true = published["accuracy"].copy()
    published.loc[7, "accuracy"] += 0.25
    published.to_csv(path, index=False)
    write_sums(study.files(path.parent))
    [(_, _, cell)] = list(plan.evaluations(computed, computed.ladders[0], plan.rungs(computed.ladders[0])[3]))[1][1]
    assert records.identity(cell) == published["cell"][7]
    path = plan.store(computed).path(cell)
    path.unlink()
    found = reproduction.again(computed, published["cell"][7][:15], workers=1)
    assert path.is_file()
    [row] = found.to_dict("records")
    assert row["quantity"] == "accuracy" and row["published"] == pytest.approx(true[7] + 0.25, rel=1e-6)
    assert row["here"] == pytest.approx(true[7], rel=1e-6)


def test_a_rung_has_two_numbers_and_a_scoring_one_for_each_score(computed):
    published = study.load("tiny")
    rung = reproduction.again(computed, published["rungs"]["cell"][2], workers=1)
    assert rung["quantity"].tolist() == ["source_accuracy", "sparsity"]
    assert rung["here"].tolist() == pytest.approx(rung["published"].tolist(), rel=1e-6)
    assert rung["published"][1] == pytest.approx(0.9, abs=1e-4)
    scored = reproduction.again(computed, published["scores"]["cell"][0], workers=1)
    assert scored["quantity"].tolist() == list(computed.scores)
    assert scored["here"].tolist() == pytest.approx(published["scores"]["value"][:3].tolist(), rel=1e-6)


def test_what_cannot_be_made_again_is_refused(computed):
    with pytest.raises(UsageError, match=r"^0 published records of profile tiny are named zzz…; expected one$"):
        reproduction.again(computed, "zzz")
    n_cells = len({cell for name in study.TABLES for cell in study.load("tiny")[name]["cell"]})
    with pytest.raises(UsageError, match=f"^{n_cells} published records"):
        reproduction.again(computed, "")
    path = paths.published_records("tiny") / "rungs.csv"
    published = pd.read_csv(path)
    published.loc[0, "cell"] = "f00d" * 5
    published.to_csv(path, index=False)
    write_sums(study.files(path.parent))
    with pytest.raises(UsageError, match="record f00df00df00df00df00d was made by another version of the code"):
        reproduction.again(computed, "f00df00d")


def test_the_command_shows_the_numbers_and_refuses_a_name_that_several_records_share(published_tiny, checkout, command):
    cells = pd.read_csv(published_tiny / "transfer.csv")["cell"]
    run = command("run", "--profile", "tiny", "--cell", cells[0][:12], "--workers", "1")
    assert run.returncode == 0, run.stderr
    [(name, before, here)] = [line.split() for line in run.stdout.splitlines() if "accuracy" in line]
    assert name == "accuracy" and float(before) == pytest.approx(float(here), rel=1e-4)
    # More records than hexadecimal digits: one digit begins several names.
    shared = cells.drop_duplicates().str[0].value_counts()
    assert shared.max() > 1
    run = command("run", "--profile", "tiny", "--cell", shared.idxmax())
    assert run.returncode == 2 and len(run.stderr.splitlines()) == 1
    assert f"published records of profile tiny are named {shared.idxmax()}…; expected one" in run.stderr


@pytest.mark.whole
def test_a_published_record_drawn_at_random_is_made_again(checkout):
    """One of `methods`: `make book` makes all of embedded again."""
    tables, computed = study.load("methods"), profiles.load("methods")
    published = {cell for name in study.TABLES for cell in tables[name]["cell"]}
    seconds = dict(zip(tables["rungs"]["cell"], tables["rungs"]["seconds"], strict=True))
    costs = {}
    for ladder in computed.ladders:
        for cell in plan.cells(computed, ladder):
            needs = {records.identity(needed) for needed in plan.closure(cell)}
            costs[records.identity(cell)] = sum(seconds.get(needed, 0) for needed in needs)
    cheapest = sorted(published & set(costs), key=lambda name: (costs[name], name))
    seed = int(os.environ.get("TEPONES_SAMPLE", random.SystemRandom().randrange(10**6)))
    name = random.Random(seed).choice(cheapest[: round(CHEAP * len(cheapest))])
    rows = reproduction.again(computed, name, workers=2)
    assert len(rows)
    for row in rows.itertuples():
        tolerance = ACCURACY if "accuracy" in row.quantity else max(SCORE, SCORE * abs(row.published))
        expected = pytest.approx(row.published, abs=tolerance, nan_ok=True)
        assert row.here == expected, f"TEPONES_SAMPLE={seed}: {name}"
