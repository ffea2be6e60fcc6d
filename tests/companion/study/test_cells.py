"""Cells: rungs as they were asked for, interrupted, resumed, stopped at the last good one; who sees which images."""

import shutil

import numpy as np
import pytest

from tepones.backbones.activations import layer_entropies
from tepones.backbones.features import predict
from tepones.backbones.training import Training
from tepones.common.errors import TeponesError
from tepones.companion import study
from tepones.companion.study import cells, plan
from tepones.companion.study.cells import (
    Distilled,
    Entropies,
    FineTuning,
    Images,
    Pretraining,
    Rung,
    Scoring,
    Transfer,
    load_rung,
)
from tepones.companion.study.records import Store
from tepones.pruning import UNPRUNED
from tepones.pruning.base import Setting
from tepones.pruning.masks import prunable, sparsity
from tepones.pruning.schedules import channels, control, iterative, lottery
from tepones.tasks.glyphs import ALPHABETS

SOURCE = Images("digits", 8, 4)


DENSE = Pretraining("small-resnet", SOURCE, Training(epochs=2, learning_rate=0.1, batch_size=16), 1)


SPARSITIES = (0.5, 0.8, 0.95)


RESUMED = [("iterative", iterative), ("lottery", lottery), ("structured", channels), ("control", control)]


def ladder(schedule, learning_rate=0.05):
    training = Training(epochs=1, learning_rate=learning_rate, batch_size=16)
    criterion = None if schedule in UNPRUNED else "magnitude"
    return [Rung(DENSE, criterion, schedule, SPARSITIES[: level + 1], training) for level in range(3)]


@pytest.fixture
def store(tmp_path):
    records = Store(tmp_path / "records")
    for cell in (SOURCE, DENSE):
        records.compute(cell)
    return records


def interrupt(*args, **kwargs):
    raise KeyboardInterrupt


@pytest.mark.parametrize(("schedule", "module"), RESUMED)
def test_a_resumed_ladder_ends_with_the_weights_of_an_uninterrupted_one(store, tmp_path, monkeypatch, schedule, module):
    rungs = ladder(schedule)
    for rung in rungs[:2]:
        store.compute(rung)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "train", interrupt)
        store.compute(rungs[2])
    assert store.get(rungs[2]) is None
    resumed = Store(store.folder).compute(rungs[2]).tensors()

    other = Store(tmp_path / "other")
    for cell in (SOURCE, DENSE, *rungs):
        straight = other.compute(cell).tensors()
    assert resumed.keys() == straight.keys()
    assert all(np.array_equal(resumed[name], straight[name]) for name in resumed)


def test_a_gradient_that_is_not_finite_leaves_the_last_good_rung(store):
    good, bad = ladder("one-shot")[0], ladder("iterative", learning_rate=1e30)
    store.compute(good)
    with pytest.raises(TeponesError, match=r"step \d+: the gradient of .* is not finite"):
        for rung in bad:
            store.compute(rung)
    assert store.get(bad[-1]) is None
    _, masks = load_rung(store, good)
    assert sparsity(masks) == pytest.approx(SPARSITIES[0], abs=1e-5)


def test_rungs_start_where_their_schedule_says():
    assert [rung.start() for rung in ladder("iterative")] == [DENSE, *ladder("iterative")[:2]]
    assert [rung.start() for rung in ladder("one-shot")] == [DENSE] * 3
    assert [rung.start() for rung in ladder("reinitialised")] == ladder("lottery")


def test_the_control_without_the_tickets_weights_has_its_masks(store):
    for ticket, without in zip(ladder("lottery")[:2], ladder("reinitialised")[:2], strict=True):
        store.compute(ticket)
        store.compute(without)
        there, here = (load_rung(store, rung)[1] for rung in (ticket, without))
        assert all(np.array_equal(there[name], here[name]) for name in there)


def test_a_collapsed_layer_is_in_the_record(store):
    sparsest = Rung(DENSE, "random", "one-shot", (0.99999,), DENSE.training)
    values = store.compute(sparsest).values
    _, masks = load_rung(store, sparsest)
    assert values["collapsed"].split() == [name for name, mask in masks.items() if not mask.any()] != []
    assert store.require(DENSE).values["collapsed"] == ""


def test_a_structured_rung_is_loaded_with_its_shapes_and_its_sparsity_counts_from_the_dense_backbone(store):
    n_dense = store.require(DENSE).values["nonzero_weights"]
    for rung, sparsity_asked in zip(ladder("structured"), SPARSITIES, strict=True):
        values = store.compute(rung).values
        network, masks = load_rung(store, rung)
        assert sparsity_asked <= values["sparsity"] < sparsity_asked + 0.03
        assert values["nonzero_weights"] == sum(weight.numel() for weight in prunable(network).values())
        assert values["sparsity"] == pytest.approx(1 - values["nonzero_weights"] / n_dense)
        assert all(mask.all() for mask in masks.values()) and values["collapsed"] == ""
        assert network.classifier.in_features < 128


def test_the_rungs_of_a_control_are_dense_and_each_is_trained_on_from_the_one_before(store):
    before = store.require(DENSE).tensors()
    for rung in ladder("control"):
        values, after = store.compute(rung).values, store.require(rung).tensors()
        assert values["sparsity"] == 0 and values["collapsed"] == ""
        assert values["nonzero_weights"] == store.require(DENSE).values["nonzero_weights"]
        assert all(after[name].all() for name in after if name.startswith("mask:"))
        assert not np.array_equal(before["weight:encoder.0.weight"], after["weight:encoder.0.weight"])
        before = after


TARGET = Images("arrows", 6, 3)


@pytest.fixture
def on_target(store):
    """A store that has the images of a target too."""
    store.compute(TARGET)
    return store


def mean_class_accuracy(correct, labels):
    return np.mean([correct[labels == label].mean() for label in np.unique(labels)])


def test_a_distilled_rung_learns_the_answers_of_its_dense_network_to_images_of_two_kinds(on_target, monkeypatch):
    training = Training(epochs=1, learning_rate=0.01, batch_size=16)
    rung = Distilled(DENSE, "magnitude", "iterative", (0.5,), training, images=TARGET)
    settings = []

    def recorded(**fields):
        settings.append(fields)
        return Setting(**fields)

    # 120 from the source, which has 80 and gives some twice; 120 of the target, which has more.
    monkeypatch.setattr(cells, "DISTILLED", 240)
    monkeypatch.setattr(cells, "Setting", recorded)
    record = on_target.compute(rung)
    [setting] = settings
    source, other = (on_target.require(cell).tensors()["train_images"] for cell in (SOURCE, TARGET))

    def names(images):
        return [image.tobytes() for image in images]

    drawn, known = names(setting["images"][:120]), names(setting["images"][120:])
    assert set(known) == set(names(source)) and len(known) == 120 > len(source)
    assert set(drawn) <= set(names(other)) and len(drawn) == len(set(drawn)) == 120
    dense, _ = load_rung(on_target, DENSE)
    np.testing.assert_array_equal(setting["labels"], predict(dense, setting["images"]))
    assert record.values["sparsity"] == pytest.approx(0.5, abs=1e-4)
    backbone, _ = load_rung(on_target, rung)
    tested = on_target.require(TARGET).tensors()["test_images"]
    agreed = predict(backbone, tested).argmax(1) == predict(dense, tested).argmax(1)
    assert record.values["fidelity"] == pytest.approx(agreed.mean())


@pytest.mark.parametrize(
    "cell", [Transfer(DENSE, TARGET, (0.1, 1.0)), FineTuning(DENSE, TARGET, DENSE.training, 0)], ids=["probe", "full"]
)
def test_transfer_keeps_which_test_images_are_right_in_their_order(on_target, monkeypatch, cell):
    record, images = on_target.compute(cell), on_target.require(TARGET).tensors()
    labels = images["test_labels"]
    packed = record.tensors()["correct"]
    assert packed.dtype == np.uint8 and len(packed) == -(-len(labels) // 8)
    correct = np.unpackbits(packed)[: len(labels)].astype(bool)
    assert record.values["accuracy"] == pytest.approx(mean_class_accuracy(correct, labels))
    assert 0 < record.values["accuracy"] < 1
    # The same test images backwards, the last class thrice: right are the same ones, and every class counts alike.
    values, tensors = TARGET.compute(on_target)
    rows = np.concatenate([np.arange(len(labels))[::-1], *[np.flatnonzero(labels == labels.max())] * 2])
    swapped = tensors | {f"test_{what}": tensors[f"test_{what}"][rows] for what in ("images", "labels", "groups")}
    other = Store(on_target.folder.with_name("backwards"))
    monkeypatch.setattr(Images, "compute", lambda self, store: (values, swapped))
    shutil.copytree(on_target.folder, other.folder)
    for old in (TARGET, cell):
        other.path(old).unlink()
    other.compute(TARGET)
    backwards = other.compute(cell)
    found = np.unpackbits(backwards.tensors()["correct"])[: len(rows)].astype(bool)
    assert np.array_equal(found, correct[rows])
    assert backwards.values["accuracy"] == pytest.approx(record.values["accuracy"])


def test_a_layer_is_a_part_of_the_entropy_which_is_their_mean(on_target):
    rows = on_target.compute(Entropies(DENSE, TARGET)).values["rows"]
    whole, *layers = rows
    backbone, _ = load_rung(on_target, DENSE)
    expected = layer_entropies(backbone, on_target.require(TARGET).tensors()["train_images"])
    assert {row["part"]: row["value"] for row in layers} == pytest.approx(expected)
    assert whole == {"score": "layer_entropy", "part": None, "value": pytest.approx(np.mean(list(expected.values())))}
    assert {row["score"] for row in rows} == {"layer_entropy"}
    # As a score of the output does, they come where a table of scores has its parts.
    assert {"score", "part", "value"} <= on_target.compute(Scoring(DENSE, TARGET, ("entropi",))).values["rows"][
        0
    ].keys()


def test_images_know_the_groups_of_their_test_images(on_target):
    assert on_target.require(TARGET).tensors()["test_groups"].tolist() == list(range(3 * len(ALPHABETS["arrows"])))


def test_a_pre_training_may_be_self_supervised(tmp_path):
    store, source = Store(tmp_path), Images("digits", 6, 4)
    training = Training(epochs=1, learning_rate=0.05, batch_size=16)
    store.compute(source)
    record = store.compute(Pretraining("small-resnet", source, training, 0, "simclr"))
    assert 0 <= record.values["source_accuracy"] <= 1
    assert {name.partition(":")[0] for name in record.tensors()} == {"weight", "mask", "early"}


def test_sparsities_are_those_of_the_profile(tiny):
    rungs = study.load("tiny", "live")["rungs"]
    for _, ladder in rungs.groupby("ladder"):
        total = ladder["nonzero_weights"].iloc[0]
        expected = [0, *tiny.ladders[0].sparsities]
        assert list(ladder["nonzero_weights"]) == [round((1 - s) * total) for s in expected]
        assert np.allclose(ladder["sparsity"], expected, atol=1 / total)


def test_recorded_masks_are_nested_and_hold(tiny):
    store = plan.store(tiny)
    for ladder in tiny.ladders:
        before = None
        for cell in plan.rungs(ladder):
            backbone, masks = load_rung(store, cell)
            weights = dict(backbone.named_parameters())
            assert all(not weights[name][~mask].any() for name, mask in masks.items())
            assert before is None or not any((masks[name] & ~before[name]).any() for name in masks)
            assert sparsity(masks) == pytest.approx(store.require(cell).values["sparsity"])
            before = masks


def test_scores_and_the_choice_of_the_probe_never_see_the_test_split(tiny_checkout, tiny, tmp_path, monkeypatch):
    rung = plan.rungs(tiny.ladders[0])[1]
    target, judged, (scoring,) = next(iter(plan.evaluations(tiny, tiny.ladders[0], rung)))
    before, after = Store(tmp_path / "before"), Store(tmp_path / "after")
    for store in (before, after):  # both by this process, which is not told how to round
        shutil.copytree(tiny_checkout / "build" / "records" / "tiny", store.folder)
        for cell in (judged[0][2], scoring):
            store.path(cell).unlink()
    after.path(target).unlink()
    values, tensors = target.compute(before)
    swapped = {**tensors, "test_images": 255 - tensors["test_images"]}
    monkeypatch.setattr(type(target), "compute", lambda self, store: (values, swapped))
    after.compute(target)
    scores = [[row["value"] for row in store.compute(scoring).values["rows"]] for store in (before, after)]
    probes = [store.compute(judged[0][2]).values for store in (before, after)]
    assert scores[0] == scores[1]
    assert probes[0]["regularisation"] == probes[1]["regularisation"]
    assert probes[0]["accuracy"] != probes[1]["accuracy"]


def test_entropies_look_at_no_label_and_at_no_test_image(on_target, tmp_path, monkeypatch):
    values, tensors = TARGET.compute(on_target)
    shuffled = tensors | {
        "train_labels": tensors["train_labels"][::-1].copy(),
        "test_images": 255 - tensors["test_images"],
        "test_labels": tensors["test_labels"][::-1].copy(),
    }
    other = Store(tmp_path / "other")
    shutil.copytree(on_target.folder, other.folder)
    other.path(TARGET).unlink()
    monkeypatch.setattr(Images, "compute", lambda self, store: (values, shuffled))
    other.compute(TARGET)
    found = [store.compute(Entropies(DENSE, TARGET)).values for store in (on_target, other)]
    assert found[0] == found[1]
    scored = [
        store.compute(Scoring(DENSE, TARGET, ("gaussian",))).values["rows"][0]["value"] for store in (on_target, other)
    ]
    assert scored[0] != scored[1]
