"""Records: the results of expensive computations, stored so that they can be trusted and never made twice.

A *cell* is a frozen dataclass that describes one computation completely. Its key is the SHA-256 of its kind, its
fields, the code that computes it and the versions of the libraries that decide the result. A record is one JSON
file with the cell, its values, where it was made, and a checksum of all this; tensors lie beside it as
safetensors, with their own checksum inside the JSON. Both are written to a temporary file and renamed, tensors
first: a record exists completely or not at all.
"""

import ast
import dataclasses
import hashlib
import inspect
import json
import platform
import sys
import textwrap
import time
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import safetensors.numpy
from tqdm.auto import tqdm

from tepones.common.errors import TeponesError
from tepones.common.files import write_atomically

LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "pillow", "matplotlib", "torch-pruning")
Values = dict[str, Any]
Tensors = Mapping[str, Any]


class Cell(Protocol):
    """A frozen dataclass that describes one computation."""

    def requires(self) -> "list[Cell]":
        """Cells whose records must exist before this one is computed."""

    def code(self) -> list[str]:
        """Modules of this package that decide the result, besides those that they import."""

    def compute(self, store: "Store") -> tuple[Values, Tensors]:
        """Return JSON values and numpy tensors (the latter may be empty)."""


def kind(cell: Cell) -> str:
    """Name of the kind of a cell: its class in lower case."""
    return type(cell).__name__.lower()


@cache
def identity(cell: Cell) -> str:
    """What a cell computes by which code, whatever machine and libraries do it: 20 hexadecimal digits."""
    depends_on = {
        "kind": kind(cell),
        "cell": dataclasses.asdict(cell),
        "requires": [identity(required) for required in cell.requires()],
        "code": code_hash(type(cell), *cell.code()),
    }
    return _sha256(_canonical(depends_on))[:20]


@cache
def key(cell: Cell) -> str:
    """Name of the record of a cell: its identity and the versions of the libraries; 20 hexadecimal digits."""
    return _sha256(_canonical({"cell": identity(cell), "versions": versions()}))[:20]


@cache
def versions() -> dict[str, str]:
    """Versions of the libraries that decide a result."""
    return {name: version(name) for name in LIBRARIES}


@cache
def code_hash(owner: type, *modules: str) -> str:
    """Hash of a class, of modules of this package, and of all that these import from this package.

    The hash is of the syntax trees without docstrings: a changed comment, docstring or line break changes
    nothing, any other edit does. Packages' `__init__` files (registries) are not followed, so a new entry in a
    registry changes no key.
    """
    trees = [ast.parse(textwrap.dedent(inspect.getsource(owner)))]
    trees += [_tree(module) for module in sorted(_closure(modules))]
    return _sha256("\n".join(_without_docstrings(tree) for tree in trees))[:20]


def _closure(modules: Iterable[str]) -> set[str]:
    """The modules and everything of this package that they import, directly or not."""
    seen, waiting = set(), list(modules)
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        for node in ast.walk(_tree(module)):
            if isinstance(node, ast.ImportFrom):
                names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
                waiting += [name for name in names if name.startswith("tepones.") and _source(name).is_file()]
    return seen


def _source(module: str) -> Path:
    # Found without importing: an import of a package would load torch.
    return Path(__file__).parents[2].joinpath(*module.split(".")[1:]).with_suffix(".py")


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(_source(module).read_text(encoding="utf-8"))


def _without_docstrings(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            first = body[0].value
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                first.value = ""
    return ast.dump(tree)


@dataclasses.dataclass(frozen=True)
class Record:
    """A stored result.

    Attributes
    ----------
    values : dict
        JSON values.
    made : dict
        Provenance: seconds of wall time, versions, machine, when (UTC).
    blob : Path or None
        File of the tensors.
    digest : str or None
        SHA-256 of that file.
    """

    values: Values
    made: dict[str, Any]
    blob: Path | None
    digest: str | None

    def tensors(self) -> Tensors:
        """The tensors as numpy arrays, mapped into memory: read when used, and a change is not written back."""
        from safetensors.torch import load_file  # maps files, which its twin for numpy does not

        return {name: tensor.numpy() for name, tensor in load_file(self.blob).items()}


class Store:
    """A folder of records.

    Parameters
    ----------
    folder : Path
        Made when the first record is written.
    """

    def __init__(self, folder: Path):
        self.folder = Path(folder)

    def get(self, cell: Cell) -> Record | None:
        """The record of a cell, or None if there is none that can be trusted.

        A damaged record is told on standard error and treated as missing.
        """
        path = self._path(cell)
        if not path.exists():
            return None
        try:
            return self._read(path)
        except (ValueError, KeyError, TypeError, OSError) as error:
            message = str(error).splitlines()[0]
            tqdm.write(f"record {path} is damaged ({message}); it is computed again", file=sys.stderr)
            return None

    def require(self, cell: Cell) -> Record:
        """The record of a cell that must exist.

        Raises
        ------
        TeponesError
            If it does not.
        """
        record = self.get(cell)
        if record is None:
            raise TeponesError(f"no usable record of {cell} in {self.folder}")
        return record

    def compute(self, cell: Cell) -> Record:
        """The record of a cell, computed and stored if it does not exist."""
        return self.get(cell) or self._make(cell)

    def _make(self, cell: Cell) -> Record:
        start = time.perf_counter()
        values, tensors = cell.compute(self)
        made = {
            "seconds": round(time.perf_counter() - start, 3),
            "versions": versions(),
            "code": code_hash(type(cell), *cell.code()),
            "machine": f"{platform.system()} {platform.machine()}",
            "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        path = self._path(cell)
        path.parent.mkdir(parents=True, exist_ok=True)
        body = {"kind": kind(cell), "cell": dataclasses.asdict(cell), "values": values, "made": made}
        if tensors:
            blob = safetensors.numpy.save(dict(tensors))
            body["tensors"] = hashlib.sha256(blob).hexdigest()
            write_atomically(path.with_suffix(".safetensors"), blob)
        body["checksum"] = _sha256(_canonical(body))
        write_atomically(path, json.dumps(body, indent=1).encode())
        return self._read(path)

    def _path(self, cell: Cell) -> Path:
        return self.folder / kind(cell) / f"{key(cell)}.json"

    @staticmethod
    def _read(path: Path) -> Record:
        body = json.loads(path.read_text(encoding="utf-8"))
        if body.pop("checksum") != _sha256(_canonical(body)):
            raise ValueError("its checksum does not match")
        blob = None
        if "tensors" in body:
            blob = path.with_suffix(".safetensors")
            if hashlib.sha256(blob.read_bytes()).hexdigest() != body["tensors"]:
                raise ValueError("the checksum of its tensors does not match")
        return Record(body["values"], body["made"], blob, body.get("tensors"))


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
