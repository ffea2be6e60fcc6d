"""Running cells: order, failures, interrupts and kills. Cells here are small and leave a trace on disk."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import small_cells
from small_cells import Suicide, chain

from tepones.common.errors import TeponesError
from tepones.companion.study.records import Store
from tepones.companion.study.runner import run


def test_cells_run_in_order_in_other_processes_and_once(tmp_path):
    store, jobs = Store(tmp_path / "records"), chain(tmp_path / "trace", 4)
    assert run(store, jobs, "steps", workers=2) == 4
    assert store.get(jobs[-1][0]).values["sum"] == 6
    assert store.get(jobs[-1][0]).values["process"] != os.getpid()
    assert run(store, jobs, "steps", workers=2) == 0
    assert (tmp_path / "trace").read_text().split() == ["0", "1", "2", "3"]


def test_the_time_to_go_is_told_before_the_first_cell_is_finished(tmp_path, capfd):
    run(Store(tmp_path / "records"), chain(tmp_path / "trace", 4), "steps", workers=2, costs={"step": 10.0})
    assert "steps: 0/4 cells, 00:00 gone, 00:20 to go" in capfd.readouterr().err


def test_a_failing_cell_is_named_and_what_was_done_is_kept(tmp_path):
    store, jobs = Store(tmp_path / "records"), chain(tmp_path / "trace", 4, fails_at=2)
    with pytest.raises(TeponesError, match="step failed: RuntimeError: the disk is made of cheese") as caught:
        run(store, jobs, "steps", workers=2)
    assert "\n" not in str(caught.value)
    assert [store.get(job[0]) is not None for job in jobs] == [True, True, False, False]


def test_a_worker_that_dies_is_told(tmp_path):
    with pytest.raises(TeponesError, match="a worker process died"):
        run(Store(tmp_path), [[Suicide()]], "steps", workers=1)


def test_jobs_that_nothing_can_feed_are_told(tmp_path):
    with pytest.raises(TeponesError, match="need records that no job makes"):
        run(Store(tmp_path), chain(tmp_path / "trace", 3)[2:], "steps")


PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from small_cells import chain
from tepones.companion.study.records import Store
from tepones.companion.study.runner import run
if __name__ == "__main__":
    run(Store(Path({folder!r}) / "records"), chain({trace!r}, 8, held_at=3), "steps", workers=1)
"""


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_a_kill_in_the_middle_loses_only_the_cell_under_way(tmp_path, sent):
    script = tmp_path / "program.py"
    trace = tmp_path / "trace"
    tests = str(Path(small_cells.__file__).parent)
    script.write_text(PROGRAM.format(tests=tests, folder=str(tmp_path), trace=str(trace)))
    hold = tmp_path / "trace.hold"
    hold.touch()
    process = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.DEVNULL)
    store = Store(tmp_path / "records")
    jobs = chain(trace, 8, held_at=3)
    deadline = time.monotonic() + 600  # a busy machine takes a minute to import torch twice
    while store.get(jobs[2][0]) is None:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.send_signal(sent)
    assert process.wait(timeout=120) != 0
    time.sleep(0.5)
    hold.unlink()
    kept = [job[0] for job in jobs if store.get(job[0]) is not None]
    assert len(kept) == len(trace.read_text().split()) == 3
    workers = {store.get(cell).values["process"] for cell in kept}
    assert not any(alive(pid) for pid in workers)
    run(store, jobs, "steps", workers=1)
    again = trace.read_text().split()
    assert store.get(jobs[-1][0]).values["sum"] == sum(range(8))
    assert len(again) == 8


def test_an_interruption_between_submission_and_note_does_not_wait_for_the_cell(tmp_path, monkeypatch):
    trace, hold = tmp_path / "trace", tmp_path / "trace.hold"
    hold.touch()
    submitted = ProcessPoolExecutor.submit

    def submit(pool, compute, store, job):
        submitted(pool, compute, store, job)
        raise KeyboardInterrupt

    monkeypatch.setattr(ProcessPoolExecutor, "submit", submit)
    released = threading.Timer(30, hold.unlink)
    released.start()
    with pytest.raises(KeyboardInterrupt):
        run(Store(tmp_path / "records"), chain(trace, 2, held_at=0), "steps", workers=1)
    assert hold.exists(), "it waited for the cell"
    released.cancel()
