"""Files of backbones as people write them, and what becomes of each.

``PYTHONPATH=tests/helpers python -m written_files`` prints, as a table, which of them this checkout loads, what it says
of the others, and how long that takes.
"""

import argparse
import re
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import prune

from tepones.common._torchvision import torchvision
from tepones.ranking.backbones import load_backbones

#: Whose weights most of the files hold; small, so that the tests are quick.
NETWORK = "squeezenet1_1"


class Format(NamedTuple):
    """One way to write a file.

    Attributes
    ----------
    name : str
    suffix : str
    write : callable
        Writes a network to a path.
    line : str
        Part of the line by which it is refused; empty if it is loaded.
    architecture : str
        Named before the file, as ``ARCHITECTURE=FILE``; empty if the file is to be recognised.
    network : callable
        Makes the network.
    """

    name: str
    suffix: str
    write: Callable[[nn.Module, Path], None]
    line: str = ""
    architecture: str = ""
    network: Callable[[str], nn.Module] = lambda name: torchvision.models.get_model(name, weights=None)


def _saved(change: Callable[[dict], object], **options) -> Callable[[nn.Module, Path], None]:
    return lambda network, path: torch.save(change(dict(network.state_dict())), path, **options)


def _safe(change: Callable[[dict], dict], metadata: dict | None = None) -> Callable[[nn.Module, Path], None]:
    return lambda network, path: save_file(change(dict(network.state_dict())), path, metadata)


def _as(dtype: torch.dtype) -> Callable[[dict], dict]:
    return lambda state: {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in state.items()
    }


def _behind(prefix: str) -> Callable[[dict], dict]:
    return lambda state: {f"{prefix}{name}": tensor for name, tensor in state.items()}


def _lightning(state: dict) -> dict:
    return {
        "epoch": 3, "global_step": 300, "pytorch-lightning_version": "2.4.0",
        "state_dict": {**_behind("model.")(state), "criterion.weight": torch.ones(10)},
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.5), "dirpath": "x"}},
        "optimizer_states": [{"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}],
        "lr_schedulers": [], "loops": {}, "hyper_parameters": {"lr": 0.1},
    }  # fmt: skip


def _momentum(state: dict) -> dict:
    held = _behind("module.encoder_q.")(state) | _behind("module.encoder_k.")(state)
    return {"state_dict": held | {"module.queue": torch.ones(8, 16)}, "arch": NETWORK}


def _last(network: nn.Module) -> str:
    """Name of the last layer that has weights."""
    return [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)][-1]


def _with_head(head: str | None, n_classes: int = 9) -> Callable[[nn.Module, Path], None]:
    """The last layer of another size, of another name, or left out."""

    def write(network: nn.Module, path: Path) -> None:
        last = _last(network)
        weight = network.get_submodule(last).weight
        state = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith(f"{last}.")}
        if head is not None:
            state[f"{head or last}.weight"] = torch.ones(n_classes, *weight.shape[1:])
            state[f"{head or last}.bias"] = torch.ones(n_classes)
        torch.save(state, path)

    return write


def _pruned(network: nn.Module, path: Path) -> None:
    layers = [(layer, "weight") for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    prune.global_unstructured(layers, prune.L1Unstructured, amount=0.9)
    torch.save(network.state_dict(), path)


def _traced(network: nn.Module, path: Path) -> None:
    torch.jit.trace(network.eval(), torch.rand(1, 3, 64, 64)).save(str(path))


def _exported(network: nn.Module, path: Path) -> None:
    torch.onnx.export(network.eval(), (torch.rand(1, 3, 64, 64),), path, dynamo=False)


class _Runs:
    """Its pickle calls a function."""

    def __reduce__(self):
        return print, ("executed",)


def _timm(name: str) -> Callable[[str], nn.Module]:
    def make(_: str) -> nn.Module:
        import timm

        return timm.create_model(name, pretrained=False)

    return make


def _swin(state: dict) -> dict:
    def renamed(name: str) -> str:
        name = re.sub(r"layers\.(\d)\.downsample", lambda found: f"layers.{int(found[1]) - 1}.downsample", name)
        return name.replace("head.fc.", "head.")

    return {"model": {renamed(name): tensor for name, tensor in state.items()}}


def _transformers(state: dict) -> dict:
    names = {"patch_embed.proj": "embeddings.patch_embeddings.projection", "blocks": "encoder.layer"}
    renamed = {}
    for name, tensor in state.items():
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        renamed[f"vit.{name}"] = tensor
    return renamed


_SAME = dict
_TINY = _timm("vit_tiny_patch16_224")

FORMATS = [
    Format("state dictionary", ".pt", _saved(_SAME)),
    Format("the same, in torch's format of before 2020", ".pth", _saved(_SAME, _use_new_zipfile_serialization=False)),
    Format("half precision", ".pt", _saved(_as(torch.float16))),
    Format("bfloat16", ".bin", _saved(_as(torch.bfloat16))),
    Format("under state_dict", ".pth.tar.pth", _saved(lambda state: {"state_dict": state, "epoch": 3})),
    Format("under model", ".pth", _saved(lambda state: {"model": state, "optimizer": {}})),
    Format("under model_state_dict", ".pt", _saved(lambda state: {"model_state_dict": state, "loss": 0.5})),
    Format("under net", ".pt", _saved(lambda state: {"net": state, "acc": np.float64(0.5), "epoch": 3})),
    Format("moving average alone", ".pt", _saved(lambda state: {"ema": state})),
    Format("beside its moving average", ".pt", _saved(lambda state: {"model": state, "model_ema": state})),
    Format("behind module.", ".pt", _saved(_behind("module."))),
    Format("behind _orig_mod.", ".pt", _saved(_behind("_orig_mod."))),
    Format("behind model.", ".pt", _saved(_behind("model."))),
    Format("behind backbone.", ".pt", _saved(_behind("backbone."))),
    Format("behind encoder.", ".pt", _saved(_behind("encoder."))),
    Format("Lightning", ".ckpt", _saved(_lightning)),
    Format(
        "with the arguments of training", ".pth",
        _saved(lambda state: {"model": state, "args": argparse.Namespace(lr=0.1, folder=Path("x"))}),
    ),
    Format("pairs of torch.nn.utils.prune", ".pt", _pruned),
    Format("without a last layer", ".pt", _with_head(None)),
    Format("last layer of nine classes", ".pt", _with_head("")),
    Format("last layer of another name", ".pt", _with_head("my_head")),
    Format("momentum contrast", ".pth.tar.pth", _saved(_momentum)),
    Format("safetensors", ".safetensors", _safe(_SAME)),
    Format("safetensors, half precision", ".safetensors", _safe(_as(torch.float16))),
    Format("safetensors with other programs' metadata", ".safetensors", _safe(_SAME, {"format": "pt"})),
    Format("safetensors of timm", ".safetensors", _safe(_SAME), network=_timm("resnet26")),
    Format(
        "safetensors of timm, tensors of several networks", ".safetensors", _safe(_SAME),
        line="name the one it is: ARCHITECTURE=FILE", network=_TINY,
    ),
    Format(
        "the same, named", ".safetensors", _safe(_SAME),
        architecture="timm:vit_tiny_patch16_224", network=_TINY,
    ),
    Format(
        "names of the authors' code (Swin), named", ".pth", _saved(_swin),
        architecture="timm:swin_tiny_patch4_window7_224", network=_timm("swin_tiny_patch4_window7_224"),
    ),
    Format(
        "safetensors of transformers", ".safetensors", _safe(_transformers, {"format": "pt"}),
        line="tensors are named as those of the library transformers", network=_TINY,
    ),
    Format("ONNX", ".onnx", _exported),
    Format("TorchScript", ".pt", _traced, line="holds a TorchScript program, which is never executed"),
    Format("whole pickled module", ".pth", torch.save, line="write its state dictionary where its code is"),
    Format(
        "pickle that calls a function", ".pt", _saved(lambda state: {"model": state, "hook": _Runs()}),
        line="a pickle that is more than tensors",
    ),
    Format(
        "network of the user's own", ".pt", _saved(lambda state: {f"{name}x": state[name] for name in state}),
        line="of no architecture known here",
    ),
]  # fmt: skip


def tried(network: str, formats: list[Format]) -> Iterator[tuple[Format, str, float]]:
    """Write and load one file of each format: the format, the line of a refusal, empty if there is none, seconds."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about what exporters are deprecated
        for one in formats:
            path = Path(folder) / f"file{one.suffix}"
            torch.manual_seed(0)
            one.write(one.network(network), path)
            started = time.perf_counter()
            loaded, failures = load_backbones([f"{one.architecture}={path}" if one.architecture else path])
            seconds = time.perf_counter() - started
            assert len(loaded) + len(failures) == 1
            yield one, failures[0]["reason"] if failures else "", seconds
            path.unlink()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="resnet50", help="a classifier of torchvision, of which the files are")
    network = parser.parse_args().network
    list(tried(network, [FORMATS[0], next(one for one in FORMATS if one.line)]))  # imports, the list of architectures
    n_loaded, found = 0, list(tried(network, FORMATS))
    print("| format | loaded | seconds | else |\n| --- | --- | --- | --- |")
    for one, line, seconds in found:
        n_loaded += not line
        print(f"| {one.name} | {'no' if line else 'yes'} | {seconds:.2f} | {line.replace('|', ' ')[:160]} |")
    print(f"\n{n_loaded} of {len(found)} loaded")


if __name__ == "__main__":
    main()
