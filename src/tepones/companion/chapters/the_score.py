"""The chapter *The score*: its bounds in a case that can be computed, and its course along the ladders.

The case: one feature, Gaussian within each class. Y has priors π_c, Z | Y = c is normal with mean m_c and variance 1,
and Z′ is a second, independent draw from the same class. All values are in nats, by the trapezoid rule on a grid that
reaches 9 standard deviations beyond the outermost means; halving its step changes no digit that the tests look at.
"""

import altair as alt
import numpy as np
import pandas as pd

from tepones.companion import charts
from tepones.scores import score

REACH, STEP = 9.0, 0.02
INTRA_CLASS, WITH_LABEL, ENTROPY = EXACT = ("I(Z; Z′)", "I(Z; Y)", "H(Y)")
ESTIMATORS = ("gaussian", "posterior")


def gaussian_classes(means: np.ndarray, priors: np.ndarray | None = None) -> dict[str, float]:
    """Exact information of one Gaussian feature.

    Parameters
    ----------
    means : array_like, shape (C,)
        Class means, in units of the standard deviation within a class.
    priors : array_like, shape (C,), optional
        Class probabilities; equal by default.

    Returns
    -------
    dict of str to float
        The three quantities of `EXACT` in nats, each at most the next. Cost: O(C·G²) for G = (18 + range of the
        means) / 0.02 grid points.
    """
    means = np.asarray(means, dtype=float)
    priors = np.full(len(means), 1 / len(means)) if priors is None else np.asarray(priors, dtype=float)
    grid = np.arange(means.min() - REACH, means.max() + REACH + STEP, STEP)
    density = np.exp(-0.5 * (grid - means[:, None]) ** 2) / np.sqrt(2 * np.pi)
    marginal = priors @ density
    joint = (density * priors[:, None]).T @ density
    intra_class = (joint * _log_ratio(joint, np.outer(marginal, marginal))).sum() * STEP**2
    with_label = (priors[:, None] * density * _log_ratio(density, marginal[None])).sum() * STEP
    entropy = -(priors * np.log(priors)).sum()
    return {INTRA_CLASS: float(intra_class), WITH_LABEL: float(with_label), ENTROPY: float(entropy)}


def sample(means: np.ndarray, per_class: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, 1) of float32 and labels (N,) of equally likely Gaussian classes, `per_class` of each."""
    labels = np.repeat(np.arange(len(means)), per_class)
    noise = np.random.default_rng(seed).normal(size=len(labels))
    return (np.asarray(means)[labels] + noise).astype(np.float32)[:, None], labels


def chain(means: list[float], per_class: int) -> pd.DataFrame:
    """Exact information of two classes at ±m, and what the estimators make of samples, for several m.

    `means` are the values of m in standard deviations; the estimates see `per_class` samples of each class. Columns
    mean, quantity, nats, kind (``exact`` or ``estimate``).
    """
    rows = []
    for mean in means:
        found = score(*sample([-mean, mean], per_class, seed=0), list(ESTIMATORS), null=False)
        values = gaussian_classes([-mean, mean]) | dict(zip(found["score"], found["value"], strict=True))
        for quantity, nats in values.items():
            kind = "estimate" if quantity in ESTIMATORS else "exact"
            rows.append({"mean": mean, "quantity": quantity, "nats": nats, "kind": kind})
    return pd.DataFrame(rows)


def bounds(known: pd.DataFrame) -> pd.DataFrame:
    """What `chain` found, one row for each distance of the class means, and whether the bounds hold there.

    Columns mean, the exact quantities, the estimates, and hold: whether each exact quantity is at most the next.
    """
    wide = known.pivot(index="mean", columns="quantity", values="nats").reset_index().rename_axis(columns=None)
    ordered = wide[list(EXACT)]
    steps = ordered.diff(axis="columns").iloc[:, 1:] >= 0
    return wide.assign(hold=(wide[INTRA_CLASS] >= 0) & steps.all(axis="columns"))


def optima(frame: pd.DataFrame) -> pd.DataFrame:
    """Where one score of each ladder is highest and lowest on each target, from a frame of `study.tidy`.

    By ladder and target: falls (whether the score is lowest at the sparsest rung), highest (the sparsity at which it is
    highest).
    """
    frame = frame.sort_values("rung", kind="stable", ignore_index=True)
    values = frame.groupby(["ladder", "target"], sort=False)["value"]
    highest = frame["sparsity"][values.idxmax()]
    return pd.DataFrame({"falls": values.last() == values.min()}).assign(highest=highest.to_numpy())


def information_chart(frame: pd.DataFrame) -> alt.LayerChart:
    """Information of `chain` against the distance of the class means: exact ones as lines, estimates as points."""
    frame = charts.prepared(frame, ["mean", "quantity", "nats", "kind"])
    quantities = list(dict.fromkeys(frame["quantity"]))
    base = alt.Chart(frame).encode(
        x=alt.X("mean:Q", title="distance of a class mean from 0, in standard deviations"),
        y=alt.Y("nats:Q", title="information (nats)"),
        color=alt.Color("quantity:N", title=None).scale(domain=quantities, range=charts.colours(quantities)),
        tooltip=["quantity:N", alt.Tooltip("mean:Q", format=".2f"), alt.Tooltip("nats:Q", format=".4f")],
    )
    return alt.layer(
        base.transform_filter("datum.kind == 'exact'").mark_line(),
        base.transform_filter("datum.kind == 'estimate'").mark_point(filled=True, size=60),
    ).properties(width=charts.WIDTH - 90, height=300)


def score_chart(frame: pd.DataFrame) -> alt.ConcatChart:
    """Scores against sparsity, one panel per score and target, one line per ladder.

    The ring is the rung with the highest score, the vertical line the rung with the highest accuracy: where
    they meet, the score finds the ladder's best rung.

    Parameters
    ----------
    frame : DataFrame
        Columns `ladder`, `method`, `rung`, `sparsity`, `target`, `accuracy`, `score`, `value`.
    """
    frame = charts.prepared(frame, ["ladder", "method", "rung", "sparsity", "target", "accuracy", "score", "value"])
    frame["best"] = charts.is_best(frame, "value")
    frame["optimum"] = charts.is_best(frame, "accuracy")
    x, colour, shape = charts.sparsity_axis(frame), charts.method_colour(frame), charts.method_shape(frame)
    ladder = charts.pointed("ladder")
    lit = charts.lit(ladder)

    def panel(part: pd.DataFrame, title: str) -> alt.LayerChart:
        y = alt.Y("value:Q", title="score").scale(zero=False)
        base = alt.Chart(part, title=title).encode(x=x, color=colour, detail="ladder:N", tooltip=charts.SCORED)
        return alt.layer(
            base.transform_filter("datum.optimum").mark_rule(strokeDash=[5, 4]).encode(opacity=charts.lit(ladder, 0.6)),
            base.mark_line(strokeWidth=1.5).encode(y=y, order="rung:Q", opacity=lit),
            base.mark_point(filled=True, size=28).encode(y=y, shape=shape, opacity=lit),
            base.transform_filter("datum.best")
            .mark_point(size=150, strokeWidth=2, filled=False)
            .encode(y=y, opacity=lit),
        ).properties(**charts.PANEL)

    return charts.linked(charts.panels(frame, ["score", "target"], panel), ladder)


def _log_ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """log(above / below), 0 where `above` is so small that it adds nothing to an integral."""
    ratio = np.zeros(np.broadcast_shapes(above.shape, below.shape))
    kept = above > 1e-280
    ratio[kept] = np.log(above[kept] / np.broadcast_to(below, ratio.shape)[kept])
    return ratio
