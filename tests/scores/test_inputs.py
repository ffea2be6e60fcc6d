"""What people give to be scored: sound arrays come out, everything else is one line that names it."""

import numpy as np
import pandas as pd
import pytest
import torch
from labelled_features import labelled, one_hot

import tepones
from tepones.common.errors import UsageError
from tepones.scores.inputs import sound

X, Y = labelled(n=20, d=4, c=2)


def changed(array, value, where=(11, 2)):
    array = array.copy()
    array[where] = value
    return array


@pytest.mark.parametrize(
    "features",
    [
        X.tolist(),
        pd.DataFrame(X),
        np.matrix(X),
        torch.as_tensor(X),
        torch.as_tensor(X).requires_grad_(),
        np.asfortranarray(X),
        np.repeat(X, 2, axis=0)[::2],
        X.astype(">f8"),
    ],
)
def test_whatever_holds_the_numbers_gives_the_same(features):
    found = sound(features, Y)
    assert type(found.features) is np.ndarray and np.array_equal(found.features, X)
    assert tepones.score(features, Y, ["gaussian"])["value"][0] == pytest.approx(
        tepones.score(X, Y, ["gaussian"])["value"][0], rel=1e-9
    )


@pytest.mark.parametrize("kind", [np.float16, torch.float16, torch.bfloat16])
def test_half_precision_is_made_single(kind):
    x = np.asarray(X, np.float16) if kind is np.float16 else torch.as_tensor(X).to(kind)
    assert sound(x, Y).features.dtype == np.float32
    assert np.array_equal(sound(x, Y).features, np.asarray(x) if kind is np.float16 else x.float().numpy())


def test_a_file_that_is_mapped_into_memory_stays_on_disk(tmp_path):
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert np.shares_memory(sound(mapped, Y).features, mapped)


@pytest.mark.parametrize(
    "labels",
    [
        Y.tolist(),
        torch.as_tensor(Y),
        pd.Series(Y, index=range(5, 25)),
        pd.Categorical(Y),
        [f"class {c}" for c in Y],
        Y.astype(object),
        Y == 1,
        [None if c else "other" for c in Y],
    ],
)
def test_whatever_names_the_classes_gives_the_same(labels):
    found = sound(X, labels)
    assert found.n_classes == 2
    assert np.array_equal(found.codes == found.codes[0], Y[0] == Y)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (
            (X, one_hot(Y)),
            "a tuple of 2 arrays, as encoders return them; expected the first of them, and the second as",
        ),
        (np.ma.masked_greater(X, 1), "features are a masked array; leave the masked rows out"),
        (changed(X.astype(np.float16), np.inf), "features: row 11, column 2 is inf; expected finite"),
        (changed(X.astype(np.float16), -np.inf), "features: row 11, column 2 is -inf; expected finite"),
        (changed(X, np.nan), "features: row 11, column 2 is nan"),
        ([[1, 2], [3]], "features are no array .*; expected real numbers"),
        (torch.ones(20, 4).to_sparse(), "features are no array .*; expected real numbers"),
        (torch.ones(20, 4, device="meta"), "features are no array .*; expected real numbers"),
        (torch.ones(20, 4, dtype=torch.complex64), "features are of type complex64"),
        (None, r"features have shape \(\); expected \(rows, features\)"),
        ("features", r"features have shape \(\)"),
        (X.astype(object), "features are of type object; expected real numbers"),
        (X.astype("datetime64[s]"), r"features are of type datetime64\[s\]; expected real numbers"),
    ],
)
def test_features_that_are_none_are_refused(features, message):
    _refused(message, features, Y)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([*Y[:7], pd.NA, *Y[8:]], "labels: row 7 is <NA>; expected 20 hashable classes"),
        (pd.array([*Y[:7], None, *Y[8:]], dtype="Int64"), "labels: row 7 is <NA>; expected"),
        ([*Y[:7], float("nan"), *Y[8:]], "labels: row 7 is nan; expected a class"),
        ([*Y[:7], pd.NaT, *Y[8:]], "labels: row 7 is NaT; expected a class"),
        (np.ma.masked_equal(Y, 1), "labels are a masked array; leave the masked rows out"),
        (list(one_hot(Y)), "labels: .*; expected 20 hashable classes"),
        (list(torch.as_tensor(one_hot(Y))), "labels: .*; expected 20 hashable classes"),
        (iter(Y), "labels: .*len.*; expected 20 hashable classes"),
        (None, "labels: .*; expected 20 hashable classes"),
        (7, "labels: .*; expected 20 hashable classes"),
        (Y[:, None], r"labels have shape \(20, 1\)"),
        ([0] * 20, "labels hold 1 class; expected at least two"),
    ],
)
def test_labels_that_are_none_are_refused(labels, message):
    _refused(message, X, labels)


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        (one_hot(Y).astype(str), "probabilities are of type <U32; expected real numbers"),
        (np.array(0.5), r"probabilities have shape \(\); expected \(rows, source classes\)"),
        (0.5, r"probabilities have shape \(\); expected"),
        (np.array("half"), r"probabilities have shape \(\); expected"),
        (one_hot(Y)[:, :0], r"probabilities have shape \(20, 0\); expected"),
        (one_hot(Y).astype(complex), "probabilities are of type complex128"),
        (np.ma.masked_equal(one_hot(Y), 0), "probabilities are a masked array"),
        (one_hot(Y)[:5], "probabilities have 5 rows; expected 20, as the features"),
    ],
)
def test_probabilities_that_are_none_are_refused(probabilities, message):
    _refused(message, X, Y, probabilities)


def _refused(message, features, labels, probabilities=None):
    with pytest.raises(UsageError, match=message) as caught:
        sound(features, labels, probabilities)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    with pytest.raises(UsageError, match=message):
        tepones.score(features, labels, probabilities=probabilities)
