"""The study of a profile as tidy tables: what the chapters read. Nothing is computed here, and torch is not needed."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from tepones import agreement
from tepones.common import paths
from tepones.common.errors import TeponesError, choose
from tepones.common.files import check_sums, write_atomically
from tepones.companion.study import profiles

#: Tables of a study, as documented in `data/records/README.md`.
TABLES = ("rungs", "transfer", "scores")
#: Whether each test image is classified right, and what is known of the test images: the first study did not keep it.
CORRECT, TEST_IMAGES = "correct", "test_images"
#: And a table that not every study has.
ABLATIONS = "ablations"
PROVENANCE = "provenance"
COSTS = "costs"

#: What transfer accuracy is measured by.
PROTOCOLS = PROBE, FULL = ("probe", "fine-tuning")

#: Mean entropy of the layers of an encoder, as a score; the layers are its parts.
LAYER_ENTROPY = "layer_entropy"

#: A table of more bytes than this is stored as Parquet, and so is one that holds bytes; others as CSV, to be looked at.
LARGEST_CSV = 2**20


def load(profile: str, records: str = "published") -> dict[str, pd.DataFrame]:
    """Tidy tables of a profile, as the chapters use them.

    Parameters
    ----------
    profile : str
    records : {"published", "live"}
        Those committed in `data/records`, or those that this machine computed.

    Returns
    -------
    dict of str to DataFrame
        ``rungs``: one row for each ladder × rung; ``transfer``: × target; ``scores``: × target × score; ``correct``:
        as ``transfer``, with the packed correctness of the test images, which ``test_images`` describes; where the
        profile has them, ``ablations``: × target × choice × level.

    Raises
    ------
    UsageError
        If there is no such profile.
    TeponesError
        If there are no such records; `tepones.common.files.Damaged` if they are not what was published.
    """
    choose("profile", profile, profiles.names())
    folders = {"published": paths.published_records, "live": paths.records}
    choose("kind of records", records, folders)
    folder = folders[records](profile)
    check_sums(folder)
    make = f"tepones run --profile {profile}" + (" and tepones publish" if records == "published" else "")
    missing = [name for name in TABLES if not _file(folder, name)]
    if missing:
        raise TeponesError(f"no {records} records of profile {profile}: {missing[0]} is missing in {folder}; {make}")
    return _read(folder)


def published(profile: str) -> dict[str, pd.DataFrame]:
    """Committed tables of a profile, or none if it has not been published."""
    folder = paths.published_records(profile)
    check_sums(folder)
    return _read(folder) if all(_file(folder, name) for name in TABLES) else {}


def typical_costs(profile: str) -> dict[str, float]:
    """Mean seconds of the groups of cells of a profile, as published, or none: see `tepones.companion.study.costs`."""
    path = _file(paths.published_records(profile), COSTS)
    return dict(read(path).set_index("group")["seconds"]) if path else {}


def files(folder: Path) -> list[Path]:
    """Files of the tables in a folder, sorted."""
    return sorted(path for suffix in ("csv", "parquet") for path in folder.glob(f"*.{suffix}"))


def stored(folder: Path) -> dict[str, pd.DataFrame]:
    """All tables of a folder, by name, if they are what its checksums say."""
    check_sums(folder)
    return {path.stem: read(path) for path in files(folder)}


def read(path: Path) -> pd.DataFrame:
    """A stored table."""
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)


def write(folder: Path, name: str, table: pd.DataFrame) -> Path:
    """Store a table, as CSV if it is small and has no bytes, else as Parquet; numbers with seven significant digits.

    Returns
    -------
    Path
        The file. One of the other kind is removed.
    """
    text = None if any(isinstance(value, bytes) for value in table.iloc[:1].to_numpy().flat) else to_csv(table).encode()
    if text is not None and len(text) <= LARGEST_CSV:
        path, other = folder / f"{name}.csv", folder / f"{name}.parquet"
    else:
        path, other = folder / f"{name}.parquet", folder / f"{name}.csv"
        numbers = table.select_dtypes("floating")
        table = table.assign(**{column: [float(f"{value:.7g}") for value in numbers[column]] for column in numbers})
        text = table.to_parquet(index=False, compression="zstd")
    write_atomically(path, text)
    other.unlink(missing_ok=True)
    return path


def to_csv(table: pd.DataFrame) -> str:
    """A table as CSV text: UTF-8, LF, seven significant digits."""
    text = io.StringIO()
    table.to_csv(text, index=False, float_format="%.7g", lineterminator="\n")
    return text.getvalue()


def _file(folder: Path, name: str) -> Path | None:
    return next((path for path in files(folder) if path.stem == name), None)


def _read(folder: Path) -> dict[str, pd.DataFrame]:
    found = {name: _file(folder, name) for name in (*TABLES, CORRECT, TEST_IMAGES, ABLATIONS)}
    return {name: read(path) for name, path in found.items() if path}


def tidy(study: dict[str, pd.DataFrame], protocol: str = "probe") -> pd.DataFrame:
    """One row for each rung, target and score, with the controls source accuracy and sparsity as further scores.

    Parameters
    ----------
    study : dict of str to DataFrame
        As `load` returns it.
    protocol : {"probe", "fine-tuning"}
        Which transfer accuracy; of repeats the mean.

    Returns
    -------
    DataFrame
        The columns of `tepones.agreement.COLUMNS`, and ``unit`` (of `units`). Higher values predict better: the control
        ``sparsity`` is minus the sparsity, which predicts that the denser rung wins.
    """
    rungs, transfer = study["rungs"], study["transfer"]
    choose("protocol", protocol, PROTOCOLS)
    transfer = transfer[transfer["protocol"] == protocol]
    transfer = transfer.groupby(["ladder", "rung", "target"], as_index=False, sort=False)["accuracy"].mean()
    about = rungs[["ladder", "rung", "method", "seed", "sparsity", "source_accuracy"]]
    about = about.assign(unit=about["ladder"].map(units(rungs)))
    judged = transfer[["ladder", "rung", "target", "accuracy"]].merge(about, on=["ladder", "rung"])
    whole = study["scores"]
    whole = whole[whole["part"].isna()] if "part" in whole else whole
    scored = judged.merge(whole[["ladder", "rung", "target", "score", "value"]], how="left")
    controls = [
        judged.assign(score="source_accuracy", value=judged["source_accuracy"]),
        judged.assign(score="sparsity", value=-judged["sparsity"]),
    ]
    # Of released weights the source accuracy is not known: no control there.
    frame = pd.concat([scored, *controls], ignore_index=True)[[*agreement.COLUMNS, "unit"]]
    return frame.dropna(subset="value", ignore_index=True)


def units(rungs: pd.DataFrame) -> dict[str, str]:
    """Dense backbone of each ladder, by the cell of its dense rung, from the table ``rungs``.

    Ladders that start from one dense backbone share its luck: what is independent are the dense backbones.
    """
    dense = rungs[rungs["rung"] == 0]
    return dict(zip(dense["ladder"], dense["cell"], strict=True))


class TestImages(NamedTuple):
    """What is known of the test images of a target.

    Attributes
    ----------
    labels : ndarray of int, shape (N,)
        Class of each.
    groups : ndarray of int, shape (N,)
        Images of one group are no independent draws: see `tepones.tasks.Task`.
    """

    labels: np.ndarray
    groups: np.ndarray


def with_correctness(frame: pd.DataFrame, study: dict[str, pd.DataFrame], protocol: str = PROBE) -> pd.DataFrame:
    """The frame of `tidy` with the columns ``correct``, packed, and ``images``, the `TestImages` of the target.

    Raises
    ------
    TeponesError
        If the records are those of the first study.
    """
    if CORRECT not in study:
        raise TeponesError("records of the first study, which did not keep which test images are classified right")
    correct = study[CORRECT]
    first = correct[(correct["protocol"] == protocol) & (correct["repeat"] == 0)]
    frame = frame.merge(first[["ladder", "rung", "target", "correct"]], how="left")
    images = {
        target: TestImages(own["label"].to_numpy(), own["group"].to_numpy())
        for target, own in study[TEST_IMAGES].groupby("target", sort=False)
    }
    return frame.assign(images=frame["target"].map(images))


def unpacked(correct: Iterable[bytes], images: TestImages) -> np.ndarray:
    """Whether each rung (row) classifies each test image (column) right, bool."""
    rows = np.array([np.frombuffer(packed, np.uint8) for packed in correct])
    return np.unpackbits(rows, axis=1, count=len(images.labels)).astype(bool)
