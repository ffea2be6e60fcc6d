"""Ranges and invariances, on many small data sets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_features import one_hot

import tepones
from tepones.scores import SCORES
from tepones.scores.controls import sparsity

FACTS = {"sparsity": 0.5, "nonzero_weights": 1e6, "source_accuracy": 0.7}
#: Scores that no order of rows and no name of classes changes; the others draw samples or start values by row.
ORDERLESS = [name for name in SCORES if name not in ("n_leep", "random")]
RANGES = {
    "gaussian": lambda n, d, c: (0, np.inf),
    "binary": lambda n, d, c: (0, d * np.log(2)),
    "posterior": lambda n, d, c: (-np.log(n), np.log(n)),
    "h_score": lambda n, d, c: (0, min(c - 1, d)),
    "shrunk_h_score": lambda n, d, c: (0, min(c - 1, d)),
    "wilks": lambda n, d, c: (0, np.inf),
    "logme": lambda n, d, c: (-np.inf, 20),
    "nce": lambda n, d, c: (-np.log(c), 0),
    "leep": lambda n, d, c: (-np.log(c), 0),
    "n_leep": lambda n, d, c: (-np.log(c), 0),
    "transrate": lambda n, d, c: (0, np.inf),
    "gbc_diagonal": lambda n, d, c: (-np.log(c * (c - 1)), np.inf),
    "gbc_spherical": lambda n, d, c: (-np.log(c * (c - 1)), np.inf),
    "parc": lambda n, d, c: (-100, 100),
    "sfda": lambda n, d, c: (0, 1),
    "energy": lambda n, d, c: (-np.inf, np.inf),
    "lda": lambda n, d, c: (0, 1),
    "tmi": lambda n, d, c: (-np.inf, np.inf),
    "ncti": lambda n, d, c: (0, np.inf),
    "entropi": lambda n, d, c: (0, 1),
    "knn": lambda n, d, c: (0, 1),
    "probe": lambda n, d, c: (0, 1),
    "lda_accuracy": lambda n, d, c: (0, 1),
    "sparsity": lambda n, d, c: (0, 1),
    "nonzero_weights": lambda n, d, c: (0, np.inf),
    "source_accuracy": lambda n, d, c: (0, 1),
    "feature_norm": lambda n, d, c: (0, np.inf),
    "effective_rank": lambda n, d, c: (0, d),
    "active_features": lambda n, d, c: (0, d),
    "random": lambda n, d, c: (0, 1),
}


@st.composite
def cases(draw):
    """Features with dead, repeated and one-class columns, coinciding rows, singletons, N below and above D."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    n, d, c = draw(st.integers(4, 30)), draw(st.integers(1, 12)), draw(st.integers(2, 5))
    labels = np.concatenate([np.arange(min(c, n)), rng.integers(0, c, n - min(c, n))])
    features = draw(st.sampled_from([0.0, 1, 5])) * rng.normal(size=(c, d))[labels] + rng.normal(size=(n, d))
    if draw(st.booleans()):
        features = np.maximum(features, 0)
    for column in range(d):
        kind = draw(st.sampled_from(["alive", "alive", "alive", "dead", "constant", "copy", "rounded", "one class"]))
        if kind == "dead":
            features[:, column] = 0
        elif kind == "constant":
            features[:, column] = 0.37
        elif kind == "copy":
            features[:, column] = 3 * features[:, 0]
        elif kind == "rounded":
            features[:, column] = np.round(features[:, column])
        elif kind == "one class":
            features[labels > 0, column] = 0
    features *= 10 ** draw(st.sampled_from([-4.0, 0.0, 2.0]))
    if draw(st.booleans()):
        features[n // 2 :] = features[: n - n // 2]
    source = rng.dirichlet(np.full(4, draw(st.sampled_from([0.05, 1.0]))), n)
    return features.astype(draw(st.sampled_from([np.float32, np.float64]))), labels, source


def values(features, labels, source, names=None, **options):
    table = tepones.score(features, labels, names or list(SCORES), probabilities=source, facts=FACTS, **options)
    return table.set_index(["score", "part"])["value"]


def test_every_score_has_a_range_here():
    assert set(RANGES) == set(SCORES)


@settings(max_examples=40, deadline=None)
@given(cases())
def test_every_score_is_finite_and_in_its_range(case):
    features, labels, source = case
    table = tepones.score(features, labels, probabilities=source, facts=FACTS)
    assert set(table["score"]) == set(SCORES)
    assert np.isfinite(table["value"]).all()
    with_labels = table["score"].map(lambda name: SCORES.load(name).uses_labels)
    assert np.isfinite(table["null"]).eq(with_labels).all()
    for row in table.itertuples():
        low, high = RANGES[row.score](*features.shape, len(set(labels)))
        if row.part == "vc":
            low = -np.inf
        slack = 1e-6 * max(1, abs(row.value))
        assert low - slack <= row.value <= high + slack, row


@settings(max_examples=30, deadline=None)
@given(cases(), st.integers(0, 1000))
def test_neither_the_order_of_rows_nor_the_names_of_classes_matter(case, seed):
    features, labels, source = case
    order = np.random.default_rng(seed).permutation(len(labels))
    names = np.array(["sun", "moon", "earth", "mars", "io"])
    before = values(features, labels, source, ORDERLESS, null=False)
    after = values(features[order], names[labels[order]], source[order], ORDERLESS, null=False)
    # TransRate adds log(1 + λ/(nε)): the rounding of XᵀX in float64, divided by ε = 10⁻⁴, is what its λ = 0 become.
    rounding = np.finfo(float).eps * features.shape[1] * float(np.square(features, dtype=float).max()) / 1e-4
    slack = np.where(before.index.get_level_values("score") == "transrate", 1e-5 + rounding, 1e-5)
    other = ~np.isclose(after, before, rtol=1e-5, atol=slack)
    assert not other.any(), (before[other], after[other])


@settings(max_examples=25, deadline=None)
@given(cases())
def test_a_shift_and_a_scale_change_what_is_invariant_by_rounding_only(case):
    features, labels, source = case
    features = features.astype(np.float64)
    names = ["gaussian", "h_score", "shrunk_h_score", "wilks", "lda", "posterior", "gbc_diagonal", "gbc_spherical"]
    moved = features * 7 + 3 * np.abs(features).max()
    before, after = values(features, labels, source, names), values(moved, labels, source, names)
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-7)


@settings(max_examples=30, deadline=None)
@given(cases(), st.integers(1, 8))
def test_more_dead_columns_never_score_better(case, n_dead):
    features, labels, source = case
    dead = np.tile([0.0, 0.37, -5, 1e4], n_dead)[:n_dead]
    wider = np.column_stack([features, np.tile(dead, (len(features), 1)).astype(features.dtype)])
    before, after = values(features, labels, source, null=False), values(wider, labels, source, null=False)
    better = after > before + 1e-6 * (1 + before.abs())
    assert not better.any(), (before[better], after[better])


@settings(max_examples=25, deadline=None)
@given(cases())
def test_h_score_is_invariant_to_invertible_maps(case):
    features, labels, source = case
    # A full-rank version: rounding decides which of nearly dependent columns is redundant.
    features = features.astype(np.float64) / max(np.abs(features).max(), 1e-9)
    features = features + np.random.default_rng(0).normal(size=features.shape)
    mixing = np.eye(features.shape[1]) + np.tri(features.shape[1], k=-1)
    before = values(features, labels, source, ["h_score"], null=False)
    after = values(features @ mixing + 2, labels, source, ["h_score"], null=False)
    np.testing.assert_allclose(after, before, rtol=1e-6)


def test_facts_are_given_back():
    assert sparsity(FACTS) == 0.5
    with pytest.raises(tepones.common.errors.UsageError, match="no fact 'sparsity'; facts given: none"):
        sparsity({})


def test_the_random_control_tells_backbones_apart_and_repeats():
    x, y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2
    source = one_hot(y)
    first, again = (values(x, y, source, ["random"]).item() for _ in range(2))
    other_seed, other_features = values(x, y, source, ["random"], seed=1).item(), values(2 * x, y, source, ["random"])
    assert first == again
    assert len({first, other_seed, other_features.item()}) == 3
