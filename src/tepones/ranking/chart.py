"""The chart of a ranking, and the page that shows it."""

import json
from collections.abc import Iterator
from pathlib import Path

import altair as alt

from tepones.common.errors import TeponesError, shown
from tepones.ranking.ranker import Ranking


def chart(ranked: Ranking) -> alt.TopLevelMixin:
    """The deciding score of each backbone, best on top, with what shuffled labels get."""
    name = ranked.deciding
    frame = ranked.table[["rank", "backbone", name, "null", "flags", "sparsity"]].rename(columns={name: "value"})
    frame["backbone"] = frame["backbone"].map(shown)
    base = alt.Chart(frame).encode(
        y=alt.Y("backbone:N", title=None, sort=list(frame["backbone"])).axis(labelLimit=240),
        tooltip=[
            "rank:O",
            "backbone:N",
            alt.Tooltip("value:Q", format=".4~g", title=name),
            alt.Tooltip("null:Q", format=".4~g", title="on shuffled labels"),
            alt.Tooltip("sparsity:Q", format=".2%"),
            "flags:N",
        ],
    )
    value = alt.X("value:Q", title=f"{name} (tick: on shuffled labels)").scale(zero=False)
    return alt.layer(
        base.mark_tick(thickness=2, color="#999999").encode(x="null:Q"),
        base.mark_point(filled=True, size=80, opacity=1).encode(x=value),
    ).properties(width=420)


class _ForScript(json.JSONEncoder):
    """JSON that may stand in the script of a page: without ``<``, no name in it can end the script."""

    def iterencode(self, o: object, _one_shot: bool = False) -> Iterator[str]:
        """Encode piece by piece."""
        return (piece.replace("<", "\\u003c") for piece in super().iterencode(o, _one_shot))

    def encode(self, o: object) -> str:
        """Encode as one text."""
        return "".join(self.iterencode(o))


def save_chart(ranked: Ranking, path: str | Path) -> None:
    """Write the chart of a ranking as an HTML page that loads nothing from elsewhere.

    Raises
    ------
    TeponesError
        If vl-convert, which puts the drawing library into the page, is not installed.
    """
    try:
        html = chart(ranked).to_html(inline=True, json_kwds={"cls": _ForScript})
    except (ImportError, ValueError):
        raise TeponesError("a chart needs vl-convert-python: pip install 'tepones[book]'") from None
    Path(path).write_text(html, encoding="utf-8")
