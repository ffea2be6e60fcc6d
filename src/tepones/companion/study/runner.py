"""Cells to records, in parallel: a job runs as soon as the records that it needs exist.

Each worker is one process with one thread, so a record does not depend on how many workers there are. A worker
ends when the process that started it does, however that ended: it holds one end of a pipe and watches for the other.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for

from tepones.common.errors import TeponesError
from tepones.common.progress import progress_bar
from tepones.companion.study.records import Cell, Store, kind

Job = Sequence[Cell]


def run(store: Store, jobs: Sequence[Job], description: str, workers: int | None = None) -> int:
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

    Returns
    -------
    int
        Number of cells that were computed.

    Raises
    ------
    TeponesError
        If a cell failed or a worker died. Records that were finished are kept.
    """
    made: set[Cell] = set()
    waiting: list[Job] = []
    for job in jobs:
        missing = [cell for cell in job if store.get(cell) is None]
        made.update(cell for cell in job if cell not in missing)
        if missing:
            waiting.append(missing)
    n_missing = sum(map(len, waiting))
    if not n_missing:
        return 0
    workers = min(workers or os.cpu_count() or 1, len(waiting))
    # Read by the workers' numerical libraries as they load; two processes of two threads each wait for each other.
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    context = multiprocessing.get_context("spawn")
    other_end, lifeline = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(other_end,))
    running: dict[Future, Job] = {}
    try:
        with progress_bar(n_missing, description, "cells") as bar:
            while waiting or running:
                # No more than one job in hand for each worker: what becomes ready next may matter more.
                for job in list(waiting):
                    if len(running) < workers and _is_ready(job, made):
                        waiting.remove(job)
                        running[pool.submit(_compute, store, job)] = job
                if not running:
                    raise TeponesError(f"{len(waiting)} jobs need records that no job makes, first: {waiting[0][0]}")
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    job = running.pop(future)
                    future.result()
                    made.update(job)
                    bar.update(len(job))
    except BrokenProcessPool as error:
        message = "a worker process died (killed, or out of memory); finished records are kept, run again to go on"
        raise TeponesError(message) from error
    finally:
        if running:  # cells under way are lost at once; their records are not half-written
            lifeline.close()
        pool.shutdown(wait=True, cancel_futures=True)
        lifeline.close()
    return n_missing


def _is_ready(job: Job, made: set[Cell]) -> bool:
    return all(needed in made or needed in job for cell in job for needed in cell.requires())


def _compute(store: Store, job: Job) -> None:
    for cell in job:
        try:
            store.compute(cell)
        except TeponesError:
            raise
        except Exception as error:
            # The original cannot always be pickled; the worker's own traceback goes to standard error.
            raise TeponesError(f"{kind(cell)} failed: {type(error).__name__}: {error} ({cell})") from error


def _start_worker(lifeline: Connection) -> None:
    """No Ctrl-C of its own, and no life after the parent has closed the other end of the pipe, or has died."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=lambda: (wait_for([lifeline]), os._exit(1)), daemon=True).start()
