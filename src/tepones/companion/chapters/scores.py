"""The chapter *Scores*: what is registered, how the analysis-of-variance family weighs directions, what scores cost."""

import altair as alt
import numpy as np
import pandas as pd

from tepones.common import paths
from tepones.common.errors import TeponesError
from tepones.common.files import check_sums
from tepones.companion import charts
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
    """Recorded times of one size, as `tepones bench` wrote them; `TeponesError` if there are none."""
    path = paths.data() / "records" / "bench" / f"scores-{size}.csv"
    if not path.is_file():
        raise TeponesError(f"no times of size {size!r}: {path} is missing; tepones bench --size {size} makes them")
    check_sums(path.parent)
    return pd.read_csv(path)


def left_out(times: pd.DataFrame) -> list[str]:
    """Scores that a record of times lacks; controls, which are never timed, do not count."""
    timed = [name for name in SCORES if SCORES.module(name) != "tepones.scores.controls"]
    return [name for name in timed if name not in set(times["what"])]


def family_weights() -> pd.DataFrame:
    """What one canonical direction with squared correlation ρ adds to three scores: columns rho, score, weight."""
    rho = np.linspace(0, 0.98, 50)
    weights = {"h_score": rho, "wilks": -0.5 * np.log1p(-rho), "gaussian": -0.5 * np.log1p(-(rho**2))}
    tables = [pd.DataFrame({"rho": rho, "score": score, "weight": weight}) for score, weight in weights.items()]
    return pd.concat(tables, ignore_index=True)


def weights_chart(frame: pd.DataFrame) -> alt.Chart:
    """`family_weights`: what one canonical direction adds to a score, one line for each score."""
    frame = charts.prepared(frame, ["rho", "score", "weight"])
    scores = list(dict.fromkeys(frame["score"]))
    return (
        alt.Chart(frame)
        .mark_line()
        .encode(
            x=alt.X("rho:Q", title="ρ, share of a direction's variance that the classes explain"),
            y=alt.Y("weight:Q", title="what it adds to the score"),
            color=alt.Color("score:N", title="score").scale(domain=scores, range=charts.colours(scores)),
            tooltip=["score:N", alt.Tooltip("rho:Q", format=".2f"), alt.Tooltip("weight:Q", format=".3f")],
        )
        .properties(width=charts.WIDTH - 90, height=260)
    )


def timing_chart(frame: pd.DataFrame) -> alt.LayerChart:
    """Processor time of each task of `timing` as a multiple of the product that is the floor, fastest on top."""
    frame = charts.prepared(frame, ["what", "seconds", "ratio"])
    base = alt.Chart(frame).encode(
        y=alt.Y("what:N", title=None, sort=alt.EncodingSortField("ratio", order="ascending")).axis(labelLimit=200),
        tooltip=["what:N", alt.Tooltip("seconds:Q", format=".3~g"), alt.Tooltip("ratio:Q", format=".3~g")],
    )
    x = alt.X("ratio:Q", title="multiple of one XᵀX in float64 (log scale)").scale(type="log")
    floor = alt.Chart().mark_rule(strokeDash=[5, 4]).encode(x=alt.datum(1))
    return alt.layer(
        base.mark_point(filled=True, size=70).encode(x=x),
        base.mark_text(align="left", dx=8, fontSize=11).encode(x=x, text=alt.Text("ratio:Q", format=".2~g")),
        floor,
    ).properties(width=charts.WIDTH - 260, height=22 * len(frame))
