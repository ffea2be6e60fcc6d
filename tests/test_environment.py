"""What is imported, pyproject.toml, constraints.txt, environment.yml and what is installed agree."""

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires, version
from pathlib import Path

import jupytext
import pytest
import yaml
from IPython.core.inputtransformer2 import TransformerManager
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tepones.common import paths

#: Names of packages that conda-forge spells otherwise.
CONDA_NAMES = {
    "jupyter-client": "jupyter_client",
    "jupyter-core": "jupyter_core",
    "matplotlib": "matplotlib-base",
    "torch": "pytorch-cpu",
}

#: Dependencies that no line of code imports, and what needs them.
NOT_IMPORTED = {
    "check-jsonschema": "a command",
    "hatchling": "builds the wheel",
    "itables": "the site takes its files",
    "jupyter-book": "a command",
    "jupyterlab": "a command",
    "onnxscript": "torch writes ONNX files by it",
    "pyarrow": "pandas reads and writes Parquet by it",
    "pytest-xdist": "options of make test",
    "ruff": "a command",
    "sphinx-mathjax-offline": "the site takes its files",
}


@pytest.fixture(scope="module")
def groups():
    """Names of the dependencies of each group of pyproject.toml; those of every installation are called base."""
    project = tomllib.loads((paths.root() / "pyproject.toml").read_text())["project"]
    given = {"base": project["dependencies"], **project["optional-dependencies"]}
    return {group: {canonicalize_name(Requirement(line).name) for line in lines} for group, lines in given.items()}


@pytest.fixture(scope="module")
def required(groups):
    """What `make` installs: all but what one file needs that makes records again."""
    return set().union(*(groups[group] for group in ("base", "book", "test")))


@pytest.fixture(scope="module")
def pinned():
    lines = (paths.root() / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): pin for name, pin in pins.items()}


def code_of(path: Path) -> str:
    """Python of a module or of a notebook's cells; commands of other shells become calls."""
    if path.suffix == ".py":
        return path.read_text()
    cells = [cell.source for cell in jupytext.read(path).cells if cell.cell_type == "code"]
    return "\n".join(TransformerManager().transform_cell(cell) for cell in cells)


def imported(code: str) -> Iterator[str]:
    """Names, with dots, of the modules that a piece of code imports, wherever in it."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module


def groups_for(path: Path) -> set[str]:
    """Groups of dependencies that a file may import from: the library and the study run without the others."""
    inside = path.relative_to(paths.root()).as_posix()
    companion = "src/tepones/companion/"
    if inside in ("src/tepones/backbones/from_timm.py", "src/tepones/ranking/networks.py"):
        return {"base", "networks"}
    if inside in (f"{companion}bench/speed.py", "src/tepones/ranking/onnx_files.py"):
        return {"base", "onnx"}
    if inside.startswith(("src/", "notebooks/", "book/")):
        runs_alone = inside.startswith("src/") and not inside.startswith(companion)
        studies = inside.startswith(tuple(f"{companion}{room}/" for room in ("study", "claims", "published")))
        return {"base"} if runs_alone or studies else {"base", "book"}
    return {"base", "book", "test"}


@pytest.fixture(scope="module")
def third_party():
    """(file, distributions that provide the module, module) of each import that is neither Python's nor ours."""
    root = paths.root()
    ours = {"tepones", *(path.stem for path in (root / "tests/helpers").glob("*.py"))}
    files = [path for folder in ("src", "tests", "book/_ext") for path in (root / folder).rglob("*.py")]
    # This one is run by another Python, which has what we do not.
    files.remove(root / "src/tepones/companion/bench/deepsparse.py")
    providers = packages_distributions()
    return [
        (path, {canonicalize_name(name) for name in providers.get(top, (top,))}, top)
        for path in [*files, *(root / "notebooks").glob("*.md")]
        for top in {name.partition(".")[0] for name in imported(code_of(path))}
        if top not in ours and top not in sys.stdlib_module_names
    ]


def test_every_import_is_declared_in_the_group_that_its_place_needs(third_party, groups):
    undeclared = {
        f"{path.relative_to(paths.root())}: {module}"
        for path, distributions, module in third_party
        if not distributions & set().union(*(groups[group] for group in groups_for(path)))
    }
    assert undeclared == set()


def test_every_dependency_is_imported_or_known_to_be_needed(third_party, required):
    used = set().union(*(distributions for _, distributions, _ in third_party))
    assert required - used == set(NOT_IMPORTED)


def test_every_dependency_is_pinned(required, pinned):
    assert required - set(pinned) == set()


@pytest.mark.pinned
def test_pins_are_what_the_pinned_packages_ask_of_each_other(pinned):
    """Among others the pair of torch and torchvision: pip refuses constraints that contradict each other."""
    contradictions = set()
    for name in pinned:
        try:
            lines = requires(name) or []
        except PackageNotFoundError:  # pinned for another platform or Python
            continue
        for asked in map(Requirement, lines):
            pin = pinned.get(canonicalize_name(asked.name))
            wanted = asked.marker is None or asked.marker.evaluate({"extra": ""})
            if pin and wanted and not asked.specifier.contains(pin, prereleases=True):
                contradictions.add(f"{name} asks for {asked}; pinned is {pin}")
    assert contradictions == set()


@pytest.mark.pinned
def test_what_is_installed_is_what_is_pinned(required, pinned):
    """Also in an environment that was not made by the Makefile: a result is only as pinned as what runs."""
    installed = {name: version(name).partition("+")[0] for name in required}
    assert installed == {name: pinned[name] for name in required}


def test_the_library_takes_what_is_there_and_what_is_new():
    """No version is too new: where the first cell of a chapter installs tepones, torch, numpy and pandas stay."""
    project = tomllib.loads((paths.root() / "pyproject.toml").read_text())["project"]
    bounds = [str(part) for line in project["dependencies"] for part in Requirement(line).specifier]
    bounds.append(project["requires-python"])
    assert [bound for bound in bounds if not bound.startswith(">=")] == []
    bare = {Requirement(line).name for line in project["dependencies"] if not Requirement(line).specifier}
    assert {"torch", "torchvision", "numpy", "pandas"} <= bare


@pytest.fixture(scope="module")
def conda():
    """The lines of environment.yml, as pip writes requirements: those for conda itself, and those for its pip."""
    listed = yaml.safe_load((paths.root() / "environment.yml").read_text())["dependencies"]
    from_pip = next(entry["pip"] for entry in listed if isinstance(entry, dict))
    names = {conda_name: name for name, conda_name in CONDA_NAMES.items()}
    lines = [re.fullmatch(r"([\w.-]+?)(|[<>=].*)", entry).groups() for entry in listed if isinstance(entry, str)]
    # One = is a prefix for conda, two are one for pip.
    pythonic = [names.get(name, name) + re.sub(r"^=([\d.]+)$", r"==\1.*", version) for name, version in lines]
    return [line for line in pythonic if Requirement(line).name not in ("python", "pip")], from_pip


def test_conda_installs_what_the_library_and_the_book_need(groups, conda):
    named = {canonicalize_name(Requirement(line).name) for line in (*conda[0], *conda[1])}
    assert named == groups["base"] | groups["book"]


@pytest.mark.pinned
def test_pip_understands_every_line_and_finds_it_fulfilled(conda, tmp_path):
    """The pip section as conda hands it to pip, and the rest in pip's words: the versions asked for are the pinned."""
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("\n".join([*conda[1], *conda[0]]), encoding="utf-8")
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "-r", str(requirements)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "Would install" not in run.stdout


def test_binder_takes_the_environment_from_environment_yml_alone_and_the_package_from_post_build(conda):
    """Binder keeps an environment for the next commit where pip's section names nothing local."""
    root = paths.root()
    assert not [line for line in conda[1] if line.startswith(("-", "."))]
    assert not (root / "binder").exists() and not (root / ".binder").exists(), "Binder would look nowhere else"
    assert os.access(root / "postBuild", os.X_OK)


def test_after_post_build_the_checkout_is_what_python_imports(checkout):
    """In an environment of its own, which has the dependencies as Binder's has, and not the package."""
    root = Path(__file__).resolve().parents[1]
    for name in ("pyproject.toml", "postBuild", "README.md", "LICENSE"):
        shutil.copy(root / name, checkout / name)
    shutil.copytree(root / "src", checkout / "src")
    environment = checkout / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    variables = {"PATH": f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}", "PIP_NO_BUILD_ISOLATION": "0"}
    run = subprocess.run(["./postBuild"], cwd=checkout, env=variables, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    command = [str(environment / "bin" / "tepones"), "notebook", "none"]
    run = subprocess.run(command, cwd=checkout, env=variables, capture_output=True, text=True)
    assert "unknown notebook 'none'" in run.stderr, run.stderr
    command = [str(environment / "bin" / "python"), "-c", "import tepones; print(tepones.__file__)"]
    run = subprocess.run(command, cwd=checkout.parent, env=variables, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == str(checkout / "src" / "tepones" / "__init__.py")


def test_torchvision_is_imported_in_one_place_only(third_party):
    assert [path.name for path, _, module in third_party if module == "torchvision"] == ["_torchvision.py"]


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
    """After a first import they exist, whoever declared them: torch refuses to declare an operator twice."""
    program = """
import importlib
from tepones.common import _torchvision
importlib.reload(_torchvision)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("command", [["-c", "import tepones"], ["-m", "tepones", "--help"]])
def test_importing_and_help_need_no_torch(command):
    run = subprocess.run([sys.executable, "-X", "importtime", *command], capture_output=True, text=True)
    loaded = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines()}
    assert run.returncode == 0
    assert not loaded & {"torch", "pandas", "sklearn", "altair"}
