"""Cells of the second-order study: heads that see no test image, a surface whose curvature is known."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeClassifier
from torch import nn
from torch.nn import functional

from tepones.backbones.base import Backbone
from tepones.backbones.features import extract
from tepones.backbones.training import Training
from tepones.companion.study import zero_shot
from tepones.companion.study.cells import Images, Pretraining, Rung, load_rung
from tepones.companion.study.records import Store
from tepones.companion.study.zero_shot import PLACES, Landscape, Line, Part, ZeroShot

WHOLE = Images("digits", 12, 6)
TASKS = (Part(WHOLE, 0, 3), Part(WHOLE, 6, 10))
SHORT = Training(epochs=2, learning_rate=0.1, batch_size=16)
DENSE = Pretraining("small-resnet", Part(WHOLE, 0, 6), SHORT, 0)
PRUNED = Rung(DENSE, "magnitude", "one-shot", (0.8,), SHORT)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    records = Store(tmp_path_factory.mktemp("records"))
    for cell in (WHOLE, DENSE.source, *TASKS, DENSE, PRUNED):
        records.compute(cell)
    return records


def test_a_part_has_its_own_classes_and_labels_from_zero(store):
    whole, part = (store.require(cell) for cell in (WHOLE, TASKS[1]))
    assert part.values["classes"] == ["6", "7", "8", "9"]
    for split, n in (("train", 12), ("test", 6)):
        labels = part.tensors()[f"{split}_labels"]
        assert list(np.bincount(labels)) == [n] * 4
        rows = whole.tensors()[f"{split}_labels"] >= 6
        assert np.array_equal(part.tensors()[f"{split}_images"], whole.tensors()[f"{split}_images"][rows])


def test_of_the_dense_backbone_both_heads_are_one(store):
    rows = store.compute(ZeroShot(DENSE, TASKS)).values["rows"]
    assert [row["task"] for row in rows] == [0, 1]
    assert all(row["zero_shot"] == row["refitted"] > 0.5 for row in rows)


def test_the_head_is_fitted_on_dense_training_features_and_judges_pruned_test_features(store):
    rows = store.compute(ZeroShot(PRUNED, TASKS)).values["rows"]
    images = store.require(TASKS[1]).tensors()
    dense, pruned = (load_rung(store, rung)[0] for rung in (DENSE, PRUNED))
    features = extract(dense, images["train_images"])
    mean, scale = features.mean(0), features.std(0)
    scale[scale == 0] = 1
    tested = (extract(pruned, images["test_images"]) - mean) / scale
    best = {}
    for penalty in zero_shot.PENALTIES:  # the penalty is that with the least error of rows that are left out
        head = RidgeClassifier(alpha=penalty, class_weight="balanced")
        head.fit((features - mean) / scale, images["train_labels"])
        best[penalty] = (head.predict(tested) == images["test_labels"]).mean()
    assert rows[1]["zero_shot"] in [pytest.approx(value) for value in best.values()]
    assert rows[1]["zero_shot"] != rows[1]["refitted"]


def test_test_images_decide_nothing_but_the_accuracy(store, monkeypatch):
    before = store.compute(ZeroShot(PRUNED, TASKS)).values["rows"]
    tensors = {task: dict(store.require(task).tensors()) for task in TASKS}
    for each in tensors.values():
        each["test_labels"] = each["test_labels"][::-1].copy()
    real = Store.require

    def swapped(self, cell):
        record = real(self, cell)
        if cell not in tensors:
            return record
        return type("Record", (), {"tensors": lambda _: tensors[cell], "values": record.values})()

    monkeypatch.setattr(Store, "require", swapped)
    zero_shot._ridge_heads.cache_clear()
    after, _ = ZeroShot(PRUNED, TASKS).compute(store)
    zero_shot._ridge_heads.cache_clear()
    assert [row["zero_shot"] for row in after["rows"]] != [row["zero_shot"] for row in before]
    monkeypatch.undo()
    again, _ = ZeroShot(PRUNED, TASKS).compute(store)
    assert again["rows"] == before


def test_a_line_begins_at_the_dense_loss_and_ends_at_the_pruned_one(store):
    rows = store.compute(Line(PRUNED, TASKS)).values["rows"]
    assert [(row["task"], row["place"]) for row in rows] == [(task, place) for task in (0, 1) for place in PLACES]
    images = store.require(TASKS[0]).tensors()
    head = zero_shot._logistic_head(store, DENSE, TASKS[0])
    for rung, place in ((DENSE, 0), (PRUNED, len(PLACES) - 1)):
        backbone, _ = load_rung(store, rung)
        with torch.no_grad():
            logits = head(torch.as_tensor(extract(backbone, images["test_images"])))
        expected = float(functional.cross_entropy(logits, torch.tensor(images["test_labels"])))
        assert rows[place]["loss"] == pytest.approx(expected, rel=1e-4)


def test_eigenvalues_are_those_of_the_whole_hessian():
    """A network small enough to write the matrix down."""
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Conv2d(3, 2, 2, bias=False), nn.Tanh(), nn.Flatten())
    backbone = Backbone(encoder, 8, 3)
    images, labels = torch.randint(256, (20, 3, 3, 3), dtype=torch.uint8), torch.arange(20) % 3
    inputs = backbone.prepare(images)
    weight = encoder[0].weight

    def loss(flat):
        hidden = torch.tanh(functional.conv2d(inputs, flat.view_as(weight))).flatten(1)
        return functional.cross_entropy(backbone.classifier(hidden), labels)

    whole = torch.autograd.functional.hessian(loss, weight.detach().flatten())
    expected, vectors = torch.linalg.eigh(whole)
    values, leading = zero_shot._eigen(backbone, images, labels)
    assert values == pytest.approx(expected.flip(0)[: len(values)].tolist(), rel=0.02)
    assert abs(leading @ vectors[:, -1].numpy()) > 0.99


def test_a_landscape_compares_every_pair_of_tasks(store, monkeypatch):
    monkeypatch.setattr(zero_shot, "N_IMAGES", 24)
    monkeypatch.setattr("tepones.pruning.criteria.gradients.N_IMAGES", 24)
    thrice = (*TASKS, TASKS[0])
    values = store.compute(Landscape(DENSE, thrice, (0.5, 0.9))).values
    pairs = {(row["first"], row["second"]): row for row in values["pairs"]}
    assert set(pairs) == {(0, 1), (0, 2), (1, 2)} and len(values["eigenvalues"]) == 3
    same, other = pairs[0, 2], pairs[0, 1]  # the first task is there twice
    assert same["correlation"] == pytest.approx(1) and same["eigenvectors"] == pytest.approx(1, abs=1e-3)
    assert same["overlap 0.5"] == same["overlap 0.9"] == 1
    assert 0.5 < other["overlap 0.5"] < 1 and 0.1 < other["overlap 0.9"] < 1 and other["correlation"] < 0.999
    assert all(found == sorted(found, reverse=True) for found in values["eigenvalues"])
