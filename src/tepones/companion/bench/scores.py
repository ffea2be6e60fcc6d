"""How long the scores take, against one product XᵀX of the same features in the same run, on one thread.

The features are synthetic: rectified random mixtures of few factors that depend on the class, as float32. A score
is timed with all that it needs, the pass over the rows included, as if it were the only one.
"""

import statistics
import time
import tracemalloc
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from scipy.linalg.blas import dsyrk
from threadpoolctl import threadpool_limits

from tepones.common.errors import choose
from tepones.common.progress import progress_bar
from tepones.scores import SCORES
from tepones.scores.moments import ClassMoments
from tepones.scores.policy import rows_per_block

#: Numbers of rows, features and classes.
SIZES = {"small": (2_000, 512, 10), "medium": (10_000, 512, 100), "large": (50_000, 2_048, 100)}

#: Scores that together should take no more than 2.5 times the product in float64.
FAMILY = ("gaussian", "h_score", "shrunk_h_score", "logme", "gbc_diagonal", "gbc_spherical", "lda")

#: CPU seconds up to which a task is timed anew without watching its memory; a tenth of it, several times.
QUICK, REPEATS = 10.0, 5

FACTORS = 64
SOURCE_CLASSES = 100


def synthetic(n: int, n_features: int, n_classes: int) -> dict[str, np.ndarray]:
    """Features as a network with rectified units makes them: low rank, sparse, clustered by class.

    Returns
    -------
    dict of str to ndarray
        ``features`` (float32), ``labels``, and ``probabilities`` of 100 source classes (float32).
    """
    generator = np.random.default_rng(0)
    labels = generator.integers(n_classes, size=n)
    centres, factors = (generator.normal(size=(rows, FACTORS)).astype(np.float32) for rows in (n_classes, n))
    factors += centres[labels]
    mixing = generator.normal(size=(FACTORS, n_features + SOURCE_CLASSES)).astype(np.float32) / FACTORS**0.5
    features = factors @ mixing[:, :n_features]
    features += 0.1 * generator.standard_normal(features.shape, np.float32)
    np.maximum(features, 0, out=features)
    logits = np.exp(factors @ mixing[:, n_features:])
    return {"features": features, "labels": labels, "probabilities": logits / logits.sum(1, keepdims=True)}


def bench(size: str = "medium", scores: Sequence[str] | None = None) -> pd.DataFrame:
    """Time the scores.

    Parameters
    ----------
    size : {"small", "medium", "large"}
    scores : sequence of str, optional
        Names from `tepones.scores.SCORES`; all but the controls if left out.

    Returns
    -------
    DataFrame
        ``what``; ``seconds`` of CPU time; ``ratio`` to XᵀX in float64; ``peak_mb``, the most memory that arrays
        took beyond the features, in 10⁶ bytes. First XᵀX in float32 and in float64 (converted block by block),
        then the closed-form family together, from one pass, then each score alone.

    Raises
    ------
    UsageError
        If the size or a score is unknown.
    """
    choose("size", size, SIZES)
    names = [name for name in SCORES if SCORES.module(name) != "tepones.scores.controls"] if scores is None else scores
    for name in names:
        SCORES.load(name)
    data = synthetic(*SIZES[size])
    features = data["features"]
    tasks: dict[str, Callable[[], object]] = {
        "XᵀX float32": lambda: features.T @ features,
        "XᵀX float64": lambda: _product(features),
    }
    if scores is None:
        tasks["closed-form family together"] = lambda: _compute(FAMILY, data)
    tasks |= {name: lambda name=name: _compute([name], data) for name in names}
    rows = []
    with threadpool_limits(1), progress_bar(len(tasks), f"bench {size}", "tasks") as bar:
        for what, task in tasks.items():
            seconds, peak = _measure(task)
            rows.append({"what": what, "seconds": seconds, "peak_mb": peak / 1e6})
            bar.update()
    table = pd.DataFrame(rows)
    table.insert(2, "ratio", table["seconds"] / table["seconds"][1])
    return table


def _product(features: np.ndarray) -> np.ndarray:
    """Lower triangle of XᵀX in float64 without a copy of all rows: the least that an exact score has to do."""
    total = np.zeros((features.shape[1],) * 2, order="F")
    size = rows_per_block(features.shape[1])
    for start in range(0, len(features), size):
        block = features[start : start + size].astype(np.float64)
        total = dsyrk(1.0, block.T, beta=1.0, c=total, lower=1, overwrite_c=1)
    return total


def _compute(names: Sequence[str], data: dict[str, np.ndarray]) -> None:
    entries = [SCORES.load(name) for name in names]
    given = {**data, "seed": 0}
    if any("moments" in entry.parameters for entry in entries):
        given["moments"] = ClassMoments().update(data["features"], data["labels"])
    for entry in entries:
        entry.function(**{parameter: given[parameter] for parameter in entry.parameters})


def _measure(task: Callable[[], object]) -> tuple[float, int]:
    """CPU seconds of a task, and the most bytes that arrays took while it ran.

    Watching the memory takes time, so a task that is quick is timed once more without it.
    """
    tracemalloc.start()
    seconds = _time(task)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    if seconds < QUICK:
        seconds = statistics.median(_time(task) for _ in range(REPEATS if seconds < QUICK / 10 else 1))
    return seconds, peak


def _time(task: Callable[[], object]) -> float:
    started = time.process_time()
    task()
    return time.process_time() - started
