"""Criteria: each against a slow computation of its definition."""

import copy

import pytest
import torch
from torch.func import functional_call
from torch.nn import functional

from tepones.common.errors import UsageError
from tepones.pruning import CRITERIA
from tepones.pruning.base import sample
from tepones.pruning.criteria.block import DAMPING, block, inverse_diagonal
from tepones.pruning.criteria.diagonal import diagonal
from tepones.pruning.masks import apply, dense, prunable, select

NEED_DATA = ("snip", "diagonal", "block")


def gradients_one_by_one(network, setting):
    """Each image's gradient of each prunable weight, by a loop over autograd; rows (N, numel)."""
    network = copy.deepcopy(network).eval()
    images, labels = sample(setting, 512)
    rows = {name: [] for name in prunable(network)}
    for i in range(len(images)):
        loss = functional.cross_entropy(network(network.prepare(images[i : i + 1])), labels[i : i + 1])
        found = torch.autograd.grad(loss, list(prunable(network).values()))
        for name, gradient in zip(rows, found, strict=True):
            rows[name].append(gradient.flatten())
    return {name: torch.stack(each) for name, each in rows.items()}


@pytest.fixture
def sparse(trained):
    """A trained network without half of its weights."""
    saliency = {name: weight.detach().abs() for name, weight in prunable(trained).items()}
    apply(trained, select(saliency, 0.5, dense(trained)))
    return trained


def test_snip_is_the_derivative_by_the_mask(trained, setting):
    images, labels = sample(setting(), 512)
    weights = {name: weight.detach() for name, weight in prunable(trained).items()}
    masks = {name: torch.ones_like(weight, requires_grad=True) for name, weight in weights.items()}
    trained.eval()
    logits = functional_call(trained, {n: masks[n] * weights[n] for n in masks}, (trained.prepare(images),))
    expected = torch.autograd.grad(functional.cross_entropy(logits, labels), list(masks.values()))
    found = CRITERIA.load("snip")(trained, setting())
    for name, gradient in zip(masks, expected, strict=True):
        torch.testing.assert_close(found[name], gradient.abs(), rtol=1e-3, atol=1e-8)


def test_diagonal_is_the_mean_squared_gradient_of_a_loop_times_the_squared_weight(trained, setting):
    found, rows = diagonal(trained, setting()), gradients_one_by_one(trained, setting())
    for name, weight in prunable(trained).items():
        expected = rows[name].square().mean(0).view(weight.shape) * weight.detach().square()
        torch.testing.assert_close(found[name], expected, rtol=1e-3, atol=1e-10)


def rank_one(gradients, ridge):
    """Inverse of ridge · I + GᵀG / n by WoodFisher's recursion: one Sherman–Morrison update for each row of G."""
    inverse = torch.eye(gradients.shape[1], dtype=gradients.dtype) / ridge
    for row in gradients:
        column = inverse @ row
        inverse -= torch.outer(column, column) / (len(gradients) + row @ column)
    return inverse


def test_inverse_diagonal_equals_the_dense_inverse_and_the_rank_one_updates():
    generator = torch.Generator().manual_seed(0)
    gradients = torch.randn(5, 20, 12, generator=generator, dtype=torch.float64)
    fisher = gradients.mT @ gradients / 20
    damped = fisher + 0.1 * torch.eye(12)
    expected = torch.linalg.inv(damped).diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(inverse_diagonal(damped), expected)
    for each, diagonal_ in zip(gradients, expected, strict=True):
        torch.testing.assert_close(rank_one(each, 0.1).diagonal(), diagonal_)


@pytest.mark.parametrize("size", [1, 24, 100, 300])
def test_block_scores_equal_the_dense_inverse_of_each_block_of_remaining_weights(sparse, setting, size, monkeypatch):
    monkeypatch.setattr("tepones.pruning.criteria.block.BLOCK", size)
    found, rows = block(sparse, setting()), gradients_one_by_one(sparse, setting())
    weights = {name: weight.detach().flatten() for name, weight in prunable(sparse).items()}
    alive = torch.cat([weight != 0 for weight in weights.values()])
    squares = torch.cat([row.square().mean(0) for row in rows.values()])
    ridge = DAMPING * squares[alive].mean().double()
    for name in ("encoder.0.weight", "encoder.4.shortcut.0.weight"):
        weight, gradients, score = weights[name], rows[name].double(), found[name].flatten()
        for start in range(0, len(weight), size):
            here = torch.arange(start, min(start + size, len(weight)))
            here = here[weight[here] != 0]
            fisher = gradients[:, here].T @ gradients[:, here] / len(gradients)
            inverse = torch.linalg.inv(fisher + ridge * torch.eye(len(here)))
            expected = weight[here].double().square() / inverse.diagonal()
            torch.testing.assert_close(score[here].double(), expected, rtol=2e-2, atol=1e-9)
        assert not score[weight == 0].any()


def test_blocks_of_one_weight_are_the_diagonal_plus_damping(trained, setting, monkeypatch):
    monkeypatch.setattr("tepones.pruning.criteria.block.BLOCK", 1)
    monkeypatch.setattr("tepones.pruning.criteria.block.DAMPING", 1e-9)
    found, plain = block(trained, setting()), diagonal(trained, setting())
    for name, scores in plain.items():
        torch.testing.assert_close(found[name], scores, rtol=1e-2, atol=1e-10)


def test_a_network_without_gradients_is_ranked_by_magnitude(backbone, setting):
    torch.nn.init.zeros_(backbone.classifier.weight)
    found = block(backbone, setting())
    for name, weight in prunable(backbone).items():
        torch.testing.assert_close(found[name], weight.detach().square())


@pytest.mark.parametrize("criterion", CRITERIA)
def test_scores_have_the_weights_shapes_repeat_themselves_and_leave_the_network_alone(trained, setting, criterion):
    before = copy.deepcopy(trained.state_dict())
    first, again = (CRITERIA.load(criterion)(trained, setting()) for _ in range(2))
    for name, weight in prunable(trained).items():
        assert first[name].shape == weight.shape and first[name].isfinite().all()
        assert torch.equal(first[name], again[name]) and not first[name].requires_grad
    assert all(torch.equal(before[name], tensor) for name, tensor in trained.state_dict().items())


@pytest.mark.parametrize("criterion", CRITERIA)
def test_only_criteria_that_look_at_data_refuse_to_work_without(trained, setting, criterion):
    without = setting(criterion, images=None, labels=None)
    if criterion not in NEED_DATA:
        assert without.criterion(trained, without)
        return
    with pytest.raises(UsageError, match="needs training images"):
        without.criterion(trained, without)


def test_the_images_are_drawn_by_the_seed_and_no_more_than_there_are(setting, images):
    first, labels = sample(setting(seed=3), 10)
    assert torch.equal(first, sample(setting(seed=3), 10)[0])
    assert not torch.equal(first, sample(setting(seed=4), 10)[0])
    assert len(first) == len(labels) == 10 and len(sample(setting(), 512)[0]) == len(images[0])
