import io
import pickle
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_features import labelled, uneven

import tepones
from tepones.common.errors import UsageError
from tepones.scores import moments as moments_module
from tepones.scores import policy
from tepones.scores.moments import LABEL_FREE, PER_CLASS, ClassMoments
from tepones.scores.summary import Spread


def two_pass(features, labels):
    """The summary's quantities from the definitions, with the rows at hand."""
    x = np.asarray(features, np.float64)
    mean = x.mean(0)
    classes = list(dict.fromkeys(labels))
    means = np.array([x[np.array([label == c for label in labels])].mean(0) for c in classes])
    variances = np.array([x[np.array([label == c for label in labels])].var(0) for c in classes])
    centred = x - mean
    return {
        "mean": mean,
        "covariance": centred.T @ centred / len(x),
        "deviations": dict(zip(classes, means - mean, strict=True)),
        "class_variances": dict(zip(classes, variances, strict=True)),
        "quartic": np.mean(np.sum(centred**2, 1) ** 2),
    }


def central_quartic(spread: Spread):
    """Mean ‖x − μ‖⁴, solved from Ledoit and Wolf's intensity, which is where it enters."""
    covariance = spread.covariance()
    squared = np.sum(covariance**2)
    distance = squared - np.trace(covariance) ** 2 / len(covariance)
    return spread.ledoit_wolf(covariance) * distance * spread.n + squared


def assert_same(a: ClassMoments, b: ClassMoments, rtol=1e-9):
    assert a.n == b.n and set(a.classes) == set(b.classes)
    order = [b.classes.index(label) for label in a.classes]
    x, y = a.summary, b.summary
    assert np.array_equal(x.counts, y.counts[order])
    assert np.array_equal(a.on, b.on[order])
    assert np.array_equal(x.spread.active, y.spread.active)
    scale = x.spread.scale
    np.testing.assert_allclose(x.spread.mean, y.spread.mean, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(x.spread.correlation(), y.spread.correlation(), rtol=0, atol=rtol)
    np.testing.assert_allclose(x.deviations / scale, y.deviations[order] / scale, rtol=0, atol=rtol)
    np.testing.assert_allclose(x.class_variances / scale**2, y.class_variances[order] / scale**2, atol=rtol)
    covariance = x.spread.covariance()
    assert x.spread.ledoit_wolf(covariance) == pytest.approx(y.spread.ledoit_wolf(covariance), rel=1e-6)


def test_one_pass_is_two_pass_where_the_mean_is_a_million_deviations():
    x, y = labelled(n=2000, d=8, scale=1.0, mean=1e6)
    moments = ClassMoments()
    for start in range(0, len(x), 300):
        moments.update(x[start : start + 300], y[start : start + 300])
    summary, expected = moments.summary, two_pass(x, y)
    assert summary.n_active == 8
    np.testing.assert_allclose(summary.spread.mean, expected["mean"], rtol=1e-12)
    np.testing.assert_allclose(summary.spread.covariance(), expected["covariance"], rtol=1e-6, atol=1e-9)
    for row, label in enumerate(moments.classes):
        np.testing.assert_allclose(summary.deviations[row], expected["deviations"][label], rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(summary.class_variances[row], expected["class_variances"][label], rtol=1e-6)
    assert central_quartic(summary.spread) == pytest.approx(expected["quartic"], rel=1e-6)


def test_scores_of_a_huge_mean_are_those_of_none():
    x, y = labelled(n=500, d=6)
    moved = tepones.score(x + 1e6, y, scores=["gaussian", "h_score", "shrunk_h_score", "gbc_diagonal", "probe"])
    plain = tepones.score(x, y, scores=list(moved["score"]))
    np.testing.assert_allclose(moved["value"], plain["value"], rtol=1e-6)


def test_the_quartic_statistics_give_the_definition_about_the_mean():
    x, y = labelled(n=400, d=5, mean=3.0)
    moments = ClassMoments().update(x[:7], y[:7]).update(x[7:], y[7:])
    assert central_quartic(moments.summary.spread) == pytest.approx(two_pass(x, y)["quartic"], rel=1e-10)


def test_blocks_change_nothing(monkeypatch):
    x, y = uneven()
    whole = ClassMoments().update(x, y)
    monkeypatch.setattr(policy, "BLOCK", 70)
    assert_same(whole, ClassMoments().update(x, y))


@settings(max_examples=40, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 60), max_size=5),
    seed=st.integers(0, 10**6),
    mean=st.sampled_from([0.0, 1e4]),
    data=st.data(),
)
def test_any_split_merged_in_any_order_is_the_whole(cuts, seed, mean, data):
    x, y = labelled(n=60, d=4, c=5, seed=seed, mean=mean)
    x[:, 3] = 2.5
    edges = [0, *sorted(cuts), 60]
    parts = [ClassMoments().update(x[a:b], y[a:b]) if b > a else ClassMoments() for a, b in pairwise(edges)]
    merged = ClassMoments()
    before = [part.sums.copy() if part.n else None for part in parts]
    for index in data.draw(st.permutations(range(len(parts)))):
        assert merged.merge(parts[index]) is merged
    assert_same(merged, ClassMoments().update(x, y), rtol=1e-7 if mean else 1e-9)
    for part, sums in zip(parts, before, strict=True):
        assert sums is None or np.array_equal(part.sums, sums)


def test_a_merge_tree_is_the_whole():
    x, y = labelled(n=64, d=4)
    parts = [ClassMoments().update(x[i : i + 8], y[i : i + 8]) for i in range(0, 64, 8)]
    while len(parts) > 1:
        parts = [a.merge(b) for a, b in zip(parts[::2], parts[1::2], strict=True)]
    assert_same(parts[0], ClassMoments().update(x, y))


def test_merge_refuses_other_features():
    a, b = ClassMoments().update(np.eye(3), [0, 1, 2]), ClassMoments().update(np.eye(2), [0, 1])
    with pytest.raises(UsageError, match="moments of 2 features; expected 3"):
        a.merge(b)


@pytest.mark.parametrize(
    "classes",
    [[7, -3, 10**12, 0], ["cat", "dog", "eel", "fox"], [None, True, 2.5, "x"], [("a", 1), ("a", 2), ("b", 1), "z"]],
)
def test_classes_are_any_hashables(classes):
    x, y = labelled(n=80, c=4)
    named = ClassMoments().update(x, [classes[i] for i in y])
    plain = ClassMoments().update(x, y)
    assert set(named.classes) == set(classes)
    order = [plain.classes.index(classes.index(label)) for label in named.classes]
    np.testing.assert_allclose(named.summary.deviations, plain.summary.deviations[order])


def test_a_class_of_one_row_and_one_that_comes_late():
    x, y = labelled(n=50, c=3)
    y[-1] = 99
    moments = ClassMoments().update(x[:20], y[:20]).update(x[20:], y[20:])
    assert dict(zip(moments.classes, moments.counts.tolist(), strict=True))[99] == 1
    assert_same(moments, ClassMoments().update(x, y))


def test_a_refused_block_leaves_no_class_behind(monkeypatch):
    x, y = labelled(n=40, c=2)
    moments = ClassMoments().update(x, y)
    bad = x.copy()
    bad[30, 0] = np.nan
    monkeypatch.setattr(policy, "BLOCK", 10 * x.shape[1])
    with pytest.raises(UsageError, match="row 70, column 0"):
        moments.update(bad, np.repeat([0, 1, 2, 3], 10))
    assert moments.classes == [0, 1, 2] and moments.n == 70
    assert_same(moments, ClassMoments().update(x, y).update(x[:30], np.repeat([0, 1, 2], 10)))


def test_numpy_scalars_and_tensors_are_the_classes_they_hold():
    x, _ = labelled(n=4, d=2)
    labels = [3, np.int64(3), torch.tensor(5), 5.0]
    assert ClassMoments().update(x, labels).classes == [3, 5]


@pytest.mark.parametrize("labels", [np.array([0, 1, 0, 1], np.uint8), torch.tensor([0, 1, 0, 1])])
def test_label_containers(labels):
    assert ClassMoments().update(np.eye(4), labels).classes == [0, 1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.uint8])
def test_torch_tensors_are_numpy_arrays(dtype):
    x, y = labelled(n=100, d=6, mean=3.0)
    tensor = torch.as_tensor(x).to(dtype)
    assert_same(ClassMoments().update(tensor, y), ClassMoments().update(tensor.double().numpy(), y))


def test_a_tensor_that_requires_grad():
    x = torch.eye(4, requires_grad=True)
    assert ClassMoments().update(x, [0, 0, 1, 1]).n == 4


def test_the_products_on_a_device_are_those_on_the_host():
    x, y = uneven(n=100)
    on_host = ClassMoments().update(x, y)
    on_device = ClassMoments()
    on_device._allocate(moments_module._mean(torch.as_tensor(x)))
    moments_module._add_on_device(on_device, torch.as_tensor(x), on_device._index([0, 1, 2, 3, 4])[y])
    on_device.n = len(x)
    assert_same(on_device, on_host)
    np.testing.assert_allclose(on_device.cubic, on_host.cubic, rtol=1e-9, atol=1e-9 * abs(on_host.cubic).max())


def test_a_memory_mapped_file(tmp_path):
    x, y = labelled(n=100, d=6, dtype=np.float32)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert_same(ClassMoments().update(mapped, y), ClassMoments().update(x, y))


def test_memory_does_not_grow_with_the_number_of_rows():
    # A million rows of 64 features, 512 MB if they were written out.
    rows = np.broadcast_to(np.arange(64.0), (10**6, 64))
    labels = np.arange(10**6) % 10
    tracemalloc.start()
    moments = ClassMoments().update(rows, labels)
    moments.relabelled(rows, labels)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 150e6


def test_saving_keeps_everything_and_pickles_nothing(tmp_path):
    x, y = uneven()
    moments = ClassMoments().update(x, [("even", "odd")[i % 2] + str(i) for i in y])
    moments.save(tmp_path / "moments.npz")
    with np.load(tmp_path / "moments.npz", allow_pickle=False) as stored:
        assert set(stored) == {"classes", *PER_CLASS, *LABEL_FREE}
        assert all(stored[name].dtype != object for name in stored)
    loaded = ClassMoments.load(tmp_path / "moments.npz")
    assert loaded.classes == moments.classes and loaded.n == moments.n
    for name in PER_CLASS + LABEL_FREE:
        assert np.array_equal(getattr(loaded, name), getattr(moments, name))
    assert_same(loaded.update(x, ["odd1"] * len(x)), moments.update(x, ["odd1"] * len(x)))


def test_saving_keeps_the_kinds_of_classes_and_the_empty_moments(tmp_path):
    x, _ = labelled(n=5)
    ClassMoments().update(x, [1, "1", 2.5, True, None]).save(tmp_path / "a.npz")
    assert [type(c) for c in ClassMoments.load(tmp_path / "a.npz").classes] == [int, str, float, type(None)]
    ClassMoments().save(tmp_path / "empty.npz")
    assert ClassMoments.load(tmp_path / "empty.npz").n == 0


def test_classes_that_cannot_be_saved_are_named(tmp_path):
    moments = ClassMoments().update(np.eye(2), [("a", 1), ("b", 2)])
    with pytest.raises(UsageError, match=r"class \('a', 1\) cannot be saved"):
        moments.save(tmp_path / "moments.npz")


class Bomb:
    def __reduce__(self):
        raise AssertionError("unpickled")


@pytest.mark.parametrize("content", ["truncated", "pickle", "text", "other", "shapes"])
def test_a_damaged_file_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "moments.npz"
    ClassMoments().update(*labelled()).save(path)
    if content == "truncated":
        path.write_bytes(path.read_bytes()[:-200])
    elif content == "pickle":
        path.write_bytes(pickle.dumps({"classes": [1]}))
    elif content == "text":
        path.write_text("no moments")
    elif content == "shapes":
        with np.load(path) as stored:
            arrays = dict(stored)
        np.savez(path, **arrays | {"sums": arrays["sums"][:, 1:]})
    else:
        np.savez(path, other=np.zeros(3))
    with pytest.raises(UsageError, match="no class moments") as caught:
        ClassMoments.load(path)
    assert "\n" not in str(caught.value) and "moments.npz" in str(caught.value)


def test_moments_pickle():
    x, y = uneven()
    moments = ClassMoments().update(x, y)
    assert_same(pickle.load(io.BytesIO(pickle.dumps(moments))), moments)
    assert_same(pickle.loads(pickle.dumps(moments)).update(x, y), ClassMoments().update(x, y).update(x, y))


def test_relabelling_is_a_new_pass_and_leaves_both_free_to_grow():
    x, y = labelled(n=120, d=6)
    moments = ClassMoments().update(x, y)
    other = np.roll(y, 1)
    again = moments.relabelled(x, other)
    assert_same(again, ClassMoments().update(x, other))
    again.update(x[:10], other[:10])
    assert_same(moments, ClassMoments().update(x, y))
    moments.update(x[:10], y[:10])
    assert_same(again, ClassMoments().update(x, other).update(x[:10], other[:10]))


def test_the_input_is_never_changed():
    x, y = uneven(dtype=np.float64)
    kept, labels = x.copy(), y.copy()
    tepones.score(x, y, scores=["gaussian", "sfda", "transrate", "posterior", "parc", "probe", "tmi", "knn"])
    assert np.array_equal(x, kept) and np.array_equal(y, labels)


@pytest.mark.parametrize("value", [0.0, 0.37, -1e8, 1e-20])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_column_is_dead(value, dtype):
    x, y = labelled(n=500, d=3, dtype=dtype)
    x[:, 1] = value
    assert ClassMoments().update(x[:100], y[:100]).update(x[100:], y[100:]).summary.spread.active.tolist() == [1, 0, 1]


def test_float32_rounding_about_a_constant_is_dead_and_a_small_signal_is_not():
    x, y = labelled(n=500, d=3)
    rng = np.random.default_rng(0)
    x[:, 0] = np.float32(1e3) + np.spacing(np.float32(1e3)) * rng.integers(-1, 2, 500)
    x[:, 1] = 1e-12 * x[:, 1]
    assert ClassMoments().update(x, y).summary.spread.active.tolist() == [0, 1, 1]
