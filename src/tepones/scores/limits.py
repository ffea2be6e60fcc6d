"""Limits: what a score would take of memory and time, known before anything is allocated.

Scores are made for more rows than features, and for tens or hundreds of classes; their tables grow with the square of
the features, or with rows times classes. Where that passes a limit a score is not begun.
"""

import math
import os
from collections.abc import Callable
from typing import NamedTuple

from tepones.common.errors import UsageError
from tepones.scores.leep import COMPONENTS_PER_CLASS
from tepones.scores.policy import rows_per_block

#: Bytes, and multiplications of a matrix product (some five minutes), that the pass over the rows or any one score may
#: take: enough for every score of 50,000 × 2,048 features. `FACTOR` in the environment multiplies both.
MOST_BYTES = 2 * 2**30
MOST_OPERATIONS = 10**13
FACTOR = "TEPONES_LIMIT"

#: So many multiplications take as long as: one step over the elements of a table; the work on a class for itself,
#: however small; an eigendecomposition, for each d³.
STEP, LOOP, EIGEN = 30, 3 * 10**6, 10
#: Principal components that `n_leep` keeps of many features, about: how many is known only once they are computed.
KEPT = 100


class Size(NamedTuple):
    """Numbers of rows, features and classes, of rows of the largest class, and of source classes (0 without any)."""

    rows: int
    features: int
    classes: int
    largest: int
    sources: int = 0


class _Tables(NamedTuple):
    """Bytes of the tables that scores are made of, in float64."""

    squares: int  # features × features
    means: int  # classes × features
    posteriors: int  # rows × classes
    block: int  # rows of a block × classes
    pairs: int  # classes × classes


def excess(size: Size, score: str | None = None) -> str | None:
    """What is too much about a score, or about the pass that all of them need, in words; None if nothing is."""
    factor = _factor()
    n_bytes, operations = cost(size, score)
    over = max(n_bytes / MOST_BYTES, operations / MOST_OPERATIONS) / factor
    if over <= 1:
        return None
    if n_bytes / MOST_BYTES > operations / MOST_OPERATIONS:
        what = f"{n_bytes / 2**30:,.1f} GiB of memory; the limit is {factor * MOST_BYTES / 2**30:,.1f}"
    else:
        what = f"{operations:.1e} operations; the limit is {factor * MOST_OPERATIONS:.1e}"
    given = f"{size.rows:,} × {size.features:,} features of {size.classes:,} classes"
    raised = f"{FACTOR}={math.ceil(factor * over)} in the environment"
    fewer = "fewer features or classes" if score is None else "fewer rows, features or classes, other scores"
    return f"would take {what} ({given}); expected {fewer}, or {raised}"


def cost(size: Size, score: str | None = None) -> tuple[int, int]:
    """Bytes and operations, the latter in multiplications of a matrix product: no less than a third of what it takes.

    Of a score those besides the pass over the rows; without a name, of that pass on true and shuffled labels.
    """
    n, d, c, _, _ = size
    block = min(n, rows_per_block(d))
    tables = _Tables(8 * d * d, 8 * c * d, 8 * n * c, 8 * block * c, 8 * c * c)
    n_bytes, operations = _pass(size, tables) if score is None else _COSTS.get(score, _moments)(size, tables)
    return n_bytes + 8 * 8 * block * d, operations


def _factor() -> float:
    text = os.environ.get(FACTOR, "1")
    try:
        factor = float(text)
    except ValueError:
        factor = math.nan
    if not 0 < factor < math.inf:
        raise UsageError(f"{FACTOR} is {text!r}; expected a number above 0")
    return factor


def _pass(size: Size, tables: _Tables) -> tuple[int, int]:
    return 2 * tables.squares + 16 * tables.means, size.rows * size.features**2


def _factored(size: Size, tables: _Tables) -> tuple[int, int]:
    d, c = size.features, size.classes
    return 2 * tables.squares + 5 * tables.means, d**3 + c * d * d + 4 * min(c, d) ** 2 * max(c, d)


def _left_out(size: Size, tables: _Tables) -> tuple[int, int]:
    n, d, c, _, _ = size
    n_bytes, operations = _factored(size, tables)
    n_bytes += 2 * tables.posteriors + 8 * tables.block + 3 * tables.pairs
    return n_bytes, operations + n * d * d + n * c * (d + 20 * STEP) + c * c * (d + 5 * STEP)


def _posterior(size: Size, tables: _Tables) -> tuple[int, int]:
    n, _, c, m, _ = size
    n_bytes, operations = _left_out(size, tables)
    return n_bytes + 16 * m * (c + 1024), operations + n * m * (c + 5 * STEP) + c * LOOP


def _logme(size: Size, tables: _Tables) -> tuple[int, int]:
    d, c = size.features, size.classes
    return 5 * tables.squares + 10 * tables.means, EIGEN * d**3 + c * d * d + 1_000 * c * d * STEP


def _n_leep(size: Size, tables: _Tables) -> tuple[int, int]:
    n, d, c, _, _ = size
    components, kept = min(COMPONENTS_PER_CLASS * c, n // 2), min(d, n, KEPT)
    operations = EIGEN * d**3 + 100 * n * components * (4 * kept + 20 * STEP)
    return 5 * tables.squares + 8 * n * (2 * kept + 6 * components), operations


def _of_sources(size: Size, tables: _Tables) -> tuple[int, int]:
    n, c, s = size.rows, size.classes, size.sources
    return 8 * (2 * n * s + 4 * c * s), (5 * n + c) * s * STEP


def _transrate(size: Size, tables: _Tables) -> tuple[int, int]:
    n, d, c, m, _ = size
    side = min(m, d)
    return 2 * tables.squares + 8 * side * (2 * d + side), d**3 + n * d * side + c * (side**3 + LOOP)


def _gbc(size: Size, tables: _Tables) -> tuple[int, int]:
    d, c = size.features, size.classes
    return 4 * tables.pairs + 8 * tables.means, 5 * c * c * d * STEP + c * LOOP


def _parc(size: Size, tables: _Tables) -> tuple[int, int]:
    sample = min(size.rows, 500)
    return 8 * sample * (6 * size.features + 8 * sample), sample**2 * (20 * size.features + 20 * STEP)


def _sfda(size: Size, tables: _Tables) -> tuple[int, int]:
    n, d, c, _, _ = size
    n_bytes = 4 * tables.squares + 8 * tables.means + 6 * tables.block
    return n_bytes, 2 * n * d * d + 2 * d**3 + n * c * (4 * d + 20 * STEP)


def _lda(size: Size, tables: _Tables) -> tuple[int, int]:
    n_bytes, operations = _factored(size, tables)
    return n_bytes + 5 * tables.block, operations + size.rows * size.classes * (2 * size.features + 10 * STEP)


def _tmi(size: Size, tables: _Tables) -> tuple[int, int]:
    n, d, c, m, _ = size
    return 8 * m * (2 * d + 3 * 256), n * m * d * STEP // 2 + c * LOOP


def _ncti(size: Size, tables: _Tables) -> tuple[int, int]:
    n, d, c, m, _ = size
    n_bytes = 5 * tables.squares + 2 * tables.posteriors + 4 * tables.block
    decomposed = n * c * min(m, c) * EIGEN + c * LOOP
    return n_bytes, EIGEN * d**3 + n * 64 * d + n * c * (64 + 10 * STEP) + decomposed


def _knn(size: Size, tables: _Tables) -> tuple[int, int]:
    n, d = size.rows, size.features
    return 8 * n * (d + 4 * 512), n * n * (d + 5 * STEP)


def _probe(size: Size, tables: _Tables) -> tuple[int, int]:
    n, d, c, _, _ = size
    n_bytes = 5 * tables.squares + 6 * tables.means + 6 * tables.block + tables.pairs
    return n_bytes, EIGEN * d**3 + n * d * d + 10 * n * c * (d + 10 * STEP) + c * c * STEP


def _energy(size: Size, tables: _Tables) -> tuple[int, int]:
    return 16 * size.rows, 10 * size.rows * size.features * STEP


def _binary(size: Size, tables: _Tables) -> tuple[int, int]:
    return 4 * tables.means, 10 * size.classes * size.features * STEP


def _moments(size: Size, tables: _Tables) -> tuple[int, int]:
    return tables.squares, size.features**2


_Cost = Callable[[Size, _Tables], tuple[int, int]]
_COSTS: dict[str, _Cost] = {
    "gaussian": _factored,
    "h_score": _factored,
    "shrunk_h_score": _factored,
    "wilks": _factored,
    "binary": _binary,
    "posterior": _posterior,
    "lda_accuracy": _left_out,
    "lda": _lda,
    "logme": _logme,
    "n_leep": _n_leep,
    "leep": _of_sources,
    "nce": _of_sources,
    "transrate": _transrate,
    "gbc_diagonal": _gbc,
    "gbc_spherical": _gbc,
    "parc": _parc,
    "sfda": _sfda,
    "tmi": _tmi,
    "ncti": _ncti,
    "knn": _knn,
    "probe": _probe,
    "energy": _energy,
}
