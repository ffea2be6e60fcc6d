"""The ratio of two running times, from pairs of runs that change places; needs no other package."""

import statistics
import time
from collections.abc import Callable

#: Pairs of runs; a first pair is not counted.
PAIRS = 9


def ratio(dense: Callable[[], object], pruned: Callable[[], object]) -> float:
    """Median, over pairs of runs that change places, of the CPU time of `dense` over that of `pruned`."""
    ratios = []
    for pair in range(1 + PAIRS):
        times = {}
        for run in (dense, pruned) if pair % 2 else (pruned, dense):
            started = time.process_time()
            run()
            times[run] = time.process_time() - started
        ratios.append(times[dense] / times[pruned])
    return statistics.median(ratios[1:])
