"""Records that this machine computed beside the published ones: how far apart, and whether seeds alone would do that.

Two machines that round differently are, after training, like one machine with other seeds. So two estimates of a claim
are *the same within noise* if they differ by no more than two studies with other dense backbones would.
"""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
from scipy import stats

from tepones.common import paths
from tepones.common.errors import UsageError
from tepones.companion import study
from tepones.companion.claims import families
from tepones.companion.claims.ledger import Claim, claims, judge, of_tables
from tepones.companion.study.profiles import Profile

if TYPE_CHECKING:
    from tepones.companion.study.records import Cell

#: What is compared: table, its identifying columns as far as it has them, the value.
COMPARED = {
    "source accuracy": ("rungs", ["ladder", "rung"], "source_accuracy"),
    "transfer accuracy": ("transfer", ["ladder", "rung", "target", "protocol", "repeat"], "accuracy"),
    "score": ("scores", ["ladder", "rung", "target", "score", "part"], "value"),
}

#: What a comparison comes to, from best to worst.
OUTCOMES = BIT_FOR_BIT, WITHIN_NOISE, NOT_REPRODUCED = ("bit for bit", "within noise", "not reproduced")

#: Columns of the table of verdicts.
VERDICTS = [
    *("claim", "published", "estimate", "compared", "its estimate", "difference", "by seeds alone, at most"),
    "so they",
]

#: Probability that any claim is said to differ where nothing but seeds does.
LEVEL = 0.05


class Report(NamedTuple):
    """What a comparison found.

    Attributes
    ----------
    outcome : str
        One of `OUTCOMES`: *bit for bit* if every compared number is the same to its last published digit, and none is
        missing; *within noise* if no estimate differs by more than seeds explain.
    verdicts : DataFrame
        One row for each claim: both verdicts, both estimates, their difference, what seeds alone would make of it at
        most, and what follows.
    n_same : int
        Number of claims with the same verdict.
    differences : DataFrame
        Median and largest absolute difference of each compared quantity; a score has a row of its own.
    provenance : DataFrame
        What made both sets of records.
    """

    outcome: str
    verdicts: pd.DataFrame
    n_same: int
    differences: pd.DataFrame
    provenance: pd.DataFrame


def compare(profile: str, records: str) -> Report:
    """Compare records with the published ones of the same profile.

    Parameters
    ----------
    profile : str
    records : {"published", "live"}

    Raises
    ------
    TeponesError
        If either set of records is missing.
    """
    published, here = study.load(profile, "published"), study.load(profile, records)
    both = [of_tables(tables) for tables in (published, here)]
    about = [claim for claim in claims() if isinstance(claim, Claim) and profile in claim.profiles]
    rows = [_compared(claim, profile, both, len(about)) for claim in about]
    verdicts, differences = pd.DataFrame(rows, columns=VERDICTS), _differences(published, here)
    complete = all(len(published[table]) == len(here[table]) for table in study.TABLES)
    if complete and (differences["largest"] == 0).all():
        outcome = BIT_FOR_BIT
    else:
        outcome = NOT_REPRODUCED if (verdicts["so they"] == "differ").any() else WITHIN_NOISE
    n_same = int((verdicts["published"] == verdicts["compared"]).sum())
    return Report(outcome, verdicts, n_same, differences, _provenance(profile, records))


def _compared(claim: Claim, profile: str, both: list[pd.DataFrame], n: int) -> dict[str, object]:
    """One claim on two sets of records, of `n` claims that are looked at.

    Where nothing but seeds differs, the difference of two independent estimates, over the root of their summed squared
    standard errors, has about Student's distribution, with the degrees of freedom of both. All claims together are
    wrongly said to differ with probability `LEVEL` at most (Bonferroni).
    """
    before, now = (judge(claim, frame, profile) for frame in both)
    difference = math.nan if None in (before["estimate"], now["estimate"]) else now["estimate"] - before["estimate"]
    errors = [families.standard_error(claim, frame) for frame in both]
    freedom = sum(error.freedom for error in errors)
    by_seeds = stats.t.isf(LEVEL / 2 / n, freedom) * math.hypot(*(error.value for error in errors))
    if difference == 0:
        what = "are the same"
    elif math.isnan(difference) or math.isnan(by_seeds):
        what = "cannot be compared"
    else:
        what = "are the same within noise" if abs(difference) <= by_seeds else "differ"
    found = (before["verdict"], before["estimate"], now["verdict"], now["estimate"], difference, by_seeds, what)
    return dict(zip(VERDICTS, (claim.claim, *found), strict=True))


def again(profile: Profile, name: str, workers: int | None = None) -> pd.DataFrame:
    """Compute a single published record anew, with all that it needs and that is not there yet.

    Parameters
    ----------
    profile : Profile
    name : str
        The start of a name in the column `cell` of the published tables.
    workers : int, optional
        Processes.

    Returns
    -------
    DataFrame
        One row for each number of the record: table, quantity, published, here.

    Raises
    ------
    UsageError
        If no published row, or several different ones, begin so; or if it was made by another version of the code.
    """
    from tepones.companion.study import plan  # it loads torch, which a comparison does without

    cells = [cell for ladder in profile.ladders for cell in plan.cells(profile, ladder)]
    published = study.load(profile.name)
    found, values = _made_again(profile.name, name, cells, published, workers)
    rows = []
    for table, key in (("rungs", "source_accuracy"), ("rungs", "sparsity"), ("transfer", "accuracy")):
        before = published[table]
        for number in before.loc[before["cell"] == found, key].iloc[:1]:
            rows.append({"quantity": key, "published": number, "here": values[key]})
    before = published["scores"]
    for row, number in zip(values.get("rows", ()), before.loc[before["cell"] == found, "value"], strict=False):
        rows.append({"quantity": row["score"], "published": number, "here": row["value"]})
    return pd.DataFrame(rows)


def zero_shot_again(name: str, workers: int | None = None) -> pd.DataFrame:
    """`again` of a record of the study without ladders: one row for each task."""
    from tepones.companion.study import second_order

    published = study.stored(paths.published_records(second_order.NAME))
    cells = list(second_order.cells(second_order.load()))
    found, values = _made_again(second_order.NAME, name, cells, published, workers)
    before = published["zero_shot"]
    before = before[(before["cell"] == found) & (before["task"] != "source")].set_index("task")["zero_shot"]
    rows = [
        {"quantity": f"task {row['task']}", "published": before[str(row["task"])], "here": row["zero_shot"]}
        for row in values["rows"]
    ]
    return pd.DataFrame(rows)


def _made_again(
    profile: str, name: str, cells: Iterable["Cell"], published: dict[str, pd.DataFrame], workers: int | None
) -> tuple[str, dict[str, Any]]:
    """Identity and new values of the one cell whose published record is named so."""
    from tepones.companion.study import plan, records, runner  # they load torch, which a comparison does without

    made = [table["cell"] for table in published.values() if "cell" in table]
    named = {cell for table in made for cell in table if cell.startswith(name)}
    if len(named) != 1:
        raise UsageError(f"{len(named)} published records of profile {profile} are named {name}…; expected one")
    found, known = named.pop(), {records.identity(cell): cell for cell in cells}
    if found not in known:
        raise UsageError(f"record {found} was made by another version of the code; it cannot be made again by this one")
    store = records.Store(paths.records(profile))
    runner.run(store, [(needed,) for needed in plan.closure(known[found])], f"record {found}", workers)
    return found, store.require(known[found]).values


def _differences(published: dict[str, pd.DataFrame], here: dict[str, pd.DataFrame]) -> pd.DataFrame:
    rows = []
    for quantity, (table, identity, value) in COMPARED.items():
        on = [column for column in identity if column in published[table]]
        both = published[table].merge(here[table], on=on, how="inner", suffixes=("", "_here"))
        both["difference"] = (both[value] - both[f"{value}_here"]).abs()
        groups = both.groupby("score", sort=False) if "score" in identity else [("", both)]
        for name, group in groups:
            found = group["difference"]
            rows.append(
                {
                    "quantity": f"{quantity} {name}".strip(),
                    "compared": len(found),
                    "median": found.median(),
                    "largest": found.max(),
                }
            )
    return pd.DataFrame(rows)


def _provenance(profile: str, records: str) -> pd.DataFrame:
    folders = {"published": paths.published_records, "live": paths.records}
    made = [
        pd.read_csv(folders[kind](profile) / f"{study.PROVENANCE}.csv", dtype=str) for kind in ("published", records)
    ]
    both = made[0].merge(made[1], on="item", how="outer", sort=False, suffixes=("", " here"))
    return both.rename(columns={"value": "published", "value here": "compared"})
