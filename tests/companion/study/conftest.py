"""The tiny profile, computed once."""

import pytest

from tepones.companion.study import profiles


@pytest.fixture
def tiny(tiny_checkout, monkeypatch):
    """The profile, in a checkout where it was computed; leave its records as they are."""
    monkeypatch.setenv("TEPONES_ROOT", str(tiny_checkout))
    return profiles.load("tiny")
