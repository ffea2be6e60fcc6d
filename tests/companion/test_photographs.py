"""What the chapters on photographs share: groups, coverage, and tables without gaps."""

import numpy as np
import pandas as pd
import pytest
from simulated_photographs import simulate

from tepones.companion import photographs as photos
from tepones.companion import study
from tepones.companion.claims import statistic
from tepones.companion.study import profiles

TARGETS = ("cifar10", "flowers102", "eurosat", "pacs-photo")
SCORES = ("gaussian", "h_score")
NAMES = ("magnitude iterative 0", "magnitude iterative 1", "random iterative 0", "mobilenet magnitude one-shot 0")


@pytest.fixture(scope="module")
def tables():
    return simulate(NAMES, TARGETS, fine_tuning=NAMES[:1], scores=SCORES)


def test_coverage_names_what_is_not_there_and_what_another_version_computed(tables):
    profile = profiles.load("natural")
    found = photos.coverage(tables, profile)
    assert (found["n-planned"], found["n-there"]) == (len(profile.ladders), len(NAMES))
    assert "magnitude lottery 0" in found["absent"].split(", ")
    assert not set(found["absent"].split(", ")) & set(NAMES)
    assert found["outdated"] == "random iterative 0"
    whole = profile.model_copy(update={"ladders": [own for own in profile.ladders if own.name in NAMES]})
    current = {**tables, "rungs": tables["rungs"].assign(current=True)}
    assert photos.coverage(current, whole) == {"n-planned": 4, "n-there": 4, "absent": "none", "outdated": "none"}


def test_numbers_are_written_with_their_intervals():
    assert photos.written(-0.5) == "−0.50"
    assert photos.written(1.7, -0.18, 3.45) == "+1.70 [−0.18,\N{NO-BREAK SPACE}+3.45]"
    assert photos.written(2.25, form=".1f") == "2.2"
    assert photos.written(np.nan) == photos.UNKNOWN


def test_extremes_of_nothing_are_unknown():
    found = photos.extremes(pd.Series({"a": 0.5, "b": np.nan, "c": -1, "d": 2}))
    assert found == {"most": "d", "most-value": "+2.00", "least": "c", "least-value": "−1.00"}
    assert set(photos.extremes(pd.Series(dtype=float)).values()) == {photos.UNKNOWN}


def test_groups_are_told_by_their_backbones(tables):
    rungs = photos.rungs_of(tables)
    assert set(rungs.loc[rungs["group"] == photos.RELEASED, "ladder"]) == {NAMES[3]}
    assert photos.method_order(rungs.iloc[::-1])[-1] == "mobilenet magnitude one-shot"
    backbones = pd.DataFrame({"backbone": ["medium-resnet", "timm:tf_efficientnet_lite0", "torchvision:squeezenet1_1"]})
    assert photos.groups(backbones).tolist() == [photos.TRAINED, photos.RELEASED, photos.RELEASED]


def test_ladders_from_one_dense_backbone_have_one_unit(tables):
    units = photos.rungs_of(tables).drop_duplicates("ladder").set_index("ladder")["unit"]
    assert units["magnitude iterative 0"] == units["random iterative 0"] != units["magnitude iterative 1"]


def test_gain_is_zero_at_the_dense_rung_and_counted_in_points(tables):
    rungs = photos.rungs_of(tables)
    assert rungs.loc[rungs["rung"] == 0, "gain"].eq(0).all()
    assert not rungs.duplicated(["ladder", "rung", "target"]).any()
    probed = tables["transfer"].query("protocol == 'probe' and target == 'eurosat'").groupby("rung")["accuracy"]
    own = rungs.query("target == 'eurosat'").groupby("rung")["gain"]
    assert own.mean()[3] == pytest.approx(100 * (probed.mean()[3] - probed.mean()[0]))


def test_a_score_is_ours_or_a_rival_or_a_control():
    kinds = {name: photos.kind(name) for name in ("posterior", "h_score", "random")}
    assert kinds == {"posterior": photos.OWN, "h_score": photos.RIVAL, "random": photos.CONTROL}


def test_pools_normalise_over_their_own_models():
    rows = [
        {"ladder": "a", "rung": rung, "target": "t", "score": "ncti", "part": part, "value": value}
        for part, values in {"seli": (0, 2, 4), "ncc": (1, 1, 1), "vc": (5, 3, 4)}.items()
        for rung, value in enumerate(values)
    ]
    found = photos.with_pool_scores(pd.DataFrame(rows), ["ladder", "target"])
    assert list(found["score"].unique()) == ["ncti"]
    # (0, ½, 1) + (0, 0, 0) − (1, 0, ½).
    assert list(found.sort_values("rung")["value"]) == [-1, 0.5, 0.5]


@pytest.mark.parametrize(
    ("gap", "ladders", "targets", "scores"),
    [
        (lambda f: f["score"].eq("none of them"), "ab", "xy", {"s", "t"}),
        # A rung of one score is missing on one target: the score goes, since the other ladder and target have it.
        (lambda f: f["ladder"].eq("a") & f["target"].eq("x") & f["score"].eq("s") & f["rung"].eq(1), "ab", "xy", {"t"}),
        # A rung of every score is missing on one target: the ladder has fewer targets than the other, and goes.
        (lambda f: f["ladder"].eq("a") & f["target"].eq("x") & f["rung"].eq(1), "b", "xy", {"s", "t"}),
        # A target that no ladder has in whole is no gap of any.
        (lambda f: f["target"].eq("x") & f["rung"].eq(1), "ab", "y", {"s", "t"}),
    ],
)
def test_what_has_gaps_is_left_out(gap, ladders, targets, scores):
    grid = pd.MultiIndex.from_product([list("ab"), range(3), list("xy"), list("st")])
    frame = grid.set_names(["ladder", "rung", "target", "score"]).to_frame(index=False).assign(source_accuracy=np.nan)
    found = photos.complete(frame[~gap(frame)], frame.drop_duplicates(["ladder", "rung"]))
    assert (set(found["ladder"]), set(found["target"]), set(found["score"])) == (set(ladders), set(targets), scores)
    assert len(found) == 3 * len(ladders) * len(targets) * len(scores)
    assert found["source_accuracy"].eq(0).all()


def test_claims_about_a_score_cope_with_an_unknown_source_accuracy(tables):
    found = statistic.score_agreement(study.tidy(tables), "gaussian")
    assert set(found["ladder"]) == set(NAMES)
    assert found["value"].between(-1, 1).all()
