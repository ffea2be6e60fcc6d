"""Pickles: what unpickling would do, found by reading the instructions, so that what is no state of tensors is refused.

`torch.load` with ``weights_only`` executes no code of a file, but an honest pickle is all that it is made for: tuples
that nest deeply end the process, tuples that hold each other twice take for ever, and ``bytearray`` takes the memory.
`check` follows the stack of the unpickler without making anything.
"""

import io
import pickle
import pickletools
import re
from typing import NamedTuple

import torch
from torch.serialization import MAGIC_NUMBER

#: Limits on a pickle: bytes, instructions (some forty for a tensor), bytes of a whole number, levels of tuples and
#: elements of a tuple with those of the tuples in it. A number or tuple may be a key, and keys are hashed.
LARGEST = 64 * 2**20
MOST_INSTRUCTIONS = 1_000_000
LONGEST_NUMBER = 8
DEEPEST = 50
MOST_ELEMENTS = 1_000

#: What a pickle may ask for: what tensors are made by, and what training programs keep beside them.
_TENSORS = re.compile(
    r"torch\.(cuda\.|storage\.)?\w*Storage"
    r"|torch\.(Size|Tensor|device|nn\.parameter\.Parameter|serialization\._get_layout|_tensor\._rebuild_from_type_v2)"
    r"|torch\._utils\._rebuild_(tensor|tensor_v2|tensor_v3|parameter|parameter_with_state|qtensor|sparse_tensor"
    r"|nested_tensor|meta_tensor_no_storage)"
)
_BESIDE = {"collections.OrderedDict", "collections.Counter", "builtins.set", "__builtin__.set", "_codecs.encode"}


class Excessive(ValueError):
    """A pickle passes a limit; the message says which."""


class _Global(NamedTuple):
    """Something that the pickle asks for by name."""

    name: str


class _Tuple(NamedTuple):
    """A tuple: what it holds, its levels, and its elements with those of the tuples in it."""

    items: list[object]
    levels: int
    elements: int


_ENCODE = _Global("_codecs.encode")
_MARK = pickletools.markobject


def check(content: bytes, known: frozenset[str] = frozenset(), pickles: int = 1) -> None:
    """Refuse pickles that `torch.load` should not be given.

    Parameters
    ----------
    content : bytes
        Begins with the pickles, one behind the other; at most `LARGEST` bytes are looked at.
    known : set of str
        What they may ask for besides tensors.
    pickles : int
        How many there are.

    Raises
    ------
    Excessive
        If they pass a limit.
    pickle.UnpicklingError
        If one asks for more than tensors; the message names it, as torch does: ``GLOBAL module.name``.
    ValueError
        If they are damaged.

    Notes
    -----
    Cost: some two microseconds for each instruction.
    """
    stream = io.BytesIO(content[:LARGEST])
    left = MOST_INSTRUCTIONS
    try:
        for _ in range(pickles):
            left = _check_one(stream, known, left)
    except (IndexError, KeyError):
        raise ValueError("its pickle takes what it has not put") from None
    except ValueError as error:
        if len(content) > LARGEST and not isinstance(error, Excessive):
            raise Excessive(f"its pickle has more than {LARGEST:,} bytes") from None
        raise


def _check_one(stream: io.BytesIO, known: frozenset[str], left: int) -> int:
    """Check one pickle; how many instructions are left for the next."""
    stack: list[object] = []
    memo: dict[int, object] = {}
    for instruction, argument, _ in pickletools.genops(stream):
        if not left:
            raise Excessive(f"its pickle has more than {MOST_INSTRUCTIONS:,} instructions")
        left -= 1
        name = instruction.name
        if name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "GLOBAL":
            stack.append(_asked(argument.replace(" ", "."), known))
        elif name == "BINUNICODE":
            stack.append(argument)
        elif name == "LONG1" and argument.bit_length() >= 8 * LONGEST_NUMBER and argument != MAGIC_NUMBER:
            raise Excessive(f"its pickle has a whole number of more than {LONGEST_NUMBER} bytes")
        elif name in ("EMPTY_TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "TUPLE"):
            stack.append(_tuple(_taken(stack, instruction)))
        else:
            taken = _taken(stack, instruction)
            if name in ("REDUCE", "NEWOBJ"):
                _check_call(*taken)
            # Of everything else it is enough to know that it is there.
            stack += [_MARK if made is _MARK else None for made in instruction.stack_after]
    return left


def _taken(stack: list[object], instruction: pickletools.OpcodeInfo) -> list[object]:
    """What an instruction takes off the stack: a number of things, or all above the last mark and some below it."""
    before = instruction.stack_before
    start = len(stack)
    if _MARK in before:
        while stack[start - 1] is not _MARK:
            start -= 1
        start -= 1 + before.index(_MARK)
    else:
        start -= len(before)
    if start < 0:
        raise IndexError
    taken = [item for item in stack[start:] if item is not _MARK]
    del stack[start:]
    return taken


def _asked(name: str, known: frozenset[str]) -> _Global:
    kind = getattr(torch, name.removeprefix("torch."), None)
    if not (_TENSORS.fullmatch(name) or name in _BESIDE | known or isinstance(kind, torch.dtype | torch.qscheme)):
        raise pickle.UnpicklingError(f"GLOBAL {name} is not of tensors")
    return _Global(name)


def _tuple(items: list[object]) -> _Tuple:
    inner = [item for item in items if isinstance(item, _Tuple)]
    levels = 1 + max((item.levels for item in inner), default=0)
    elements = len(items) + sum(item.elements for item in inner)
    if levels > DEEPEST:
        raise Excessive(f"its pickle nests tuples more than {DEEPEST} levels deep")
    if elements > MOST_ELEMENTS:
        raise Excessive(f"its pickle has a tuple of more than {MOST_ELEMENTS:,} elements")
    if _ENCODE in items:
        raise pickle.UnpicklingError(f"GLOBAL {_ENCODE.name} is handed on")
    return _Tuple(items, levels, elements)


def _check_call(called: object, arguments: object) -> None:
    """Refuse calls with no tuple, and encodings other than that of numpy's bytes: some take for ever."""
    if not isinstance(arguments, _Tuple):
        raise pickle.UnpicklingError("a call takes a tuple")
    if called == _ENCODE and arguments.items[1:] != ["latin1"]:
        raise pickle.UnpicklingError(f"GLOBAL {_ENCODE.name} is not of tensors")
