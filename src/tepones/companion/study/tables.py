"""The study of a profile as tidy tables: what the chapters read. Nothing is computed here, and torch is not needed."""

import io
from pathlib import Path

import pandas as pd

from tepones import agreement
from tepones.common import paths
from tepones.common.errors import TeponesError, choose
from tepones.companion.study import profiles

#: Tables of a study, as documented in `data/records/README.md`.
TABLES = ("rungs", "transfer", "scores")
#: And a table that not every study has.
ABLATIONS = "ablations"
PROVENANCE = "provenance"
COSTS = "costs"

#: What transfer accuracy is measured by.
PROTOCOLS = PROBE, FULL = ("probe", "fine-tuning")


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
        ``rungs``: one row for each ladder × rung; ``transfer``: × target; ``scores``: × target × score; where the
        profile has them, ``ablations``: × target × choice × level.
    """
    choose("profile", profile, profiles.names())
    folders = {"published": paths.published_records, "live": paths.records}
    choose("kind of records", records, folders)
    folder = folders[records](profile)
    missing = [name for name in TABLES if not (folder / f"{name}.csv").is_file()]
    if missing:
        make = f"tepones run --profile {profile}" + (" and tepones publish" if records == "published" else "")
        raise TeponesError(
            f"no {records} records of profile {profile}: {missing[0]}.csv is missing in {folder}; {make}"
        )
    return _read(folder)


def published(profile: str) -> dict[str, pd.DataFrame]:
    """Committed tables of a profile, or none if it has not been published."""
    folder = paths.published_records(profile)
    if not all((folder / f"{name}.csv").is_file() for name in TABLES):
        return {}
    return _read(folder)


def typical_costs(profile: str) -> dict[str, float]:
    """Mean seconds of the groups of cells of a profile, as published, or none: see `tepones.companion.study.costs`."""
    path = paths.published_records(profile) / f"{COSTS}.csv"
    return dict(pd.read_csv(path, index_col="group")["seconds"]) if path.is_file() else {}


def _read(folder: Path) -> dict[str, pd.DataFrame]:
    names = [name for name in (*TABLES, ABLATIONS) if (folder / f"{name}.csv").is_file()]
    return {name: pd.read_csv(folder / f"{name}.csv") for name in names}


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
        The columns of `tepones.agreement.COLUMNS`. Higher values predict better: the control ``sparsity`` is
        minus the sparsity, which predicts that the denser rung wins.
    """
    rungs, transfer = study["rungs"], study["transfer"]
    choose("protocol", protocol, PROTOCOLS)
    transfer = transfer[transfer["protocol"] == protocol]
    transfer = transfer.groupby(["ladder", "rung", "target"], as_index=False, sort=False)["accuracy"].mean()
    about = rungs[["ladder", "rung", "method", "seed", "sparsity", "source_accuracy"]]
    judged = transfer[["ladder", "rung", "target", "accuracy"]].merge(about, on=["ladder", "rung"])
    scored = judged.merge(study["scores"][["ladder", "rung", "target", "score", "value"]], how="left")
    controls = [
        judged.assign(score="source_accuracy", value=judged["source_accuracy"]),
        judged.assign(score="sparsity", value=-judged["sparsity"]),
    ]
    # Of released weights the source accuracy is not known: no control there.
    frame = pd.concat([scored, *controls], ignore_index=True)[list(agreement.COLUMNS)]
    return frame.dropna(subset="value", ignore_index=True)


def to_csv(table: pd.DataFrame) -> str:
    """A table as CSV text: UTF-8, LF, seven significant digits."""
    text = io.StringIO()
    table.to_csv(text, index=False, float_format="%.7g", lineterminator="\n")
    return text.getvalue()
