"""Formats: what people write becomes plain weights, everything else one line, and nothing is executed."""

import argparse
import io
import pathlib
import pickle
import random
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

from tepones.common._torchvision import torchvision
from tepones.common.errors import TeponesError, UsageError
from tepones.ranking import formats, networks


class Net(nn.Module):
    """A backbone with a convolution and a normalisation, and a head."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.fc = nn.Linear(4, 2)

    def forward(self, images):
        return self.fc(self.stem(images).mean((2, 3)))


@pytest.fixture
def net():
    torch.manual_seed(3)
    return Net()


@pytest.fixture
def state(net):
    return net.state_dict()


@pytest.fixture
def file(tmp_path):
    """Writes a torch file and gives its path."""

    def written(content, name="x.pt", **options):
        torch.save(content, tmp_path / name, **options)
        return tmp_path / name

    return written


def _prefixed(prefix, state):
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def _same(found, expected):
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


def _is_candidate(path, expected):
    """Position of the candidate that holds exactly these tensors."""
    candidates = formats.read(path).candidates
    (place,) = [place for place, one in enumerate(candidates) if set(one.state) == set(expected)]
    for name, tensor in expected.items():
        assert torch.equal(candidates[place].state[name], tensor), name
    return place


def _refused(path, *parts, error=TeponesError):
    with pytest.raises(error) as raised:
        formats.read(path)
    message = str(raised.value)
    assert len(message.splitlines()) == 1 and message.isprintable() and message.startswith(f"{path}: ")
    assert len(message) < 1000 and "weights_only" not in message
    for part in parts:
        assert part in message
    return message


@pytest.mark.parametrize("name", ["x.pt", "x.pth", "x.bin", "x.ckpt", "x.safetensors"])
def test_a_plain_state_comes_back_as_it_was(tmp_path, state, name):
    if name == "x.safetensors":
        save_file(state, tmp_path / name, {"architecture": "mine"})
    else:
        torch.save(state, tmp_path / name)
    contents = formats.read(tmp_path / name)
    assert set(contents.candidates[0].state) == set(state)
    for key, tensor in state.items():
        assert torch.equal(contents.candidates[0].state[key], tensor)
    assert contents.metadata == ({"architecture": "mine"} if name == "x.safetensors" else {})
    assert [one.note for one in contents.candidates] == [""] and contents.notes == ()


@pytest.mark.parametrize("name", ["code.pt", "constants.pkl.pt", "data.pt"])
def test_the_name_of_a_file_does_not_matter(file, state, name):
    _same(formats.read(file(state, name)).candidates[0].state, state)


def test_the_format_before_archives_is_read(file, state):
    _same(formats.read(file(state, _use_new_zipfile_serialization=False)).candidates[0].state, state)


@pytest.mark.parametrize("keys", [*((key,) for key in formats.CONTAINERS), ("model", "state_dict"), ("net", "weights")])
def test_containers_are_opened(file, state, keys):
    content = state
    for key in reversed(keys):
        content = {key: content, "epoch": 3, "loss": torch.tensor(0.5)}
    contents = formats.read(file(content))
    _same(contents.candidates[0].state, state)
    assert contents.notes == (f"weights from {'.'.join(keys)}",)


@pytest.mark.parametrize("key", formats.AVERAGES)
@pytest.mark.parametrize("nested", [False, True])
def test_plain_weights_go_before_an_average_which_goes_before_nothing(file, state, key, nested):
    average = {name: tensor * 0.5 for name, tensor in state.items() if tensor.is_floating_point()}
    held = {"state_dict": average} if nested else average
    trail = f"{key}.state_dict" if nested else key
    both = formats.read(file({key: held, "model": state}))
    _same(both.candidates[0].state, state)
    assert both.notes == (f"weights from model; passed over: {trail}",)
    alone = formats.read(file({key: held, "epoch": 1}))
    _same(alone.candidates[0].state, average)
    assert alone.notes == (f"weights from {trail}",)


def test_what_training_keeps_beside_the_weights_is_passed_over(file, net, state):
    optimizer = torch.optim.AdamW(net.parameters())
    net(torch.ones(2, 3, 5, 5)).sum().backward()
    optimizer.step()
    content = {
        "epoch": 9,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": _prefixed("model.", net.state_dict()) | {"criterion.weight": torch.ones(2)},
        "optimizer_states": [optimizer.state_dict()],
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.5), "dirpath": "x"}},
        "hyper_parameters": {"lr": 0.1, "folder": pathlib.PosixPath("x")},
        "args": argparse.Namespace(arch="resnet18"),
        "best_acc": np.float64(0.5),
        "history": np.arange(3),
    }
    first, joined, alone = formats.read(file(content)).candidates
    assert "model.fc.weight" in first.state and first.note == ""
    assert set(joined.state) == {*net.state_dict(), "criterion.weight"} and joined.note == "without model."
    _same(alone.state, net.state_dict())
    assert alone.note == "without model., and without criterion.weight"


def test_a_container_that_holds_itself_ends(file, state):
    content = {"state_dict": {}, "model": {}}
    content["state_dict"].update(model=content, net=state)
    content["model"].update(state_dict=content)
    contents = formats.read(file(content))
    _same(contents.candidates[0].state, state)


@pytest.mark.parametrize(
    "prefix",
    [
        "module.",
        "_orig_mod.",
        "model.",
        "net.",
        "network.",
        "backbone.",
        "encoder.",
        "module.model._orig_mod.backbone.",
    ],
)
def test_prefixes_that_all_carry_are_stripped_again_and_again(file, state, prefix):
    path = file(_prefixed(prefix, state))
    candidates = formats.read(path).candidates
    assert len(candidates) == 1 + prefix.count(".")
    _same(candidates[0].state, _prefixed(prefix, state))
    _same(candidates[-1].state, state)
    assert candidates[-1].note == f"without {prefix.replace('.', '. ').strip()}"
    stored = {one.state[name].data_ptr() for one in candidates for name in one.state if name.endswith("fc.weight")}
    assert len(stored) == 1, "candidates share their tensors"


def test_data_parallel_and_compiled_modules(file, net, state):
    _same(formats.read(file(nn.DataParallel(net).state_dict())).candidates[-1].state, state)
    _same(formats.read(file(torch.compile(net).state_dict())).candidates[-1].state, state)
    net.stem = nn.DataParallel(net.stem)  # as the example of PyTorch for ImageNet does with AlexNet and VGG
    assert "stem.module.0.weight" in net.state_dict()
    _same(formats.read(file(net.state_dict())).candidates[-1].state, state)


def test_weights_averaged_by_torch(file, net, state):
    averaged = torch.optim.swa_utils.AveragedModel(net).state_dict()
    assert "n_averaged" in averaged
    assert _is_candidate(file(averaged), state) == 2


def test_a_head_may_belong_to_the_network_or_not(file, state):
    body = {name: tensor for name, tensor in state.items() if name.startswith("stem")}
    head = {name: tensor for name, tensor in state.items() if name.startswith("fc")}
    path = file(_prefixed("backbone.", body) | head)
    assert _is_candidate(path, state) == 1
    assert _is_candidate(path, body) == 2
    # Inside another prefix, beside what is of no network, and with a wrapper inside.
    path = file(_prefixed("model.backbone.module.", body) | _prefixed("model.", head) | {"metric.n": torch.tensor(3)})
    _is_candidate(path, state)
    _is_candidate(path, body)


def test_momentum_contrast(file, state):
    content = _prefixed("module.encoder_q.", state) | _prefixed("module.encoder_k.", state)
    content |= {"module.queue": torch.ones(4, 8), "module.queue_ptr": torch.tensor([3])}
    candidates = formats.read(file({"state_dict": content, "arch": "resnet50"})).candidates
    _same(candidates[-1].state, state)
    left_out = [f"encoder_k.{name}" for name in state]
    assert candidates[-1].note == (
        f"without module. encoder_q., and without {', '.join(left_out[:3])} and {len(left_out) + 2 - 3} more"
    )


@pytest.mark.parametrize("name", ["small-resnet", "small-vit", "vit_b_16"])
def test_names_that_really_begin_with_a_prefix_are_first_left_as_they_are(tmp_path, file, name):
    if name == "vit_b_16":
        network = torchvision.models.VisionTransformer(
            image_size=8, patch_size=4, num_layers=2, num_heads=1, hidden_dim=4, mlp_dim=4
        )
    else:
        network = networks.build(name, 3)
    state = network.state_dict()
    assert any(key.startswith("encoder.") for key in state)
    _same(formats.read(file(state)).candidates[0].state, state)
    wrapped = formats.read(file(_prefixed("module.", state))).candidates
    _same(wrapped[1].state, state)


def test_two_names_that_would_become_one_stay_apart(file):
    content = {"module.a": torch.ones(1), "module.b": torch.ones(2), "a": torch.ones(3)}
    candidates = formats.read(file(content)).candidates
    assert [list(one.state) for one in candidates] == [["module.a", "module.b", "a"], ["a", "b"]]
    inside = {"x.module.a": torch.ones(1), "x.a": torch.ones(2)}
    assert len(formats.read(file(inside)).candidates) == 1


@pytest.mark.parametrize("container", [False, True])
def test_pruned_networks_get_their_masked_weights(file, net, container):
    prune.random_unstructured(net.stem[0], "weight", 0.5)
    prune.ln_structured(net.fc, "weight", 0.5, n=2, dim=0)
    prune.l1_unstructured(net.fc, "bias", 1)
    state = net.state_dict()
    assert {"fc.weight_orig", "fc.weight_mask", "fc.bias_orig"} <= set(state)
    expected = Net().state_dict()
    for name in expected:
        module, _, last = name.rpartition(".")
        value = getattr(net.get_submodule(module), last) if f"{name}_orig" in state else state[name]
        expected[name] = value.detach()
    path = file({"state_dict": _prefixed("module.", state)} if container else state)
    contents = formats.read(path)
    _is_candidate(path, expected)
    assert contents.notes[-1] == "3 tensors multiplied by their masks of torch.nn.utils.prune"
    assert not expected["fc.bias"].all() and (expected["stem.0.weight"] == 0).float().mean() == 0.5


@pytest.mark.parametrize("dtype", [torch.bool, torch.float16, torch.float64])
def test_masks_are_float_or_bool(file, dtype):
    weight, mask = torch.arange(6.0).half(), torch.tensor([1, 0, 1, 1, 0, 0]).to(dtype)
    found = formats.read(file({"a.weight_orig": weight, "a.weight_mask": mask})).candidates[0].state
    _same(found, {"a.weight": torch.tensor([0.0, 0, 2, 3, 0, 0])})


_TEN = torch.arange(10.0)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ({"a.weight_orig": _TEN}, ("a.weight_orig has no a.weight_mask", "remove_spectral_norm")),
        ({"a.weight_mask": _TEN}, ("a.weight_mask", "without a.weight_orig")),
        ({"weight_orig": _TEN, "weight_mask": _TEN[:5]}, ("different shapes", "(10,)", "(5,)")),
        ({"weight_orig": _TEN, "weight_mask": _TEN, "weight": _TEN}, ("weight_orig", "beside weight")),
        ({"weight": _TEN, "weight_orig": _TEN, "weight_mask": _TEN}, ("weight_orig", "beside weight")),
        ({"weight_orig": _TEN, "weight_mask": _TEN.int()}, ("weight_mask is int32", "float or bool")),
        ({"weight_orig": _TEN, "weight_mask": _TEN.to_sparse()}, ("weight_mask is sparse",)),
        ({"weight_orig": _TEN.int(), "weight_mask": _TEN}, ("weight_orig is int32",)),
        ({"weight_orig": _TEN * 1e37, "weight_mask": _TEN * 1e37}, ("tensor weight holds inf or nan",)),
        ({"weight": _TEN, "weight_mask": _TEN > 4}, ("weight_mask lies beside weight", "multiply it in")),
        ({"weight": _TEN, "weight_mask": _TEN / 10}, ("weight_mask lies beside weight",)),
        ({"weight": _TEN, "weight_mask": _TEN[:5] > 4}, ("weight_mask lies beside weight",)),
    ],
)
def test_a_pair_that_is_none_is_refused(file, content, parts):
    _refused(file(content), *parts)


def test_a_mask_beside_weights_that_it_has_cut_already_is_dropped(file):
    state = {"weight": torch.tensor([0.0, 1, 2]), "weight_mask": torch.tensor([False, True, True])}
    _same(formats.read(file(state)).candidates[0].state, {"weight": state["weight"]})


def test_other_tensors_called_masks_are_weights(file):
    state = {"blocks.attn_mask": torch.tensor([0.0, -100.0]), "blocks.weight": torch.ones(2)}
    _same(formats.read(file(state)).candidates[0].state, state)


def test_parametrizations_and_other_norms_are_to_be_baked_in(file, net):
    parametrizations.orthogonal(net.fc)
    message = _refused(file(net.state_dict()), "fc.parametrizations.weight", "bake it in", "remove_parametrizations")
    parametrize.remove_parametrizations(net.fc, "weight")  # as the message says
    assert "remove_parametrizations(module, name)" in message
    _same(formats.read(file(net.state_dict())).candidates[0].state, net.state_dict())
    nn.utils.spectral_norm(net.fc)
    _refused(file(net.state_dict()), "fc.weight_orig has no fc.weight_mask", "remove_spectral_norm(module)")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float32])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_weights_become_float32_and_counters_stay(tmp_path, net, dtype, suffix):
    state = net.to(dtype).state_dict()
    path = tmp_path / f"x{suffix}"
    torch.save(state, path) if suffix == ".pt" else save_file(state, path)
    found = formats.read(path).candidates[0].state
    for name, tensor in state.items():
        assert found[name].dtype == (torch.int64 if name.endswith("num_batches_tracked") else torch.float32)
        assert torch.equal(found[name].to(tensor.dtype), tensor)


def test_large_weights_are_finite_though_their_sum_is_not(file):
    state = {"weight": torch.full((4,), 3e38)}
    _same(formats.read(file(state)).candidates[0].state, state)


def test_index_buffers_stay(file):
    state = {"relative_position_index": torch.arange(9), "position_ids": torch.arange(4)[None], "w": torch.ones(1)}
    _same(formats.read(file(state)).candidates[0].state, state)


def test_parameters_lose_what_they_carry(file, net):
    found = formats.read(file(dict(net.state_dict(keep_vars=True)))).candidates[0].state
    assert not any(tensor.requires_grad for tensor in found.values())
    _same(found, net.state_dict())


def _nested():
    return torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])


_ODD = {
    "int8": (lambda: torch.ones(2, dtype=torch.int8), "is int8; expected float16"),
    "uint8": (lambda: torch.ones(1, dtype=torch.uint8), "is uint8"),
    "int64": (lambda: torch.ones(2, dtype=torch.int64), "is int64"),
    "bool": (lambda: torch.ones(2, dtype=torch.bool), "is bool"),
    "complex": (lambda: torch.ones(2, dtype=torch.complex64), "is complex64"),
    "float8": (lambda: torch.ones(2).to(torch.float8_e4m3fn), "is float8_e4m3fn"),
    "coo": (lambda: torch.eye(3).to_sparse(), "is sparse"),
    "csr": (lambda: torch.eye(3).to_sparse_csr(), "is sparse"),
    "quantised": (lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8), "is quantised"),
    "meta": (lambda: torch.ones(3, device="meta"), "is on meta"),
    "nested": (_nested, "is nested"),
    "expanded": (lambda: torch.ones(1, 4).expand(10**9, 4), "has shape (1000000000, 4), but only 4 values"),
    "empty": (lambda: torch.ones(0, 4), "its shape is (0, 4)"),
    "nan": (lambda: torch.tensor([1.0, float("nan")]), "holds inf or nan"),
    "infinite": (lambda: torch.tensor([1.0, float("-inf")], dtype=torch.float16), "holds inf or nan"),
    "too large": (lambda: torch.tensor([1e300], dtype=torch.float64), "holds inf or nan in float32"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", _ODD)
def test_tensors_that_are_no_weights_are_named(file, state, kind):
    make, part = _ODD[kind]
    _refused(file({**state, "more.weight": make()}), "tensor more.weight", part)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", _ODD)
def test_they_do_no_harm_where_they_are_not_needed(file, state, kind):
    content = _prefixed("model.", state) | {"metric.weight": _ODD[kind][0]()}
    (only,) = formats.read(file(content)).candidates
    _same(only.state, state)
    assert only.note == "without model., and without metric.weight"


def test_weights_that_share_memory_are_bounded(file):
    tied = torch.ones(1000)
    assert len(formats.read(file({"a": tied, "b": tied})).candidates[0].state) == 2
    _refused(file({f"w{i}": tied for i in range(300)}), "share memory", "clone()")


def test_a_view_beyond_its_memory_is_refused(file):
    """As torch lets a file say: the memory would grow to what the shape claims."""
    whole = io.BytesIO()
    torch.save({"weight": torch.ones(3, 77)}, whole)
    content = whole.getvalue()
    assert content.count(b"K\x03KM\x86") == 1
    path = file({})
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(path, "w") as new:
        for entry in old.infolist():
            data = old.read(entry.filename)
            new.writestr(entry.filename, data.replace(b"K\x03KM\x86", b"J\xff\xff\xff\x00KM\x86"))
    _refused(path)


class Evil:
    """Its pickle writes a file."""

    def __init__(self, witness):
        self.witness = witness

    def __reduce__(self):
        return open, (str(self.witness), "w")


@pytest.mark.parametrize("how", ["archive", "legacy", "plain"])
def test_nothing_pickled_is_executed(tmp_path, file, state, how):
    evil = {"state_dict": state, "hook": Evil(tmp_path / "executed")}
    if how == "plain":
        (tmp_path / "x.pt").write_bytes(pickle.dumps(evil, protocol=2))
    else:
        file(evil, _use_new_zipfile_serialization=how == "archive")
    _refused(tmp_path / "x.pt", "never executed", "torch.save(model.state_dict(), ...)")
    assert not (tmp_path / "executed").exists()


def test_what_stands_for_objects_beside_the_weights_is_inert(tmp_path, file, state):
    """An object that is let through keeps nothing and calls nothing, whatever the file puts into it."""
    path = file({"state_dict": state, "args": argparse.Namespace(hook=Evil(tmp_path / "executed"))})
    _refused(path, "it asks for io.open", "never executed")
    assert not (tmp_path / "executed").exists()
    _refused(file(argparse.Namespace(weights=state)), "expected a state dictionary")
    _refused(file({"weight": np.float64(3)}), "expected a state dictionary")


@pytest.mark.parametrize("content", [lambda net: net, lambda net: {"model": net, "epoch": 3}])
@pytest.mark.parametrize("archive", [True, False])
def test_a_whole_model_is_told_as_one(file, content, archive):
    path = file(content(nn.Sequential(nn.Linear(2, 3))), _use_new_zipfile_serialization=archive)
    _refused(path, "pickled model", "torch.save(model.state_dict(), ...)")


def test_a_class_of_the_user_is_named(file, state):
    _refused(file({"state_dict": state, "config": _Config()}), "_Config", "never executed")


class _Config:
    pass


@pytest.mark.filterwarnings("ignore")
def test_torchscript_is_told_as_such(tmp_path, net):
    torch.jit.script(net).save(str(tmp_path / "x.pt"))
    _refused(tmp_path / "x.pt", "TorchScript", "torch.jit.load(FILE).state_dict()")
    torch.jit.trace(net.eval(), torch.ones(1, 3, 5, 5)).save(str(tmp_path / "y.pth"))
    _refused(tmp_path / "y.pth", "TorchScript")


def test_an_archive_that_grows_is_refused(tmp_path, file, state):
    path = file(state)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "y.pt", "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry.filename))
    _refused(tmp_path / "y.pt", "more bytes than the file")


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ([1, 2], "it holds a list"),
        (torch.ones(3), "it holds a Tensor"),
        ({}, "expected a state dictionary"),
        ({"epoch": 3, "generator": {"w": 1}}, "it holds epoch, generator"),
        ({"weight": torch.ones(3), "arch": "resnet18"}, "its entry arch is a str"),
        ({3: torch.ones(3)}, "its entry 3"),
        ({("\x1b[31m",) * 3: 4}, "expected a state dictionary"),
        ({"\x1b[31m\n": 4}, r"\x1b[31m\n"),
        ({"n" * 400 + str(i): 4 for i in range(100)}, "it holds nnn"),
    ],
)
def test_what_is_no_state_dictionary_says_what_it_is(file, content, part):
    _refused(file(content), part)


def test_a_safetensors_file_without_tensors(tmp_path):
    save_file({}, tmp_path / "x.safetensors")
    _refused(tmp_path / "x.safetensors", "no tensors")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_limits_say_which_and_how_to_go_on(tmp_path, monkeypatch, suffix):
    def write(state):
        path = tmp_path / f"x{suffix}"
        torch.save(state, path) if suffix == ".pt" else save_file(state, path)
        return path

    longest = {"n" * formats.LONGEST_NAME: torch.ones(1)}
    _same(formats.read(write(longest)).candidates[0].state, longest)
    _refused(write({"n" * 5000: torch.ones(1)}), "5,000 characters", "at most 500", "rename")
    monkeypatch.setattr(formats, "MOST_TENSORS", 3)
    many = {f"w{i}": torch.ones(1) for i in range(4)}
    _refused(write(many), "4 tensors", "at most 3")
    many.pop("w3")
    assert len(formats.read(write(many)).candidates[0].state) == 3
    path = write(many)
    monkeypatch.setattr(formats, "LARGEST_FILE", path.stat().st_size)
    assert formats.read(path)
    monkeypatch.setattr(formats, "LARGEST_FILE", path.stat().st_size - 1)
    _refused(path, f"{path.stat().st_size:,} bytes", "at most", "without the optimizer")


def test_names_that_move_the_cursor_are_escaped(file):
    _refused(file({"\x1b[2Jw\n": torch.ones(1).int().expand(3)}), r"\x1b[2Jw\n")


def test_wrong_use(tmp_path):
    _refused(tmp_path / "none.pt", "no such file", error=UsageError)
    (tmp_path / "x.npz").write_bytes(b"")
    _refused(tmp_path / "x.npz", ".safetensors", error=UsageError)


@pytest.mark.parametrize("content", [b"", b"P", b"PK\x03\x04", b"<html>", b"\x80\x02}.", b"\x80\x02(((", bytes(1000)])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_files_of_something_else(tmp_path, content, suffix):
    (tmp_path / f"x{suffix}").write_bytes(content)
    _refused(tmp_path / f"x{suffix}")


def _originals():
    """Small files of every format, as bytes with their suffix."""
    torch.manual_seed(0)
    state = {"a.weight": torch.randn(3, 2), "a.num_batches_tracked": torch.tensor(3), "b": torch.randn(2).half()}
    pruned = {"a.weight_orig": torch.randn(4), "a.weight_mask": torch.ones(4)}
    args = argparse.Namespace(lr=0.1, best=np.float64(3))
    contents = [state, {"state_dict": _prefixed("module.", state), "args": args}, {"ema": pruned}]
    contents.append({"a": torch.eye(2).to_sparse(), "b": torch.nn.Parameter(torch.ones(2))})
    for content in contents:
        for archive in (True, False):
            buffer = io.BytesIO()
            torch.save(content, buffer, _use_new_zipfile_serialization=archive)
            yield ".pt", buffer.getvalue()
    yield ".safetensors", save(state, {"architecture": "small-resnet"})


def _mutated(content, rng):
    """A few bytes changed, a stretch cut out, or one doubled; often near the beginning, where pickles are."""
    content = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        end = rng.choice((len(content), min(len(content), 900)))
        place, length = rng.randrange(end), rng.randint(1, 20)
        kind = rng.random()
        if kind < 0.7:
            content[place] = rng.choice((0, 0xFF, content[place] ^ (1 << rng.randrange(8)), rng.randrange(256)))
        elif kind < 0.8:
            del content[place : place + length]
        elif kind < 0.9:
            content[place:place] = content[place : place + length]
        else:
            del content[place:]
            content = content or bytearray(b"\0")
    return bytes(content)


@pytest.mark.filterwarnings("ignore")
def test_damaged_files_are_read_or_refused_in_one_line(tmp_path):
    rng = random.Random(0)
    read = refused = 0
    for suffix, content in _originals():
        path = tmp_path / f"x{suffix}"
        for _ in range(80):
            path.write_bytes(_mutated(content, rng))
            try:
                contents = formats.read(path)
            except TeponesError as error:
                message = str(error)
                assert len(message.splitlines()) == 1 and message.isprintable() and len(message) < 1000
                assert message.startswith(f"{path}: ") and "weights_only" not in message
                refused += 1
            else:
                assert contents.candidates
                for one in contents.candidates:
                    assert all(tensor.isfinite().all() for tensor in one.state.values())
                read += 1
    assert read + refused == 720 and min(read, refused) > 50


class _Hidden(OrderedDict):
    """A state whose pickle sets attributes of the names of its methods."""

    def __reduce__(self):
        return OrderedDict, (), {"get": 1, "values": 2, "items": 3, "keys": 4}, None, iter(self.items())


def test_attributes_of_a_state_do_not_hide_its_methods(file, state):
    _same(formats.read(file({"state_dict": _Hidden(state)})).candidates[0].state, state)
