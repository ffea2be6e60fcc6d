"""What a profile computes: its cells, their order, and the tables that its records make."""

import platform
from collections.abc import Iterator

import pandas as pd

from tepones import __version__, paths
from tepones.backbones.training import Training
from tepones.experiments import Images, Pretraining, Rung, Scoring, Transfer
from tepones.profiles import Ladder, Profile, TaskSize
from tepones.records import Store, versions, write_atomically
from tepones.runner import Job, run
from tepones.study import PROVENANCE, TABLES, to_csv


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
