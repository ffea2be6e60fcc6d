"""What sparsity saves in time: inference and training of pruned backbones against their dense ones, on one thread.

Speed-ups are ratios within one run: the two take turns, and the median of their ratios counts. Pruned backbones are
those of the zoo; a ResNet-50 at the size of ImageNet stands for networks that are too large for the zoo, with weights
drawn at random, since time depends on where the zeros are and not on the other weights.
"""

import copy
import io
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits
from torch import nn
from torch.nn import functional

from tepones.backbones import BACKBONES
from tepones.backbones.base import Backbone
from tepones.backbones.training import Training, train
from tepones.common.errors import TeponesError
from tepones.common.progress import progress_bar
from tepones.companion.bench.pairs import ratio
from tepones.pruning import masks as pruning_masks
from tepones.pruning.criteria.magnitude import magnitude
from tepones.pruning.shrink import shrink
from tepones.ranking import zoo

#: Ladders of the zoo, and the numbers of their rungs.
RUNGS = {"magnitude-iterative-0": (2, 3, 5), "magnitude-structured-0": (2, 4)}
LARGE, LARGE_SPARSITIES, LARGE_CLASSES = "torchvision:resnet50", (0.9, 0.98), 1000

#: Ways to compute with a pruned backbone.
DENSE, SHRUNK, SPARSE, ONNX = "PyTorch, zeros kept", "PyTorch, dead channels removed", "PyTorch, CSR", "ONNX Runtime"
DEEPSPARSE = "DeepSparse"
INFERENCE, TRAINING = "inference", "training"


class Case(NamedTuple):
    """A pruned backbone beside its dense one: name, sparsity, both, and images (N, H, W, 3) to run them on."""

    name: str
    sparsity: float
    dense: Backbone
    pruned: Backbone
    images: np.ndarray


class SparseConvolution(nn.Module):
    """A convolution without groups, as the product of a CSR matrix, its weight, with the pieces of images it sees."""

    def __init__(self, layer: nn.Conv2d):
        super().__init__()
        self.layer = layer
        self.weight = layer.weight.detach().flatten(1).to_sparse_csr()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Output of the convolution, (N, D, H', W')."""
        layer = self.layer
        n_images, _, *sides = images.shape
        shape = zip(sides, layer.kernel_size, layer.stride, layer.padding, strict=True)
        height, width = ((side + 2 * padding - kernel) // stride + 1 for side, kernel, stride, padding in shape)
        columns = functional.unfold(images, layer.kernel_size, 1, layer.padding, layer.stride)
        product = self.weight @ columns.transpose(0, 1).flatten(1)
        found = product.view(len(product), n_images, height, width).transpose(0, 1)
        return found if layer.bias is None else found + layer.bias[:, None, None]


def with_sparse_kernels(backbone: Backbone) -> Backbone:
    """A copy of a backbone whose convolutions, those with groups or dilation excepted, are `SparseConvolution`."""
    network = copy.deepcopy(backbone)
    for name, layer in list(network.encoder.named_modules()):
        if isinstance(layer, nn.Conv2d) and layer.groups == 1 and layer.dilation == (1, 1):
            parent, _, attribute = name.rpartition(".")
            setattr(network.encoder.get_submodule(parent), attribute, SparseConvolution(layer))
    return network


def cases() -> Iterator[Case]:
    """What is measured."""
    generator = np.random.default_rng(0)
    small = generator.integers(256, size=(64, 32, 32, 3), dtype=np.uint8)
    for ladder, numbers in RUNGS.items():
        folder = zoo.folder() / ladder
        rungs = zoo.manifest(folder).rungs
        dense = zoo.load(folder, rungs[0].file).model
        for number in numbers:
            yield Case(ladder, rungs[number].sparsity, dense, zoo.load(folder, rungs[number].file).model, small)
    large = generator.integers(256, size=(4, 224, 224, 3), dtype=np.uint8)
    torch.manual_seed(0)
    dense = BACKBONES.load(LARGE)(LARGE_CLASSES)
    for sparsity in LARGE_SPARSITIES:
        pruned = copy.deepcopy(dense)
        kept = pruning_masks.select(magnitude(pruned, None), sparsity, pruning_masks.dense(pruned), "layer")
        pruning_masks.apply(pruned, kept)
        yield Case(LARGE, sparsity, dense, pruned, large)


def bench(deepsparse: str | None = None) -> pd.DataFrame:
    """Measure all cases.

    Parameters
    ----------
    deepsparse : str, optional
        A Python in which DeepSparse is installed, to measure that engine too: it wants older packages than we do.

    Returns
    -------
    DataFrame
        One row for each case and way: network, sparsity, what (inference or training), engine, speedup (time of the
        dense backbone over that of the pruned one, both by the same engine). Cost: some minutes.

    Raises
    ------
    TeponesError
        If ONNX Runtime is not installed, or DeepSparse fails in that Python.
    """
    rows, n_threads = [], torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        measured = list(cases())
        with threadpool_limits(1), progress_bar(len(measured), "bench speed", "backbones") as bar:
            for case in measured:
                rows += [(case.name, case.sparsity, *found) for found in _of_case(case, deepsparse)]
                bar.update()
    finally:
        torch.set_num_threads(n_threads)
    return pd.DataFrame(rows, columns=["network", "sparsity", "what", "engine", "speedup"])


def _of_case(case: Case, deepsparse: str | None) -> Iterator[tuple[str, str, float]]:
    dense = inference(case.dense, case.images)
    yield INFERENCE, DENSE, ratio(dense, inference(case.pruned, case.images))
    yield INFERENCE, SHRUNK, ratio(dense, inference(shrink(case.pruned), case.images))
    yield INFERENCE, SPARSE, ratio(dense, inference(with_sparse_kernels(case.pruned), case.images))
    yield INFERENCE, ONNX, ratio(*(by_onnx(network, case.images) for network in (case.dense, case.pruned)))
    if deepsparse:
        yield INFERENCE, DEEPSPARSE, by_deepsparse(deepsparse, case)
    if case.name != LARGE:
        yield TRAINING, DENSE, ratio(training(case.dense, case.images), training(case.pruned, case.images))


def inference(backbone: Backbone, images: np.ndarray) -> Callable[[], torch.Tensor]:
    """A forward pass over images, as a function without arguments."""
    inputs = backbone.prepare(images)
    network = backbone.eval().to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def run() -> torch.Tensor:
        return network(inputs)

    return run


def training(backbone: Backbone, images: np.ndarray) -> Callable[[], None]:
    """Some training steps that hold at zero what is zero, as a function without arguments."""
    labels = np.zeros(len(images), np.int64)
    held = {name: weight.detach() != 0 for name, weight in pruning_masks.prunable(backbone).items()}
    steps = Training(epochs=8, learning_rate=1e-3, batch_size=len(images))
    network = copy.deepcopy(backbone)
    return lambda: train(network, images, labels, steps, 0, held)


def by_onnx(backbone: Backbone, images: np.ndarray) -> Callable[[], list[np.ndarray]]:
    """A forward pass by ONNX Runtime on one thread, as a function without arguments."""
    try:
        import onnxruntime
    except ImportError:
        raise TeponesError("this needs ONNX Runtime: pip install 'tepones[onnx]'") from None
    inputs, file = backbone.prepare(images).contiguous(), io.BytesIO()
    program = torch.onnx.export(copy.deepcopy(backbone).eval(), (inputs,), input_names=["images"], verbose=False)
    program.save(file)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    given = {"images": inputs.numpy()}
    return lambda: session.run(None, given)


def by_deepsparse(python: str, case: Case) -> float:
    """`ratio` of a forward pass by DeepSparse on one core, in a process of another Python.

    Raises
    ------
    TeponesError
        With the last line of what that process says, if it fails.
    """
    inputs = case.dense.prepare(case.images).contiguous()
    with TemporaryDirectory() as folder:
        for name, backbone in (("dense", case.dense), ("pruned", case.pruned)):
            network = copy.deepcopy(backbone).eval().to(memory_format=torch.contiguous_format)
            # DeepSparse reads operators of this version, which only torch's older exporter writes.
            torch.onnx.export(network, (inputs,), f"{folder}/{name}.onnx", opset_version=13, dynamo=False)
        np.save(f"{folder}/images.npy", inputs.numpy())
        command = [python, "-m", "tepones.companion.bench.deepsparse", folder]
        path = {"PYTHONPATH": str(Path(__file__).parents[3]), "NM_DISABLE_ANALYTICS": "1"}
        run = subprocess.run(command, env={**os.environ, **path}, capture_output=True, text=True)
    if run.returncode:
        raise TeponesError(f"DeepSparse failed in {python}: {(run.stderr.splitlines() or ['no word'])[-1]}")
    return float(run.stdout.splitlines()[-1])
