"""The workflows for a repository on GitHub: valid, and calling what .ci/run calls."""

import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def targets(text: str) -> set[str]:
    """Targets of the `make` commands in a script or a workflow, comments left out."""
    lines = [re.split(r"2>|\|", line.partition("#")[0])[0] for line in text.splitlines()]
    calls = [re.fullmatch(r"(?:\W*run:)?\s*make ([a-z -]+?)(?: [A-Z]+=\S+)*", line.rstrip()) for line in lines]
    return {target for call in calls if call for target in call[1].split()}


def test_there_are_two():
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "weekly.yml"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_valid(path, tmp_path):
    command = [str(Path(sysconfig.get_path("scripts")) / "check-jsonschema")]
    command += ["--builtin-schema", "vendor.github-workflows"]
    run = subprocess.run([*command, str(path)], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
    broken = tmp_path / path.name
    broken.write_text(path.read_text(encoding="utf-8").replace("runs-on:", "runs:"), encoding="utf-8")
    assert subprocess.run([*command, str(broken)], capture_output=True).returncode == 1


def test_the_workflow_runs_every_target_that_ci_runs():
    assert targets((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")) == targets(
        (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    )


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_what_a_workflow_makes_exists(path):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split())
    made = targets(path.read_text(encoding="utf-8"))
    assert made and made <= phony
    variables = yaml.safe_load(path.read_text(encoding="utf-8"))["env"].keys() - {"PYTEST_ADDOPTS"}
    assert all(f"$({name}" in makefile for name in variables)


def test_make_site_in_a_clone_without_symbolic_links_says_what_to_do(tmp_path):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "book").mkdir()
    for name in ("_config.yml", "_toc.yml"):
        (tmp_path / "book" / name).write_text(f"../{name}")  # how git writes a link where it must not make one
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "ready").touch()
    run = subprocess.run(["make", "site"], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode != 0
    assert "book/_config.yml and book/_toc.yml must be symbolic links: git config core.symlinks true" in run.stderr
