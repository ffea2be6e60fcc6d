"""One chapter, one file: a notebook, the module of its name, and the test of its name."""

from pathlib import Path

from tepones.companion import chapters, notebooks

MODULES = Path(chapters.__file__).parent
TESTS = Path(__file__).parent / "chapters"


def test_every_notebook_has_its_module_and_its_test_and_no_module_is_without_a_notebook():
    names = {name.replace("-", "_") for name in notebooks.names()}
    assert {path.stem for path in MODULES.glob("*.py")} - {"__init__"} == names
    assert {path.stem.removeprefix("test_") for path in TESTS.glob("test_*.py")} == names
