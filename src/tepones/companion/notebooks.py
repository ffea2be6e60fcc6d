"""From a text notebook in `notebooks/` to an executed chapter, the same bytes on every machine.

A chapter is the text, and before it the cell of `tepones.companion.bootstrap`.
"""

import ast
import copy
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import jupytext
import nbformat
import papermill
from pydantic import TypeAdapter, ValidationError

from tepones.common import paths
from tepones.common.config import parse_yaml
from tepones.common.errors import TeponesError, UsageError, choose
from tepones.common.files import write_atomically
from tepones.companion import bootstrap, plain
from tepones.companion.kernel import Kernel

_WIDGET = "application/vnd.jupyter.widget-view+json"


def names() -> list[str]:
    """List the notebooks, in alphabetical order."""
    return sorted(p.stem for p in paths.notebooks().glob("*.md"))


def defaults(name: str) -> dict[str, object]:
    """Read the parameters of a notebook, one of `names()`, and their defaults.

    Raises
    ------
    UsageError
        If there is no such notebook.
    TeponesError
        If its parameters cell holds anything but ``name = literal`` lines.
    """
    for cell in _read(name).cells:
        if "parameters" in cell.metadata.get("tags", []):
            return _literals(cell.source, name)
    return {}


def parse_parameters(name: str, assignments: Iterable[str]) -> dict[str, object]:
    """Read parameters as a command line gives them: ``["seeds=[0, 1]", "profile=embedded"]``.

    Raises
    ------
    UsageError
        If an assignment is not ``parameter=value``, or the notebook does not take it.
    """
    known = defaults(name)
    given = {}
    for assignment in assignments:
        parameter, equals, text = assignment.partition("=")
        if not equals:
            raise UsageError(f"parameter {assignment!r}: expected parameter=value")
        given[parameter] = text if isinstance(known.get(parameter), str) else _value(text)
    return _checked(name, given, known)


def execute(name: str, parameters: Mapping[str, object], output: Path, kernel: Kernel | None = None) -> Path:
    """Run a notebook from the checkout's root and write the executed copy; unchanged bytes are not rewritten.

    Parameters
    ----------
    name : str
        Notebook, one of `names()`.
    parameters : mapping
        Values that replace defaults; each of the type of its default.
    output : Path
        Where the executed notebook goes. It appears there whole or not at all.
    kernel : Kernel, optional
        One that runs other notebooks too; a new one otherwise.

    Returns
    -------
    Path
        `output`.

    Raises
    ------
    UsageError
        If the notebook, a parameter or its type is unknown, or a cell raises `UsageError` itself.
    TeponesError
        If a cell raises, a guarded sentence is false (see `charts.holds`) though no parameter was given, the kernel
        dies, or `output` cannot be written; `build/logs` has what there is.
    """
    if kernel is None:
        with Kernel() as own:
            return execute(name, parameters, output, own)
    parameters = _checked(name, parameters, defaults(name))
    log = paths.build() / "logs" / f"{name}.ipynb"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        notebook = papermill.execute_notebook(
            _read(name),
            log,
            parameters=parameters,
            cwd=paths.root(),
            kernel_name="python3",
            language="python",
            km=kernel.ready(strict=not parameters),
            store_widget_state=False,
            stderr_file=sys.stderr,
            # tqdm's None: a bar in a terminal, nothing in a log.
            progress_bar={"desc": name, "disable": None, "leave": False},
        )
        log.unlink(missing_ok=True)
        write_atomically(output, normalise(notebook, name).encode())
    except papermill.PapermillExecutionError as error:
        raise _told(name, log, error) from None
    except OSError as error:
        where = error.filename or output
        raise TeponesError(f"notebook {name}: cannot write {where}: {error.strerror}") from None
    except RuntimeError as error:
        raise TeponesError(f"notebook {name}: {_line(error)}; the notebook so far is in {log}") from None
    return output


def normalise(notebook: nbformat.NotebookNode, stem: str) -> str:
    """Write an executed notebook without what differs from run to run or machine to machine.

    Cell and chart ids follow the position; times, versions and pairings go. So do progress bars and warnings
    (both are on stderr) and widgets, which need a kernel. A cell that displays what the text places by key
    gets the tag `remove-output`: the book shows it once, a notebook session still shows it below the cell. The text
    becomes plain Markdown (`tepones.companion.plain`), and code that the book folds is folded in JupyterLab.

    Raises
    ------
    TeponesError
        If the text glues, cites or refers to what is not there.
    """
    for i, cell in enumerate(notebook.cells):
        cell["id"] = f"{stem[:60]}-{i:03d}"
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if cell.cell_type == "code":
            cell["outputs"] = _kept(cell["outputs"])
            tags = cell.metadata.get("tags", [])
            if any("scrapbook" in o.get("metadata", {}) for o in cell["outputs"]):
                tags = [*tags, "remove-output"]
            if "injected-parameters" in tags:
                tags = [*tags, "hide-input"]
            if tags:
                cell.metadata["tags"] = list(dict.fromkeys(tags))
            if "hide-input" in tags:
                cell.metadata["jupyter"] = {"source_hidden": True}
    try:
        plain.write(notebook)
    except TeponesError as error:
        raise TeponesError(f"notebook {stem}: {error}") from None
    for key in ("papermill", "jupytext", "widgets"):
        notebook.metadata.pop(key, None)
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata.get("language_info", {}).pop("version", None)
    return nbformat.writes(notebook) + "\n"


def check(name: str, executed: Path) -> None:
    """Make sure that an executed notebook is the run of today's text, without an error, and reads plainly.

    Raises
    ------
    TeponesError
        If the executed notebook is missing, unreadable, holds an error, or differs from the text; the line
        names the first cell that does.
    """
    try:
        notebook = nbformat.read(executed, as_version=4)
    except (OSError, ValueError, nbformat.ValidationError) as error:
        raise TeponesError(f"notebook {name}: cannot read {executed}: {_line(error)}") from None
    shown = copy.deepcopy(notebook)
    plain.restore(notebook)
    cells = [c for c in notebook.cells if "injected-parameters" not in c.metadata.get("tags", [])]
    for i, cell in enumerate(cells, start=1):
        if any(o.output_type == "error" for o in cell.get("outputs", [])):
            raise TeponesError(f"notebook {name}: cell {i} of {executed} holds an error; execute it again")
    ran = [(c.cell_type, c.source.strip()) for c in cells]
    text = [(c.cell_type, c.source.strip()) for c in _read(name).cells]
    if ran != text:
        same = [a == b for a, b in zip(ran, text, strict=False)]
        i = same.index(False) if False in same else len(same)
        raise TeponesError(
            f"notebook {name}: {executed} is not the run of today's text (cell {i + 1}); execute it again"
        )
    plain.write(notebook)
    if notebook != shown:
        raise TeponesError(f"notebook {name}: the plain text of {executed} is not that of its MyST; execute it again")


def _read(name: str) -> nbformat.NotebookNode:
    choose("notebook", name, names())
    notebook = jupytext.read(paths.notebooks() / f"{name}.md")
    notebook.cells.insert(0, bootstrap.cell())
    return notebook


def _literals(source: str, name: str) -> dict[str, object]:
    # Not papermill's own inspection: it reads line by line and stumbles over a '#' within a string.
    found = {}
    try:
        for statement in ast.parse(source).body:
            (target,) = statement.targets if isinstance(statement, ast.Assign) else (statement.target,)
            found[target.id] = ast.literal_eval(statement.value)
    except (AttributeError, SyntaxError, ValueError):
        raise TeponesError(f"notebook {name}: the parameters cell may hold only lines 'name = literal'") from None
    return found


def _checked(name: str, given: Mapping[str, object], known: Mapping[str, object]) -> dict[str, object]:
    checked = {}
    for parameter, value in given.items():
        choose(f"parameter of notebook {name}", parameter, known)
        default = known[parameter]
        items = type(default[0]) if isinstance(default, list) and default else None
        kind = object if default is None else list[items] if items else type(default)
        try:
            checked[parameter] = TypeAdapter(kind).validate_python(value, strict=True)
        except ValidationError:
            expected = f"a list of {items.__name__}" if items else kind.__name__
            where = f"parameter {parameter!r} of notebook {name}"
            raise UsageError(f"{where}: expected {expected}, got {value!r}") from None
    return checked


def _value(text: str) -> object:
    """Read JSON, else YAML, which also takes ``[a, b]``; YAML alone reads ``1e-3`` as a string."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return parse_yaml(text)
    except UsageError:
        return text


def _kept(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    kept = []
    for output in outputs:
        if output.get("name") == "stderr" or _WIDGET in output.get("data", {}):
            continue
        # What was between two pieces of stdout may just have been dropped.
        if kept and output.output_type == "stream" == kept[-1].output_type:
            kept[-1]["text"] += output["text"]
        else:
            kept.append(output)
    return kept


def _told(name: str, log: Path, error: papermill.PapermillExecutionError) -> BaseException:
    if error.ename == "KeyboardInterrupt":
        return KeyboardInterrupt()
    if error.ename == UsageError.__name__:
        return UsageError(f"notebook {name}: {_line(error.evalue)}")
    what = f"{error.ename}: {_line(error.evalue)}"
    return TeponesError(f"notebook {name}: cell {error.exec_count} raised {what}; the notebook so far is in {log}")


def _line(text: object) -> str:
    return " ".join(str(text).split())
