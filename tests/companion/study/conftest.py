"""The tiny profile, computed once, and the command that computes it in a checkout of its own."""

import os
import subprocess
import sys

import pytest

from tepones.companion.study import profiles


@pytest.fixture
def tiny(tiny_checkout, monkeypatch):
    """The profile, in a checkout where it was computed; leave its records as they are."""
    monkeypatch.setenv("TEPONES_ROOT", str(tiny_checkout))
    return profiles.load("tiny")


@pytest.fixture
def run_tiny():
    """A function that runs `tepones run --profile tiny` with further arguments in a checkout."""

    def run(root, *arguments):
        environment = {**os.environ, "TEPONES_ROOT": str(root)}
        command = [sys.executable, "-m", "tepones", "run", "--profile", "tiny", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    return run
