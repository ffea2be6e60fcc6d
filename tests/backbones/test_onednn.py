"""The defect of oneDNN is not reached, by any shape that pruning can make; in a child process, for it kills."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from tepones.backbones.onednn import avoid_defect

#: Also on processors that have more, so that the common ones are always tested.
AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}

PROGRAM = """
import itertools, sys, torch
from torch import nn
from tepones.backbones.onednn import avoid_defect

torch.manual_seed(0)
torch.set_num_threads(1)
layouts = (torch.channels_last, torch.contiguous_format)
shapes = itertools.product(range(1, 10), (1, 8, 23), (2, (1, 2), 3), (1, 2, 7, 16), (1, 17), layouts, layouts)
for channels, out, stride, side, n, of_layer, of_images in shapes:
    layer = nn.Sequential(nn.Conv2d(channels, out, 1, stride=stride, bias=False)).to(memory_format=of_layer)
    if sys.argv[1] == "avoided":
        avoid_defect(layer)
    images = torch.randn(n, channels, side, side).to(memory_format=of_images).requires_grad_()
    layer(images).square().sum().backward()
    assert images.grad.isfinite().all() and layer[0].weight.grad.isfinite().all()
"""


def test_no_shape_crashes():
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, "avoided"], env={**os.environ, **AVX2}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("channels", [3, 7, 8, 16])
def test_values_and_gradients_are_those_of_the_plain_layout(channels):
    torch.manual_seed(0)
    layer = nn.Conv2d(channels, 23, 1, stride=2)
    images = torch.randn(4, channels, 8, 8)
    other = nn.Conv2d(channels, 23, 1, stride=2)
    other.load_state_dict(layer.state_dict())
    other = nn.Sequential(other).to(memory_format=torch.channels_last)
    avoid_defect(other)
    found = []
    for network, pictures in ((layer, images), (other, images.to(memory_format=torch.channels_last))):
        pictures = pictures.clone().requires_grad_()
        output = network(pictures)
        output.square().sum().backward()
        found.append((output, pictures.grad, *(weight.grad for weight in network.parameters())))
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two)


def test_only_narrow_layers_are_touched_and_each_time_anew():
    layer = nn.Sequential(nn.Conv2d(16, 4, 1, stride=2)).to(memory_format=torch.channels_last)
    avoid_defect(layer)
    images = torch.randn(2, 16, 4, 4).to(memory_format=torch.channels_last)
    assert layer(images).is_contiguous(memory_format=torch.channels_last)
    conv = layer[0]
    conv.weight, conv.in_channels = nn.Parameter(conv.weight[:, :5].detach()), 5
    assert layer(images[:, :5]).is_contiguous()
