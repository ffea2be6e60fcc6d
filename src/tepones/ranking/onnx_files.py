"""ONNX files: networks of any origin, run by ONNX Runtime, with features before the last layer or of a named tensor.

ONNX and ONNX Runtime are optional: ``pip install 'tepones[onnx]'``. An ONNX file is a program, but one of operators
that ONNX Runtime has: libraries of other operators are never loaded. Programs that branch or loop are refused, so that
the time which one picture takes has a bound, and all of them together get at most `MOST_MEMORY`.
"""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch

from tepones.backbones.encoder import Preparation
from tepones.common.errors import TeponesError, UsageError, one_line, shown
from tepones.pruning import budget
from tepones.ranking.modules import as_logits, averaged
from tepones.ranking.networks import USUAL, USUAL_NOTE

SUFFIX = ".onnx"

#: Limit on the bytes of a file, its external data included.
LARGEST_FILE = 2 * 2**30

#: Limit on the bytes that all networks of ONNX files together take while they run.
MOST_MEMORY = 8 * 2**30

#: Operators that a last layer is one of, and whose weights and operations are counted.
LAYERS = ("Conv", "Gemm", "MatMul")

#: Operators that take time which is not counted, besides all that are not of ONNX itself.
_UNCOUNTED = {
    "Attention", "ConvInteger", "ConvTranspose", "DeformConv", "Einsum", "GRU", "LSTM", "MatMulInteger", "QLinearConv",
    "QLinearMatMul", "RNN",
}  # fmt: skip

#: Constants of fewer values may be shapes, which other shapes follow from.
_FEW = 1024

#: Names of tensors that a message lists at most.
_SHOWN = 6


@dataclass(eq=False)
class OnnxEncoder:
    """A network of an ONNX file: prepared pictures to features and source-class probabilities.

    Attributes
    ----------
    name : str
        What a ranking calls it.
    preparation : Preparation
    n_features : int
        D, the size of the feature.
    n_classes : int
        C_s, the number of source classes; 1 where there are no source-class probabilities.
    classifies : bool
        Whether there are such probabilities.
    session : onnxruntime.InferenceSession
        Its outputs are the features and, if it classifies, the logits or probabilities.
    graph : onnx.ModelProto
        The network without its large constants, by which operations are counted.
    feature : str
        The tensor that the features are made of.
    weights : dict of str to torch.Tensor
        The constants of floating point that the features depend on.
    counted : frozenset of str
        Which of them are weights of convolutions and products.
    content : str
        Hash of the whole program with its constants.
    facts : dict of str to float
        What is known besides the weights.
    trained : bool
        Always true: a file does not say otherwise.
    notes : tuple of str
        What was assumed, for people.
    """

    name: str
    preparation: Preparation
    n_features: int
    n_classes: int
    classifies: bool
    session: Any
    graph: Any
    feature: str
    weights: dict[str, torch.Tensor]
    counted: frozenset[str]
    content: str
    facts: dict[str, float] = field(default_factory=dict)
    trained: bool = True
    notes: tuple[str, ...] = ()

    def __call__(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (N, D) and source-class probabilities (N, C_s) of prepared inputs, one picture after the other.

        Raises
        ------
        RuntimeError
            If ONNX Runtime cannot run the network on them.
        """
        try:
            found = [_run(self.session, picture[None]) for picture in inputs]
        except Exception as error:  # of many classes
            raise RuntimeError(_brief(error)) from None
        features = torch.cat([averaged(outputs[0].float(), 1) for outputs in found])
        if not self.classifies:
            return features, torch.ones(len(features), 1)
        return features, torch.cat([as_logits(outputs[-1].float()) for outputs in found]).softmax(1)

    def cost(self) -> dict[str, float | None]:
        """What it costs, as `tepones.pruning.budget.Budget` counts it, from one more pass of one picture.

        Returns
        -------
        dict
            ``sparsity``, ``nonzero_weights``, ``bytes`` (compressed) and ``flops``, which is None where some operator's
            operations are not counted.

        Raises
        ------
        RuntimeError
            If it takes no pictures of this size.
        """
        side = self.preparation.crop
        self(torch.zeros(1, 3, side, side))
        counted = [self.weights[name] for name in self.counted]
        n_weights, nonzero = sum(map(torch.numel, counted)), sum(int(weight.count_nonzero()) for weight in counted)
        return {
            "sparsity": 1 - nonzero / n_weights if n_weights else math.nan,
            "nonzero_weights": nonzero,
            "bytes": len(budget.compress(budget.serialise(self.weights))),
            "flops": _flops(self.graph, self.feature, side)[0],
        }


def load(path: str | Path, features: str | None = None, prepared: Preparation | None = None) -> OnnxEncoder:
    """Load an encoder from an ONNX file.

    Parameters
    ----------
    path : str or Path
        With external data beside it where it has some. The network takes pictures (1, 3, H, H) or any number of them.
    features : str, optional
        A tensor of the graph: the feature is its average over places or tokens, as in `tepones.ranking.encoder_of`. If
        left out, the feature is what the last layer takes, a convolution or a product with constant weights, on which
        alone the only output depends.
    prepared : Preparation, optional
        How pictures become its input. If left out, `tepones.ranking.networks.USUAL`, at the side that the input has if
        it is fixed, and the ranking's notes say so.

    Raises
    ------
    TeponesError
        If ONNX or ONNX Runtime is not installed, or the file is damaged, larger than `LARGEST_FILE`, branches, loops,
        takes something else than pictures, has no classifier or no such tensor, or cannot be run; one line that names
        the file.
    UsageError
        If there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    onnx, runtime = _installed()
    try:
        model = _read(onnx, path)
        given, side = _input(onnx, model)
        name = path.stem if features is None else f"{path.stem}:{features}"
        chosen = prepared or USUAL.at(side or USUAL.crop)
        feature = _named(model, features) if features is not None else _before_last_layer(model, given)
        outputs = [feature] if features is not None else [feature, model.graph.output[0].name]
        weights, counted = _weights(onnx, model, feature)
        content = hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()
        graph = _without_weights(onnx, model)
        session = _session(onnx, runtime, model, outputs)
        trial = _run(session, torch.zeros(1, 3, chosen.crop, chosen.crop))
        n_features = averaged(trial[0], 1).shape[1]
        classifies = features is None and trial[-1].is_floating_point() and trial[-1].numel() > 1
        uncounted = _flops(graph, feature, chosen.crop)[1]
    except TeponesError as error:
        raise TeponesError(f"{path}: {error}") from None
    except Exception as error:  # of many classes, of protobuf, of ONNX and of ONNX Runtime
        raise TeponesError(f"{path}: no ONNX file that can be run ({_brief(error)})") from None
    notes = () if prepared else (USUAL_NOTE,)
    notes += (f"operations not counted, because of {uncounted}",) if uncounted else ()
    n_classes = trial[-1].numel() if classifies else 1
    return OnnxEncoder(
        name, chosen, n_features, n_classes, classifies, session, graph, feature, weights, counted, content, notes=notes
    )


def _installed() -> tuple[Any, Any]:
    try:
        import onnx
        import onnxruntime
    except ImportError:
        raise TeponesError("ONNX files need ONNX Runtime: pip install 'tepones[onnx]'") from None
    return onnx, onnxruntime


def _brief(error: Exception) -> str:
    """An error of another library on one short line."""
    return "".join(filter(str.isprintable, one_line(error)))[:300]


def _read(onnx: Any, path: Path) -> Any:
    """The program of a file with its external data, if it is one of bounded size and time."""
    size = path.stat().st_size
    if size <= LARGEST_FILE:
        model = onnx.load(path, load_external_data=False)
        external = [tensor for tensor in _tensors(model) if tensor.data_location == onnx.TensorProto.EXTERNAL]
        size += sum(_held(tensor, path.parent) for tensor in external)
    if size > LARGEST_FILE:
        raise TeponesError(f"it has {size:,} bytes, and ONNX files of at most {LARGEST_FILE:,} are read")
    if not model.graph.node:
        raise TeponesError("no complete ONNX file (it holds no operator)")
    if model.functions:
        raise TeponesError("it defines operators of its own; put their bodies in: onnx.inliner.inline_local_functions")
    nested = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
    for node in model.graph.node:
        if any(attribute.type in nested for attribute in node.attribute):
            raise TeponesError(f"it branches or loops ({shown(node.op_type)}); expected a program without either")
    if model.graph.sparse_initializer:
        raise TeponesError("it has sparse constants; expected dense ones")
    onnx.load_external_data_for_model(model, str(path.parent))
    return model


def _tensors(model: Any) -> Iterable[Any]:
    """Constants of a program: those of the graph, and those that operators hold."""
    yield from model.graph.initializer
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t


def _held(tensor: Any, folder: Path) -> int:
    """Bytes of external data that a tensor reads at most."""
    about = {entry.key: entry.value for entry in tensor.external_data}
    file = folder / about.get("location", "")
    if not file.is_file():
        raise TeponesError(f"its weights lie in {shown(about.get('location', ''))} beside it, which is not there")
    length = int(about.get("length") or 0)
    return length if length > 0 else file.stat().st_size


def _input(onnx: Any, model: Any) -> tuple[str, int | None]:
    """Name of the only input, and the side of its pictures, None if any will do; the number of pictures becomes 1."""
    constants = {tensor.name for tensor in model.graph.initializer}
    given = [one for one in model.graph.input if one.name not in constants]
    if len(given) != 1:
        names = ", ".join(shown(one.name) for one in given[:_SHOWN]) or "none"
        raise TeponesError(f"it takes {len(given)} inputs ({names}); expected one, of pictures")
    kind = given[0].type.tensor_type
    type_name = onnx.TensorProto.DataType.Name(kind.elem_type)
    sizes = [one.dim_value if one.HasField("dim_value") else None for one in kind.shape.dim]
    what = f"{type_name.lower()} of shape ({', '.join(str(size or '?') for size in sizes)})"
    if type_name not in ("FLOAT", "FLOAT16", "DOUBLE") or len(sizes) != 4:
        raise TeponesError(f"it takes {what}; expected pictures of floating point, (1, 3, H, H)")
    number, channels, *sides = sizes
    if channels != 3 and sides[1] == 3:
        raise TeponesError(f"it takes {what}, channels last; expected channels first, (1, 3, H, H)")
    side = next(filter(None, sides), None)
    if number not in (1, None) or channels not in (3, None) or any(one not in (side, None) for one in sides):
        raise TeponesError(f"it takes {what}; expected one square picture of three colours or any number of them")
    if side is not None and not 1 <= side <= 4096:
        raise TeponesError(f"it takes {what}; expected sides of at most 4096 pixels")
    kind.shape.dim[0].dim_value, kind.shape.dim[1].dim_value = 1, 3
    return given[0].name, side


def _named(model: Any, tensor: str) -> str:
    """A tensor that an operator makes, checked."""
    made = [output for node in model.graph.node for output in node.output if output]
    if tensor not in made:
        some = ", ".join(map(shown, made[-_SHOWN:]))
        raise TeponesError(f"it makes no tensor {tensor!r}; the last ones are: {some}")
    return tensor


def _before_last_layer(model: Any, given: str) -> str:
    """The tensor that the last layer takes."""
    outputs = [output.name for output in model.graph.output]
    if len(outputs) != 1:
        names = ", ".join(map(shown, outputs[:_SHOWN]))
        raise TeponesError(f"it has {len(outputs)} outputs ({names}); name the tensor of the features: FILE:TENSOR")
    seen = {given}
    layers = []
    behind = _before(model, outputs[0])
    for node in model.graph.node:
        if seen.isdisjoint(node.input):
            continue
        seen.update(node.output)
        constant = len(node.input) > 1 and node.input[0] in seen and node.input[1] not in seen
        if node.op_type in LAYERS and constant and not behind.isdisjoint(node.output):
            layers.append(node)
    if not layers or given in _before(model, outputs[0], without=layers[-1].output[0]):
        last = f"of its last layer, {shown(layers[-1].output[0])}, alone" if layers else "of a layer"
        raise TeponesError(
            f"its output is not made {last}, so that is no classifier; name the tensor of the features: FILE:TENSOR"
        )
    return layers[-1].input[0]


def _before(model: Any, tensor: str, without: str | None = None) -> set[str]:
    """The tensors that the values of one depend on, itself included; not by way of another, nor of shapes."""
    makers = {output: node for node in model.graph.node for output in node.output}
    found, left = set(), [tensor]
    while left:
        one = left.pop()
        if one in found or one == without or not one:
            continue
        found.add(one)
        if one in makers and makers[one].op_type not in ("Shape", "Size"):
            left += makers[one].input
    return found


def _constants(model: Any) -> dict[str, Any]:
    """Constants by name."""
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.HasField("t"):
                held[node.output[0]] = attribute.t
    return held


def _weights(onnx: Any, model: Any, feature: str) -> tuple[dict[str, torch.Tensor], frozenset[str]]:
    """Constants of floating point that a tensor depends on, and which of them layers take."""
    needed = _before(model, feature)
    weights = {}
    for name, tensor in _constants(model).items():
        if name in needed:
            array = onnx.numpy_helper.to_array(tensor)
            if onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).kind == "f" and array.ndim:
                weights[name] = torch.from_numpy(array.copy())
    layers = [node for node in model.graph.node if node.op_type in LAYERS and not needed.isdisjoint(node.output)]
    return weights, frozenset(name for node in layers for name in node.input[:2] if name in weights)


def _without_weights(onnx: Any, model: Any) -> Any:
    """The program with inputs in the place of its large constants."""
    large = [tensor for tensor in model.graph.initializer if math.prod(tensor.dims) > _FEW]
    names = {tensor.name for tensor in large}
    inputs = [onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims) for tensor in large]
    inputs += [one for one in model.graph.input if one.name not in names]
    small = [tensor for tensor in model.graph.initializer if tensor.name not in names]
    graph = onnx.helper.make_graph(model.graph.node, "", inputs, model.graph.output, small)
    return onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


def _flops(graph: Any, feature: str, side: int) -> tuple[int | None, str]:
    """Floating-point operations of one picture up to a tensor, two for a multiply-add, or the operator that hides them.

    Of convolutions and products of matrices, as `torch.utils.flop_counter` counts them, zeros not left out. The two
    products of attention are among them, which torch leaves out on a processor.
    """
    import onnx

    sized = onnx.ModelProto()
    sized.CopyFrom(graph)
    constants = {tensor.name for tensor in sized.graph.initializer}
    for one in sized.graph.input:
        if one.name not in constants and len(one.type.tensor_type.shape.dim) == 4:
            for place in (2, 3):
                dim = one.type.tensor_type.shape.dim[place]
                dim.dim_value = dim.dim_value or side
    del sized.graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(sized, data_prop=True).graph
    shapes: dict[str, list[int]] = {tensor.name: list(tensor.dims) for tensor in sized.graph.initializer}
    for one in (*inferred.input, *inferred.value_info, *inferred.output):
        shapes[one.name] = [dim.dim_value for dim in one.type.tensor_type.shape.dim]
    needed = _before(sized, feature)
    total = 0
    for node in sized.graph.node:
        if needed.isdisjoint(node.output):
            continue
        if node.op_type in _UNCOUNTED or node.domain not in ("", "ai.onnx"):
            return None, shown(node.op_type)
        if node.op_type not in LAYERS:
            continue
        made, taken = (shapes.get(name, [0]) for name in (node.output[0], node.input[node.op_type == "Conv"]))
        if not all(made) or not all(taken):
            return None, f"{shown(node.op_type)}, whose shapes are not known before it runs"
        total += 2 * math.prod(made) * (math.prod(taken[1:]) if node.op_type == "Conv" else taken[-1])
    return total, ""


def _session(onnx: Any, runtime: Any, model: Any, outputs: list[str]) -> Any:
    """A session of ONNX Runtime on the processor that computes some tensors; the program's own outputs go."""
    _bounded_memory()
    del model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in dict.fromkeys(outputs))
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    options.add_session_config_entry("session.use_env_allocators", "1")
    return runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _run(session: Any, picture: torch.Tensor) -> list[torch.Tensor]:
    """What a session computes of a picture (1, 3, H, H)."""
    given = session.get_inputs()[0]
    dtype = {"tensor(float16)": torch.float16, "tensor(double)": torch.float64}.get(given.type, torch.float32)
    outputs = session.run(None, {given.name: picture.to(dtype).contiguous().numpy()})
    return [torch.as_tensor(output) for output in outputs]


@cache
def _bounded_memory() -> None:
    """Bound the memory of all sessions of this process that use the allocator which they share."""
    import onnxruntime as runtime

    where = runtime.OrtMemoryInfo("Cpu", runtime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, runtime.OrtMemType.DEFAULT)
    runtime.create_and_register_allocator(where, runtime.OrtArenaCfg(MOST_MEMORY, -1, -1, -1))
