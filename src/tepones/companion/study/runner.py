"""Cells to records, in parallel: a job runs as soon as the records that it needs exist.

Each worker is one process with one thread, so a record does not depend on how many workers there are, and it computes
as `tepones.companion.study.numerics` says, so that a record does not depend on the processor either. A worker ends when
the process that started it does, however that ended: it holds one end of a pipe and watches for the other.
"""

import multiprocessing
import os
import signal
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from statistics import fmean

from tqdm import tqdm

from tepones.common.errors import TeponesError
from tepones.common.progress import progress_bar
from tepones.companion.study import numerics
from tepones.companion.study.costs import ToGo, group
from tepones.companion.study.records import Cell, Store, kind

Job = Sequence[Cell]

#: Seconds after which Ctrl-C is noticed at the latest.
NOTICED = 0.2


def run(
    store: Store,
    jobs: Sequence[Job],
    description: str,
    workers: int | None = None,
    costs: Mapping[str, float] | None = None,
) -> int:
    """Compute what is missing.

    Parameters
    ----------
    store : Store
    jobs : sequence of sequences of cells
        The cells of a job run one after another in one process. A job must come after those that it needs.
    description : str
        Title of the progress bar.
    workers : int, optional
        Processes; as many as there are cores by default.
    costs : mapping of str to float, optional
        Typical seconds of cells, by `costs.group`: for the time to go, until there are records to tell it by.

    Returns
    -------
    int
        Number of cells that were computed.

    Raises
    ------
    TeponesError
        If a cell failed or a worker died. Records that were finished are kept.
    """
    found = {cell: store.get(cell) for job in jobs for cell in job}
    made = {cell for cell, record in found.items() if record}
    waiting = [missing for job in jobs if (missing := [cell for cell in job if cell not in made])]
    n_missing = sum(map(len, waiting))
    if not n_missing:
        return 0
    before: dict[str, list[float]] = defaultdict(list)
    for cell, record in found.items():
        if record:
            before[group(cell)].append(record.made["seconds"])
    to_go = ToGo({**(costs or {}), **{name: fmean(seconds) for name, seconds in before.items()}})
    workers = min(workers or os.cpu_count() or 1, len(waiting))
    context = multiprocessing.get_context("spawn")
    other_end, lifeline = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(other_end,))
    running: dict[Future, Job] = {}
    finished = False
    try:
        with (
            _interruption() as interrupted,
            _environment(numerics.environment()),
            progress_bar(n_missing, description, "cells", "{postfix}") as bar,
        ):
            bar.set_postfix_str(_told(to_go, [*waiting, *running.values()], workers))
            while waiting or running:
                # No more than one job in hand for each worker: what becomes ready next may matter more.
                for job in list(waiting):
                    if len(running) < workers and _is_ready(job, made):
                        waiting.remove(job)
                        running[pool.submit(_compute, store, job)] = job
                if not running:
                    raise TeponesError(f"{len(waiting)} jobs need records that no job makes, first: {waiting[0][0]}")
                done = wait(running, NOTICED, FIRST_COMPLETED).done
                if interrupted.is_set():
                    raise KeyboardInterrupt
                for future in done:
                    job = running.pop(future)
                    for cell, seconds in zip(job, future.result(), strict=True):
                        to_go.learn(cell, seconds)
                    made.update(job)
                    bar.set_postfix_str(_told(to_go, [*waiting, *running.values()], workers), refresh=False)
                    bar.update(len(job))
        finished = True
    except BrokenProcessPool as error:
        message = "a worker process died (killed, or out of memory); finished records are kept, run again to go on"
        raise TeponesError(message) from error
    finally:
        # Cells under way are lost at once; their records are not half-written.
        if not finished:
            lifeline.close()
        pool.shutdown(wait=True, cancel_futures=True)
        lifeline.close()
    return n_missing


@contextmanager
def _interruption() -> Iterator[threading.Event]:
    """Whether somebody pressed Ctrl-C; it raises nothing meanwhile.

    An exception in the middle of the pool's own code could leave one of its locks taken, and then nothing ends.
    """
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # which alone is told of signals
        yield pressed
        return
    before = signal.signal(signal.SIGINT, lambda *_: pressed.set())
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Variables for the processes that start meanwhile: their numerical libraries read them as they load."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _is_ready(job: Job, made: set[Cell]) -> bool:
    return all(needed in made or needed in job for cell in job for needed in cell.requires())


def _told(to_go: ToGo, jobs: Iterable[Job], workers: int) -> str:
    seconds = to_go.seconds(cell for job in jobs for cell in job)
    return "time to go not known yet" if seconds is None else f"{tqdm.format_interval(seconds / workers)} to go"


def _compute(store: Store, job: Job) -> list[float]:
    """Compute the cells of a job; returns the seconds of each."""
    seconds = []
    for cell in job:
        try:
            seconds.append(store.compute(cell).made["seconds"])
        except TeponesError:
            raise
        except Exception as error:
            # The original cannot always be pickled; the worker's own traceback goes to standard error.
            raise TeponesError(f"{kind(cell)} failed: {type(error).__name__}: {error} ({cell})") from error
    return seconds


def _start_worker(lifeline: Connection) -> None:
    """No Ctrl-C of its own, and no life after the parent has closed the other end of the pipe, or has died."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=lambda: (wait_for([lifeline]), os._exit(1)), daemon=True).start()
