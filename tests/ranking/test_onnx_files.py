"""ONNX files: the same features as torch's, and one line for what cannot be run, in bounded time and memory."""

import resource
import sys
import time

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from tepones.backbones.encoder import Preparation
from tepones.common.errors import TeponesError, UsageError
from tepones.pruning import budget
from tepones.ranking import Target, encoder_of, networks, onnx_files, rank

SIDE = 16


class Net(nn.Module):
    """Convolutions, a normalisation, a product of tokens with themselves, and a classifier."""

    def __init__(self, channels=4):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU())
        self.depthwise = nn.Conv2d(channels, channels, 3, stride=2, padding=1, groups=channels)
        self.grow = nn.Linear(channels, 7)
        self.norm = nn.LayerNorm(7)
        self.fc = nn.Linear(7, 5)

    def tokens(self, images):
        found = self.grow(self.depthwise(self.stem(images)).flatten(2).transpose(1, 2))
        return self.norm((found @ found.transpose(1, 2)).softmax(2) @ found)

    def forward(self, images):
        return self.fc(self.tokens(images).mean(1))


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    network = Net().eval()
    with torch.no_grad():
        network.stem[0].weight[:2] = 0  # pruned
    return network


@pytest.fixture(scope="module")
def exported(net, tmp_path_factory):
    """Files of the network: any number of pictures with external data, one picture of one size, in half precision."""
    folder = tmp_path_factory.mktemp("exported")
    any_number = ({0: torch.export.Dim("pictures")},)
    some, one = torch.randn(2, 3, SIDE, SIDE), torch.randn(1, 3, SIDE, SIDE)
    torch.onnx.export(net, (some,), folder / "any.onnx", dynamo=True, verbose=False, dynamic_shapes=any_number)
    with pytest.warns(DeprecationWarning):
        torch.onnx.export(net, (one,), folder / "one.onnx", dynamo=False)
        torch.onnx.export(nn.Sequential(net, nn.Softmax(1)).eval(), (one,), folder / "softmax.onnx", dynamo=False)
        half = Net().half().eval()
        half.load_state_dict(net.state_dict())
        torch.onnx.export(half, (one.half(),), folder / "half.onnx", dynamo=False)
    return folder


@pytest.fixture
def pictures():
    return torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def _of(nodes, constants=(), shape=(1, 3, SIDE, SIDE), kind=TensorProto.FLOAT, outputs=("y",), inputs=("x",), **given):
    """A program by hand."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, kind, shape) for name in inputs],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in dict(constants).items()],
    )
    sets = [helper.make_opsetid("", 18), helper.make_opsetid("elsewhere", 1)]
    return helper.make_model(graph, opset_imports=sets, ir_version=10, **given)


_HEAD = {"w": np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)}
_POOL = helper.make_node("GlobalAveragePool", ["x"], ["p"])
_FLAT = helper.make_node("Flatten", ["p"], ["f"])
_LAST = helper.make_node("MatMul", ["f", "w"], ["y"])


@pytest.fixture
def saved(tmp_path):
    def save(model, name="x.onnx"):
        (tmp_path / name).write_bytes(model.SerializeToString())
        return tmp_path / name

    return save


def _refused(path, *parts, error=TeponesError, features=None):
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(error) as raised:
        onnx_files.load(path, features)
    message = str(raised.value)
    assert len(message.splitlines()) == 1 and message.isprintable() and len(message) < 700
    assert message.startswith(f"{path}: ")
    for part in parts:
        assert part in message
    assert time.perf_counter() - started < 2
    if sys.platform == "linux":
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB
    return message


@pytest.mark.parametrize("name", ["any", "one", "softmax", "half"])
def test_features_and_probabilities_are_those_of_torch(exported, net, pictures, name):
    encoder = onnx_files.load(exported / f"{name}.onnx")
    features, probabilities = encoder(pictures)
    expected = encoder_of(net, "", encoder.preparation)(pictures)
    tolerance = {"atol": 1e-2 if name == "half" else 1e-4, "rtol": 0}
    torch.testing.assert_close(features, expected[0], **tolerance)
    torch.testing.assert_close(probabilities, expected[1], **tolerance)
    assert (encoder.name, encoder.n_features, encoder.n_classes, encoder.classifies) == (name, 7, 5, True)
    assert encoder.preparation == networks.USUAL.at(SIDE) and encoder.notes == (networks.USUAL_NOTE,)


def test_it_costs_what_the_module_costs(exported, net):
    module = encoder_of(net, "", Preparation(SIDE, SIDE))
    for name in ("any", "one"):
        cost = onnx_files.load(exported / f"{name}.onnx").cost()
        # A batch norm may be folded into the convolution before it, which has the same zeros then.
        assert cost["nonzero_weights"] == budget.nonzero_weights(module) == 4 * 27 - 54 + 36 + 28
        assert cost["sparsity"] == budget.sparsity(module) and cost["flops"] == budget.flops(module)
        assert 100 < cost["bytes"] < budget.stored_bytes(module)[0]


def test_a_named_tensor_is_averaged_over_its_places(exported, net, pictures):
    made = [output for node in onnx.load(exported / "one.onnx").graph.node for output in node.output]
    convolution = next(name for name in made if "stem" in name and "Relu" in name)
    tokens = next(name for name in made if "norm" in name and "LayerNorm" in name)
    with torch.no_grad():
        expected = {convolution: net.stem(pictures).mean((2, 3)), tokens: net.tokens(pictures).mean(1)}
    for name, features in expected.items():
        encoder = onnx_files.load(exported / "one.onnx", name)
        torch.testing.assert_close(encoder(pictures)[0], features, atol=1e-4, rtol=0)
        assert not encoder.classifies and encoder.name == f"one:{name}"
    alone = onnx_files.load(exported / "one.onnx", convolution)
    assert alone.cost()["flops"] == 2 * SIDE**2 * 4 * 27 and len(alone.counted) == 1
    _refused(exported / "one.onnx", "makes no tensor 'fc'", made[-1], features="fc")


def test_a_network_without_a_classifier_is_to_say_where_its_features_are(pictures, saved):
    past = [
        _POOL, _FLAT, helper.make_node("MatMul", ["f", "w"], ["z"]),
        helper.make_node("ReduceMean", ["x"], ["m"], keepdims=0),
    ]  # fmt: skip
    path = saved(_of([*past, helper.make_node("Add", ["z", "m"], ["y"])], _HEAD))
    _refused(path, "not made of its last layer, z, alone", "FILE:TENSOR")
    assert onnx_files.load(path, "f")(pictures)[0].shape == (3, 3)
    _refused(saved(_of([helper.make_node("Relu", ["x"], ["y"])])), "no classifier", "FILE:TENSOR")
    several = saved(_of([_POOL, _FLAT, _LAST], _HEAD, outputs=("y", "f")))
    _refused(several, "it has 2 outputs (y, f)", "FILE:TENSOR")
    torch.testing.assert_close(onnx_files.load(several, "f")(pictures)[0], pictures.mean((2, 3)))


def test_the_number_of_pictures_may_be_read_off_behind_the_classifier(saved, pictures):
    """As exporters do it: the shape of the input says how many rows the output has."""
    nodes = [
        _POOL, _FLAT, helper.make_node("MatMul", ["f", "w"], ["z"]), helper.make_node("Shape", ["x"], ["s"], end=1),
        helper.make_node("Concat", ["s", "five"], ["t"], axis=0), helper.make_node("Reshape", ["z", "t"], ["y"]),
    ]  # fmt: skip
    encoder = onnx_files.load(saved(_of(nodes, _HEAD | {"five": np.array([5])}, ("n", 3, SIDE, SIDE))))
    torch.testing.assert_close(encoder(pictures)[0], pictures.mean((2, 3)))
    assert encoder.classifies


def test_a_free_side_takes_the_usual_pictures_and_others(saved, net, pictures):
    path = saved(_of([_POOL, _FLAT, _LAST], _HEAD, ("n", 3, "h", "w")))
    encoder = onnx_files.load(path)
    assert encoder.preparation == networks.USUAL
    own = Preparation(40, 32)
    assert onnx_files.load(path, prepared=own).preparation == own and onnx_files.load(path, prepared=own).notes == ()
    target = Target("noise", np.arange(20) % 2, np.random.default_rng(0).integers(0, 256, (20, 40, 40, 3), np.uint8))
    table = rank(target, [path, encoder_of(net, "net", own)], ["gaussian"], pixels=24).table.set_index("backbone")
    assert table.loc["x", "input"] == "24 (27)" and table.loc["x", "features"] == 3


def test_in_a_ranking_it_stands_where_the_module_stands(exported, net, tmp_path):
    target = Target("noise", np.arange(40) % 2, np.random.default_rng(0).integers(0, 256, (40, 30, 50, 3), np.uint8))
    module = encoder_of(net, "module", networks.USUAL.at(SIDE))
    ranked = rank(target, [exported / "one.onnx", f"{exported / 'one.onnx'}:/Transpose_output_0", module], ["logme"])
    table = ranked.table.set_index("backbone")
    assert ranked.left_out.empty and set(table.index) == {"one", "one:/Transpose_output_0", "module"}
    assert table.loc["one", "logme"] == pytest.approx(table.loc["module", "logme"], abs=1e-4)
    assert table.loc["one", "flops"] == table.loc["module", "flops"]
    assert rank(target, [exported / "one.onnx"], ["leep"]).left_out.empty
    other = rank(target, [exported / "one.onnx"], ["logme"], pixels=20).left_out
    assert other["reason"][0].startswith("takes no picture of 20 pixels (") and "\n" not in other["reason"][0]


def test_operations_that_cannot_be_counted_are_blank_and_no_budget_lets_them_pass(saved):
    nodes = [_POOL, helper.make_node("Einsum", ["p", "q"], ["e"], equation="nchw,cd->nd")]
    nodes.append(helper.make_node("MatMul", ["e", "w"], ["y"]))
    path = saved(_of(nodes, _HEAD | {"q": np.eye(3, dtype=np.float32)}))
    assert onnx_files.load(path).notes[-1] == "operations not counted, because of Einsum"
    target = Target("noise", np.arange(20) % 2, np.random.default_rng(0).integers(0, 256, (20, 40, 40, 3), np.uint8))
    assert rank(target, [path], ["gaussian"]).table["flops"].tolist() == [None]
    left_out = rank(target, [path], ["gaussian"], max_flops=10**9).left_out
    assert left_out["failed"].all() and "flops are not known" in left_out["reason"][0]
    assert len(rank(target, [path], ["gaussian"], max_bytes=10**6).table) == 1


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"shape": (1, 3, SIDE, 2 * SIDE)}, "float of shape (1, 3, 16, 32); expected one square picture"),
        ({"shape": (1, 1, SIDE, SIDE)}, "of shape (1, 1, 16, 16)"),
        ({"shape": (4, 3, SIDE, SIDE)}, "one square picture of three colours or any number of them"),
        ({"shape": (1, SIDE, SIDE, 3)}, "channels last"),
        ({"shape": ("n", "h", "w", 3)}, "channels last"),
        ({"shape": (1, 3, 5000, 5000)}, "at most 4096"),
        ({"shape": (1, 768)}, "float of shape (1, 768); expected pictures"),
        ({"shape": (1, 3, SIDE, SIDE), "kind": TensorProto.UINT8}, "uint8 of shape"),
        ({"shape": None}, "expected pictures"),
        ({"inputs": ("x", "mask")}, "it takes 2 inputs (x, mask)"),
        ({"inputs": ()}, "it takes 0 inputs (none)"),
    ],
)
def test_what_takes_no_pictures_is_refused(saved, given, part):
    _refused(saved(_of([_POOL, _FLAT, _LAST], _HEAD, **given)), part)


def _constant(name, array):
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array))


def _grown(operator, shape, *more):
    """The pooled picture, and a tensor that an operator makes large while it runs."""
    nodes = [_constant("s", np.array(shape)), helper.make_node(operator, ["s"], ["large"])]
    if operator != "ConstantOfShape":
        nodes = [_constant("s", np.array(shape)), helper.make_node(operator, ["p", "s"], ["large"])]
    nodes += [helper.make_node("ReduceMax", ["large"], ["r"], keepdims=0), helper.make_node("Add", ["f", "r"], ["g"])]
    return _of([_POOL, _FLAT, *nodes, helper.make_node("MatMul", ["g", "w"], ["y"])], _HEAD)


@pytest.mark.parametrize(
    "model",
    [_grown("ConstantOfShape", [10**5, 10**5]), _grown("Expand", [10**5, 3, 10**4, 10]), _grown("Tile", [10**6] * 4)],
)
def test_memory_that_a_program_asks_for_is_bounded(saved, model):
    _refused(saved(model), "no ONNX file that can be run (")


def _declared(**entries):
    """A program whose constant is declared with a billion values."""
    model = _of([_POOL, _FLAT, _LAST], _HEAD)
    tensor = model.graph.initializer[0]
    tensor.dims[:] = [3, 10**9]
    for key, value in entries.items():
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key=key, value=value)
    return model


def test_constants_that_are_not_there(saved, tmp_path):
    (tmp_path / "weights").write_bytes(bytes(60))
    _refused(saved(_declared()), "no ONNX file that can be run")
    _refused(saved(_declared(location="weights")), "no ONNX file that can be run")
    _refused(saved(_declared(location="gone\n")), r"weights lie in gone\n beside it, which is not there")
    _refused(saved(_declared(location="/etc/hostname", length="4")))
    _refused(saved(_declared(location="../weights", length="60")))
    _refused(saved(_declared(location="weights", length=str(10**12))), "1,000,000,000,", "at most")
    _refused(saved(_declared(location="weights", offset="x", length="y")))


def test_external_data_is_read_from_beside_the_file(exported, tmp_path, pictures):
    model = onnx.load(exported / "one.onnx")
    onnx.save_model(model, tmp_path / "x.onnx", save_as_external_data=True, location="x.data", size_threshold=0)
    assert (tmp_path / "x.data").is_file()
    found = onnx_files.load(tmp_path / "x.onnx")(pictures)
    torch.testing.assert_close(found, onnx_files.load(exported / "one.onnx")(pictures))
    (tmp_path / "x.data").unlink()
    _refused(tmp_path / "x.onnx", "x.data", "not there")


def test_programs_that_branch_loop_or_bring_their_own_operators_are_refused(saved):
    body = _of([helper.make_node("Identity", ["x"], ["y"])]).graph
    loop = helper.make_node("Loop", ["", "", "f"], ["y"], body=body)
    _refused(saved(_of([_POOL, _FLAT, loop])), "branches or loops (Loop)")
    choice = helper.make_node("If", ["f"], ["y"], then_branch=body, else_branch=body)
    _refused(saved(_of([_POOL, _FLAT, choice])), "branches or loops (If)")
    own = helper.make_function("elsewhere", "Mine", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], [])
    own.opset_import.append(helper.make_opsetid("", 18))
    mine = helper.make_node("Mine", ["f"], ["y"], domain="elsewhere")
    _refused(saved(_of([_POOL, _FLAT, mine], functions=[own])), "operators of its own", "inline_local_functions")
    unknown = [_POOL, _FLAT, helper.make_node("Mine", ["f"], ["g"], domain="elsewhere")]
    _refused(saved(_of([*unknown, helper.make_node("MatMul", ["g", "w"], ["y"])], _HEAD)), "elsewhere", "Mine")
    sparse = _of([_POOL, _FLAT, _LAST], {})
    values = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    place = helper.make_tensor("w_at", TensorProto.INT64, [1], [0])
    sparse.graph.sparse_initializer.append(helper.make_sparse_tensor(values, place, [10**5, 10**6]))
    _refused(saved(sparse), "sparse constants")


def test_features_that_are_none(saved):
    nodes = [_POOL, _FLAT, _LAST, helper.make_node("ArgMax", ["y"], ["best"], axis=1)]
    path = saved(_of(nodes, _HEAD, outputs=("best",)))
    assert not onnx_files.load(path).classifies
    _refused(path, "shape (1, 1) (int64)", features="best")
    _refused(saved(_of([helper.make_node("ReduceMean", ["x"], ["y"], keepdims=0)])), "shape ()", features="y")


def test_damaged_files_are_refused_in_one_line(exported, tmp_path):
    whole = (exported / "one.onnx").read_bytes()
    for number, content in enumerate([b"", b"no program", bytes(1000), whole[: len(whole) // 2], whole[:-1]]):
        (tmp_path / f"{number}.onnx").write_bytes(content)
        _refused(tmp_path / f"{number}.onnx")
    _refused(tmp_path / "none.onnx", "no such file", error=UsageError)
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        content = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            content[place] = rng.integers(256)
        (tmp_path / "x.onnx").write_bytes(content)
        try:
            onnx_files.load(tmp_path / "x.onnx")
        except TeponesError as error:
            assert len(str(error).splitlines()) == 1 and str(error).isprintable()
            refused += 1
    assert refused > 30


def test_files_beyond_the_limit_are_refused(exported, monkeypatch):
    path = exported / "one.onnx"
    monkeypatch.setattr(onnx_files, "LARGEST_FILE", path.stat().st_size - 1)
    _refused(path, f"{path.stat().st_size:,} bytes", "at most")


def test_without_onnx_runtime_it_says_what_to_install(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(TeponesError, match=r"pip install 'tepones\[onnx\]'"):
        onnx_files.load(exported / "one.onnx")
