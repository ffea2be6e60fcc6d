"""The study of the second-order paper: one-shot pruning judged on tasks that pruning never saw.

Iurada, Occhiena and Tommasi 2025 (arXiv 2509.24066), whose text was not available; the protocol follows the code of a
related paper (px-ntk-pruning), but for its leak: heads are fitted on training images and judged on others. A dense
backbone is pre-trained on part of the classes of its source. These are cut into *seen* tasks, the others into *unseen*
ones. The backbone is pruned at once with the Hessian of the source, and judged

* right after (P1), and after a training on the source (P2), beside a dense backbone that had the same training;
* on every task, by the ridge head that was fitted on the features of the *dense* backbone (*zero-shot*), and by one
  that is fitted anew on its own.

What the paper reads into it, that tasks see the loss alike, is measured by the cells `Landscape` and `Line`.
`data/second-order.yaml` has the sizes.
"""

from collections.abc import Iterator
from typing import Annotated

import pandas as pd
from pydantic import Field, ValidationError, model_validator

from tepones.backbones.training import Training
from tepones.common import paths
from tepones.common.config import Strict, first_error, read_yaml
from tepones.common.errors import TeponesError, UsageError
from tepones.companion import study
from tepones.companion.study import plan
from tepones.companion.study.cells import Pretraining, Rung
from tepones.companion.study.profiles import Count, TaskSize, TrainingSize
from tepones.companion.study.records import Cell, Store, identity, kind, versions
from tepones.companion.study.runner import Job, run
from tepones.companion.study.zero_shot import Landscape, Line, Part, ZeroShot

#: What the ledger and the command line call it; the folder of its records.
NAME = "second-order"
#: Its tables.
TABLES = ("zero_shot", "landscape", "lines")

#: When a rung is judged: its schedule, and its name in the tables.
RIGHT_AFTER, MADE_UP, FINE_TUNED, CONTROL = "right after pruning", "weights made up", "fine-tuned", "control"
_WHEN = {"one-shot": RIGHT_AFTER, "surgeon": MADE_UP, "iterative": FINE_TUNED, "control": CONTROL}
#: The one criterion whose paper changes the remaining weights.
_WITH_SURGEON = "block"


class Network(Strict):
    """A dense backbone: how it is pre-trained, and trained after pruning; one for each seed."""

    label: str
    backbone: str
    objective: str = "supervised"
    pretraining: TrainingSize
    fine_tuning: TrainingSize
    seeds: Annotated[tuple[int, ...], Field(min_length=1)]


class SecondOrder(Strict):
    """Everything that decides the study: see the comments of its file."""

    source: TaskSize
    pixels: Count = 32
    seen: Count
    per_task: Annotated[int, Field(ge=3)]  # of two classes a logistic head has another form
    criteria: Annotated[tuple[str, ...], Field(min_length=1)]
    sparsities: Annotated[tuple[float, ...], Field(min_length=1)]
    networks: Annotated[tuple[Network, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _whole_tasks(self) -> "SecondOrder":
        for name, classes in (("seen", self.seen), ("the classes of the source", self.source.classes)):
            if not classes or classes % self.per_task:
                raise ValueError(f"{name} must be whole tasks of {self.per_task} classes")
        return self


def load() -> SecondOrder:
    """Read `data/second-order.yaml`.

    Raises
    ------
    UsageError
        If a field is missing, unknown, of the wrong type or out of range; one line names it.
    """
    path = paths.data() / "second-order.yaml"
    try:
        return SecondOrder.model_validate(read_yaml(path))
    except ValidationError as error:
        raise UsageError(f"{path.name}: {first_error(error)}") from error


def tasks(config: SecondOrder) -> tuple[Part, ...]:
    """The tasks into which all classes of the source are cut, seen ones first."""
    whole = plan.images(config.source, config.pixels)
    return tuple(
        Part(whole, first, first + config.per_task) for first in range(0, config.source.classes, config.per_task)
    )


def dense(config: SecondOrder) -> list[tuple[Network, Pretraining]]:
    """Dense backbones, with the networks that they are."""
    source = Part(plan.images(config.source, config.pixels), 0, config.seen)
    return [
        (
            network,
            Pretraining(
                network.backbone, source, Training(**network.pretraining.model_dump()), seed, network.objective
            ),
        )
        for network in config.networks
        for seed in network.seeds
    ]


def rungs(config: SecondOrder, network: Network, start: Pretraining) -> list[Rung]:
    """What is made of a dense backbone: the control, and by each criterion and to each sparsity what `_WHEN` names."""
    training = Training(**network.fine_tuning.model_dump())
    found = [Rung(start, None, "control", config.sparsities[:1], training)]
    for criterion in config.criteria:
        schedules = ["one-shot", *(["surgeon"] if criterion == _WITH_SURGEON else []), "iterative"]
        found += [
            Rung(start, criterion, schedule, (sparsity,), training)
            for sparsity in config.sparsities
            for schedule in schedules
        ]
    return found


def jobs(config: SecondOrder, starts: list[tuple[Network, Pretraining]]) -> list[Job]:
    """Jobs of dense backbones, one after the other."""
    parts = tasks(config)
    found: dict[tuple[Cell, ...], None] = {}
    for network, start in starts:
        made = rungs(config, network, start)
        judged = [ZeroShot(start, parts), *(ZeroShot(rung, parts) for rung in made)]
        others: list[Cell] = [Landscape(start, parts, config.sparsities), *_lines(made, parts)]
        for cell in [*judged, *others]:
            found |= dict.fromkeys((needed,) for needed in plan.closure(cell))
    return list(found)


def _lines(made: list[Rung], parts: tuple[Part, ...]) -> list[Line]:
    return [Line(rung, parts) for rung in made if rung.schedule == "one-shot"]


def compute(workers: int | None = None, part: int = 1, parts: int = 1) -> int:
    """Compute what is missing of every `parts`-th dense backbone, and write the tables; returns the number of cells."""
    config, records = load(), Store(paths.records(NAME))
    records.clean()
    n_computed = run(records, jobs(config, dense(config)[part - 1 :: parts]), f"study {NAME}", workers)
    write_tables()
    return n_computed


def write_tables() -> None:
    """Write the live tables."""
    for name, table in tables(load(), Store(paths.records(NAME))).items():
        study.write(paths.records(NAME), name, table)


def tables(config: SecondOrder, records: Store) -> dict[str, pd.DataFrame]:
    """Tables of the dense backbones whose records are all there; of others what was published before.

    Returns
    -------
    dict of str to DataFrame
        ``zero_shot``: one row for each network, seed, criterion, time (`RIGHT_AFTER` and so on; empty for the dense
        backbone), sparsity and task, the source among them with the accuracy of its own classifier; ``landscape``: for
        each pair of tasks; ``lines``: for each place on the line to a rung.
    """
    before = study.stored(paths.published_records(NAME))
    pieces: dict[str, list[pd.DataFrame]] = {name: [] for name in (*TABLES, study.PROVENANCE)}
    for network, start in dense(config):
        rows = _rows(config, records, network, start)
        for name in TABLES:
            if rows:
                pieces[name].append(pd.DataFrame(rows[name]))
            elif name in before:
                known = before[name]
                pieces[name].append(known[(known["network"] == network.label) & (known["seed"] == start.seed)])
    found = {name: pd.concat(parts, ignore_index=True) for name, parts in pieces.items() if parts}
    if not found:
        raise TeponesError(f"no dense backbone of the study {NAME} is complete; tepones run --profile {NAME}")
    return found | {study.PROVENANCE: _provenance(config, found)}


def _rows(
    config: SecondOrder, records: Store, network: Network, start: Pretraining
) -> dict[str, list[dict[str, object]]] | None:
    """Rows of a dense backbone, or None if a record is missing."""
    parts, n_seen = tasks(config), config.seen // config.per_task
    about = {"network": network.label, "seed": start.seed, "unit": identity(start)}
    made = rungs(config, network, start)
    rows: dict[str, list[dict[str, object]]] = {name: [] for name in TABLES}
    for rung in (start, *made):
        itself, judged = records.get(rung), records.get(ZeroShot(rung, parts))
        if itself is None or judged is None:
            return None
        what = {"criterion": "", "when": "", "sparsity": 0.0}
        if isinstance(rung, Rung):
            what = {
                "criterion": rung.criterion or "",
                "when": _WHEN[rung.schedule],
                "sparsity": itself.values["sparsity"],
            }
        cost = {"seconds": itself.made["seconds"] + judged.made["seconds"], "numerics": judged.made["numerics"]}
        found = [{"task": "source", "seen": True, "zero_shot": itself.values["source_accuracy"]}]
        found += [{**row, "task": str(row["task"]), "seen": row["task"] < n_seen} for row in judged.values["rows"]]
        rows["zero_shot"] += [about | what | row | cost | {"cell": identity(ZeroShot(rung, parts))} for row in found]
    landscape = records.get(Landscape(start, parts, config.sparsities))
    if landscape is None:
        return None
    values = landscape.values["eigenvalues"]
    for row in landscape.values["pairs"]:
        first = {f"{side} eigenvalue": values[row[side]][0] for side in ("first", "second")}
        alike = {f"{side} seen": row[side] < n_seen for side in ("first", "second")}
        rows["landscape"].append(about | row | first | alike)
    for line in _lines(made, parts):
        record = records.get(line)
        if record is None:
            return None
        what = {"criterion": line.rung.criterion, "sparsity": line.rung.sparsities[-1]}
        rows["lines"] += [about | what | row | {"seen": row["task"] < n_seen} for row in record.values["rows"]]
    return rows


def _provenance(config: SecondOrder, found: dict[str, pd.DataFrame]) -> pd.DataFrame:
    once = found["zero_shot"].drop_duplicates("cell")
    facts = {
        "study": NAME,
        **versions(),
        "dense backbones": once["unit"].nunique(),
        "dense backbones of the study": len(dense(config)),
        "core seconds": round(once["seconds"].sum()),
        "numerics": ", ".join(sorted(once["numerics"].unique())),
    }
    return pd.DataFrame({"item": facts.keys(), "value": facts.values()})


def cells(config: SecondOrder) -> Iterator[Cell]:
    """Every cell that has a row in a table of the study."""
    for job in jobs(config, dense(config)):
        yield from (cell for cell in job if kind(cell) in ("zeroshot", "landscape", "line"))
