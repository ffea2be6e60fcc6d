"""Records that this machine computed beside the published ones: the same verdicts, and how far apart."""

from typing import NamedTuple

import pandas as pd

from tepones.common import paths
from tepones.common.errors import UsageError
from tepones.companion import study
from tepones.companion.claims.ledger import ledger
from tepones.companion.study.profiles import Profile

#: What is compared: table, its identifying columns, the value.
COMPARED = {
    "source accuracy": ("rungs", ["ladder", "rung"], "source_accuracy"),
    "transfer accuracy": ("transfer", ["ladder", "rung", "target", "protocol", "repeat"], "accuracy"),
    "score": ("scores", ["ladder", "rung", "target", "score"], "value"),
}


class Report(NamedTuple):
    """What a comparison found.

    Attributes
    ----------
    verdicts : DataFrame
        One row for each claim: both verdicts, both estimates, and whether the verdicts agree.
    n_same : int
        Number of claims with the same verdict.
    differences : DataFrame
        Median and largest absolute difference of each compared quantity; a score has a row of its own.
    provenance : DataFrame
        What made both sets of records.
    """

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
    before, now = (ledger(study.tidy(tables), profile) for tables in (published, here))
    same = before["verdict"] == now["verdict"]
    verdicts = pd.DataFrame(
        {
            "claim": before["claim"],
            "published": before["verdict"],
            "estimate": before["estimate"].astype(float),
            "compared": now["verdict"],
            "its estimate": now["estimate"].astype(float),
            "agree": same.map({True: "yes", False: "no"}),
        }
    )
    return Report(verdicts, int(same.sum()), _differences(published, here), _provenance(profile, records))


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
    from tepones.companion.study import plan, records, runner  # they load torch, which a comparison does without

    cells = {records.identity(cell): cell for ladder in profile.ladders for cell in plan.cells(profile, ladder)}
    published = study.load(profile.name)
    named = {cell for table in published.values() for cell in table["cell"] if cell.startswith(name)}
    if len(named) != 1:
        raise UsageError(f"{len(named)} published records of profile {profile.name} are named {name}…; expected one")
    found = named.pop()
    if found not in cells:
        raise UsageError(f"record {found} was made by another version of the code; it cannot be made again by this one")
    store = plan.store(profile)
    runner.run(store, [(needed,) for needed in plan.closure(cells[found])], f"record {found}", workers)
    values = store.require(cells[found]).values
    rows = []
    for table, key in (("rungs", "source_accuracy"), ("rungs", "sparsity"), ("transfer", "accuracy")):
        before = published[table]
        for number in before.loc[before["cell"] == found, key].iloc[:1]:
            rows.append({"quantity": key, "published": number, "here": values[key]})
    before = published["scores"]
    for row, number in zip(values.get("rows", ()), before.loc[before["cell"] == found, "value"], strict=False):
        rows.append({"quantity": row["score"], "published": number, "here": row["value"]})
    return pd.DataFrame(rows)


def _differences(published: dict[str, pd.DataFrame], here: dict[str, pd.DataFrame]) -> pd.DataFrame:
    rows = []
    for quantity, (table, identity, value) in COMPARED.items():
        both = published[table].merge(here[table], on=identity, how="inner", suffixes=("", "_here"))
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
