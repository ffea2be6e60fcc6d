"""What the sentences, tables and figures of a chapter get: from its cells run in this process, or as committed."""

import ast

import jupytext
import myst_nb
import nbformat
from IPython.display import HTML, Markdown

from tepones.common import paths
from tepones.companion import charts, study


def run_cells(name, monkeypatch, tables=None, parameters=None):
    """Run the code cells of `notebooks/NAME.md` in one namespace, from the checkout's root as a kernel does.

    Cells of another language (``%%bash``) are left out. For a chapter as it is committed, set `charts.GUARDS` to
    `charts.STRICT` in the environment first.

    Parameters
    ----------
    name : str
        Notebook.
    monkeypatch : pytest.MonkeyPatch
        What it changes is undone after the test.
    tables : dict of str to DataFrame, optional
        What `study.load` returns of every profile, in place of the records.
    parameters : dict, optional
        Values that replace those of the parameters cell.

    Returns
    -------
    dict
        What was glued, by key: numbers, words and charts as they are, Markdown (tables, and the remarks of `holds`,
        empty where the sentence holds) as text.
    """
    glued = {}

    def glue(key, value, display=True):
        glued[key] = value.data if isinstance(value, HTML | Markdown) else value

    # Most of the time would go into pictures.
    monkeypatch.setattr(charts, "figure", lambda chart, key, *, alt: chart.properties(description=alt))
    monkeypatch.setattr(charts, "glue", glue)
    monkeypatch.setattr(myst_nb, "glue", glue)
    monkeypatch.chdir(paths.root())
    if tables is not None:
        monkeypatch.setattr(study, "load", lambda *_: {key: table.copy() for key, table in tables.items()})
    namespace = {"__name__": "__main__", "display": lambda *shown: None}
    for number, cell in enumerate(jupytext.read(paths.notebooks() / f"{name}.md").cells):
        if cell.cell_type != "code" or cell.source.startswith("%"):
            continue
        exec(compile(cell.source, f"{name}.md, cell {number}", "exec"), namespace)
        if "parameters" in cell.metadata.get("tags", []):
            namespace |= parameters or {}
    return glued


def committed(name):
    """What a chapter glues, by key, as it is committed: as `run_cells` returns it, but for charts, which are HTML.

    That every guard holds there, and that today's text gives the same, `tests/companion/test_book.py` makes sure.
    """
    glued = {}
    for cell in nbformat.read(paths.book() / "chapters" / f"{name}.ipynb", as_version=4).cells:
        for output in cell.get("outputs", []):
            if "scrapbook" in output.metadata:
                data = {kind.rsplit("/", 1)[1]: content for kind, content in output.data.items()}
                rich = data.get("markdown", data.get("html"))
                glued[output.metadata["scrapbook"]["name"]] = ast.literal_eval(data["plain"]) if rich is None else rich
    return glued
