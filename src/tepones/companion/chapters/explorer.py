"""The chapter *Explorer*: one score of one ladder beside the truth, from stored features, and its chart.

The chart that needs no kernel shows stored scores, the one below the controls of `tepones.companion.explorer` those
that were just computed.
"""

import functools
from typing import Any

import altair as alt
import pandas as pd

from tepones.companion import charts
from tepones.companion.study import rung_features
from tepones.companion.study.rung_features import CHOICE

#: What is drawn of a choice: a row for each rung, named by its sparsity, or for features of one's own.
RUNG = ["name", "value", "null", "accuracy"]

#: What can be chosen, in words, and what is chosen at first.
LABELS = {"target": "target", "method": "ladder", "score": "score", "per_class": "images of each class"}
FIRST = {"target": "digits", "method": "magnitude iterative", "score": "gaussian", "per_class": 16}

ON_TRUE, ON_SHUFFLED = "on the labels", "on shuffled labels"
BY_SCORE, BY_ACCURACY = "by the score", "by accuracy"

_DATA = "choices"
#: What the chart below the controls has besides: words for readers who do not see it, and elements for each mark.
_LIVE = {
    "description": "A score of each rung of a ladder, and the order of the rungs by it beside their order by accuracy.",
    "usermeta": {"embedOptions": {"renderer": "svg"}},
}
_PANEL = {"width": 270, "height": 210}


def stored() -> pd.DataFrame:
    """The stored scores: the columns of `CHOICE` and `RUNG`."""
    table = rung_features.table()
    return table.assign(name=table["sparsity"].map(rung_name))[[*CHOICE, *RUNG]]


def at_first(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of `stored` that are chosen at first."""
    return frame[(frame[list(FIRST)] == pd.Series(FIRST)).all(axis=1)]


def rung_name(sparsity: float) -> str:
    """What a rung of this sparsity, a fraction, is called."""
    return f"{sparsity:.1%}".replace("%", " %") if sparsity else "dense"


def by_score(frame: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Mean agreement of each score with accuracy over all ladders and targets of `stored`.

    `measure` is ``tau`` or ``regret``, of `tepones.companion.study.rung_features.agreement`. Columns score, and one for
    each number of images of each class.
    """
    found = rung_features.agreement(frame, CHOICE)
    means = found.groupby(["score", "per_class"], sort=False)[measure].mean().unstack("per_class")
    return means.rename(columns=lambda number: f"{number} images of each class").reset_index()


def ranked(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of one choice as a table for people, best by the score first.

    Columns place by the score, rung, score, null, accuracy, and place by accuracy; of equals all have the best place.
    What has no accuracy has no place by it.
    """
    places = {column: frame[column].rank(ascending=False, method="min") for column in ("value", "accuracy")}
    table = pd.DataFrame(
        {
            BY_SCORE: places["value"].astype(int),
            "rung": frame["name"],
            "score": frame["value"],
            ON_SHUFFLED: frame["null"],
            "accuracy": frame["accuracy"],
            BY_ACCURACY: places["accuracy"].astype("Int64"),
        }
    )
    return table.sort_values(BY_SCORE, kind="stable", ignore_index=True)


def static_chart(frame: pd.DataFrame) -> alt.VConcatChart:
    """One score along one ladder and its null, its order of the rungs beside the true one: chosen by menus.

    `frame` has the columns of `CHOICE` and `RUNG`, as `stored` returns them.
    """
    charts.require(frame, [*CHOICE, *RUNG])
    menus = [
        charts.menu(
            f"explorer_{column}",
            [str(option) for option in dict.fromkeys(frame[column])],
            str(FIRST[column]),
            label=label,
            switch=column in ("target", "per_class"),
        )
        for column, label in LABELS.items()
    ]
    chosen = " && ".join(f"toString(datum.{column}) == explorer_{column}" for column in CHOICE)
    # Labels of another length ask for another margin.
    resized = alt.AutoSizeParams(type="pad", resize=True)
    return _chart(chosen).properties(datasets={_DATA: _rows(frame)}, autosize=resized).add_params(*menus)


def live_chart(frame: pd.DataFrame) -> dict[str, Any]:
    """The same of the rows of one choice, without menus, as a specification of Vega-Lite.

    Rows without an accuracy are features of one's own. To check a chart takes Altair longer than a reader should wait:
    the specification is made once, and then only its data change.
    """
    return _specification() | _LIVE | {"datasets": {_DATA: _rows(frame)}}


@functools.cache
def _specification() -> dict[str, Any]:
    return _chart("true").to_dict()


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """One row for each choice: what is drawn of it, in lists, and how well the orders agree."""
    agreement = charts.prepared(rung_features.agreement(frame, CHOICE), [*CHOICE, "tau", "regret"])
    rungs = _without_nan(charts.prepared(frame, [*CHOICE, *RUNG]))
    rungs = rungs.groupby(CHOICE, sort=False)[RUNG].agg(list).reset_index()
    return _without_nan(agreement).merge(rungs, on=CHOICE).to_dict("records")


def _without_nan(frame: pd.DataFrame) -> pd.DataFrame:
    """JSON has null in its place."""
    return frame.astype(object).where(frame.notna(), None)


def _chart(chosen: str) -> alt.VConcatChart:
    """The chart of the choices for which an expression of Vega is true, of data of the name `_DATA`."""
    choice = alt.Chart(alt.NamedData(name=_DATA)).transform_filter(chosen)
    told = (
        choice.transform_calculate(
            told="'weighted τ ' + (isValid(datum.tau) ? format(datum.tau, '.2f') : '–') + "
            "', regret ' + format(datum.regret, '.1f') + ' points'"
        )
        .mark_text(align="left", fontSize=13, fontWeight=600)
        .encode(x=alt.value(0), text="told:N")
        .properties(width=charts.WIDTH - 80, height=16, view=alt.ViewConfig(stroke=None))
    )
    rungs = choice.transform_flatten(RUNG)
    rung = charts.pointed("name")
    panels = charts.linked(alt.hconcat(_along(rungs, rung), _orders(rungs, rung), spacing=40), rung)
    return alt.vconcat(told, panels).resolve_legend(color="independent", shape="independent")


def _along(rungs: alt.Chart, rung: alt.Parameter) -> alt.Chart:
    labels = [ON_TRUE, ON_SHUFFLED]
    return (
        rungs.transform_calculate(**{ON_TRUE: "datum.value", ON_SHUFFLED: "datum.null"})
        .transform_fold(labels, as_=["labels", "shown"])
        .mark_point(filled=True, size=70)
        .encode(
            x=alt.X("name:N", title="rung, by sparsity", sort=None).axis(labelAngle=-30, labelLimit=70),
            y=alt.Y("shown:Q", title="score"),
            opacity=charts.lit(rung),
            color=alt.Color("labels:N", title=None).scale(domain=labels, range=charts.PALETTE),
            shape=alt.Shape("labels:N", title=None).scale(domain=labels, range=charts.SHAPES),
            tooltip=["name:N", "labels:N", alt.Tooltip("shown:Q", title="score", format=".4~g")],
        )
        .properties(**_PANEL)
    )


def _orders(rungs: alt.Chart, rung: alt.Parameter) -> alt.LayerChart:
    for order, column in ((BY_SCORE, "value"), (BY_ACCURACY, "accuracy")):
        rungs = rungs.transform_window([{"op": "rank", "as": order}], sort=[{"field": column, "order": "descending"}])
    own = alt.when("isValid(datum.accuracy)").then(alt.value(charts.PALETTE[0])).otherwise(alt.value(charts.PALETTE[1]))
    places = (
        rungs.transform_fold([BY_SCORE, BY_ACCURACY], as_=["order", "place"])
        .transform_filter(f"datum.order == '{BY_SCORE}' || isValid(datum.accuracy)")
        .encode(
            x=alt.X("order:N", title=None, sort=[BY_SCORE, BY_ACCURACY]).axis(labelAngle=0),
            y=alt.Y("place:Q").scale(reverse=True, zero=False, nice=False, padding=14).axis(None),
            detail="name:N",
            color=own,
            opacity=charts.lit(rung),
            tooltip=["name:N", "order:N", "place:Q", alt.Tooltip("accuracy:Q", format=".1%")],
        )
    )

    def named(order: str, align: str, shift: int) -> alt.Chart:
        text = alt.Text("named:N")
        own = places.transform_filter(f"datum.order == '{order}'")
        own = own.transform_calculate(named="datum.place + '. ' + datum.name")
        return own.mark_text(fontSize=11, align=align, dx=shift, limit=66).encode(text=text)

    return alt.layer(
        places.mark_line(strokeWidth=1.5),
        places.mark_point(filled=True, size=50),
        named(BY_SCORE, "right", -9),
        named(BY_ACCURACY, "left", 9),
    ).properties(**_PANEL)
