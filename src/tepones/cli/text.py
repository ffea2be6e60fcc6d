"""Tables as text: for people, as CSV, as JSON."""

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from tepones.common.errors import shown

if TYPE_CHECKING:
    import pandas as pd

#: Columns of characters that a table for people takes, unless it is to be wide.
WIDTH = 100

Formats = Mapping[str, Callable[[object], str]]


def percent(value: float) -> str:
    """A share of one, in per cent."""
    return f"{100 * value:.4g} %"


def amount(unit: str) -> Callable[[float], str]:
    """What writes a number with three digits and a prefix: ``3.21 MB``."""
    from tqdm import tqdm

    def write(value: float) -> str:
        digits, prefix = re.fullmatch(r"([\d.]+)(\D*)", tqdm.format_sizeof(value)).groups()
        return f"{digits if prefix else f'{value:g}'} {prefix}{unit}".rstrip()

    return write


def table(frame: "pd.DataFrame", form: str, formats: Formats | None = None, wide: bool = False) -> str:
    """A table as text.

    Parameters
    ----------
    frame : DataFrame
    form : {"table", "csv", "json"}
        For people within `WIDTH` columns of characters, where long names go on in the next line; or with all digits
        that mean something, six.
    formats : mapping of str to callable, optional
        How people read the numbers of a column; by default with four digits.
    wide : bool
        Whether a table for people may have as many columns of characters as it needs.
    """
    if form == "json":
        return as_json(frame)
    if form == "csv":
        return frame.map(_plain).map(_escaped).to_csv(index=False, lineterminator="\n").rstrip("\n")
    return _for_people(frame, formats or {}, wide)


def as_json(content: object) -> str:
    """Tables, texts and lists of these, also in a dictionary, as JSON with six digits and NaN as null."""

    def plain(value: object) -> object:
        if isinstance(value, dict):
            return {name: plain(part) for name, part in value.items()}
        if isinstance(value, str | list):
            return value
        return [dict(zip(value.columns, map(_plain, row), strict=True)) for row in value.itertuples(index=False)]

    return json.dumps(plain(content), indent=1, ensure_ascii=False, allow_nan=False)


def _for_people(frame: "pd.DataFrame", formats: Formats, wide: bool) -> str:
    from io import StringIO

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, column in frame.items():
        numbers = column.dtype.kind in "iuf"
        drawn.add_column(Text(name), justify="right" if numbers else "left", overflow="fold", no_wrap=numbers)
    for row in frame.itertuples(index=False):
        cells = zip(frame.columns, map(_plain, row), strict=True)
        drawn.add_row(*(Text(_cell(value, formats.get(name))) for name, value in cells))
    text = StringIO()
    console = Console(file=text, width=10 * WIDTH if wide else WIDTH, color_system=None, legacy_windows=False)
    console.print(drawn)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def _cell(value: object, form: Callable[[object], str] | None) -> str:
    if value is None:
        return "–"
    if form:
        return form(value)
    return f"{value:.4g}" if isinstance(value, float) else shown(value)


def _plain(value: object) -> object:
    """A plain Python value; floats at six significant digits, None for what is not finite."""
    value = value.item() if hasattr(value, "item") else value
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _escaped(value: object) -> object:
    return shown(value) if isinstance(value, str) else value
