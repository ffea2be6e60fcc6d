"""Formats: from a file of weights, as people write them, to plain state dictionaries; nothing in it is executed.

Training programs wrap weights (``state_dict``, ``model``, EMA), wrappers prefix their names (``module.``,
``backbone.``), and `torch.nn.utils.prune` splits them in two. `read` undoes all of that. Where it cannot know whether a
prefix belongs to the network, it gives one candidate for each answer, and whoever knows architectures tries them.
"""

import pickle
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from reprlib import repr as short

import torch
from safetensors import safe_open

from tepones.common.errors import TeponesError, UsageError, one_line
from tepones.ranking import pickles

State = dict[str, torch.Tensor]

#: What is left of the tensors of a file: each is a dense float32 tensor or a counter, or the line that says why not.
_Settled = dict[str, torch.Tensor | str]

SAFETENSORS = ".safetensors"
TORCH = (".pt", ".pth", ".bin", ".ckpt")
SUFFIXES = (SAFETENSORS, *TORCH)

#: Limits on a file, on its weights, and on the length of their names.
LARGEST_FILE = 8 * 2**30
MOST_TENSORS = 20_000
LONGEST_NAME = 500

#: Keys under which training programs keep the weights, and their exponential moving average; earlier ones first.
CONTAINERS = ("state_dict", "model_state_dict", "model", "net", "network", "weights")
AVERAGES = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")

#: First parts of names that may belong to what stands around a network. ``encoder_q`` is the network of MoCo.
PREFIXES = ("module", "_orig_mod", "model", "net", "network", "backbone", "encoder", "encoder_q")

#: Of these, what `torch.nn.DataParallel` and `torch.compile` put anywhere in a name; no layer is called so.
_WRAPPERS = {"module", "_orig_mod"}

#: How deeply containers, and prefixes, are nested at most.
_DEEPEST = 6

#: Tensors may share memory (tied weights), up to this many times the bytes of the file in all.
_SHARING = 4

#: Names that a note lists at most.
_FEW = 3

#: Bytes at the beginning of a file in which a pickled model names its layers.
_GLANCE = 2**20

_FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
_INTEGERS = (torch.int64, torch.int32)

_HOW = "write its state dictionary where its code is: torch.save(model.state_dict(), ...)"


class _PassedOver:
    """Stands for an object that training programs keep beside the weights; it takes its contents and forgets them."""

    def __init__(self, *args: object, **kwargs: object):
        pass

    def __setstate__(self, state: object):
        pass


#: Beside the weights these are so usual that files with them are read. What stands for them is inert, whatever it gets.
_BESIDE = [
    (_PassedOver, name)
    for name in (
        "argparse.Namespace",
        "pathlib.PosixPath",
        "pathlib.WindowsPath",
        "numpy.dtype",
        "numpy.ndarray",
        *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
    )
]


@dataclass(frozen=True, eq=False)
class Candidate:
    """One reading of a file.

    Attributes
    ----------
    state : dict of str to torch.Tensor
        Names to dense, finite float32 tensors, and to integer tensors where they count or index.
    note : str
        What was stripped and left out, for people; empty if nothing was.
    """

    state: State
    note: str


@dataclass(frozen=True, eq=False)
class Contents:
    """What a file holds.

    Attributes
    ----------
    candidates : tuple of Candidate
        At least one, in the order in which they are to be tried: first as read, then with prefixes stripped. They share
        their tensors.
    notes : tuple of str
        What was chosen and resolved on the way, for people.
    metadata : dict of str to str
        Of a safetensors file; empty for others.
    """

    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


def read(path: str | Path) -> Contents:
    """Read a file of weights.

    A torch file may keep them in `CONTAINERS`, one inside the other; an average (`AVERAGES`) is taken only where there
    are no plain weights. Pairs ``X_orig`` and ``X_mask`` of `torch.nn.utils.prune` become X, their product. Where
    ``X_mask`` lies beside X itself, nobody knows whether it is to be applied: it is dropped if X is zero wherever the
    mask is, and refused otherwise. Weights become float32. A tensor that cannot be a weight is refused only if every
    candidate needs it.

    A prefix of `PREFIXES` is stripped, again and again, where no other first part of a name is as frequent. Tensors
    that do not carry it may belong to the network (a head) or not (a criterion): one candidate keeps them under their
    own names, the next one leaves them out.

    Parameters
    ----------
    path : str or Path
        ``.safetensors``, or ``.pt``, ``.pth``, ``.bin``, ``.ckpt``.

    Returns
    -------
    Contents

    Raises
    ------
    TeponesError
        If the file is damaged, holds more than tensors or something else than weights, or passes a limit
        (`LARGEST_FILE`, `MOST_TENSORS`, `LONGEST_NAME`); one line that names the file and says what to do.
    UsageError
        If there is no such file, or its suffix is another.

    Notes
    -----
    One pass over the weights. Memory: the file, and the float32 copy of what is of another type or pruned.
    """
    path = Path(path)
    size = _size(path)
    if path.suffix == SAFETENSORS:
        tensors, metadata = _read_safetensors(path)
        notes: tuple[str, ...] = ()
    else:
        tensors, notes = _unwrapped(path, _read_torch(path, size))
        metadata = {}
    check_names(path, tensors)
    # Without what a tensor may carry beside its values: gradients, attributes that hide its methods.
    tensors = {name: torch.Tensor.detach(tensor) for name, tensor in tensors.items()}
    _check_sharing(path, tensors, size)
    settled, n_pruned = _settled(tensors)
    if n_pruned:
        notes = (*notes, f"{n_pruned} tensors multiplied by their masks of torch.nn.utils.prune")
    return Contents(_without_problems(path, list(_candidates(settled))), notes, metadata)


def _size(path: Path) -> int:
    """Bytes of a file that may be read."""
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path}: expected a checkpoint that ends in {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise TeponesError(
            f"{path}: it has {size:,} bytes, and files of at most {LARGEST_FILE:,} are read; write a file of the "
            "weights alone, without the optimizer: torch.save(model.state_dict(), ...)"
        )
    return size


def _read_safetensors(path: Path) -> tuple[State, dict[str, str]]:
    try:
        with safe_open(path, "pt") as file:
            names = list(file.keys())
            check_names(path, names)
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except TeponesError:
        raise
    except Exception as error:  # of many classes, and all of them say that the file is damaged
        raise TeponesError(f"{path}: no complete safetensors file ({_brief(error)})") from None


def _read_torch(path: Path, size: int) -> object:
    is_archive = _check_archive(path, size)
    try:
        _check_pickles(path, is_archive)
        with warnings.catch_warnings(), torch.serialization.safe_globals(_BESIDE):
            warnings.simplefilter("ignore")  # about pickles that are refused below
            return torch.load(path, map_location="cpu", weights_only=True, mmap=False)
    except pickle.UnpicklingError as error:
        raise TeponesError(f"{path}: {_not_only_tensors(path, str(error))}") from None
    except pickles.Excessive as error:
        raise TeponesError(f"{path}: {error}, and is not read; {_HOW}") from None
    except Exception as error:  # on damaged files torch raises whatever its unpickler ran into
        raise TeponesError(f"{path}: no complete torch file ({_brief(error)})") from None


def _check_pickles(path: Path, is_archive: bool) -> None:
    """Look through what torch will unpickle, read as torch reads it."""
    known = frozenset(name for _, name in _BESIDE)
    if is_archive:
        with path.open("rb") as file:
            pickles.check(torch._C.PyTorchFileReader(file).get_record("data.pkl"), known)
        return
    with path.open("rb") as file:
        # A number by which to know the format, its version, the machine, what was saved, the names of its storages.
        pickles.check(file.read(pickles.LARGEST + 1), known, 5)


def _check_archive(path: Path, size: int) -> bool:
    """Refuse an archive that torch did not write as one of tensors, before memory is spent on it.

    False if the file is no archive: of torch's format of before 2020, or no torch file.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) != b"PK\x03\x04":
                return False
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except Exception as error:  # zipfile, too, raises more than its own errors
        raise TeponesError(f"{path}: no complete torch file ({_brief(error)})") from None
    # Below a folder of the archive's own name, which is that of the file.
    if any(re.match(r"[^/]*/(constants\.pkl$|code/)", entry.filename) for entry in entries):
        raise TeponesError(
            f"{path}: holds a TorchScript program, which is never executed; write its weights alone: "
            "torch.save(torch.jit.load(FILE).state_dict(), ...)"
        )
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries) or (
        sum(entry.file_size for entry in entries) > size
    ):
        raise TeponesError(f"{path}: no complete torch file (its archive holds more bytes than the file)")
    return True


def _not_only_tensors(path: Path, message: str) -> str:
    """What a pickle is that torch refused, and what to do."""
    with path.open("rb") as file:
        glance = file.read(_GLANCE)
    if b"torch.nn.modules." in glance:
        return f"holds a pickled model rather than its weights, which is never executed; {_HOW}"
    asked = re.search(r"GLOBAL ([\w.]{1,100}) ", message)
    if asked:
        return f"holds a pickle that is more than tensors (it asks for {asked[1]}), which is never executed; {_HOW}"
    return f"no complete torch file, or a pickle that is more than tensors, which is never executed; {_HOW}"


def _brief(error: Exception) -> str:
    """An error of another library on one short line, without advice to execute the file."""
    text = one_line(error).partition(" Exception raised from")[0]
    text = "" if "weights_only" in text else "".join(filter(str.isprintable, text))[:200]
    return text if " " in text else f"{type(error).__name__} {text}".strip()  # a KeyError's text is no more than a key


def _unwrapped(path: Path, content: object) -> tuple[State, tuple[str, ...]]:
    """The weights inside what a torch file holds, and a note of where they were."""
    found = list(_states(content, (), set()))
    if not found:
        held = ", ".join(_shown(key)[:60] for key in list(content)[:10]) if isinstance(content, Mapping) else ""
        raise TeponesError(
            f"{path}: expected a state dictionary, names to tensors, or one under {', '.join(CONTAINERS)}; it holds "
            + (held or f"a {type(content).__name__}")
        )
    trail, state = next((one for one in found if not set(one[0]) & set(AVERAGES)), found[0])
    for name, value in state.items():
        if not isinstance(value, torch.Tensor) or not isinstance(name, str):
            raise TeponesError(
                f"{path}: expected a state dictionary, names to tensors; its entry {_shown(name)} is a "
                f"{type(value).__name__}"
            )
    others = [".".join(other) for other, _ in found if other and other != trail]
    passed_over = f"; passed over: {', '.join(others)}" if others else ""
    return dict(state), (f"weights from {'.'.join(trail)}{passed_over}",) if trail else ()


def _states(content: object, trail: tuple[str, ...], seen: set[int]) -> Iterator[tuple[tuple[str, ...], Mapping]]:
    """Every state dictionary inside nested containers, with the keys that lead to it.

    A pickle may hold itself, so what was seen is not entered again.
    """
    if not isinstance(content, Mapping) or id(content) in seen or len(trail) > _DEEPEST:
        return
    seen.add(id(content))
    if hasattr(content, "__dict__"):
        vars(content).clear()  # a pickle may hide its methods behind attributes
    inner = [found for key in (*CONTAINERS, *AVERAGES) for found in _states(content.get(key), (*trail, key), seen)]
    yield from inner
    if not inner and any(isinstance(value, torch.Tensor) for value in content.values()):
        yield trail, content


def _shown(name: object) -> str:
    """A name for a message: short, and without what moves a terminal's cursor."""
    text = name if isinstance(name, str) else short(name)
    text = text if len(text) <= LONGEST_NAME else f"{text[:40]}…"
    return text if text.isprintable() else ascii(text)


def few(names: Collection[str]) -> str:
    """The first names of several, for a message or a note: short, and without what moves a terminal's cursor."""
    first = ", ".join(_shown(name)[:60] for name in list(names)[:_FEW])
    return first if len(names) <= _FEW else f"{first} and {len(names) - _FEW} more"


def check_names(path: Path, names: Collection[str]) -> None:
    """Refuse no tensors, too many, and names that are too long for a message; raises TeponesError."""
    if not names:
        raise TeponesError(f"{path}: it holds no tensors; expected a state dictionary, names to tensors")
    if len(names) > MOST_TENSORS:
        raise TeponesError(
            f"{path}: it holds {len(names):,} tensors, and at most {MOST_TENSORS:,} are read; write the network's "
            "weights alone"
        )
    for name in names:
        if len(name) > LONGEST_NAME:
            raise TeponesError(
                f"{path}: the name of tensor {_shown(name)} has {len(name):,} characters, and at most {LONGEST_NAME} "
                "are read; rename it"
            )


def _check_sharing(path: Path, tensors: State, size: int) -> None:
    """Refuse tensors that are many views of the same bytes: as copies they would fill the memory."""
    held = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values() if _misshapen(tensor) is None)
    if held > _SHARING * size:
        raise TeponesError(
            f"{path}: its tensors share memory: they have {held:,} bytes, the file {size:,}; write copies of them "
            "(tensor.clone())"
        )


def _settled(tensors: State) -> tuple[_Settled, int]:
    """Weights as float32 and masks applied; how many tensors had one."""
    settled: _Settled = {}
    n_pruned = 0
    for name, tensor in tensors.items():
        base = re.sub("_(orig|mask)$", "", name)
        original, mask = f"{base}_orig", f"{base}_mask"
        if "parametrizations" in name.split("."):
            settled[name] = (
                f"tensor {_shown(name)} is a parametrization; bake it in before saving: "
                "torch.nn.utils.parametrize.remove_parametrizations(module, name)"
            )
        elif name == original:
            settled[base] = _masked(base, tensors)
            n_pruned += isinstance(settled[base], torch.Tensor)
        elif name == mask and original in tensors:
            continue
        elif name == mask and re.search("(weight|bias)_mask$", name):
            if base not in tensors:
                settled[name] = f"tensor {_shown(name)} is a mask of torch.nn.utils.prune without {_shown(original)}"
            elif not _is_applied(tensors[base], tensor):
                settled[name] = (
                    f"tensor {_shown(name)} lies beside {_shown(base)}, which is not zero wherever the mask is: "
                    "whether it is to be applied is not known; multiply it in before saving, or leave the mask out"
                )
        elif name not in settled:
            settled[name] = _as_weight(name, tensor)
    return settled, n_pruned


def _masked(base: str, tensors: State) -> torch.Tensor | str:
    """The product of a pair of `torch.nn.utils.prune`."""
    original, mask = tensors[f"{base}_orig"], tensors.get(f"{base}_mask")
    pair = f"{_shown(base)}_orig and {_shown(base)}_mask"
    if mask is None:
        return (
            f"tensor {_shown(base)}_orig has no {_shown(base)}_mask; expected a pair of torch.nn.utils.prune; bake "
            "other reparametrizations in before saving, such as by torch.nn.utils.remove_spectral_norm(module)"
        )
    if base in tensors:
        return f"tensors {pair} lie beside {_shown(base)}; leave out the one or the others"
    for name, tensor in ((f"{base}_orig", original), (f"{base}_mask", mask)):
        misshapen = _misshapen(tensor)
        if misshapen:
            return f"tensor {_shown(name)} {misshapen}"
    if original.shape != mask.shape:
        return f"tensors {pair} have different shapes: {tuple(original.shape)} and {tuple(mask.shape)}"
    if mask.dtype not in (*_FLOATS, torch.bool):
        return f"tensor {_shown(base)}_mask is {_kind(mask)}; expected float or bool"
    weight = _as_weight(f"{base}_orig", original)
    return weight if isinstance(weight, str) else _as_weight(base, weight * mask.float())


def _is_applied(weight: torch.Tensor, mask: torch.Tensor) -> bool:
    """Whether a weight is zero wherever its mask, of zeros and ones, is."""
    if _misshapen(weight) or _misshapen(mask) or weight.shape != mask.shape:
        return False
    kept = mask != 0
    return bool((mask[kept] == 1).all()) and not weight[~kept].any()


def _as_weight(name: str, tensor: torch.Tensor) -> torch.Tensor | str:
    """A float32 tensor, or a counter or index as it is; else the line that says what is wrong."""
    problem = no_weight(name, tensor)
    if problem or tensor.dtype in _INTEGERS:
        return problem or tensor
    weight = tensor.float()
    # The sum is quick, and finite only where all values are; of finite values it may overflow, so the extremes decide.
    if not weight.sum().isfinite() and not all(bound.isfinite() for bound in weight.aminmax()):
        return f"tensor {_shown(name)} holds inf or nan in float32; expected finite numbers"
    return weight


def no_weight(name: str, tensor: torch.Tensor) -> str | None:
    """Why a tensor is none of weights, nor a counter or index: its type or layout, or that it has no values; or None.

    The values are not looked at.
    """
    misshapen = _misshapen(tensor)
    if misshapen:
        return f"tensor {_shown(name)} {misshapen}"
    counts = tensor.dtype in _INTEGERS and (tensor.numel() == 1 or name.endswith(("_index", "_ids")))
    if not counts and tensor.dtype not in _FLOATS:
        return (
            f"tensor {_shown(name)} is {_kind(tensor)}; expected float16, bfloat16, float32 or float64 (int64 or int32 "
            "for a single count)"
        )
    return None


def _misshapen(tensor: torch.Tensor) -> str | None:
    """Why the values of a tensor do not lie one by one in memory, None if they do."""
    if tensor.is_quantized:
        return "is quantised; expected plain values: dequantize() it before saving"
    if tensor.is_nested:
        return "is nested; expected one shape for all of it"
    if tensor.layout != torch.strided:
        return (
            f"is sparse ({str(tensor.layout).removeprefix('torch.')}); expected a dense one: to_dense() before saving"
        )
    if tensor.device.type != "cpu":
        return f"has no values, as it is on {tensor.device.type}; expected weights"
    if not tensor.numel():
        return f"has no values, as its shape is {tuple(tensor.shape)}; expected weights"
    held = tensor.untyped_storage().nbytes() // tensor.element_size() - tensor.storage_offset()
    if tensor.numel() > held:
        return (
            f"has shape {tuple(tensor.shape)}, but only {held:,} values in the file; expected as many as its shape "
            "says: contiguous() before saving"
        )
    return None


def _kind(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _candidates(settled: _Settled) -> Iterator[tuple[_Settled, str]]:
    """Readings of one state: names to tensors, and a note."""
    yield settled, ""
    inner, rest, stripped = settled, {}, []
    for _ in range(_DEEPEST):
        step = _stripped(inner)
        if step is None:
            return
        what, inner, others = step
        rest = others or rest
        stripped.append(what)
        note = f"without {' '.join(stripped)}"
        if not rest.keys() & inner.keys():
            yield {**inner, **rest}, note
        if rest:
            yield inner, f"{note}, and without {few(rest)}"


def _stripped(state: _Settled) -> tuple[str, _Settled, _Settled] | None:
    """What can be stripped, the tensors without it, and those that did not carry it."""
    firsts = Counter(name.partition(".")[0] for name in state)
    most = max(firsts.values())
    for prefix in PREFIXES:
        if firsts[prefix] == most and prefix not in state:
            dotted = f"{prefix}."
            inner = {name.removeprefix(dotted): value for name, value in state.items() if name.startswith(dotted)}
            return dotted, inner, {name: value for name, value in state.items() if not name.startswith(dotted)}
    renamed = {".".join(part for part in name.split(".") if part not in _WRAPPERS): name for name in state}
    if len(renamed) == len(state) and renamed.keys() != state.keys():
        return "module. and _orig_mod. inside names", {name: state[old] for name, old in renamed.items()}, {}
    return None


def _without_problems(path: Path, candidates: list[tuple[_Settled, str]]) -> tuple[Candidate, ...]:
    """The candidates all of whose tensors can be weights; the first problem of the last one if there are none."""
    sound = tuple(
        Candidate(state, note)
        for state, note in candidates
        if not any(isinstance(value, str) for value in state.values())
    )
    if not sound:
        problem = next(value for value in candidates[-1][0].values() if isinstance(value, str))
        raise TeponesError(f"{path}: {problem}")
    return sound
