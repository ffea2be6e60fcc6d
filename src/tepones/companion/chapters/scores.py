"""The registered scores as tables for readers."""

import pandas as pd

from tepones.common import paths
from tepones.common.errors import TeponesError
from tepones.scores import SCORES


def definitions() -> pd.DataFrame:
    """One row for each score: its name, what it is, what it needs, its range and units."""
    entries = {name: SCORES.load(name) for name in SCORES}
    return pd.DataFrame(
        {
            "score": [f"`{name}`" for name in entries],
            "title": [entry.title for entry in entries.values()],
            "needs": [entry.needs for entry in entries.values()],
            "range": [entry.range for entry in entries.values()],
            "units": [entry.units for entry in entries.values()],
        }
    )


def timing(size: str) -> pd.DataFrame:
    """Recorded times of one size, as `tepones.scores.bench.bench` returned them.

    Raises
    ------
    TeponesError
        If there is no record of this size.
    """
    path = paths.data() / "records" / "bench" / f"scores-{size}.csv"
    if not path.is_file():
        raise TeponesError(f"no times of size {size!r}: {path} is missing; tepones bench --size {size} makes them")
    return pd.read_csv(path)
