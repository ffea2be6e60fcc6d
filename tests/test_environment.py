"""The three lists of dependencies say the same: pyproject.toml, constraints.txt, environment.yml."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version

import pytest
import yaml

from tepones.common import paths

#: Names of packages that conda-forge spells otherwise.
CONDA_NAMES = {"matplotlib": "matplotlib-base", "torch": "pytorch-cpu", "playwright": "playwright-python"}


def name_of(requirement: str) -> str:
    return re.match(r"[A-Za-z0-9_.-]+", requirement).group().lower()


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((paths.root() / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def required(project):
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    return {name_of(requirement) for group in groups for requirement in group}


@pytest.fixture(scope="module")
def pinned():
    lines = (paths.root() / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def test_every_dependency_is_pinned(required, pinned):
    assert required <= {name.lower() for name in pinned}


def test_conda_names_the_same_dependencies(required):
    listed = yaml.safe_load((paths.root() / "environment.yml").read_text())["dependencies"]
    from_pip = next(entry["pip"] for entry in listed if isinstance(entry, dict))
    found = {name_of(entry) for entry in [*listed, *from_pip] if isinstance(entry, str) and entry[0] != "-"}
    assert found - {"python", "pip"} == {CONDA_NAMES.get(name, name) for name in required}


def test_what_is_installed_is_what_is_pinned(required, pinned):
    """Also in an environment that was not made by the Makefile: a result is only as pinned as what runs."""
    differing = {}
    for name, pin in pinned.items():
        try:
            found = version(name).partition("+")[0]
        except PackageNotFoundError:  # pinned for another platform or Python
            continue
        if found != pin and name.lower() in required:
            differing[name] = (pin, found)
    assert not differing


def test_torch_and_torchvision_are_the_pair_known_to_work(pinned):
    assert (pinned["torch"], pinned["torchvision"]) == ("2.13.0", "0.28.0")


def test_torchvision_is_imported_in_one_place_only():
    pattern = re.compile(r"^\s*(import torchvision|from torchvision)", re.MULTILINE)
    files = [path.name for path in (paths.root() / "src").rglob("*.py") if pattern.search(path.read_text())]
    assert files == ["_torchvision.py"]


def test_torchvision_imports_and_its_parts_work():
    program = """
from tepones.common._torchvision import torchvision
import torch
from torchvision.transforms import v2
model = torchvision.models.mobilenet_v2(num_classes=3).eval()
assert model(v2.Resize(32)(torch.zeros(1, 3, 64, 64))).shape == (1, 3)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_operators_that_exist_are_left_alone():
    """After a first import they exist, whoever declared them: a second look finds nothing to declare."""
    program = """
import importlib
from tepones.common import _torchvision
importlib.reload(_torchvision)
assert not _torchvision._missing
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("command", [["-c", "import tepones"], ["-m", "tepones", "--help"]])
def test_importing_and_help_need_no_torch(command):
    run = subprocess.run([sys.executable, "-X", "importtime", *command], capture_output=True, text=True)
    loaded = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines()}
    assert run.returncode == 0
    assert not loaded & {"torch", "pandas", "sklearn", "altair"}
