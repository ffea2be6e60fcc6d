"""What the tests of scores share that read the rows again."""

import pytest

from tepones.scores import policy


@pytest.fixture
def small_blocks(monkeypatch):
    """Several blocks even of small arrays."""
    monkeypatch.setattr(policy, "BLOCK", 800)
