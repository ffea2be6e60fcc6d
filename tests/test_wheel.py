"""The wheel alone: what it carries, and every chapter in an empty folder with nothing but the wheel."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import papermill
import pytest

ROOT = Path(__file__).resolve().parents[1]

CHAPTERS = sorted(path.stem for path in (ROOT / "book" / "chapters").glob("*.ipynb"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(ROOT)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The wheel, installed into a folder of its own."""
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", str(folder), str(wheel)]
    subprocess.run(command, capture_output=True, check=True)
    return folder


@pytest.fixture
def empty(installed, tmp_path, monkeypatch):
    """An empty folder, in which Python imports tepones from the installed wheel."""
    monkeypatch.setenv("PYTHONPATH", str(installed))
    monkeypatch.delenv("TEPONES_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def python(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True)


def test_it_carries_the_package_and_all_data_and_nothing_else(wheel):
    names = set(ZipFile(wheel).namelist())
    listed = subprocess.run(["git", "ls-files", "data", "src"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
    expected = {name.removeprefix("src/") if name.startswith("src/") else f"tepones/{name}" for name in files}
    assert {name for name in names if ".dist-info/" not in name} >= expected
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"tepones"}
    assert wheel.stat().st_size < 20e6


def test_outside_a_checkout_the_data_are_the_wheels(empty, installed):
    run = python("-c", "from tepones.common import paths; print(paths.data())")
    assert run.stdout.strip() == str(installed / "tepones" / "data")


def test_without_its_data_the_command_says_what_to_do(empty, installed, tmp_path_factory, monkeypatch):
    bare = tmp_path_factory.mktemp("bare")
    shutil.copytree(installed / "tepones", bare / "tepones", ignore=shutil.ignore_patterns("data"))
    shutil.copy(installed / "tepones" / "cli" / "data.py", bare / "tepones" / "cli")
    monkeypatch.setenv("PYTHONPATH", str(bare))
    run = python("-m", "tepones", "run", "--profile", "tiny")
    assert run.returncode == 2
    assert run.stderr.startswith("tepones: no tepones checkout at or above ") and run.stderr.count("\n") == 1
    assert run.stderr.endswith("nor does the installed package carry its data: install it anew\n")


@pytest.mark.wheel
@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_runs_in_an_empty_folder(name, empty, monkeypatch, tmp_path_factory):
    """By the plain kernel, with the parameters as committed; it leaves nothing behind."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    chapter = ROOT / "book" / "chapters" / f"{name}.ipynb"
    papermill.execute_notebook(
        chapter,
        tmp_path_factory.mktemp("executed") / chapter.name,
        cwd=empty,
        kernel_name="python3",
        progress_bar=False,
    )
    assert os.listdir(empty) == []
