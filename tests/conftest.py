"""What several tests share: one thread, and small studies computed once."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout of its own: the committed data and notebooks, an empty build folder."""
    import shutil

    from tepones import paths

    root = paths.root()
    for name in ("data", "notebooks", "book"):
        shutil.copytree(root / name, tmp_path / name, symlinks=True, ignore=shutil.ignore_patterns("_build", "_vendor"))
    for name in ("_toc.yml", "_config.yml"):
        shutil.copy(root / name, tmp_path / name)
    monkeypatch.setenv("TEPONES_ROOT", str(tmp_path))
    return tmp_path


@pytest.fixture
def images():
    """64 images of 4 classes that a network can learn: the class is the brightest quarter."""
    rng = np.random.default_rng(0)
    labels = np.arange(64) % 4
    pictures = rng.integers(0, 90, (64, 32, 32, 3))
    for picture, label in zip(pictures, labels, strict=True):
        top, left = 16 * (label // 2), 16 * (label % 2)
        picture[top : top + 16, left : left + 16] += 130
    return pictures.astype(np.uint8), labels
