"""The claims ledger: what papers say, judged by what the study measured. No verdict is typed.

`data/claims.yaml` lists the claims: our words, the source, a statistic of `tepones.statistics` with its arguments,
and a threshold fixed in advance. The verdict follows from the statistic's mean over ladders and targets and its
95 % interval (two-level bootstrap, `tepones.agreement.two_level_interval`):

* *supported*: the whole interval lies on the claimed side of the threshold;
* *contradicted*: the whole interval lies on the other side;
* *not supported*: the interval holds the threshold;
* *not tested*: the profile has no data for it; the reason is given.
"""

from typing import Annotated, Literal

import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tepones import agreement, paths, profiles
from tepones.errors import UsageError, choose
from tepones.statistics import STATISTICS

#: Source of claims that no paper makes: controls of this companion.
COMPANION = "companion"
COLUMNS = [
    "claim",
    "source",
    "words",
    "verdict",
    "estimate",
    "low",
    "high",
    "side",
    "threshold",
    "unit",
    "basis",
    "reason",
]


class Claim(BaseModel):
    """One claim of a paper that the study can test.

    Attributes
    ----------
    claim : str
        Short name, unique.
    source : str
        Key in `book/references.bib`, or `COMPANION`.
    words : str
        What is claimed, in our words.
    statistic : str
        A name of `tepones.statistics.STATISTICS`.
    arguments : dict
        Its arguments.
    methods, targets : tuple of str, optional
        Pruning methods and targets that the claim is about; all by default.
    side : {"above", "below"}
        On which side of the threshold the claim puts the statistic.
    threshold : float
    unit : str
    profiles : tuple of str
        Profiles on which it is tested.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    claim: str
    source: str
    words: str
    statistic: str
    arguments: dict[str, str | float] = {}
    methods: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    side: Literal["above", "below"]
    threshold: float
    unit: str
    profiles: Annotated[tuple[str, ...], Field(min_length=1)]


def claims() -> list[Claim]:
    """Read `data/claims.yaml`.

    Raises
    ------
    UsageError
        If a claim is incomplete, appears twice, or names an unknown statistic or profile; one line says which.
    """
    path = paths.data() / "claims.yaml"
    found: list[Claim] = []
    for number, entry in enumerate(yaml.safe_load(path.read_text(encoding="utf-8")), start=1):
        name = entry.get("claim", f"number {number}") if isinstance(entry, dict) else f"number {number}"
        try:
            claim = Claim.model_validate(entry)
            choose("statistic", claim.statistic, STATISTICS)
            for profile in claim.profiles:
                choose("profile", profile, profiles.names())
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise UsageError(
                f"{path.name}: claim {name}: {field}: {first['msg']}, got {first['input']!r}"
            ) from error
        except UsageError as error:
            raise UsageError(f"{path.name}: claim {name}: {error}") from error
        if claim.claim in {other.claim for other in found}:
            raise UsageError(f"{path.name}: claim {name} appears twice")
        found.append(claim)
    return found


def judge(claim: Claim, frame: pd.DataFrame, profile: str) -> dict[str, object]:
    """Verdict on one claim.

    Parameters
    ----------
    claim : Claim
    frame : DataFrame
        Tidy frame of a profile (`tepones.study.tidy`).
    profile : str
        Its name.

    Returns
    -------
    dict
        A row with the columns `COLUMNS`.
    """
    row = dict.fromkeys(COLUMNS) | claim.model_dump(
        include={"claim", "source", "words", "side", "threshold", "unit"}
    )
    if profile not in claim.profiles:
        return row | {"verdict": "not tested", "reason": f"not meant for profile {profile}"}
    if claim.methods:
        frame = frame[frame["method"].isin(claim.methods)]
    if claim.targets:
        frame = frame[frame["target"].isin(claim.targets)]
    cells = STATISTICS.load(claim.statistic)(frame, **claim.arguments) if len(frame) else frame
    if cells.empty:
        return row | {"verdict": "not tested", "reason": "the study has no ladder that it is about"}
    table = cells.pivot(index="ladder", columns="target", values="value")
    n_ladders, n_targets = table.shape
    row["basis"] = f"{n_ladders} ladders × {n_targets} targets"
    if n_ladders < 2:
        return row | {"verdict": "not tested", "reason": "one ladder does not tell how ladders vary"}
    interval = agreement.two_level_interval(table.to_numpy())
    mean, low, high = float(interval.mean), float(interval.low), float(interval.high)
    row |= {"estimate": mean, "low": low, "high": high}
    on_side, off_side = low > claim.threshold, high < claim.threshold
    if claim.side == "below":
        on_side, off_side = off_side, on_side
    return row | {"verdict": "supported" if on_side else "contradicted" if off_side else "not supported"}


def ledger(frame: pd.DataFrame, profile: str) -> pd.DataFrame:
    """Verdicts on all claims of `data/claims.yaml`, one row each, in the order of the file."""
    return pd.DataFrame([judge(claim, frame, profile) for claim in claims()], columns=COLUMNS)


def presentable(verdicts: pd.DataFrame) -> pd.DataFrame:
    """The ledger as readers see it: one column for estimate and interval, one for the threshold."""

    def measured(row: pd.Series) -> str:
        if pd.isna(row["estimate"]):
            return row["reason"]
        return f"{row['estimate']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}] {row['unit']}, {row['basis']}"

    sources = verdicts["source"].map(lambda key: key if key == COMPANION else f"{{cite:t}}`{key}`")
    return pd.DataFrame(
        {
            "claim": verdicts["claim"],
            "in our words": verdicts["words"],
            "source": sources,
            "threshold": [f"{row['side']} {row['threshold']:g}" for _, row in verdicts.iterrows()],
            "measured": [measured(row) for _, row in verdicts.iterrows()],
            "verdict": verdicts["verdict"],
        }
    )
