"""How long a run has still to go, from what cells cost rather than from their number.

A dense backbone is trained in the time of fifty probes. So cells are told apart by kind and by what makes them cheap
or dear, and each such group has its mean of seconds: that of this run as soon as it has one, else that of earlier
records, else that of the table `costs.csv` which is published with a profile, corrected by how much faster or slower
this machine has been so far.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np

from tepones.companion.study.records import Cell, kind

#: Fields that tell cheap cells of a kind from dear ones.
_TELLING = ("objective", "backbone", "criterion", "schedule", "scope", "task")


def group(cell: Cell) -> str:
    """Name that is shared by cells which cost about the same: kind and telling fields, its own or its target's."""
    own = [str(getattr(cell, field)) for field in _TELLING if hasattr(cell, field)]
    target = [cell.target.task] if hasattr(cell, "target") else []
    return " ".join([kind(cell), *own, *target])


class ToGo:
    """Expected seconds of cells, which learns from those that are finished.

    Parameters
    ----------
    known : mapping of str to float
        Mean seconds of groups, from before this run.
    """

    def __init__(self, known: Mapping[str, float]):
        self._known = dict(known)
        self._finished: dict[str, list[float]] = defaultdict(list)

    def learn(self, cell: Cell, seconds: float) -> None:
        """Take in what a cell of this run has taken."""
        self._finished[group(cell)].append(seconds)

    def seconds(self, cells: Iterable[Cell]) -> float | None:
        """Seconds of one process for cells that are not finished, or None as long as nothing at all is known."""
        finished = {name: float(np.mean(found)) for name, found in self._finished.items()}
        both = [(len(self._finished[name]), name) for name in finished if name in self._known]
        expected = sum(number * self._known[name] for number, name in both)
        slower = sum(number * finished[name] for number, name in both) / expected if expected else 1.0
        known = {name: slower * found for name, found in self._known.items()} | finished
        if not known:
            return None
        of_kinds = defaultdict(list)
        for name, found in known.items():
            of_kinds[name.split()[0]].append(found)
        anything = list(known.values())
        alike = (known.get(group(cell), np.mean(of_kinds.get(kind(cell), anything))) for cell in cells)
        return float(sum(alike))
