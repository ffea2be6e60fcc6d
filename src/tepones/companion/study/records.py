"""Records: the results of expensive computations, stored so that they can be trusted and never made twice.

A *cell* is a frozen dataclass that describes one computation completely. Its identity is the SHA-256 of its kind, its
fields, the cells that it needs, and the code that computes it (`deciding_code`); its key besides of the versions of the
libraries that decide the result, of how they are told to compute (`numerics`), and of the content of all files that are
read. A record is one JSON file, named by
the key, with the cell, the key, its values, where it was made, and a checksum of all this; tensors lie beside it as
safetensors, named by their own checksum. Tensors are written first, and everything is written whole or not at all
(`tepones.common.files`): a record exists completely or not at all.
"""

import dataclasses
import hashlib
import json
import platform
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import safetensors.numpy
from tqdm.auto import tqdm

from tepones.common.errors import TeponesError
from tepones.common.files import content_hash, read_whole, remove_strays, write_atomically
from tepones.companion.study import deciding_code, numerics
from tepones.companion.study.inputs import Inputs

LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "pillow", "matplotlib", "torch-pruning")
Values = dict[str, Any]
Tensors = Mapping[str, Any]

#: Bytes of JSON that a record may have: the largest of the study have less than a hundredth of it.
LARGEST = 64 * 2**20


class Cell(ABC):
    """A description of one computation; each kind is a frozen dataclass."""

    def requires(self) -> "list[Cell]":
        """Cells whose records must exist before this one is computed."""
        return []

    def code(self) -> list[str]:
        """Definitions that decide the result and that `compute` finds by name at run time: ``module:object``."""
        return []

    def inputs(self) -> dict[str, Path]:
        """Files and folders that `compute` reads, each under a name that is the same on every machine."""
        return {}

    @abstractmethod
    def compute(self, store: "Store") -> tuple[Values, Tensors]:
        """Return JSON values and numpy tensors (the latter may be empty)."""


def kind(cell: Cell) -> str:
    """Name of the kind of a cell: its class in lower case."""
    return type(cell).__name__.lower()


@cache
def identity(cell: Cell, source: deciding_code.Source | None = None) -> str:
    """What a cell computes by which code, whatever machine, libraries and files do it: 20 hexadecimal digits.

    Parameters
    ----------
    cell : Cell
    source : Source, optional
        The code; that of this checkout by default.
    """
    depends_on = {
        "kind": kind(cell),
        "cell": dataclasses.asdict(cell),
        "requires": [identity(required, source) for required in cell.requires()],
        "code": code_hash(cell, source),
    }
    return _sha256(_canonical(depends_on))[:20]


def code_hash(cell: Cell, source: deciding_code.Source | None = None) -> str:
    """Hash of the code that computes a cell: 20 hexadecimal digits."""
    own = f"{type(cell).__module__}:{type(cell).__qualname__}"
    return (source or deciding_code.source()).hash([own, *cell.code()])


@cache
def versions() -> dict[str, str]:
    """Versions of the libraries that decide a result."""
    return {name: version(name) for name in LIBRARIES}


@dataclasses.dataclass(frozen=True)
class Record:
    """A stored result.

    Attributes
    ----------
    values : dict
        JSON values.
    made : dict
        Provenance: seconds of processor time, versions, machine, how it rounds (`numerics.fingerprint`), when (UTC).
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
        Made when the first record is written; nothing is written to read.
    """

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self._keys: dict[Cell, str] = {}
        self._inputs = Inputs(self.folder)

    def __reduce__(self):
        """In another process a store is the one of its folder there: what it knows is found out once."""
        return _of_this_process, (self.folder,)

    def key(self, cell: Cell) -> str:
        """Name of the record of a cell: 20 hexadecimal digits.

        Where a file that the cell reads is not there now, its content is what it was when this store last saw it.
        """
        if cell not in self._keys:
            depends_on = {
                "cell": identity(cell),
                "versions": versions(),
                "numerics": numerics.environment(),
                "inputs": {name: self._inputs.digest(name, path) for name, path in cell.inputs().items()},
                "requires": [self.key(required) for required in cell.requires()],
            }
            self._keys[cell] = _sha256(_canonical(depends_on))[:20]
        return self._keys[cell]

    def get(self, cell: Cell) -> Record | None:
        """The record of a cell, or None if there is none that can be trusted.

        A damaged record is told on standard error and treated as missing.
        """
        path = self.path(cell)
        try:
            return self._read(path, cell)
        except FileNotFoundError:
            if not path.exists():
                return None
            reason = "its tensors are missing"
        except (ValueError, KeyError, TypeError, OSError) as error:
            reason = str(error).splitlines()[0]
        tqdm.write(f"record {path} is damaged ({reason}); it is computed again", file=sys.stderr)
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

    def path(self, cell: Cell) -> Path:
        """Where the record of a cell is, or will be."""
        return self.folder / kind(cell) / f"{self.key(cell)}.json"

    def clean(self) -> None:
        """Remove what killed processes have left half-written."""
        remove_strays(self.folder)

    def _make(self, cell: Cell) -> Record:
        start = time.process_time()
        values, tensors = cell.compute(self)
        made = {
            "seconds": round(time.process_time() - start, 3),
            "versions": versions(),
            "code": code_hash(cell),
            "machine": f"{platform.system()} {platform.machine()}",
            "numerics": numerics.fingerprint(),
            "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        path = self.path(cell)
        body = {**self._about(cell), "values": values, "made": made}
        if tensors:
            blob = safetensors.numpy.save(dict(tensors))
            body["tensors"] = {"sha256": hashlib.sha256(blob).hexdigest(), "bytes": len(blob)}
            write_atomically(_blob(path, body["tensors"]["sha256"]), blob)
        body["checksum"] = _sha256(_canonical(body))
        write_atomically(path, json.dumps(body, indent=1).encode())
        return self._read(path, cell)

    def _about(self, cell: Cell) -> dict[str, Any]:
        """What a record says of itself, as JSON gives it back: fields that are tuples are lists there."""
        about = {"kind": kind(cell), "key": self.key(cell), "cell": dataclasses.asdict(cell)}
        return json.loads(_canonical(about))

    def _read(self, path: Path, cell: Cell) -> Record:
        try:
            body = json.loads(read_whole(path, LARGEST))
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        if not isinstance(body, dict):
            raise ValueError("it is no record")
        if body.pop("checksum", None) != _sha256(_canonical(body)):
            raise ValueError("its checksum does not match")
        for name, value in self._about(cell).items():
            if body.get(name) != value:
                raise ValueError(f"it is the record of another cell: its {name} is not the one that was asked for")
        if "tensors" not in body:
            return Record(body["values"], body["made"], None, None)
        digest, size = body["tensors"]["sha256"], body["tensors"]["bytes"]
        blob = _blob(path, digest)
        if content_hash(blob, size) != digest:
            raise ValueError("the checksum of its tensors does not match")
        return Record(body["values"], body["made"], blob, digest)


@cache
def _of_this_process(folder: Path) -> Store:
    return Store(folder)


def _blob(path: Path, digest: str) -> Path:
    """File of the tensors of a record. Two hosts that make the same record at a time do not share it."""
    return path.with_name(f"{path.stem}-{digest[:12]}.safetensors")


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
