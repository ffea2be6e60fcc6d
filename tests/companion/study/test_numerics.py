"""The processes that compute records: every library obeys the pins, and the bits are those that were published."""

import json
import os
import subprocess
import sys

import pandas as pd
import pytest
from small_cells import Rounding

from tepones.common import paths
from tepones.companion.study import numerics
from tepones.companion.study.records import Store, versions
from tepones.companion.study.runner import run

pinned_only = pytest.mark.skipif(not numerics.can_be_pinned(), reason="this processor has no AVX2")

WHAT_THE_LIBRARIES_SAY = """
import json
import numpy, scipy.linalg, torch
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__
from threadpoolctl import threadpool_info
print(json.dumps({
    "torch": torch.backends.cpu.get_cpu_capability(),
    "numpy": [name for name in __cpu_dispatch__ if __cpu_features__[name]],
    "openblas": sorted({found.get("architecture") for found in threadpool_info() if found["user_api"] == "blas"}),
    "threads": torch.get_num_threads(),
}))
"""


@pinned_only
def test_every_library_obeys():
    command = [sys.executable, "-c", WHAT_THE_LIBRARIES_SAY]
    environment = {**os.environ, **numerics.environment()}
    found = json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert found["torch"] == "AVX2" and found["threads"] == 1
    assert found["openblas"] == ["Haswell"]
    assert found["numpy"] == ["X86_V3"]


@pinned_only
def test_records_are_made_pinned_whatever_this_process_does_and_say_so(tmp_path):
    store = Store(tmp_path)
    run(store, [[Rounding()]], "rounding", workers=1)
    record = store.get(Rounding())
    assert record.made["numerics"] == record.values["fingerprint"]
    assert record.made["numerics"].startswith("pinned ")
    assert record.values["environment"] == numerics.environment()


@pinned_only
def test_the_bits_are_those_of_the_machine_that_made_the_published_records(tmp_path):
    """Whatever x86-64 processor this is: if it fails, the promise of bit for bit does not hold on this one."""
    published = pd.read_csv(paths.published_records("embedded") / "provenance.csv", dtype=str)
    made = dict(published.to_numpy())
    other = {name: made[name] for name, here in versions().items() if made[name] != here}
    if other:
        pytest.skip(f"other versions than those of the published records: {other}")
    store = Store(tmp_path)
    run(store, [[Rounding()]], "rounding", workers=1)
    assert store.get(Rounding()).values["fingerprint"] == made["numerics"]


def test_a_processor_without_the_instructions_is_left_alone(monkeypatch):
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "DEFAULT")
    numerics.can_be_pinned.cache_clear()
    try:
        assert numerics.environment() == numerics.THREADS
    finally:
        monkeypatch.undo()
        numerics.can_be_pinned.cache_clear()


def test_looking_does_not_disturb_what_is_computed_next():
    import torch

    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    numerics.fingerprint.__wrapped__()
    assert torch.equal(torch.rand(2), expected)
