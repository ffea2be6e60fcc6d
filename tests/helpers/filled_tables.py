"""A reader's copy of the TEP-ones paper's numbers, as a test fills it in."""

import shutil
from pathlib import Path

from tepones.common import paths

#: Four rungs of one ladder; the score ranks them as their accuracy does.
ROWS = [
    f"net,src,magnitude,{sparsity},flowers,linear,TEP,{value},{accuracy},Table 9 p. 9"
    for sparsity, value, accuracy in [(0, 1, 70), (0.5, 3, 75), (0.9, 2, 72), (0.99, 0, 40)]
]


def fill(folder: Path, rows: list[str], name: str = "tep-ones-tables.csv") -> None:
    """Write the template and a filled copy of it into a folder."""
    template = paths.root() / "data" / "published" / "tep-ones-template.csv"
    shutil.copy(template, folder)
    (folder / name).write_text(template.read_text() + "".join(row + "\n" for row in rows))
