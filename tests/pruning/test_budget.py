"""Budgets: counted by hand where that is possible; sparse encoding loses nothing."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import save
from torch import nn

from tepones.backbones.encoder import Encoder, Preparation
from tepones.pruning import budget, masks
from tepones.pruning.encoding import decode, encode
from tepones.ranking import checkpoints


def _encoder(model):
    return Encoder("", "", model, Preparation())


@pytest.fixture
def chain():
    """32×32×3 → convolution to 8 channels → ReLU → average → 8 features → 10 classes."""
    layers = [nn.Conv2d(3, 8, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)]
    return _encoder(nn.Sequential(*layers))


def test_a_chain_counted_by_hand(chain):
    found = budget.budget(chain)
    assert found.nonzero_weights == 24
    assert found.flops == 2 * 32 * 32 * 3 * 8
    # Alive at once: the input, the convolution's output, the ReLU's.
    assert found.peak_activation_bytes == 4 * 32 * 32 * (3 + 8 + 8)
    assert found.bytes_dense == len(save({"0.weight": np.zeros((8, 3, 1, 1), "f4"), "0.bias": np.zeros(8, "f4")}))
    assert 0 < found.latency_ms < 1000


def test_an_operator_in_place_takes_no_memory(chain):
    chain.model[1].inplace = True
    assert budget.peak_activation_bytes(chain) == 4 * (32 * 32 * (3 + 8) + 8)


def test_the_classifier_is_no_part_of_it(chain):
    before = budget.flops(chain), budget.stored_bytes(chain), budget.nonzero_weights(chain)
    chain.model[4] = nn.Linear(8, 10_000)
    assert before == (budget.flops(chain), budget.stored_bytes(chain), budget.nonzero_weights(chain))


@pytest.mark.parametrize("target", [0.0, 0.5, 0.9, 0.99])
def test_a_pruned_backbone_is_counted_as_its_masks_are_and_stored_small(target):
    backbone = checkpoints.build("small-resnet", 7)
    saliency = {name: weight.detach().abs() for name, weight in masks.prunable(backbone).items()}
    kept = masks.select(saliency, target, masks.dense(backbone))
    masks.apply(backbone, kept)
    encoder = _encoder(backbone)
    assert budget.nonzero_weights(encoder) == sum(int(mask.sum()) for mask in kept.values())
    assert budget.sparsity(encoder) == pytest.approx(masks.sparsity(kept))
    dense, sparse = budget.stored_bytes(encoder)
    # What is not pruned (norms) takes about 20 kB of 1.2 MB; a weight takes four bytes and its place less than two.
    assert sparse <= min(dense, 30_000 + (1 - target) * 306_096 * 6)
    # Pruning alone makes no multiplication faster.
    assert budget.flops(encoder) == budget.flops(_encoder(checkpoints.build("small-resnet", 7)))


def test_attention_is_counted():
    encoder = Encoder("", "vit_b_32", checkpoints.build("vit_b_32", 3), checkpoints.preparation("vit_b_32"))
    weights = [p for name, p in encoder.model.named_parameters() if name.endswith("in_proj_weight")]
    total = budget.nonzero_weights(encoder)
    with torch.no_grad():
        weights[0].zero_()
    assert total - budget.nonzero_weights(encoder) == pytest.approx(weights[0].numel(), abs=5)


@settings(max_examples=60, deadline=None)
@given(
    array=hnp.arrays(
        st.sampled_from([np.float32, np.float16, np.int64]),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=9),
        elements=st.sampled_from([0, 0, 0, 0, 0, 1, -2, 7]),
    )
)
def test_encoding_is_lossless(array):
    _same(array)


@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(0, 200_000), density=st.sampled_from([0, 1e-5, 1e-3, 0.01, 0.1, 0.5, 1]), seed=st.integers(0, 99)
)
def test_encoding_is_lossless_and_never_much_larger(size, density, seed):
    rng = np.random.default_rng(seed)
    array = rng.normal(size=size).astype(np.float32) * (rng.random(size) < density)
    encoded = _same(array)
    assert sum(piece.nbytes for piece in encoded.values()) <= array.nbytes


def _same(array):
    encoded = encode({"a.weight": array})
    back = decode(encoded)
    assert list(back) == ["a.weight"]
    assert back["a.weight"].dtype == array.dtype and back["a.weight"].shape == array.shape
    np.testing.assert_array_equal(back["a.weight"], array)
    return encoded


@pytest.mark.parametrize("piece", ["values", "shape", "bits"])
def test_an_incomplete_tensor_is_refused(piece):
    array = np.zeros(3000, np.float32)
    array[::3] = 1
    encoded = encode({"w": array})
    del encoded[f"w#{piece}"]
    with pytest.raises(ValueError, match="tensor w is incomplete"):
        decode(encoded)


def test_pieces_that_do_not_fit_are_refused():
    array = np.zeros(30_000, np.float32)
    array[::300] = 1
    encoded = encode({"w": array})
    assert "w#gaps" in encoded
    with pytest.raises(ValueError, match="tensor w has 99 values at 100 places"):
        decode({**encoded, "w#values": encoded["w#values"][:-1]})
    with pytest.raises(ValueError, match="of 20"):
        decode({**encoded, "w#shape": np.array([20])})
