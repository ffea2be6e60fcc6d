"""The chapter on the sweet phase in photographs: its frames by hand, its charts, and that its sentences are guarded."""

import numpy as np
import pandas as pd
import pytest
from chapter_cells import committed, run_cells
from chart_checks import check_chart
from simulated_photographs import simulate

from tepones import agreement
from tepones.common.errors import TeponesError, UsageError
from tepones.companion import charts, study
from tepones.companion import photographs as photos
from tepones.companion.chapters import photographs_sweet_phase as chapter

NAME = "photographs-sweet-phase"
GUARDS = {
    "transformer-flat",
    "gain-undecided",
    "varied-undecided",
    "varied-not-back",
    "no-relation",
    "tops-pruned",
    "tops-apart",
}
SCORES = ("gaussian", "nce")
NAMES = (
    "magnitude iterative 0",
    "magnitude iterative 1",
    "magnitude iterative 2",
    "random iterative 0",
    "mobilenet magnitude one-shot 0",
    "mobilenet diagonal one-shot 0",
)


@pytest.fixture(scope="module")
def tables():
    return simulate(NAMES, scores=SCORES)


@pytest.fixture(scope="module")
def rungs(tables):
    return photos.rungs_of(tables)


@pytest.fixture(scope="module")
def gains(rungs):
    return pd.concat([chapter.chosen_gains(rungs, rule) for rule in chapter.RULES], ignore_index=True)


@pytest.fixture(scope="module")
def published():
    """The published tables with the scores that the chapter reads."""
    tables = study.load(photos.PROFILE)
    return tables | {"scores": tables["scores"].query("score in @SCORES")}


def ladder_rows(accuracies, ladder="a", method="m", target="t", group=photos.TRAINED):
    gains = [100 * (accuracy - accuracies[0]) for accuracy in accuracies]
    about = {"ladder": ladder, "unit": ladder, "method": method, "group": group, "target": target, "seed": 0}
    return pd.DataFrame(
        [
            about | {"rung": rung, "sparsity": 1 - 0.5**rung, "accuracy": accuracy, "gain": gain}
            for rung, (accuracy, gain) in enumerate(zip(accuracies, gains, strict=True))
        ]
    )


def test_the_rules_choose_without_looking_except_in_hindsight():
    frame = pd.concat(
        [
            ladder_rows([0.5, 0.6, 0.4], "a", target="x"),
            ladder_rows([0.5, 0.4, 0.7], "a", target="y"),
            ladder_rows([0.5, 0.5, 0.8], "b", target="x"),
            ladder_rows([0.5, 0.55, 0.45], "b", target="y"),
        ]
    )

    def values(rule):
        found = chapter.chosen_gains(frame, rule)
        assert set(found["method"]) == {"m"}
        return {(row.ladder, row.target): pytest.approx(row.value) for row in found.itertuples()}

    assert values(chapter.OTHER_TARGETS) == {("a", "x"): -10, ("a", "y"): -10, ("b", "x"): 0, ("b", "y"): -5}
    assert values(chapter.OTHER_LADDERS) == {("a", "x"): -10, ("a", "y"): -10, ("b", "x"): 0, ("b", "y"): -5}
    assert values(chapter.HINDSIGHT) == {("a", "x"): 10, ("a", "y"): 20, ("b", "x"): 30, ("b", "y"): 5}
    with pytest.raises(UsageError, match="unknown rule"):
        chapter.chosen_gains(frame, "best")


def test_hindsight_finds_a_gain_in_noise_and_the_other_rules_do_not():
    rng = np.random.default_rng(0)
    frame = pd.concat(
        ladder_rows([0.5, *(0.5 + rng.normal(0, 0.02, 11))], ladder, target=target)
        for ladder in "abcdefgh"
        for target in "stuvwxyz"
    )
    means = {rule: chapter.chosen_gains(frame, rule)["value"].mean() for rule in chapter.RULES}
    assert means[chapter.HINDSIGHT] > 2
    assert abs(means[chapter.OTHER_TARGETS]) < 0.75
    assert abs(means[chapter.OTHER_LADDERS]) < 0.75


def test_an_interval_needs_three_ladders():
    three = pd.concat([ladder_rows([0.5, 0.5 + 0.01 * i], ladder) for i, ladder in enumerate("abc", start=1)])
    row = chapter.curves(three).query("rung == 1").iloc[0]
    # Gains 1, 2, 3: mean 2, standard error 1/√3, Student's quantile on two degrees of freedom.
    half = 4.302653 / np.sqrt(3)
    assert (row["mean"], row["low"], row["high"]) == pytest.approx((2, 2 - half, 2 + half))
    assert chapter.curves(three[three["ladder"] != "c"])["low"].isna().all()


def test_distance_is_what_uncertainty_remains_and_shared_dense_backbones_count_once(tables):
    far = chapter.distances(tables)
    assert list(far) == sorted(far)
    chosen = tables["scores"].query("score == 'nce' and rung == 0 and target == 'gtsrb'")
    trained = chosen[~chosen["ladder"].str.startswith("mobilenet")]
    assert far["gtsrb"] == pytest.approx((trained["value"] / -2.1).mean())
    shared = tables | {"scores": pd.concat([tables["scores"], trained.assign(ladder="random iterative 0")])}
    assert chapter.distances(shared)["gtsrb"] == pytest.approx(far["gtsrb"])
    without = tables | {"scores": tables["scores"].query("score != 'nce'")}
    assert chapter.distances(without).empty


def test_spearman_interval_by_hand():
    # ρ = 0.9 of five points: z ± 1.96·√((1 + 0.405)/2).
    found = chapter.spearman([1, 2, 3, 4, 5], [1, 2, 3, 5, 4])
    half = 1.959964 * np.sqrt(1.405 / 2)
    expected = np.tanh(np.arctanh(0.9) + np.array([-half, half]))
    assert found == pytest.approx((0.9, *expected))
    assert np.isnan(chapter.spearman([1, 2, 3], [1, 2, 3])).all()
    assert np.isnan(chapter.spearman([1] * 6, range(6))).all()
    assert np.isnan(chapter.spearman(range(6), range(6))).tolist() == [False, True, True]


def test_distance_is_set_against_the_mean_gain_of_the_ladders():
    far = pd.Series([0.1, 0.2, 0.3, 0.4, 0.5], index=list("stuvw"), name="distance")
    rows = [
        ("a", ladder, target, number + shift)
        for ladder, shift in (("a 0", -1), ("a 1", 1))
        for number, target in enumerate("stuwv")
    ]
    gains = pd.DataFrame([*rows, ("b", "b 0", "s", 1)], columns=["method", "ladder", "target", "value"])
    found = chapter.distance_table(gains, far).set_index("method")
    assert found.loc["a", ["targets", "rho"]].tolist() == pytest.approx([5, 0.9])
    assert found.loc["b", "targets"] == 1 and np.isnan(found.loc["b", "rho"])
    assert chapter.distance_table(gains, far[:0]).empty


def test_tops_are_counted_in_pairs():
    """Of ladder and target, by where the accuracy and the information of its rungs are highest."""
    pairs = [
        ("medium-resnet", "x", [0.5, 0.7, 0.6], [1, 3, 2], 0.5),
        ("medium-resnet", "y", [0.7, 0.5, 0.5], [1, 2, 2], 1.5),
        ("torchvision:net", "x", [0.7, 0.5, 0.6], [3, 2, 1], 0.5),
    ]
    transfer, scores = [], []
    for backbone, target, accuracies, values, null in pairs:
        for rung, (accuracy, value) in enumerate(zip(accuracies, values, strict=True)):
            about = {"ladder": backbone, "rung": rung, "target": target}
            transfer.append(about | {"protocol": "probe", "accuracy": accuracy})
            scores.append(about | {"score": "gaussian", "value": value, "null": null})
    rungs = pd.DataFrame(transfer)[["ladder", "rung"]].drop_duplicates().assign(method="m", seed=0, nonzero_weights=1)
    rungs = rungs.assign(backbone=rungs["ladder"], sparsity=1 - 0.5 ** rungs["rung"], cell=rungs["ladder"])
    tables = {"rungs": rungs, "transfer": pd.DataFrame(transfer), "scores": pd.DataFrame(scores)}
    found = chapter.tops(tables).set_index("backbones")
    # Of equals the sparsest: the information of y is highest at the last rung, two from the dense one.
    assert found.loc[photos.TRAINED].tolist() == [2, 2, 1, 1, 1, 1, 1]
    assert found.loc[photos.RELEASED].tolist() == [1, 0, 0, 0, 1, 1, 1]


def test_methods_have_their_seeds_and_what_is_known_of_the_source(tables):
    about = chapter.ladders(tables).set_index("method")
    assert about.loc["magnitude iterative", "ladders"] == 3
    assert np.isnan(about.loc["mobilenet magnitude one-shot", "dense source accuracy (%)"])


def test_rises_and_falls_are_those_of_the_mean_line():
    three = [[0.5, 0.51, 0.4], [0.5, 0.52, 0.4], [0.5, 0.53, 0.4]]
    clear = [ladder_rows(accuracies, name) for name, accuracies in zip("abc", three, strict=True)]
    flat = [
        ladder_rows([0.5, 0.5 + 0.03 * sign, 0.5], name, target="u") for name, sign in (("a", -1), ("b", 0), ("c", 1.5))
    ]
    along = chapter.curves(pd.concat([*clear, *flat]))
    rise = chapter.rise(along, "m").set_index("target")
    assert rise.loc["t", "highest"] == pytest.approx(2) and rise.loc["u", "highest"] == pytest.approx(0.5)
    # Gains 1, 2, 3 have an interval from -0.48.
    assert not rise["clear"].any()
    steady = chapter.curves(pd.concat([ladder_rows([0.5, 0.52 + i / 1000, 0.4], name) for i, name in enumerate("abc")]))
    assert chapter.rise(steady, "m")["clear"].all()
    assert chapter.fallen(along) == 0.5


def test_the_last_rung_keeps_a_share_of_the_dense_source_accuracy():
    rows = [
        ("m", "medium-resnet", 0, 0.4, None),
        ("m", "medium-resnet", 1, 0.1, "a.weight b.weight"),
        ("v", "small-vit", 0, 0.3, None),
        ("v", "small-vit", 2, 0.27, None),
        ("r", "torchvision:x", 0, None, None),
    ]
    rungs = pd.DataFrame(rows, columns=["method", "backbone", "rung", "source_accuracy", "collapsed"])
    found = chapter.ends({"rungs": rungs})
    assert list(found.index) == ["m", "v"]
    assert found.loc["m"].tolist() == pytest.approx([40, 10, 2, 0.25])
    assert found.loc["v", ["emptied", "kept"]].tolist() == pytest.approx([0, 0.9])
    assert chapter.ends({"rungs": rungs[rungs["method"] == "r"]}).empty


def test_means_of_gains_have_the_interval_of_their_ladders_and_targets(gains):
    whole = chapter.mean_gains(gains, ["group", "rule"])
    trained = whole[whole["group"] == photos.TRAINED]
    assert list(trained["rule"]) == list(chapter.RULES)
    assert whole.loc[whole["rule"] == chapter.HINDSIGHT, ["low", "high"]].isna().all(axis=None)
    fair = gains.query("rule == @chapter.OTHER_TARGETS and group == @photos.TRAINED")
    expected = agreement.two_level_interval(fair.pivot(index="ladder", columns="target", values="value").to_numpy())
    row = trained[trained["rule"] == chapter.OTHER_TARGETS].iloc[0]
    assert (row["ladders"], row["targets"]) == (4, 11)
    assert row[["mean", "low", "high"]].tolist() == pytest.approx(
        [float(value) for value in (expected.mean, expected.low, expected.high)]
    )


def test_where_gains_are_is_counted_in_cells_of_methods_and_targets():
    rows = [
        ("a 0", "a", "t", 3),
        ("a 1", "a", "t", -1),
        ("a 0", "a", "u", -4),
        ("a 1", "a", "u", 2),
        ("b 0", "b", "t", 2),
    ]
    gains = pd.DataFrame(rows, columns=["ladder", "method", "target", "value"])
    gains = gains.assign(group=photos.TRAINED, rule=chapter.OTHER_TARGETS)
    found = chapter.where(gains, photos.TRAINED)
    assert (found["cells"], found["positive"]) == (3, 2)
    assert (found["target-most"], found["target-most-value"], found["target-least-value"]) == ("t", "+1.50", "−1.00")
    assert (found["method-most"], found["method-least"], found["method-least-value"]) == ("b", "a", "+0.00")
    assert chapter.where(gains, photos.RELEASED)["cells"] == 0


def test_better_training_is_compared_method_by_method():
    rows = [
        {"method": method, "ladder": f"{method} {seed}", "target": f"t{t}", "value": value + 0.1 * seed}
        for method, value in {"m": 1.0, "augmented m": 3.0}.items()
        for seed in range(2)
        for t in range(3)
    ]
    gains = pd.DataFrame(rows).assign(rule=chapter.OTHER_LADDERS)
    source = {"m": (0.30, 0.29, 0.31), "augmented m": (0.40, 0.36, 0.38)}
    rungs = [(method, rung, value) for method, values in source.items() for rung, value in enumerate(values)]
    tables = {"rungs": pd.DataFrame(rungs, columns=["method", "rung", "source_accuracy"])}
    found = chapter.by_images(tables, gains, "m")
    assert found.loc["plain", ["dense", "first", "highest", "mean"]].tolist() == pytest.approx([30, 29, 31, 1.05])
    assert found.loc["varied", ["dense", "first", "highest", "mean"]].tolist() == pytest.approx([40, 36, 38, 3.05])
    assert chapter.by_images(tables, gains, "n").isna().all(axis=None)


@pytest.mark.parametrize("name", ["gains", "heat map"])
def test_charts_fit_the_column_and_are_the_same_on_every_machine(name):
    rungs = photos.rungs_of(simulate(NAMES, ("cifar10", "pacs-photo", "dtd", "gtsrb"), scores=SCORES))
    gains = pd.concat([chapter.chosen_gains(rungs, rule) for rule in chapter.RULES], ignore_index=True)
    methods, targets = photos.method_order(rungs), list(dict.fromkeys(rungs["target"]))
    build, frame = {
        "gains": (lambda f: chapter.gains_chart(f, methods, methods[0]), chapter.curves(rungs)),
        "heat map": (lambda f: chapter.gain_heat_map(f, methods, targets), gains),
    }[name]
    check_chart(build, frame)


def test_an_unknown_method_gives_way_to_the_first(rungs):
    along = chapter.curves(rungs[rungs["target"] == "dtd"])
    chart = chapter.gains_chart(along, photos.method_order(rungs), "no such method").to_dict()
    assert chart["params"][0]["value"] == "magnitude iterative"


@pytest.fixture
def without_charts(monkeypatch):
    """Sentences alone: charts take most of the time."""
    monkeypatch.setattr(charts, "show", lambda *_, **__: None)
    for name in ("gains_chart", "gain_heat_map"):
        monkeypatch.setattr(chapter, name, lambda *_: None)


def gain_by_distance(tables):
    """Published records on which pruning helps everywhere, the more the farther the target, and the source suffers."""
    far = chapter.distances(tables)
    rungs, transfer, scores = tables["rungs"], tables["transfer"], tables["scores"]
    better = 0.2 + 0.2 * transfer["accuracy"] + 0.5 * transfer["target"].map(far.rank()) / len(far)
    transfer = transfer.assign(accuracy=better.where(transfer["rung"] > 0, 0.1))
    source = rungs["source_accuracy"].mask(rungs["method"].eq(chapter.TRANSFORMER) & rungs["rung"].gt(0), 0.0)
    source = source.mask(rungs["method"].eq("augmented magnitude iterative") & rungs["rung"].eq(1), 0.9)
    scores = scores.assign(value=scores["value"].where(scores["score"] != "gaussian", -scores["rung"]))
    return tables | {"rungs": rungs.assign(source_accuracy=source), "transfer": transfer, "scores": scores}


def information_is_accuracy(tables):
    probe = tables["transfer"].query("protocol == 'probe'").set_index(["ladder", "rung", "target"])["accuracy"]
    scores = tables["scores"].join(probe, on=["ladder", "rung", "target"])
    scores = scores.assign(value=scores["accuracy"].where(scores["score"] == "gaussian", scores["value"]))
    return tables | {"scores": scores.drop(columns="accuracy")}


def test_the_sentences_hold_on_the_published_records():
    glued = committed(NAME)
    assert {glued[key] for key in GUARDS} == {""}
    assert {"fig-photo-gains", "fig-photo-gain", "tab-photo-distance", "tab-photo-tops"} <= set(glued)


@pytest.mark.parametrize(
    ("change", "fall"),
    [(gain_by_distance, GUARDS - {"tops-apart"}), (information_is_accuracy, {"tops-apart"})],
)
def test_sentences_that_records_contradict_fall(change, fall, published, monkeypatch, without_charts):
    glued = run_cells(NAME, monkeypatch, change(published))
    assert {key for key in GUARDS if glued[key]} == fall


def test_a_contradicted_sentence_is_not_published(published, monkeypatch, without_charts):
    monkeypatch.setenv(charts.GUARDS, charts.STRICT)
    with pytest.raises(TeponesError, match="tops-apart"):
        run_cells(NAME, monkeypatch, information_is_accuracy(published))


@pytest.mark.parametrize("names", [["random iterative 0"], [NAMES[0], "diagonal iterative 0", NAMES[4]], [NAMES[5]]])
def test_the_chapter_runs_on_any_ladders(names, monkeypatch):
    glued = run_cells(NAME, monkeypatch, simulate(names, ("cifar10", "pacs-photo"), scores=SCORES))
    assert glued["n-there"] == len(names)
    assert "magnitude lottery 0" in glued["absent"]
    assert "otherwise" in glued["transformer-flat"]
