"""What a profile computes: its cells, their order, and the tables that its records make."""

import platform
from collections import defaultdict
from collections.abc import Iterable, Iterator
from statistics import fmean

import pandas as pd

from tepones import __version__
from tepones.backbones.training import Training
from tepones.common import paths
from tepones.common.errors import TeponesError, UsageError
from tepones.companion import study
from tepones.companion.study.cells import (
    Ablation,
    Distilled,
    Entropies,
    FineTuning,
    Images,
    Pretraining,
    Released,
    Rung,
    Scoring,
    Transfer,
)
from tepones.companion.study.costs import group
from tepones.companion.study.profiles import Ladder, Profile, TaskSize
from tepones.companion.study.records import Cell, Record, Store, identity, versions
from tepones.companion.study.runner import Job, run
from tepones.companion.study.tables import FULL, PROBE

#: Tables whose rows belong to a ladder.
_OF_LADDERS = ("rungs", "transfer", "scores", study.CORRECT, study.ABLATIONS)


def store(profile: Profile) -> Store:
    """Store of the live records of a profile."""
    return Store(paths.records(profile.name))


def images(size: TaskSize, pixels: int) -> Images:
    """Cell of the images of a task."""
    return Images(size.task, size.train_per_class, size.test_per_class, pixels, size.classes)


def rungs(ladder: Ladder) -> list[Pretraining | Released | Rung]:
    """Cells of a ladder, from dense to sparsest."""
    source = images(ladder.source, ladder.pixels)
    if ladder.weights:
        first = Released(ladder.backbone, ladder.weights, source, ladder.seed)
    else:
        training = Training(**ladder.pretraining.model_dump())
        first = Pretraining(ladder.backbone, source, training, ladder.seed, ladder.objective)
    training = Training(**ladder.fine_tuning.model_dump())
    how = (training, ladder.scope)
    kind, more = Rung, {}
    if ladder.distillation:
        kind, more = Distilled, {"images": images(ladder.distillation, ladder.pixels)}
    levels = [ladder.sparsities[: level + 1] for level in range(len(ladder.sparsities))]
    return [first, *(kind(first, ladder.criterion, ladder.schedule, reached, *how, **more) for reached in levels)]


def evaluations(
    profile: Profile, ladder: Ladder, rung: Pretraining | Released | Rung
) -> Iterator[tuple[Images, list[tuple[str, int, Transfer | FineTuning]], list[Scoring | Entropies]]]:
    """Cells that judge a rung on every target: of its transfer accuracy, with protocol and repeat, and its scores.

    Where the entropy of the encoder's output is wanted, that of every layer is computed too.
    """
    full = profile.full_fine_tuning
    for size in profile.targets:
        target = images(size, ladder.pixels)
        judged: list[tuple[str, int, Transfer | FineTuning]] = [
            (PROBE, 0, Transfer(rung, target, profile.probe_regularisation))
        ]
        reached = rung.sparsities[-1] if isinstance(rung, Rung) else 0.0
        if full and ladder.name in full.ladders and size.task in full.targets and reached <= full.most:
            training = Training(**full.training.model_dump())
            judged += [(FULL, repeat, FineTuning(rung, target, training, repeat)) for repeat in range(full.repeats)]
        scored: list[Scoring | Entropies] = [Scoring(rung, target, profile.scores)]
        if "entropi" in profile.scores:
            scored.append(Entropies(rung, target))
        yield target, judged, scored


def ablations(profile: Profile, ladder: Ladder, rung: Pretraining | Released | Rung) -> list[Ablation]:
    """Cells that vary the score of a rung on every target, for the ladders that the profile names."""
    wanted = profile.targets if ladder.name in profile.ablations else ()
    return [Ablation(rung, images(size, ladder.pixels)) for size in wanted]


def jobs(profile: Profile, ladders: Iterable[Ladder]) -> list[Job]:
    """Jobs of ladders of a profile, one ladder after the other: images, its rungs, what judges them; long ones last."""
    found: dict[tuple[Cell, ...], None] = {}
    last: dict[tuple[Cell, ...], None] = {}
    for ladder in ladders:
        cells = rungs(ladder)
        for cell in cells:
            found |= dict.fromkeys((needed,) for needed in closure(cell))
        for rung in cells:
            judging = list(evaluations(profile, ladder, rung))
            found |= dict.fromkeys((target,) for target, _, _ in judging)
            quick: list[Cell] = []
            for _, judged, scored in judging:
                quick += [cell for protocol, _, cell in judged if protocol == PROBE] + scored
                last |= dict.fromkeys((cell,) for protocol, _, cell in judged if protocol == FULL)
            found[tuple(quick)] = None
            last |= dict.fromkeys((cell,) for cell in ablations(profile, ladder, rung))
    return [*found, *last]


def closure(cell: Cell) -> Iterator[Cell]:
    """A cell after all that it needs."""
    for needed in cell.requires():
        yield from closure(needed)
    yield cell


def shard(profile: Profile, part: int, parts: int) -> list[Ladder]:
    """Ladders of one of several parts of a profile, numbered from 1: those of every `parts`-th dense backbone.

    No part trains a dense backbone that another one trains too.

    Raises
    ------
    UsageError
        If there are fewer dense backbones than that.
    """
    dense = list(dict.fromkeys(rungs(ladder)[0] for ladder in profile.ladders))
    own = set(dense[part - 1 :: parts])
    if not own:
        raise UsageError(f"shard {part}/{parts}: profile {profile.name} has {len(dense)} dense backbones")
    return [ladder for ladder in profile.ladders if rungs(ladder)[0] in own]


def compute(profile: Profile, workers: int | None = None, ladders: Iterable[Ladder] | None = None) -> int:
    """Compute what is missing of a profile and write its tables; returns the number of cells computed.

    Parameters
    ----------
    profile : Profile
    workers : int, optional
        Processes; as many as there are cores by default.
    ladders : iterable of Ladder, optional
        Compute only these; the tables hold every ladder whose records are all there.
    """
    records = store(profile)
    records.clean()
    todo = jobs(profile, profile.ladders if ladders is None else ladders)
    n_computed = run(records, todo, f"study {profile.name}", workers, study.typical_costs(profile.name))
    write_tables(profile)
    return n_computed


def write_tables(profile: Profile) -> None:
    """Write the live tables of the ladders that are complete: computed here, or published before.

    A ladder that was published before and not computed here is kept. The column `current` of its rungs says whether
    all its records are what the code of this checkout would compute.
    """
    found = tables(profile, store(profile))
    for name, table in {**found, study.PROVENANCE: provenance(profile, found)}.items():
        study.write(paths.records(profile.name), name, table)


def costs(profile: Profile) -> pd.DataFrame:
    """What the cells of a computed profile took: columns group (of `costs.group`), seconds (mean), cells (how many)."""
    records, seconds = store(profile), defaultdict(list)
    for cell in dict.fromkeys(cell for job in jobs(profile, profile.ladders) for cell in job):
        record = records.get(cell)
        if record is not None:
            seconds[group(cell)].append(record.made["seconds"])
    rows = [(name, fmean(found), len(found)) for name, found in seconds.items()]
    return pd.DataFrame(rows, columns=["group", "seconds", "cells"])


def tables(profile: Profile, records: Store) -> dict[str, pd.DataFrame]:
    """Records of a profile as tidy tables: those of `study.TABLES`, and `ablations` if there are any.

    Raises
    ------
    TeponesError
        If no ladder is complete.
    """
    before = study.published(profile.name)
    pieces: dict[str, list[pd.DataFrame]] = {name: [] for name in _OF_LADDERS}
    for ladder in profile.ladders:
        rows = _rows(profile, ladder, records) or _published_rows(profile, ladder, before)
        for name, table in (rows or {}).items():
            if not table.empty:
                pieces[name].append(table)
    if not pieces["rungs"]:
        raise TeponesError(f"no ladder of profile {profile.name} is complete; tepones run --profile {profile.name}")
    found = {name: pd.concat(parts, ignore_index=True) for name, parts in pieces.items() if parts}
    test_images = _test_images(profile, records, before)
    return found if test_images is None else found | {study.TEST_IMAGES: test_images}


def _test_images(profile: Profile, records: Store, before: dict[str, pd.DataFrame]) -> pd.DataFrame | None:
    """Class and group of each test image of each target, in the order of the packed correctness.

    Which images are for testing does not depend on their size in pixels: those of any ladder tell it. None if nothing
    here tells it: the tables of the first study do not.
    """
    parts = []
    for size in profile.targets:
        cells = [images(size, ladder.pixels) for ladder in profile.ladders]
        record = next((record for record in map(records.get, dict.fromkeys(cells)) if record), None)
        if record:
            tensors = record.tensors()
            columns = {"label": tensors["test_labels"], "group": tensors["test_groups"]}
            parts.append(pd.DataFrame({"target": size.task, **columns}))
        elif study.TEST_IMAGES in before:
            known = before[study.TEST_IMAGES]
            parts.append(known[known["target"] == size.task])
    return pd.concat(parts, ignore_index=True) if parts else None


def _rows(profile: Profile, ladder: Ladder, records: Store) -> dict[str, pd.DataFrame] | None:
    """Rows of a ladder that was computed here, or None if a record is missing.

    Of full fine-tuning and ablations there are the rows that exist: they come last.
    """
    rows: dict[str, list[dict]] = {name: [] for name in _OF_LADDERS}
    for level, rung in enumerate(rungs(ladder)):
        place = {"ladder": ladder.name, "rung": level}
        about = {"method": ladder.method, "seed": ladder.seed, "backbone": ladder.backbone}
        found = records.get(rung)
        if found is None:
            return None
        rows["rungs"].append(place | about | _measured(found) | _made(found, rung) | {"current": True})
        for target, judged, scored in evaluations(profile, ladder, rung):
            place["target"] = target.task
            for protocol, repeat, cell in judged:
                found = records.get(cell)
                if found is None and protocol == PROBE:
                    return None
                if found is not None:
                    run = place | {"protocol": protocol, "repeat": repeat}
                    rows["transfer"].append(run | found.values | _made(found, cell))
                    packed = found.tensors()["correct"].tobytes()
                    rows[study.CORRECT].append(run | {"correct": packed, "cell": identity(cell)})
            for cell in scored:
                found = records.get(cell)
                if found is None:
                    return None
                rows["scores"] += [place | row | {"cell": identity(cell)} for row in found.values["rows"]]
        for cell in ablations(profile, ladder, rung):
            found = records.get(cell)
            place["target"] = cell.target.task
            found_rows = found.values["rows"] if found else ()
            rows[study.ABLATIONS] += [place | row | {"cell": identity(cell)} for row in found_rows]
    return {name: pd.DataFrame(found) for name, found in rows.items()}


def _published_rows(
    profile: Profile, ladder: Ladder, before: dict[str, pd.DataFrame]
) -> dict[str, pd.DataFrame] | None:
    """Rows of a ladder that was published before, or None; `current` only if every cell is what it would be now."""
    rows = {name: table[table["ladder"] == ladder.name].copy() for name, table in before.items() if name in _OF_LADDERS}
    if not rows or rows["rungs"].empty:
        return None
    expected = {identity(cell) for cell in cells(profile, ladder)}
    rows["rungs"]["current"] = {cell for table in rows.values() for cell in table["cell"]} <= expected
    return rows


def cells(profile: Profile, ladder: Ladder) -> Iterator[Cell]:
    """Every cell that has a row in a table of the study."""
    for rung in rungs(ladder):
        yield rung
        for _, judged, scored in evaluations(profile, ladder, rung):
            yield from (cell for _, _, cell in judged)
            yield from scored
        yield from ablations(profile, ladder, rung)


def _measured(record: Record) -> dict[str, object]:
    """What is known of a rung, for its row; the checksum of released weights stays in the record."""
    return {name: value for name, value in record.values.items() if name != "weights"}


def _made(record: Record, cell: Cell) -> dict[str, object]:
    """What made a record: time, machine, how it rounds, cell."""
    about = {name: record.made[name] for name in ("seconds", "machine", "numerics")}
    return about | {"when": record.made["when"][:10], "cell": identity(cell)}


def provenance(profile: Profile, found: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """What made the records of a profile: columns item, value."""
    # A cell that several ladders share has a row for each.
    timed = pd.concat([found[name][["cell", "seconds"]] for name in ("rungs", "transfer")]).drop_duplicates("cell")
    facts: dict[str, object] = {
        "profile": profile.name,
        "tepones": __version__,
        "python": platform.python_version(),
        **versions(),
        "ladders": found["rungs"]["ladder"].nunique(),
        "ladders of the profile": len(profile.ladders),
        "ladders by another version of the code": found["rungs"].loc[~found["rungs"]["current"], "ladder"].nunique(),
        "rungs": len(found["rungs"]),
        "targets": len(profile.targets),
        "core seconds": round(timed["seconds"].sum()),
        "computed": _days(found),
        "machine": ", ".join(sorted(found["rungs"]["machine"].unique())),
        "numerics": _together(found),
    }
    made = pd.DataFrame({"item": facts.keys(), "value": facts.values()})
    return pd.concat([made, _digests(profile)], ignore_index=True)


def _days(found: dict[str, pd.DataFrame]) -> str:
    """The days (UTC) from the first record to the last; ladders that were published before may not tell theirs."""
    told = [found[name]["when"] for name in ("rungs", "transfer") if "when" in found[name]]
    days = sorted(pd.concat(told).dropna()) if told else []
    return " to ".join(dict.fromkeys([days[0], days[-1]])) if days else "not known"


def _together(found: dict[str, pd.DataFrame]) -> str:
    """How the records were rounded: `numerics.fingerprint`, that of each process which made some."""
    told = [found[name]["numerics"] for name in ("rungs", "transfer") if "numerics" in found[name]]
    names = pd.concat(told).fillna("not known").unique() if told else ["not known"]
    return ", ".join(sorted(names))


def _digests(profile: Profile) -> pd.DataFrame:
    """Checksums of the images, which tell copies of a data set apart: of those here, else as published before."""
    records = store(profile)
    path = paths.published_records(profile.name) / f"{study.PROVENANCE}.csv"
    before = dict(pd.read_csv(path, dtype=str).to_numpy()) if path.is_file() else {}
    digests = {}
    for ladder in profile.ladders:
        for size in (ladder.source, *profile.targets):
            item = f"images {size.task} {ladder.pixels}"
            record = records.get(images(size, ladder.pixels)) if item not in digests else None
            digests.setdefault(item, record.digest[:12] if record else before.get(item, "not known"))
    return pd.DataFrame({"item": digests.keys(), "value": digests.values()})
