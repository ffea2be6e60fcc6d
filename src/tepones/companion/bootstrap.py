"""The first cell of every chapter, which the book hides: where tepones is not installed, it installs it."""

import nbformat

from tepones.common import paths
from tepones.common.config import read_yaml

_SOURCE = """\
# Where this kernel lacks tepones, as on Colab: install it, with the records and the zoo that the chapters draw from.
# What is there already (torch, numpy, pandas) stays as it is. In a checkout there is nothing to do.
from importlib.util import find_spec
from pathlib import Path

if not find_spec("tepones"):
    if Path("../../_toc.yml").is_file():
        raise SystemExit(
            "this kernel lacks tepones: in the checkout, run `.venv/bin/python -m ipykernel install --user --name "
            "tepones` and choose the kernel tepones; or run `%pip install --editable ../..[book]` here"
        )
    %pip install --quiet myst-nb {archive}"""


def archive() -> str:
    """Address of the repository's source archive: of the branch that the launch buttons open, too."""
    repository = read_yaml(paths.root() / "_config.yml")["repository"]
    return f"{repository['url']}/archive/refs/heads/{repository['branch']}.tar.gz"


def cell() -> nbformat.NotebookNode:
    """Make the cell, for the repository that `_config.yml` names."""
    return nbformat.v4.new_code_cell(_SOURCE.format(archive=archive()), metadata={"tags": ["remove-cell"]})
