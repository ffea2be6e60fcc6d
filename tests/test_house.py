"""The house: tests lie where their source lies, rooms stay few, and the library does not know its companion."""

import ast
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from tepones.common import paths

ROOT = paths.root()
SOURCE = ROOT / "src" / "tepones"

#: Tests that are of no single module, by path below `tests`, and why.
OF_SEVERAL_MODULES = {
    "companion/test_browser.py": "the built site, in a browser",
    "scores/test_behaviour.py": "one table, about every score",
    "ranking/test_fuzz.py": "damaged files of every kind that a ranking reads",
    "ranking/test_order.py": "that no untrained network comes before a trained one, score and loading together",
    "scores/test_properties.py": "ranges and invariances that all scores share",
    "test_environment.py": "the lists of dependencies",
    "test_house.py": "this file",
    "test_wheel.py": "the built wheel, and the chapters that run from it",
    "test_workflows.py": "the workflows for GitHub",
}

#: What may import the companion, and what may draw: folders and files below `src/tepones`.
KNOWS_COMPANION = ("companion/", "cli/")
DRAWS = ("companion/", "ranking/chart.py")

#: What the reference documents, one page each.
ROOMS = ("tasks", "backbones", "pruning", "scores", "agreement", "ranking", "transfer.py")

MODULES = sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py"))


def all_tests():
    return sorted(path.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").rglob("test_*.py"))


def homes(test: str) -> set[str]:
    """Where the source of a test may lie: the module of its name, or, in a package's own folder, the package."""
    path = PurePosixPath(test)
    name = path.stem.removeprefix("test_")
    package = {(path.parent / "__init__.py").as_posix()} if path.parent.name == name else set()
    return {(path.parent / f"{name}.py").as_posix()} | package


def names_in(module: str) -> set[str]:
    """Every dotted name of a module that a file imports, at its top or inside a function, or writes in a registry."""
    found = set()
    for node in ast.walk(ast.parse((SOURCE / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= {node.value} if re.fullmatch(r"\w+(\.\w+)+(:\w+)?", node.value) else set()
    return found


@pytest.mark.parametrize("test", all_tests())
def test_a_test_lies_where_its_source_lies(test):
    if test in OF_SEVERAL_MODULES:
        assert not homes(test) & set(MODULES), f"{test} has a module of its name: take it off the list"
    else:
        assert homes(test) & set(MODULES), f"{test}: no {' or '.join(sorted(homes(test)))} in src/tepones"


def test_what_is_listed_exists():
    assert set(OF_SEVERAL_MODULES) <= set(all_tests())


def test_the_rule_tells_a_test_in_the_wrong_place():
    assert homes("scores/test_scores.py") == {"scores/scores.py", "scores/__init__.py"}
    assert homes("scores/test_logme.py") & set(MODULES)
    assert not homes("tasks/test_logme.py") & set(MODULES) and not homes("test_scores.py") & set(MODULES)


def test_no_module_is_called_as_one_of_the_standard_library():
    names = {path: Path(path).parent.name if path.endswith("__init__.py") else Path(path).stem for path in MODULES}
    assert {path for path, name in names.items() if name in sys.stdlib_module_names} == set()


def test_the_top_of_the_package_has_at_most_twelve_entries():
    entries = {path.split("/")[0] for path in MODULES}
    assert len(entries) <= 12, sorted(entries)


@pytest.mark.parametrize("module", [module for module in MODULES if not module.startswith(KNOWS_COMPANION)])
def test_the_library_does_not_know_its_companion(module):
    assert not [name for name in names_in(module) if f"{name}.".startswith("tepones.companion.")]


@pytest.mark.parametrize("module", [module for module in MODULES if not module.startswith(DRAWS)])
def test_what_computes_does_not_draw(module):
    assert not [name for name in names_in(module) if name.split(".")[0] == "altair"]


@pytest.mark.parametrize("module", [module for module in MODULES if module.split("/")[0] in ROOMS])
def test_every_module_of_the_library_is_in_the_reference(module):
    """On the page of its room, or by way of the names that the room's package takes from it."""
    room = module.split("/")[0].removesuffix(".py")
    name = f"tepones.{module.removesuffix('.py').removesuffix('/__init__').replace('/', '.')}"
    page = (ROOT / "book" / "reference" / f"{room}.md").read_text(encoding="utf-8")
    listed = f"automodule:: {name}\n" in page
    package = f"{room}/__init__.py"
    assert listed or (package in MODULES and any(known.startswith(f"{name}.") for known in names_in(package)))


def test_the_public_surface_is_there_and_importing_it_loads_neither_torch_nor_pandas():
    program = "import sys, tepones; assert not {'torch', 'pandas'} & set(sys.modules), 'too much'\n"
    program += "print([getattr(tepones, name).__module__ for name in ('load', 'prune', 'rank', 'score')])"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    modules = "['tepones.ranking.backbones', 'tepones.ranking.pruner', 'tepones.ranking.ranker', 'tepones.scores']"
    assert run.stdout.startswith(modules), run.stderr


def test_a_process_that_computes_cells_loads_no_tables_to_run():
    program = (
        "import sys, tepones.companion.study.runner; print(sorted({'pandas', 'scipy', 'torch'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.stdout == "[]\n", run.stderr


def test_imports_are_absolute():
    """Else the two tests above would miss them."""
    assert not [module for module in MODULES if any(name.startswith(".") for name in names_in(module))]


@pytest.mark.parametrize(
    ("place", "refused"),
    [
        ("src/tepones/scores/new.py", True),
        ("src/tepones/common/new.py", True),
        ("src/tepones/transfer.py", True),
        ("src/tepones/companion/claims/new.py", False),
        ("src/tepones/cli/new.py", False),
        ("tests/scores/test_new.py", False),
    ],
)
def test_ruff_refuses_the_companion_in_the_library_only(place, refused):
    program = '"""New."""\n\nfrom tepones.companion.study import records\n\nprint(records)\n'
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--stdin-filename", place, "-"]
    run = subprocess.run(command, input=program, cwd=ROOT, capture_output=True, text=True)
    assert ("TID251" in run.stdout) == refused == (run.returncode == 1), run.stdout + run.stderr
