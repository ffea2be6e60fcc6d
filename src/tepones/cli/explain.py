"""The command that explains the words of a ranking: its flags, its columns, the scores."""

import inspect

import click

from tepones.cli import complete
from tepones.common.errors import choose

#: Flags and columns of a ranking.
WORDS = {
    "N ≤ D": (
        "Flag: there are no more images than active features. Any labels can then be fitted exactly, so scores that "
        "measure such a fit are the same for every backbone, or grow with its width; compare the column null."
    ),
    "saturated": (
        "Flag: the score that decides is the largest that there is, or hardly above its value on shuffled labels; it "
        "cannot tell this backbone from others. Take another score, or more images."
    ),
    "untrained": "Flag: the backbone has initial weights (--untrained), as a control.",
    "rank": "Column: 1 is best; equal values of the score that decides share a rank.",
    "first": (
        "Column: probability that the backbone would be the first with another set of as many images of these classes."
    ),
    "ranks": (
        "Column (rank_low and rank_high in CSV and JSON): interval of the rank with such images. Backbones whose "
        "interval begins at 1 cannot be told apart from the first: label more images, or try each of them."
    ),
    "null": (
        "Column: the value of the score that decides on shuffled labels of the same images. What it is above that, it "
        "owes to the labels."
    ),
    "flags": "Column: warnings, each of which is explained here.",
    "input": (
        "Column: pixels of the side of the square picture that the backbone takes; in brackets the shorter side to "
        "which a picture is resized before the square is cut from its centre."
    ),
    "features": "Column: numbers that the backbone makes of a picture.",
    "active": "Column: features that are not constant over the images.",
    "sparsity": "Column: share of the weights of convolutions and linear layers that are zero; the last layer aside.",
    "nonzero_weights": "Column: weights of convolutions and linear layers that are not zero; the last layer aside.",
    "bytes": "Column: size of the backbone in a compressed file, where zeros take hardly any room.",
    "flops": "Column: floating-point operations for one picture, two for a multiply-add, zeros not left out.",
}


@click.command()
@click.argument("word", required=False, shell_complete=complete.words)
def explain(word: str | None) -> None:
    """Explain a flag or a column of a ranking, or a score: tepones explain saturated.

    Without a WORD, list all that can be explained.
    """
    from tepones.scores import SCORES

    if word is None:
        for name, text in WORDS.items():
            click.echo(f"{name}: {text}")
        for name in SCORES:
            click.echo(f"{name}: Score: {SCORES.load(name).title}, in {SCORES.load(name).range}.")
        return
    known = {_plain(name): name for name in (*WORDS, *SCORES)}
    found = known.get(_plain(word), word)
    choose("word", found, known.values())
    if found in WORDS:
        click.echo(WORDS[found])
        return
    entry = SCORES.load(found)
    summary, *_ = inspect.getdoc(entry.function).split("\n\nParameters\n")[0].split("\n\nReturns\n")
    click.echo(f"Score: {entry.title}, in {entry.range} ({entry.units}); needs {entry.needs}.\n\n{summary}")


def _plain(word: str) -> str:
    """A word without what is hard to type."""
    return word.lower().replace("<=", "≤").replace(" ", "").replace("-", "_")
