"""The study of a profile: its jobs, and its records as tidy tables."""

import io
import platform
from collections.abc import Iterator

import pandas as pd

from tepones import __version__, agreement, paths, profiles
from tepones.backbones.training import Training
from tepones.errors import TeponesError, choose
from tepones.experiments import Images, Pretraining, Rung, Scoring, Transfer
from tepones.profiles import Ladder, Profile, TaskSize
from tepones.records import Store, versions, write_atomically
from tepones.runner import Job, run

#: Tables of a study, in the order in which they are documented in `data/records/README.md`.
TABLES = ("rungs", "transfer", "scores")
PROVENANCE = "provenance"


def store(profile: Profile) -> Store:
    """Store of the live records of a profile."""
    return Store(paths.records(profile.name))


def images(size: TaskSize) -> Images:
    """Cell of the images of a task."""
    return Images(size.task, size.train_per_class, size.test_per_class)


def rungs(profile: Profile, ladder: Ladder) -> list[Pretraining | Rung]:
    """Cells of a ladder, from dense to sparsest."""
    pretraining = Pretraining(
        profile.backbone, images(profile.source), Training(**profile.pretraining.model_dump()), ladder.seed
    )
    fine_tuning = Training(**profile.fine_tuning.model_dump())
    return [
        pretraining,
        *(
            Rung(pretraining, ladder.criterion, ladder.schedule, profile.sparsities[: level + 1], fine_tuning)
            for level in range(len(profile.sparsities))
        ),
    ]


def evaluations(profile: Profile, rung: Pretraining | Rung) -> Iterator[tuple[Transfer, Scoring]]:
    """Cells of a rung on every target."""
    for target in profile.targets:
        yield (
            Transfer(rung, images(target), profile.probe_regularisation),
            Scoring(rung, images(target), profile.scores),
        )


def jobs(profile: Profile) -> list[Job]:
    """All jobs of a profile: images, then the rungs in the order of the ladders' levels, then what judges them."""
    ladders = [rungs(profile, ladder) for ladder in profile.ladders]
    levels = [rung for level in zip(*ladders, strict=True) for rung in level]
    distinct = list(dict.fromkeys(levels))
    return [
        *([images(task)] for task in (profile.source, *profile.targets)),
        *([rung] for rung in distinct),
        *([cell for pair in evaluations(profile, rung) for cell in pair] for rung in distinct),
    ]


def compute(profile: Profile, workers: int | None = None) -> int:
    """Compute what is missing of a profile and write its tables; returns the number of cells computed."""
    records = store(profile)
    n_computed = run(records, jobs(profile), f"study {profile.name}", workers)
    found = tables(profile, records)
    for name, table in {**found, PROVENANCE: provenance(profile, found)}.items():
        write_atomically(records.folder / f"{name}.csv", to_csv(table).encode())
    return n_computed


def tables(profile: Profile, records: Store) -> dict[str, pd.DataFrame]:
    """Records of a computed profile as tidy tables `rungs`, `transfer`, `scores`.

    Raises
    ------
    TeponesError
        If a record is missing.
    """
    rows: dict[str, list[dict]] = {name: [] for name in TABLES}
    for ladder in profile.ladders:
        for level, rung in enumerate(rungs(profile, ladder)):
            record = records.require(rung)
            identity = {"ladder": ladder.name, "rung": level}
            about = {"method": ladder.method, "seed": ladder.seed, **record.values}
            rows["rungs"].append(identity | about | {"seconds": record.made["seconds"]})
            for transfer, scoring in evaluations(profile, rung):
                identity["target"] = transfer.target.task
                found = records.require(transfer)
                rows["transfer"].append(identity | found.values | {"seconds": found.made["seconds"]})
                rows["scores"] += [identity | row for row in records.require(scoring).values["rows"]]
    return {name: pd.DataFrame(rows[name]) for name in TABLES}


def tidy(study: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row for each rung, target and score, with the controls source accuracy and sparsity as further scores.

    Parameters
    ----------
    study : dict of str to DataFrame
        As `load` returns it.

    Returns
    -------
    DataFrame
        The columns of `tepones.agreement.COLUMNS`. Higher values predict better: the control ``sparsity`` is
        minus the sparsity, which predicts that the denser rung wins.
    """
    rungs, transfer = study["rungs"], study["transfer"]
    about = rungs[["ladder", "rung", "method", "seed", "sparsity", "source_accuracy"]]
    judged = transfer[["ladder", "rung", "target", "accuracy"]].merge(about, on=["ladder", "rung"])
    scored = judged.merge(study["scores"][["ladder", "rung", "target", "score", "value"]], how="left")
    controls = [
        judged.assign(score="source_accuracy", value=judged["source_accuracy"]),
        judged.assign(score="sparsity", value=-judged["sparsity"]),
    ]
    return pd.concat([scored, *controls], ignore_index=True)[list(agreement.COLUMNS)]


def provenance(profile: Profile, study: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """What made the records of a profile: columns item, value."""
    seconds = sum(float(table["seconds"].sum()) for table in study.values() if "seconds" in table)
    facts = {
        "profile": profile.name,
        "tepones": __version__,
        "python": platform.python_version(),
        **versions(),
        "machine": f"{platform.system()} {platform.machine()}",
        "ladders": len(profile.ladders),
        "rungs": len(study["rungs"]),
        "targets": len(profile.targets),
        "core seconds": round(seconds),
    }
    return pd.DataFrame({"item": facts.keys(), "value": facts.values()})


def to_csv(table: pd.DataFrame) -> str:
    """A table as CSV text: UTF-8, LF, seven significant digits."""
    text = io.StringIO()
    table.to_csv(text, index=False, float_format="%.7g", lineterminator="\n")
    return text.getvalue()


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
        ``rungs``: one row for each ladder × rung; ``transfer``: × target; ``scores``: × target × score.
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
    return {name: pd.read_csv(folder / f"{name}.csv") for name in TABLES}
