"""The benchmark of speed: sparse kernels compute the same, and pairs of runs give the ratio of their times."""

import copy
import sys

import numpy as np
import pytest
import torch
from torch import nn

from tepones.backbones import BACKBONES
from tepones.common.errors import TeponesError
from tepones.companion.bench import pairs, speed
from tepones.pruning.criteria.magnitude import magnitude
from tepones.pruning.masks import apply, dense, select


@pytest.fixture(scope="module")
def pruned():
    torch.manual_seed(0)
    backbone = BACKBONES.load("small-resnet")(4, width=8)
    apply(backbone, select(magnitude(backbone, None), 0.8, dense(backbone)))
    return backbone


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(256, size=(3, 32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1}, {"bias": False, "padding": (0, 1)}])
def test_a_sparse_convolution_is_the_convolution(options):
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 5, 3, **options)
    inputs = torch.randn(2, 3, 9, 8)
    with torch.no_grad():
        layer.weight[layer.weight.abs() < 0.1] = 0
        torch.testing.assert_close(speed.SparseConvolution(layer)(inputs), layer(inputs))


@pytest.mark.parametrize("name", ["torchvision:mobilenet_v2"])
def test_convolutions_with_groups_are_left_as_they_are(name):
    torch.manual_seed(0)
    backbone = BACKBONES.load(name)(4).eval()
    other = speed.with_sparse_kernels(backbone)
    kinds = [type(layer) for layer in other.encoder.modules()]
    assert kinds.count(speed.SparseConvolution) == 35
    inputs = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(other(inputs), backbone(inputs))


def test_every_way_computes_the_same(pruned, images):
    expected = speed.inference(copy.deepcopy(pruned), images)()
    torch.testing.assert_close(speed.inference(speed.with_sparse_kernels(pruned), images)(), expected)
    torch.testing.assert_close(torch.tensor(speed.by_onnx(pruned, images)()[0]), expected, rtol=1e-4, atol=1e-4)


def test_training_holds_at_zero_what_is_zero(pruned, images):
    before = copy.deepcopy(pruned)
    speed.training(pruned, images)()
    assert all(torch.equal(a, b) for a, b in zip(pruned.parameters(), before.parameters(), strict=True))


def test_a_ratio_is_the_median_of_pairs_that_take_turns(monkeypatch):
    ran, clock = [], iter(np.cumsum([0, 100, 0, 1] + [0, 2, 0, 6] * 9))
    monkeypatch.setattr(pairs.time, "process_time", lambda: next(clock))
    found = pairs.ratio(lambda: ran.append("dense"), lambda: ran.append("pruned"))
    assert ran[:4] == ["pruned", "dense", "dense", "pruned"] and len(ran) == 20
    assert sorted([found, 1 / found]) == pytest.approx([1 / 3, 3])


ENGINE = """
import numpy as np, onnxruntime

def compile_model(path, batch_size, num_cores):
    session = onnxruntime.InferenceSession(path)
    [given] = session.get_inputs()
    assert given.shape[0] == batch_size and num_cores == 1

    class Engine:
        def run(self, inputs):
            return session.run(None, {given.name: inputs[0]})

    return Engine()
"""


def test_deepsparse_runs_in_a_python_of_its_own(pruned, images, tmp_path):
    """Its interface is imitated here by ONNX Runtime: that of version 1.8.0 was tried by hand."""
    case = speed.Case("small", 0.8, pruned, pruned, images)
    (tmp_path / "deepsparse.py").write_text(ENGINE)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="$PYTHONPATH:{tmp_path}" exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    assert 0.2 < speed.by_deepsparse(str(python), case) < 5
    (tmp_path / "deepsparse.py").write_text("raise SystemError('no such processor')")
    with pytest.raises(TeponesError, match=r"DeepSparse failed in .*: SystemError: no such processor") as told:
        speed.by_deepsparse(str(python), case)
    assert "\n" not in str(told.value)


def test_deepsparse_is_for_the_bench_of_speed(command):
    run = command("bench", "pruning", "--deepsparse", "python")
    assert run.returncode == 2
    assert run.stderr == "tepones: --deepsparse is an option of `bench speed`; `bench pruning` has none\n"
