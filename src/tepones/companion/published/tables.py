"""Numbers printed by others, read from `data/published/` and refused when they are damaged.

A table is described once, by a pydantic model of its rows: what every column may hold, which columns name a row, and
which rows there must be. A file that breaks its description raises a `UsageError` of one line with file, row (the line
of the file as an editor counts it) and column.
"""

import csv
from collections.abc import Iterable
from itertools import product
from math import nan
from pathlib import Path
from typing import Annotated, ClassVar, Literal, get_args

import pandas as pd
from pydantic import ConfigDict, Field, ValidationError

from tepones.common import paths
from tepones.common.config import Strict, first_error
from tepones.common.errors import UsageError, choose
from tepones.common.files import check_sums

Percent = Annotated[float, Field(ge=0, le=100)]
Tau = Annotated[float, Field(ge=-1, le=1)]
Points = Annotated[float, Field(ge=-100, le=100)]
Runs = Annotated[float, Field(ge=1, le=100)]
Value = Annotated[float, Field(ge=-1e6, le=1e6)]

Protocol = Literal["linear", "full"]
PROTOCOLS = get_args(Protocol)


class Row(Strict):
    """A row of a published table: its fields are the columns in order, a field with a default may be blank.

    `key` are the columns that name a row, `rows` the keys of the rows that there must be, and no others.
    """

    model_config = ConfigDict(allow_inf_nan=False, str_min_length=1)

    key: ClassVar[tuple[str, ...]]
    rows: ClassVar[tuple[tuple, ...]] = ()


SparseTarget = Literal[
    *("aircraft", "birds", "caltech101", "caltech256", "cars", "cifar10", "cifar100", "dtd"),
    *("food101", "pets", "SUN", "flowers"),
]
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


class SparseCell(Row):
    """Transfer accuracies of one sparse ImageNet model on one target."""

    key = ("architecture", "transfer_protocol", "dataset", "pruning_method", "nominal_sparsity")
    rows = tuple(
        (architecture, protocol, target, method, sparsity)
        for architecture, methods in SPARSE_LADDERS.items()
        for protocol, target in product(PROTOCOLS, get_args(SparseTarget))
        for method, levels in methods.items()
        for sparsity in levels
    )

    architecture: Literal[*SPARSE_LADDERS]
    transfer_protocol: Protocol
    dataset: SparseTarget
    pruning_method: Literal[*dict.fromkeys(method for methods in SPARSE_LADDERS.values() for method in methods)]
    nominal_sparsity: Annotated[float, Field(ge=0, le=0.999)]
    n_runs: Runs
    mean_accuracy_percent: Percent
    sd_accuracy_percent: Percent = nan
    accuracy_minus_dense_points: Points
    relative_error_increase: Annotated[float, Field(ge=-1, le=100)]


TllibSet = Literal[
    *("Aircraft", "Caltech101", "CIFAR10", "CIFAR100", "DTD", "OxfordIIITPets", "StanfordCars", "SUN397"),
]
TllibModel = Literal[
    *("GoogleNet", "Inception V3", "ResNet50", "ResNet101", "ResNet152", "DenseNet121", "DenseNet169"),
    *("Densenet201", "MobileNet V2", "MNasNet"),
]
TllibMetric = Literal["hscore", "leep", "logme", "nce"]
TLLIB_METRICS = get_args(TllibMetric)


class TllibModelOnSet(Row):
    """Fine-tuned accuracy and scores of one dense model on one data set."""

    key = ("dataset", "model")
    rows = tuple(product(get_args(TllibSet), get_args(TllibModel)))

    dataset: TllibSet
    model: TllibModel
    finetuned_acc: Percent
    hscore: Value
    leep: Value
    logme: Value
    nce: Value


class TllibCorrelation(Row):
    """Correlations that the same page prints for one score on one data set, beside recomputed ones."""

    key = ("dataset", "metric")
    rows = tuple(product(get_args(TllibSet), TLLIB_METRICS))

    dataset: TllibSet
    metric: TllibMetric
    n_models: Annotated[float, Field(ge=10, le=10)]
    wtau_reported: Tau
    wtau_recomputed_rankTrue: Tau
    wtau_rankNone_acc_first: Tau
    wtau_rankNone_score_first: Tau
    pearson_reported: Tau
    pearson_recomputed: Tau
    kendall_recomputed: Tau


SfdaSet = Literal[
    *("aircraft", "caltech101", "cars", "cifar10", "cifar100", "dtd", "flowers", "food", "pets"),
    *("sun397", "voc2007"),
]
SfdaModel = Literal[
    *("resnet34", "resnet50", "resnet101", "resnet152", "densenet121", "densenet169", "densenet201"),
    *("mnasnet1_0", "mobilenet_v2", "googlenet", "inception_v3"),
]
SfdaMethod = Literal["LEEP", "LogME", "NLEEP", "PARC", "SFDA"]
PedMethod = Literal["NLEEP", "PARC", "LogME", "LogME+PED", "SFDA", "SFDA+PED", "GBC", "GBC+PED"]


class SfdaModelOnSet(Row):
    """Fine-tuned accuracy of one ImageNet model on one data set."""

    key = ("dataset", "model")
    rows = tuple(product(get_args(SfdaSet), get_args(SfdaModel)))

    dataset: SfdaSet
    model: SfdaModel
    finetuned_acc: Percent


class SfdaScore(Row):
    """Weighted τ that the SFDA repository reports of one score, supervised models, by data set."""

    key = ("Method",)
    rows = tuple(product(get_args(SfdaMethod)))

    Method: SfdaMethod
    Aircraft: Tau
    Caltech101: Tau
    Cars: Tau
    CIFAR10: Tau
    CIFAR100: Tau
    DTD: Tau
    Flowers: Tau
    Food: Tau
    Pets: Tau
    SUN397: Tau
    VOC2007: Tau


class PedScore(Row):
    """Weighted τ that the PED repository reports of one score, self-supervised models, by data set."""

    key = ("Method",)
    rows = tuple(product(get_args(PedMethod)))

    Method: PedMethod
    Reference: str
    Aircraft: Tau
    Caltech101: Tau
    Cars: Tau
    Cifar10: Tau
    Cifar100: Tau
    Flowers: Tau
    VOC: Tau
    Pets: Tau
    Food: Tau
    DTD: Tau


class TorchvisionModel(Row):
    """ImageNet accuracy and size of one dense model."""

    key = ("model",)
    rows = tuple(product(get_args(SfdaModel)))

    model: SfdaModel
    imagenet_top1_percent: Percent
    parameters: Annotated[float, Field(ge=1e5, le=1e10)]


class TepOnesRow(Row):
    """What a reader who has the TEP-ones paper copies out of it; `place` is its table or figure and page."""

    key = ("backbone", "pretraining", "pruning_method", "sparsity", "target", "protocol", "score")

    backbone: str
    pretraining: str
    pruning_method: str
    sparsity: Annotated[float, Field(ge=0, le=0.99999)]
    target: str
    protocol: Protocol
    score: str
    value: Annotated[float, Field(ge=-1e12, le=1e12)]
    accuracy_percent: Percent
    place: str


TABLES: dict[str, type[Row]] = {
    "sparse-imagenet-transfer": SparseCell,
    "tllib_model_selection_raw": TllibModelOnSet,
    "tllib_reported_vs_recomputed": TllibCorrelation,
    "sfda_group1_finetuned_acc": SfdaModelOnSet,
    "sfda_readme_wtau_supervised": SfdaScore,
    "ped_readme_wtau_selfsup": PedScore,
    "torchvision_v1": TorchvisionModel,
}
"""Every published table by name; `load` reads it from the file of that name."""


def load(name: str, folder: Path | None = None) -> pd.DataFrame:
    """Read one of `TABLES` from a folder, `data/published/` of the checkout unless given.

    Returns
    -------
    DataFrame
        The rows of the file in its order; names as str, numbers as float, an allowed empty cell as NaN.

    Raises
    ------
    UsageError
        In one line with file, row and column: an unknown name, a value out of range, a missing cell, a
        repeated or missing row, another header.
    TeponesError
        If the file is not what the checksums of its folder say.
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
        The columns of `TepOnesRow` and ``file``; no rows as long as no file has been filled in.

    Raises
    ------
    UsageError
        As in `load`; a copy without any row, or a row that two files both hold, is refused as well.
    """
    folder = folder or paths.data() / "published"
    files = [path for path in sorted(folder.glob("tep-ones-*.csv")) if path.name != "tep-ones-template.csv"]
    parts = []
    for path in files:
        part = read(path, TepOnesRow).assign(file=path.name)
        if part.empty:
            raise UsageError(f"{path.name}: no rows below the header; fill it in or remove it")
        parts.append(part)
    if not parts:
        return pd.DataFrame(columns=[*TepOnesRow.model_fields, "file"])
    table = pd.concat(parts, ignore_index=True)
    repeated = table.duplicated(list(TepOnesRow.key))
    if repeated.any():
        row = table[repeated].iloc[0]
        raise UsageError(f"{row['file']}: {_words(row[k] for k in TepOnesRow.key)}: also in another file")
    return table


def read(path: Path, row: type[Row]) -> pd.DataFrame:
    """Read a CSV file (UTF-8, comma, one header line) whose rows must fit their model; errors as in `load`."""
    check_sums(path.parent)
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            lines = list(csv.reader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path.name}: cannot be read as a CSV file: {error}") from None
    header, columns = lines[0] if lines else [], list(row.model_fields)
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
        filled = {name: text.strip() for name, text in zip(columns, cells, strict=True) if text.strip()}
        try:
            values = row.model_validate(filled).model_dump()
        except ValidationError as error:
            raise UsageError(f"{path.name}, row {number}, column {first_error(error)}") from None
        key = tuple(values[name] for name in row.key)
        if key in seen:
            place = f"{path.name}, row {number}, column {row.key[-1]}"
            raise UsageError(f"{place}: {_words(key)} repeats row {seen[key]}")
        seen[key] = number
        rows.append(values)
    value = next(name for name in columns if name not in row.key)
    for key in row.rows:
        if key not in seen:
            raise UsageError(f"{path.name}, row absent, column {value}: no cell for {_words(key)}")
    expected = set(row.rows) or set(seen)
    if unknown := next((key for key in seen if key not in expected), None):
        place = f"{path.name}, row {seen[unknown]}, column {row.key[-1]}"
        raise UsageError(f"{place}: the source has no cell {_words(unknown)}")
    return pd.DataFrame(rows, columns=columns)


def _words(key: Iterable) -> str:
    return ", ".join(map(str, key))
