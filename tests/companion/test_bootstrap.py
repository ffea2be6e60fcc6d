"""The first cell of every chapter: what it installs and when, and that every chapter begins with it."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tepones.companion import bootstrap, notebooks

#: Runs a cell as a kernel does, with everything that it would install printed instead; the first argument says
#: whether tepones can be imported.
PROGRAM = """
import sys
from importlib.machinery import PathFinder
from IPython.core.interactiveshell import InteractiveShell

class WithoutTepones(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name == "tepones" else super().find_spec(name, path, target)

if sys.argv[1] == "without":
    sys.meta_path[:] = [WithoutTepones if finder is PathFinder else finder for finder in sys.meta_path]
shell = InteractiveShell.instance()
shell.register_magic_function(lambda line: print("pip", line), magic_name="pip")
shell.run_cell(sys.stdin.read())
"""


def run(folder: Path, tepones: str) -> str:
    """What the cell prints in a folder."""
    command = [sys.executable, "-c", PROGRAM, tepones]
    source = bootstrap.cell().source
    return subprocess.run(command, input=source, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def beside(checkout):
    """The folder of a checkout's chapters."""
    return checkout / "book" / "chapters"


def test_a_kernel_with_tepones_is_left_alone(beside, tmp_path):
    assert run(beside, "with") == ""
    assert run(tmp_path, "with") == ""


def test_elsewhere_the_archive_of_the_repository_is_installed(tmp_path_factory):
    printed = run(tmp_path_factory.mktemp("empty"), "without")
    assert printed == f"pip install --quiet myst-nb {bootstrap.archive()}\n"


def test_a_kernel_without_tepones_in_a_checkout_is_told_what_to_do(beside):
    """Not installed: it would be the released code beside the text of the checkout."""
    printed = run(beside, "without")
    assert (
        "this kernel lacks tepones" in printed and "ipykernel install" in printed and "pip install --q" not in printed
    )


def test_the_archive_is_of_the_repository_that_the_configuration_names(checkout):
    configuration = checkout / "_config.yml"
    text = re.sub(r"url: https://github.com/.*", "url: https://github.com/some/fork", configuration.read_text())
    configuration.write_text(text.replace("branch: main", "branch: trunk"))
    assert bootstrap.archive() == "https://github.com/some/fork/archive/refs/heads/trunk.tar.gz"
    assert bootstrap.archive() in bootstrap.cell().source


@pytest.mark.parametrize("name", notebooks.names())
def test_every_committed_chapter_begins_with_the_cell(name):
    chapter = Path(__file__).resolve().parents[2] / "book" / "chapters" / f"{name}.ipynb"
    first = nbformat.read(chapter, as_version=4).cells[0]
    assert (first.source, first.metadata) == (bootstrap.cell().source, {"tags": ["remove-cell"]})
    assert first.outputs == []
