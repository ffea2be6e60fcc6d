"""What several tests share: one thread, and small studies computed once."""

import os
import shutil
import subprocess
import sys
import uuid

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import settings

from tepones import cli
from tepones.common import paths

# A test does not fail for being slow: the machine may be busy.
settings.register_profile("tepones", deadline=None)
settings.load_profile("tepones")


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_earlier_ranking(tmp_path_factory, monkeypatch):
    """What earlier rankings found is not there, nor does a test leave any of it in the user's folder."""
    monkeypatch.setenv("TEPONES_CACHE", str(tmp_path_factory.getbasetemp() / "rankings" / uuid.uuid4().hex))


def pytest_collection_modifyitems(items):
    """What takes longest begins first, so that no worker ends long after the others: what runs commands and kernels.

    One of the files that need the tiny profile comes before all, so that no second worker waits for it.
    """
    tiny = {item.path for item in items if "tiny_checkout" in item.fixturenames}
    kernels = {item.path for item in items if {"kernel", "executed"}.intersection(item.fixturenames)}
    order = [tiny & kernels, kernels, tiny]
    items.sort(key=lambda item: next((place for place, paths in enumerate(order) if item.path in paths), len(order)))


def copy_checkout(target):
    """What a clone holds besides the code: data, notebooks, book."""
    root = paths.root()
    for name in ("data", "notebooks", "book"):
        shutil.copytree(root / name, target / name, symlinks=True, ignore=shutil.ignore_patterns("_build"))
    for name in ("_toc.yml", "_config.yml"):
        shutil.copy(root / name, target / name)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout of its own, with an empty build folder."""
    copy_checkout(tmp_path)
    monkeypatch.setenv("TEPONES_ROOT", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="session")
def tiny_checkout(tmp_path_factory, worker_id):
    """A checkout in which the tiny profile was computed, by the command, once for all workers; leave it as it is."""
    folder = tmp_path_factory.getbasetemp()
    root = (folder if worker_id == "master" else folder.parent) / "tiny"
    with FileLock(f"{root}.lock"):
        if not root.exists():
            copy_checkout(root)
            environment = {**os.environ, "TEPONES_ROOT": str(root)}
            command = [sys.executable, "-m", "tepones", "run", "--profile", "tiny"]
            run = subprocess.run(command, env=environment, capture_output=True, text=True)
            if run.returncode:
                shutil.rmtree(root)
            assert run.returncode == 0, run.stderr
    return root


@pytest.fixture
def command(capfd, monkeypatch):
    """Run the command line in this process: exit status, standard output, standard error.

    A new interpreter takes seconds to import the numerical libraries.
    """

    def command(*arguments, root=None):
        if root:
            monkeypatch.setenv("TEPONES_ROOT", str(root))
        monkeypatch.setattr(sys, "argv", ["tepones", *map(str, arguments)])
        capfd.readouterr()
        status = 0
        try:
            cli.main()
        except SystemExit as left:
            status = left.code or 0
        return subprocess.CompletedProcess(arguments, status, *capfd.readouterr())

    return command


@pytest.fixture(scope="session")
def images():
    """64 images of 4 classes that a network can learn: the class is the brightest quarter."""
    rng = np.random.default_rng(0)
    labels = np.arange(64) % 4
    pictures = rng.integers(0, 90, (64, 32, 32, 3))
    for picture, label in zip(pictures, labels, strict=True):
        top, left = 16 * (label // 2), 16 * (label % 2)
        picture[top : top + 16, left : left + 16] += 130
    return pictures.astype(np.uint8), labels


@pytest.fixture(scope="session")
def browser():
    """Chromium that can reach nothing but this machine."""
    from playwright.sync_api import sync_playwright

    binary = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if binary is None:
        pytest.fail("no Chromium on the path: install the package chromium", pytrace=False)
    rules = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=binary, args=["--no-sandbox", rules])
        yield chromium
        chromium.close()
