"""How progress is shown."""

import sys

from tqdm.auto import tqdm


def progress_bar(total: int, description: str, unit: str, to_go: str = ", {remaining} to go") -> tqdm:
    """A bar for a terminal or a notebook; in a log that is no terminal, a line every ten seconds.

    `to_go` is what it says of the time that remains, in tqdm's format: by default as if all steps took the same time;
    ``"{postfix}"`` leaves it to the caller, by `set_postfix_str`.
    """
    terminal = sys.stderr.isatty()
    told = "{n_fmt}/{total_fmt} {unit}, {elapsed} gone" + to_go
    return tqdm(
        total=total,
        desc=description,
        unit=unit,
        mininterval=0.2 if terminal else 10,
        maxinterval=10 if terminal else 60,
        ascii=not terminal,
        bar_format="{l_bar}{bar}| " + told if terminal else "{desc}: " + told + "\n",
    )
