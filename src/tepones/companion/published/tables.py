"""Numbers printed by others, read from `data/published/` and refused when they are damaged.

A table is described once: what every column may hold, which columns name a row, and which rows there must
be. A file that breaks its description raises a `UsageError` of one line with file, row (the line of the file
as an editor counts it) and column.
"""

import csv
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from math import isfinite
from pathlib import Path

import pandas as pd

from tepones.common import paths
from tepones.common.errors import UsageError, choose


@dataclass(frozen=True)
class Names:
    """A column of names, drawn from a fixed list or, without one, any text that is not empty."""

    of: str
    allowed: tuple[str, ...] = ()

    def __call__(self, text: str) -> str:
        """Return the name, or raise `UsageError` with what is wrong with it."""
        if not text:
            raise UsageError("missing")
        if self.allowed:
            choose(self.of, text, self.allowed)
        return text


@dataclass(frozen=True)
class Number:
    """A column of numbers in [low, high]; `blank` allows an empty cell (NaN)."""

    low: float
    high: float
    blank: bool = False

    def __call__(self, text: str) -> float:
        """Return the number, or raise `UsageError` with what is wrong with it."""
        if not text:
            if self.blank:
                return float("nan")
            raise UsageError("missing")
        try:
            number = float(text)
        except ValueError:
            raise UsageError(f"{text!r} is no number") from None
        if not (isfinite(number) and self.low <= number <= self.high):
            raise UsageError(f"{text} is out of range [{self.low:g}, {self.high:g}]")
        return number


@dataclass(frozen=True)
class Table:
    """Description of one file: its columns in order, the key of a row, the rows that must be there."""

    columns: dict[str, Callable[[str], object]]
    key: tuple[str, ...]
    rows: Iterable[tuple] = ()


_SPARSE_TARGETS = (
    *("aircraft", "birds", "caltech101", "caltech256", "cars", "cifar10", "cifar100", "dtd"),
    *("food101", "pets", "SUN", "flowers"),
)
SPARSE_LADDERS = {
    "resnet50": {
        "Dense": (0.0,),
        "AC/DC": (0.8, 0.9, 0.95),
        "LTH-T": (0.8, 0.9, 0.95),
        "RigL ERK 1x": (0.8, 0.9, 0.95),
        "RigL ERK 5x": (0.8, 0.9, 0.95),
        "STR": (0.8, 0.9, 0.95, 0.98),
        "WoodFisher": (0.8, 0.9, 0.95),
    },
    "mobilenetv1": {
        "Dense": (0.0,),
        "AC/DC": (0.3, 0.4, 0.5, 0.75, 0.9),
        "M-FAC": (0.75, 0.89),
        "STR": (0.75, 0.9),
    },
}
"""Nominal sparsities per architecture and pruning method of the sparse-transfer table."""
PROTOCOLS = ("linear", "full")
_SPARSE_METHODS = tuple(dict.fromkeys(method for methods in SPARSE_LADDERS.values() for method in methods))

_TLLIB_SETS = (*("Aircraft", "Caltech101", "CIFAR10", "CIFAR100", "DTD", "OxfordIIITPets", "StanfordCars", "SUN397"),)
_TLLIB_MODELS = (
    *("GoogleNet", "Inception V3", "ResNet50", "ResNet101", "ResNet152", "DenseNet121", "DenseNet169"),
    *("Densenet201", "MobileNet V2", "MNasNet"),
)
TLLIB_METRICS = ("hscore", "leep", "logme", "nce")

_SFDA_SETS = (
    *("aircraft", "caltech101", "cars", "cifar10", "cifar100", "dtd", "flowers", "food", "pets"),
    *("sun397", "voc2007"),
)
_SFDA_MODELS = (
    *("resnet34", "resnet50", "resnet101", "resnet152", "densenet121", "densenet169", "densenet201"),
    *("mnasnet1_0", "mobilenet_v2", "googlenet", "inception_v3"),
)
_SFDA_HEADER = (
    *("Aircraft", "Caltech101", "Cars", "CIFAR10", "CIFAR100", "DTD", "Flowers", "Food", "Pets"),
    *("SUN397", "VOC2007"),
)
_SFDA_METHODS = ("LEEP", "LogME", "NLEEP", "PARC", "SFDA")
_PED_HEADER = (*("Aircraft", "Caltech101", "Cars", "Cifar10", "Cifar100", "Flowers", "VOC", "Pets", "Food", "DTD"),)
_PED_METHODS = ("NLEEP", "PARC", "LogME", "LogME+PED", "SFDA", "SFDA+PED", "GBC", "GBC+PED")

_tau, _percent, _any = Number(-1, 1), Number(0, 100), Number(-1e6, 1e6)

TABLES = {
    "sparse-imagenet-transfer": Table(
        {
            "architecture": Names("architecture", tuple(SPARSE_LADDERS)),
            "transfer_protocol": Names("protocol", PROTOCOLS),
            "dataset": Names("data set", _SPARSE_TARGETS),
            "pruning_method": Names("method", _SPARSE_METHODS),
            "nominal_sparsity": Number(0, 0.999),
            "n_runs": Number(1, 100),
            "mean_accuracy_percent": _percent,
            "sd_accuracy_percent": Number(0, 100, blank=True),
            "accuracy_minus_dense_points": Number(-100, 100),
            "relative_error_increase": Number(-1, 100),
        },
        ("architecture", "transfer_protocol", "dataset", "pruning_method", "nominal_sparsity"),
        tuple(
            (architecture, protocol, target, method, sparsity)
            for architecture, methods in SPARSE_LADDERS.items()
            for protocol, target in product(PROTOCOLS, _SPARSE_TARGETS)
            for method, levels in methods.items()
            for sparsity in levels
        ),
    ),
    "tllib_model_selection_raw": Table(
        {
            "dataset": Names("data set", _TLLIB_SETS),
            "model": Names("model", _TLLIB_MODELS),
            "finetuned_acc": _percent,
            **dict.fromkeys(TLLIB_METRICS, _any),
        },
        ("dataset", "model"),
        tuple(product(_TLLIB_SETS, _TLLIB_MODELS)),
    ),
    "tllib_reported_vs_recomputed": Table(
        {
            "dataset": Names("data set", _TLLIB_SETS),
            "metric": Names("metric", TLLIB_METRICS),
            "n_models": Number(10, 10),
            **dict.fromkeys(
                (
                    *("wtau_reported", "wtau_recomputed_rankTrue", "wtau_rankNone_acc_first"),
                    *("wtau_rankNone_score_first", "pearson_reported", "pearson_recomputed"),
                    "kendall_recomputed",
                ),
                _tau,
            ),
        },
        ("dataset", "metric"),
        tuple(product(_TLLIB_SETS, TLLIB_METRICS)),
    ),
    "sfda_group1_finetuned_acc": Table(
        {
            "dataset": Names("data set", _SFDA_SETS),
            "model": Names("model", _SFDA_MODELS),
            "finetuned_acc": _percent,
        },
        ("dataset", "model"),
        tuple(product(_SFDA_SETS, _SFDA_MODELS)),
    ),
    "sfda_readme_wtau_supervised": Table(
        {"Method": Names("method", _SFDA_METHODS), **dict.fromkeys(_SFDA_HEADER, _tau)},
        ("Method",),
        tuple((method,) for method in _SFDA_METHODS),
    ),
    "ped_readme_wtau_selfsup": Table(
        {
            "Method": Names("method", _PED_METHODS),
            "Reference": Names("reference"),
            **dict.fromkeys(_PED_HEADER, _tau),
        },
        ("Method",),
        tuple((method,) for method in _PED_METHODS),
    ),
    "torchvision_v1": Table(
        {
            "model": Names("model", _SFDA_MODELS),
            "imagenet_top1_percent": _percent,
            "parameters": Number(1e5, 1e10),
        },
        ("model",),
        tuple((model,) for model in _SFDA_MODELS),
    ),
}
"""Every published table by name; `load` reads it from the file of that name."""

TEP_ONES = Table(
    {
        "backbone": Names("backbone"),
        "pretraining": Names("pre-training"),
        "pruning_method": Names("method"),
        "sparsity": Number(0, 0.99999),
        "target": Names("target"),
        "protocol": Names("protocol", PROTOCOLS),
        "score": Names("score"),
        "value": Number(-1e12, 1e12),
        "accuracy_percent": _percent,
        "place": Names("place"),
    },
    ("backbone", "pretraining", "pruning_method", "sparsity", "target", "protocol", "score"),
)
"""What a reader who has the TEP-ones paper copies out of it; `place` is its table or figure and page."""


def load(name: str, folder: Path | None = None) -> pd.DataFrame:
    """Read one published table.

    Parameters
    ----------
    name : str
        One of `TABLES`.
    folder : Path, optional
        Where the files lie; `data/published/` of the checkout unless given.

    Returns
    -------
    DataFrame
        The rows of the file in its order; names as str, numbers as float, an allowed empty cell as NaN.

    Raises
    ------
    UsageError
        In one line with file, row and column: an unknown name, a value out of range, a missing cell, a
        repeated or missing row, another header.
    """
    choose("published table", name, TABLES)
    return read((folder or paths.data() / "published") / f"{name}.csv", TABLES[name])


def tep_ones(folder: Path | None = None) -> pd.DataFrame:
    """Read the TEP-ones paper's own numbers, once a reader with the paper has filled them in.

    Copy `tep-ones-template.csv` to `tep-ones-<anything>.csv` in the same folder and fill it; every such file
    is read and checked.

    Returns
    -------
    DataFrame
        The columns of `TEP_ONES` and ``file``; no rows as long as no file has been filled in.

    Raises
    ------
    UsageError
        As in `load`; a copy without any row, or a row that two files both hold, is refused as well.
    """
    folder = folder or paths.data() / "published"
    files = [path for path in sorted(folder.glob("tep-ones-*.csv")) if path.name != "tep-ones-template.csv"]
    parts = []
    for path in files:
        part = read(path, TEP_ONES).assign(file=path.name)
        if part.empty:
            raise UsageError(f"{path.name}: no rows below the header; fill it in or remove it")
        parts.append(part)
    if not parts:
        return pd.DataFrame(columns=[*TEP_ONES.columns, "file"])
    table = pd.concat(parts, ignore_index=True)
    repeated = table.duplicated(list(TEP_ONES.key))
    if repeated.any():
        row = table[repeated].iloc[0]
        raise UsageError(f"{row['file']}: {_words(row[k] for k in TEP_ONES.key)}: also in another file")
    return table


def read(path: Path, table: Table) -> pd.DataFrame:
    """Read a CSV file (UTF-8, comma, one header line) that must fit its description; errors as in `load`."""
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            lines = list(csv.reader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path.name}: cannot be read as a CSV file: {error}") from None
    header, columns = lines[0] if lines else [], list(table.columns)
    if header != columns:
        wrong = next((name for name in columns if name not in header), None)
        what = f"column {wrong} is missing" if wrong else f"expected the columns {', '.join(columns)}"
        raise UsageError(f"{path.name}, row 1: {what}")
    rows, seen = [], {}
    for number, cells in enumerate(lines[1:], start=2):
        if len(cells) != len(columns):
            last = columns[min(len(cells), len(columns) - 1)]
            message = f"{len(cells)} cells instead of {len(columns)}"
            raise UsageError(f"{path.name}, row {number}, column {last}: {message}")
        row = {}
        for (name, parse), text in zip(table.columns.items(), cells, strict=True):
            try:
                row[name] = parse(text.strip())
            except UsageError as error:
                raise UsageError(f"{path.name}, row {number}, column {name}: {error}") from None
        key = tuple(row[name] for name in table.key)
        if key in seen:
            place = f"{path.name}, row {number}, column {table.key[-1]}"
            raise UsageError(f"{place}: {_words(key)} repeats row {seen[key]}")
        seen[key] = number
        rows.append(row)
    value = next(name for name in columns if name not in table.key)
    expected = list(table.rows)
    for key in expected:
        if key not in seen:
            raise UsageError(f"{path.name}, row absent, column {value}: no cell for {_words(key)}")
    unknown = [key for key in seen if expected and key not in set(expected)]
    if unknown:
        place = f"{path.name}, row {seen[unknown[0]]}, column {table.key[-1]}"
        raise UsageError(f"{place}: the source has no cell {_words(unknown[0])}")
    return pd.DataFrame(rows, columns=columns)


def _words(key: Iterable) -> str:
    return ", ".join(map(str, key))
