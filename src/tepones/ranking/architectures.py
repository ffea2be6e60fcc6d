"""Which architecture a state dictionary belongs to, found in a list of fingerprints: no network is built for it.

`architectures.csv` has one line for each classifier of this project, of torchvision and of timm. The fingerprint is a
hash of the names and shapes of the encoder's tensors, which are all but those of the last layer, so that a file is
known whatever head it has. Where a library is updated, ``python -m tepones.ranking.architectures`` writes the list
anew, in a quarter of an hour.
"""

import csv
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

from tepones.common.errors import TeponesError

INDEX = Path(__file__).with_suffix(".csv")

#: Whose networks are taken where several libraries have one with these tensors: this project's own come first.
FAMILIES = ("", "torchvision", "timm")

#: Counters that old files lack and that change nothing.
COUNTER = "num_batches_tracked"

#: Names that a message lists at most.
SHOWN = 6

Shapes = Mapping[str, Sequence[int]]


class Architecture(NamedTuple):
    """One line of the list.

    Attributes
    ----------
    name : str
        As a user writes it: ``small-resnet``, ``torchvision:resnet18``, ``timm:resnet18``.
    heads : str
        Names of the last layers, separated by blanks; empty where features come out of the network.
    fingerprint : str
        Of the encoder's tensors.
    """

    name: str
    heads: str
    fingerprint: str

    @property
    def family(self) -> str:
        """The library that it comes from; empty for this project."""
        return self.name.rpartition(":")[0]


class Match(NamedTuple):
    """What was found.

    Attributes
    ----------
    architecture : Architecture
    heads : tuple of str
        Layers of the file that are no part of the encoder, as ``fc`` or ``my_head``.
    """

    architecture: Architecture
    heads: tuple[str, ...]


@cache
def listed() -> dict[str, Architecture]:
    """All architectures by name."""
    with open(INDEX, encoding="utf-8", newline="") as file:
        return {row["name"]: Architecture(**row) for row in csv.DictReader(file)}


def fingerprint(shapes: Shapes, heads: Sequence[str] = ()) -> str:
    """Hash of the names and shapes of all tensors but those of some layers and the counters of batch norm."""
    left_out = tuple(f"{head}." for head in heads)
    kept = sorted(
        f"{name} {'x'.join(map(str, shape))}"
        for name, shape in shapes.items()
        if not (name.startswith(left_out) or name.endswith(COUNTER))
    )
    return hashlib.sha256("\n".join(kept).encode()).hexdigest()[:16]


def recognise(shapes: Shapes) -> Match | None:
    """The architecture whose encoder has these tensors.

    Parameters
    ----------
    shapes : mapping of str to sequence of int
        Names and shapes of the tensors of a file.

    Returns
    -------
    Match or None
        None if no architecture has them. Cost: a hash of all names for each layer that may be the head.

    Raises
    ------
    TeponesError
        If several architectures of one library have them; one line that names them.
    """
    known = _by_fingerprint()
    for heads in _candidates(shapes):
        found = known.get(fingerprint(shapes, heads))
        if found:
            return Match(_one(found), heads)
    return None


def _candidates(shapes: Shapes) -> Iterator[tuple[str, ...]]:
    """Layers that may be the file's head: none, those that are some network's head, and any one on top besides."""
    top = list(dict.fromkeys(name.partition(".")[0] for name in shapes))
    usual = [head for head in _heads() if all(any(name.startswith(f"{layer}.") for name in shapes) for layer in head)]
    for other, head in product([(), *((name,) for name in top)], [*usual, ()]):
        yield (*head, *other)


def _one(found: list[Architecture]) -> Architecture:
    for family in FAMILIES:
        own = [architecture for architecture in found if architecture.family == family]
        if len(own) == 1 or (own and not family):
            # Of this project's own, those with the same tensors differ in training only: the plain name is shorter.
            return min(own, key=lambda architecture: len(architecture.name))
        if own:
            names = ", ".join(architecture.name for architecture in own[:SHOWN])
            more = f" and {len(own) - SHOWN} more" if len(own) > SHOWN else ""
            raise TeponesError(f"its tensors are those of {names}{more}; name the one it is: ARCHITECTURE=FILE")
    raise AssertionError("an architecture belongs to a family")


@cache
def _by_fingerprint() -> dict[str, list[Architecture]]:
    found: dict[str, list[Architecture]] = {}
    for architecture in listed().values():
        found.setdefault(architecture.fingerprint, []).append(architecture)
    return found


@cache
def _heads() -> list[tuple[str, ...]]:
    return list(dict.fromkeys(tuple(architecture.heads.split()) for architecture in listed().values()))


def describe(name: str) -> Architecture:
    """The line of an architecture, from a network that is built for it without memory for its weights."""
    from tepones.ranking import networks

    with networks.OnMeta():
        network = networks.build(name, 1000)
    heads = networks.heads(network)
    shapes = {tensor: tuple(value.shape) for tensor, value in network.state_dict().items()}
    return Architecture(name, " ".join(heads), fingerprint(shapes, heads))


if __name__ == "__main__":
    from tepones.ranking import networks

    with open(INDEX, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Architecture._fields)
        writer.writerows(describe(name) for name in networks.names())
