"""The claims ledger: what papers say, judged by what was measured. No verdict is typed.

`data/claims.yaml` lists the claims: our words, the source, the primary statistic (of `STATISTICS`) with its arguments,
a threshold and a margin, and the profiles on which it is tested. The verdict follows from the statistic's mean over
units and targets and its 95 % interval (`tepones.agreement.two_level_interval`). Units are what is independent: the
dense backbones of a study, in published tables the pruning methods.

* *supported*: the whole interval lies on the claimed side: above or below the threshold; for claims that say *at least*
  or *at most*, better than the threshold made worse by the margin;
* *contradicted*: the whole interval lies on the other side;
* *equivalent*: neither, and the whole interval lies within the margin of the threshold;
* *undecided*: none of these;
* *not tested*: there are no data for it; the reason is given. A study is judged once all of it is computed.

Beside the verdict stand two lengths in the claim's unit. The *slack* is how far estimate and interval would have to
move for another verdict. What the design *detects* is the smallest distance from the threshold that it would have told
from zero in four studies of five (`tepones.agreement.detectable`).
"""

import inspect
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Literal

import pandas as pd
from pydantic import Field, ValidationError

from tepones import agreement
from tepones.common import paths
from tepones.common.config import Strict, first_error, read_yaml
from tepones.common.errors import TeponesError, UsageError, choose
from tepones.common.files import Damaged
from tepones.companion import published, study
from tepones.companion.claims.statistic import BOUNDS, STATISTICS, NotTestable
from tepones.companion.study import profiles
from tepones.companion.study.tables import LAYER_ENTROPY
from tepones.scores import SCORES

#: Source of claims that no paper makes: controls of this companion.
COMPANION = "companion"
#: Not a profile of ours: the accuracies of sparse ImageNet models that `data/published` holds.
PUBLISHED = "published"
#: Profiles that claims may name before there is a file for them in `data/profiles`.
PLANNED = ("photographs", "imagenet")
#: Nor is this: the study of the second-order paper, which has no ladders.
SECOND_ORDER = "second-order"
#: Characters of the name of a claim.
LONGEST_NAME = 100
VERDICTS = ("supported", "equivalent", "undecided", "contradicted", "not tested")
COLUMNS = [
    *("claim", "source", "words", "profile", "verdict", "estimate", "low", "high", "slack", "detects"),
    *("side", "threshold", "margin", "unit", "basis", "reason"),
]


class Unfinished(TeponesError):
    """Part of a study is computed; the message says how much. Verdicts on it would be a look before the end."""


class _Statement(Strict):
    claim: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
    source: str
    words: str


class Untested(_Statement):
    """A claim that nothing here can test.

    Attributes
    ----------
    claim, source, words : str
        As in `Claim`.
    untested : str
        Why.
    """

    untested: Annotated[str, Field(min_length=1)]


class Claim(_Statement):
    """A claim that a statistic tests.

    Attributes
    ----------
    claim : str
        Short name, unique.
    source : str
        Key in `book/references.bib`, or `COMPANION`.
    words : str
        What is claimed, in our words.
    statistic : str
        A name of `tepones.companion.claims.statistic.STATISTICS`.
    arguments : dict
        Its arguments.
    only : dict
        The methods, targets or architectures that the claim is about; all by default.
    protocol : {"probe", "fine-tuning", "both"}
        What transfer accuracy is measured by.
    side : {"above", "below", "at least", "at most"}
        On which side of the threshold the claim puts the statistic.
    threshold : float
    margin : float
        What is too little to matter, at least 0.
    unit : str
        In which threshold, margin and estimate are given.
    profiles : tuple of str
        Profiles on which it is tested, `PUBLISHED` among them.
    """

    statistic: str
    arguments: dict[str, str | float] = Field(default_factory=dict)
    only: dict[Literal["method", "target", "architecture", "network"], tuple[str, ...]] = Field(default_factory=dict)
    protocol: Literal["probe", "fine-tuning", "both"] = "probe"
    side: Literal["above", "below", "at least", "at most"]
    threshold: float
    margin: Annotated[float, Field(ge=0)]
    unit: str
    profiles: Annotated[tuple[str, ...], Field(min_length=1)]


def known_profiles() -> list[str]:
    """Profiles that a claim may name."""
    return sorted({*profiles.names(), *PLANNED, PUBLISHED, SECOND_ORDER})


def claims() -> list[Claim | Untested]:
    """Read `data/claims.yaml`.

    Raises
    ------
    UsageError
        If a claim is incomplete, appears twice, or names an unknown statistic, argument, score or profile; one
        line says which.
    """
    path = paths.data() / "claims.yaml"
    entries = read_yaml(path)
    if not isinstance(entries, list):
        raise UsageError(f"{path.name}: expected a list of claims")
    found: dict[str, Claim | Untested] = {}
    for number, entry in enumerate(entries, start=1):
        named = entry.get("claim") if isinstance(entry, dict) else None
        name = named if isinstance(named, str) and len(named) <= LONGEST_NAME else f"number {number}"
        try:
            claim = (Untested if "untested" in entry else Claim).model_validate(entry)
            if isinstance(claim, Claim):
                _check(claim)
        except ValidationError as error:
            raise UsageError(f"{path.name}: claim {name}: {first_error(error)}") from error
        except (TypeError, UsageError) as error:
            raise UsageError(f"{path.name}: claim {name}: {error}") from error
        if claim.claim in found:
            raise UsageError(f"{path.name}: claim {name} appears twice")
        found[claim.claim] = claim
    return list(found.values())


def _check(claim: Claim) -> None:
    choose("statistic", claim.statistic, STATISTICS)
    takes = inspect.signature(STATISTICS.load(claim.statistic))
    try:
        takes.bind(None, **claim.arguments)
    except TypeError as error:
        raise UsageError(f"arguments of {claim.statistic!r}: {error}") from error
    for argument in ("score", "over") if "score" in claim.arguments else ():
        if argument in claim.arguments:
            choose("score", str(claim.arguments[argument]), [*SCORES, LAYER_ENTROPY])
    for profile in claim.profiles:
        choose("profile", profile, known_profiles())


def measurements(profile: str, records: str = "published") -> pd.DataFrame:
    """Tidy frame on which claims about a profile are judged.

    Parameters
    ----------
    profile : str
        One of `known_profiles()`.
    records : {"published", "live"}
        As in `tepones.companion.study.load`; `PUBLISHED` has one kind only.

    Returns
    -------
    DataFrame
        That of `study.tidy`, by both protocols, with the column protocol and those of `study.with_correctness`; for
        `PUBLISHED` the columns ladder, unit, architecture, protocol, method, rung, sparsity, target, accuracy. There a
        ladder is one pruning method of one architecture under one protocol, with the architecture's dense model as its
        lowest rung, and a unit of its own.

    Raises
    ------
    UsageError
        If there is no such profile.
    TeponesError
        If its records are missing; `Unfinished` if some are.
    """
    choose("profile", profile, known_profiles())
    if profile == PUBLISHED:
        return _published_ladders()
    if profile == SECOND_ORDER:
        return _zero_shot(records)
    if profile not in profiles.names():
        raise TeponesError(f"no {records} records of profile {profile}: it is planned, not built")
    tables = study.load(profile, records)
    _refuse_part(tables, profiles.load(profile))
    return of_tables(tables)


def _refuse_part(tables: dict[str, pd.DataFrame], profile: profiles.Profile) -> None:
    full, by = profile.full_fine_tuning, tables["transfer"]["protocol"]
    tuned = [ladder for ladder in profile.ladders if full and ladder.name in full.ladders]
    rungs = sum(sum(reached <= full.most for reached in (0.0, *ladder.sparsities)) for ladder in tuned)
    parts = {
        "ladders": (tables["rungs"]["ladder"].nunique(), len(profile.ladders)),
        "full fine-tunings": ((by == study.FULL).sum(), rungs * len(full.targets) * full.repeats if full else 0),
    }
    for what, (there, planned) in parts.items():
        if there < planned:
            message = f"{there} of the {planned} {what} of profile {profile.name} are computed; all are judged at once"
            raise Unfinished(message)


def _zero_shot(records: str) -> pd.DataFrame:
    """Table ``zero_shot`` of the study of the second-order paper, once it is whole."""
    tables = study.stored((paths.published_records if records == "published" else paths.records)(SECOND_ORDER))
    if "zero_shot" not in tables:
        raise TeponesError(f"no {records} records of the study {SECOND_ORDER}; tepones run --profile {SECOND_ORDER}")
    made = tables[study.PROVENANCE].set_index("item")["value"]
    there, planned = made["dense backbones"], made["dense backbones of the study"]
    if int(there) < int(planned):
        raise Unfinished(
            f"{there} of the {planned} dense backbones of {SECOND_ORDER} are computed; all are judged at once"
        )
    found = tables["zero_shot"].fillna({"criterion": "", "when": ""})
    found = found.rename(columns={"task": "target", "zero_shot": "accuracy"})
    return found.assign(protocol=study.PROBE, rung=(found["sparsity"] > 0).astype(int))


def of_tables(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """`measurements` of the tables of a study."""
    frames = [
        study.with_correctness(study.tidy(tables, protocol), tables, protocol).assign(protocol=protocol)
        for protocol in study.PROTOCOLS
    ]
    return pd.concat(frames, ignore_index=True)


def _published_ladders() -> pd.DataFrame:
    cells = published.sparse_cells().rename(columns={"dataset": "target"})
    cells["ladder"] = cells["architecture"] + " " + cells["method"] + " " + cells["protocol"]
    cells["rung"] = cells.groupby("ladder")["sparsity"].rank(method="dense").astype(int)
    dense = cells.drop_duplicates(["ladder", "target"])
    dense = dense.assign(sparsity=0.0, rung=0, accuracy=dense["accuracy"] - dense["gain"])
    both = pd.concat([dense, cells], ignore_index=True)
    both["accuracy"] /= 100
    both["unit"] = both["ladder"]
    both["protocol"] = both["protocol"].map({"linear": study.PROBE, "full": study.FULL})
    return both[["ladder", "unit", "architecture", "protocol", "method", "rung", "sparsity", "target", "accuracy"]]


def judge(claim: Claim, frame: pd.DataFrame, profile: str) -> dict[str, object]:
    """Verdict on one claim.

    Parameters
    ----------
    claim : Claim
    frame : DataFrame
        What was measured on a profile (`measurements`).
    profile : str
        Its name.

    Returns
    -------
    dict
        A row with the columns `COLUMNS`.
    """
    row = _row(claim, profile)
    if profile not in claim.profiles:
        return row | {"reason": f"not meant for profile {profile}"}
    try:
        table = values(claim, frame)
    except NotTestable as missing:
        return row | {"reason": str(missing)}
    unit = "ladder" if profile == PUBLISHED else "dense backbone"
    row["basis"] = f"{_count(len(table), unit)} × {_count(table.shape[1], 'target')}"
    if len(table) < 2:
        return row | {"reason": f"one {unit} does not tell how they vary"}
    bounds = BOUNDS.get(claim.statistic, (-float("inf"), float("inf")))
    interval = agreement.two_level_interval(table.to_numpy(), bounds=bounds)
    mean, low, high = float(interval.mean), float(interval.low), float(interval.high)
    if pd.isna(low):
        return row | {"reason": "all units and targets give the same number, which does not tell how they vary"}
    found = {"estimate": mean, "low": low, "high": high, "verdict": verdict(claim, low, high)}
    return row | found | {"slack": slack(claim, low, high), "detects": float(agreement.detectable(table.to_numpy()))}


def verdict(claim: Claim, low: float, high: float) -> str:
    """Verdict on a claim whose statistic has the interval from `low` to `high`."""
    up = claim.side in ("above", "at least")
    bound = _bound(claim)
    if low > bound or high < bound:
        return "supported" if (low > bound) == up else "contradicted"
    within = claim.threshold - claim.margin < low and high < claim.threshold + claim.margin
    return "equivalent" if within else "undecided"


def slack(claim: Claim, low: float, high: float) -> float:
    """How far an interval would have to move, as it is, for another verdict."""
    here = verdict(claim, low, high)
    ends = {_bound(claim), claim.threshold - claim.margin, claim.threshold + claim.margin}
    moves = [end - side for end in ends for side in (low, high)]
    # Just before, at and beyond each place where a verdict may change.
    around = [(abs(move), move + past) for move in moves for past in (-1e-9, 0.0, 1e-9)]
    return min((far for far, move in around if verdict(claim, low + move, high + move) != here), default=math.inf)


def _bound(claim: Claim) -> float:
    """Where the claimed side begins."""
    return claim.threshold + {"at least": -claim.margin, "at most": claim.margin}.get(claim.side, 0.0)


def values(claim: Claim, frame: pd.DataFrame) -> pd.DataFrame:
    """The claim's statistic, one row for each unit and one column for each target; the estimate is the mean of all.

    Raises
    ------
    NotTestable
        If the frame lacks what the statistic needs; the message says what.
    """
    cells = STATISTICS.load(claim.statistic)(_selected(frame, claim), **claim.arguments)
    if cells.empty:
        raise NotTestable("the study has no ladder or target besides to choose the rung by")
    table = cells.pivot_table(index="unit", columns="target", values="value")
    if table.isna().any(axis=None):
        unit, target = table.stack(future_stack=True).loc[lambda cell: cell.isna()].index[0]
        raise NotTestable(f"target {target} lacks a unit that other targets have ({unit})")
    return table


def _row(claim: Claim | Untested, profile: str = "") -> dict[str, object]:
    fields = claim.model_dump(include={"claim", "source", "words", "side", "threshold", "margin", "unit"})
    return dict.fromkeys(COLUMNS) | fields | {"profile": profile, "verdict": "not tested"}


def _selected(frame: pd.DataFrame, claim: Claim) -> pd.DataFrame:
    """What a claim is about; every name that it gives must be there."""
    if claim.protocol != "both":
        if claim.protocol not in frame["protocol"].unique():
            raise NotTestable(f"the study has no accuracies by {claim.protocol}")
        frame = frame[frame["protocol"] == claim.protocol]
    for column, wanted in claim.only.items():
        absent = set(wanted) - set(frame[column].unique() if column in frame else ())
        if absent:
            what = "ladder of" if column == "method" else column
            raise NotTestable(f"the study has no {what} {min(absent)}")
        frame = frame[frame[column].isin(wanted)]
    return frame


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + "s" * (number != 1)


def ledger(frame: pd.DataFrame, profile: str) -> pd.DataFrame:
    """Verdicts on the claims that name a profile, one row each, in the order of `data/claims.yaml`."""
    return _table(judge(claim, frame, profile) for claim in claims() if profile in _profiles(claim))


def everywhere(records: Mapping[str, str] | None = None) -> pd.DataFrame:
    """The whole ledger: one row for each claim and profile on which it is to be tested, in the order of the file.

    Parameters
    ----------
    records : mapping of str to str, optional
        Kind of records, by profile, where it is not the published ones.

    Returns
    -------
    DataFrame
        The columns `COLUMNS`. Claims about a profile without records are not tested; claims that nothing here can
        test have one row, with an empty profile.

    Raises
    ------
    tepones.common.files.Damaged
        If published tables are not what was published.
    """
    found = claims()
    frames: dict[str, pd.DataFrame | str] = {}
    for profile in dict.fromkeys(name for claim in found for name in _profiles(claim)):
        kind = (records or {}).get(profile, "published")
        try:
            frames[profile] = measurements(profile, kind)
        except (UsageError, Damaged):
            raise
        except Unfinished as unfinished:
            frames[profile] = str(unfinished)
        except TeponesError:
            frames[profile] = f"no {kind} records of profile {profile} yet"

    def rows() -> Iterator[dict[str, object]]:
        for claim in found:
            if isinstance(claim, Untested):
                yield _row(claim) | {"reason": claim.untested}
            for profile in _profiles(claim):
                measured_there = frames[profile]
                if isinstance(measured_there, str):
                    yield _row(claim, profile) | {"reason": measured_there}
                else:
                    yield judge(claim, measured_there, profile)

    return _table(rows())


def _profiles(claim: Claim | Untested) -> tuple[str, ...]:
    return claim.profiles if isinstance(claim, Claim) else ()


def _table(rows: Iterable[dict[str, object]]) -> pd.DataFrame:
    table = pd.DataFrame(list(rows), columns=COLUMNS)
    numbers = ["estimate", "low", "high", "slack", "detects", "threshold", "margin"]
    words = [column for column in COLUMNS if column not in numbers]
    return table.astype(dict.fromkeys(numbers, float)).fillna(dict.fromkeys(words, ""))


def measured(row: Mapping[str, object]) -> str:
    """Estimate and interval of a row of the ledger that was tested, without the unit."""
    return f"{row['estimate']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]".replace("-", "−")
