"""How progress is shown."""

import sys

from tqdm.auto import tqdm


def progress_bar(total: int, description: str, unit: str) -> tqdm:
    """A bar for a terminal or a notebook; in a log that is no terminal, a line every ten seconds."""
    terminal = sys.stderr.isatty()
    return tqdm(
        total=total,
        desc=description,
        unit=unit,
        mininterval=0.2 if terminal else 10,
        maxinterval=10 if terminal else 60,
        ascii=not terminal,
        bar_format=None if terminal else "{desc}: {n_fmt}/{total_fmt} {unit}, {elapsed} gone, {remaining} to go\n",
    )
