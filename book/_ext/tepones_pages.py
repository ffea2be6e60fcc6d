"""Sphinx extension: what stands below every page and around its tables, and how citations look.

Below a page stand the version of the code and, of a chapter, the records that it draws from: the front matter of its
notebook names their profiles under `records`. Long tables get a filter, by DataTables as the package itables carries
it. The PDF edition, if it has been made, is put into the site.
"""

import html
import re
import shutil
import subprocess
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import nbformat
import pandas as pd
from pybtex.plugin import register_plugin
from pybtex.style.formatting.unsrt import Style as UnsrtStyle
from pybtex.style.labels import BaseLabelStyle
from sphinx.application import Sphinx

from tepones.common import paths

TABLES = "vendor/tables"
PDF = "tepones.pdf"
#: Rows from which on a table is long.
LONG = 15
#: What is told of the records of a profile: items of its `provenance.csv`, and their words.
TOLD = {
    "computed": "computed",
    "machine": "on",
    "numerics": "arithmetic",
    "python": "Python",
    "torch": "torch",
    "numpy": "numpy",
}

_SCRIPT = """\
import DataTable from "./dt_bundle.js";
for (const table of document.querySelectorAll(".bd-article table")) {
  if (table.tBodies[0]?.rows.length < %d) continue;
  const frame = { paging: false, info: false, order: [], autoWidth: false, language: { search: "Filter:" } };
  new DataTable(table, { ...frame, layout: { topStart: "search", topEnd: null } });
  // What scrolls must be reachable by keyboard, and have a name.
  const scrolls = table.parentElement;
  scrolls.classList.add("long-table");
  scrolls.tabIndex = 0;
  scrolls.role = "region";
  scrolls.ariaLabel = table.caption?.textContent ?? "table";
}
"""


class _Label(BaseLabelStyle):
    """What stands before an entry of the bibliography: authors and year, as the citations have them."""

    def format_labels(self, entries):
        for entry in entries:
            names = [" ".join(person.prelast_names + person.last_names) for person in entry.persons["author"]]
            several = f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
            yield f"{several} {entry.fields['year']}"


class _Style(UnsrtStyle):
    default_sorting_style = "author_year_title"
    default_label_style = _Label


register_plugin("pybtex.style.formatting", "tepones", _Style)


def setup(app: Sphinx) -> dict:
    # When what stands below the pages is another, Sphinx writes all pages anew, not only those of changed sources.
    app.add_config_value("tepones_below", f"{_code()} {_pdf(app).is_file()}", "html", str)
    app.connect("builder-inited", write_tables)
    app.connect("html-page-context", add_filter, priority=400)
    app.connect("html-page-context", add_provenance, priority=900)
    app.connect("html-page-context", drop_mathjax, priority=900)
    app.connect("build-finished", drop_icon_script)
    app.connect("build-finished", copy_pdf)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def write_tables(app: Sphinx) -> None:
    if app.builder.name != "html":
        return
    folder = Path(app.outdir) / TABLES
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("dt_bundle.js", "dt_bundle.css"):
        (folder / name).write_bytes((files("itables") / "html" / name).read_bytes())
    (folder / "tables.js").write_text(_SCRIPT % LONG, encoding="utf-8")


def add_filter(app: Sphinx, pagename, templatename, context, doctree) -> None:
    tables = re.findall(r"<tbody>.*?</tbody>", context.get("body", ""), re.DOTALL)
    if app.builder.name == "html" and any(rows.count("<tr") >= LONG for rows in tables):
        app.add_css_file(f"../{TABLES}/dt_bundle.css")
        app.add_js_file(f"../{TABLES}/tables.js", type="module")


def add_provenance(app: Sphinx, pagename, templatename, context, doctree) -> None:
    if doctree is None:
        return
    lines = [_code()]
    notebook = Path(app.srcdir) / f"{pagename}.ipynb"
    if notebook.is_file():
        lines += _records(nbformat.read(notebook, as_version=4))
    if app.builder.name == "html" and _pdf(app).is_file():
        lines.append(f'The whole book as <a href="{context["pathto"](PDF, 1)}">PDF</a>.')
    paragraphs = "".join(f"<p>{line}</p>" for line in lines)
    context["body"] += f'<aside class="provenance" aria-label="Provenance">{paragraphs}</aside>'


@cache
def _code() -> str:
    """The version of the code and, in a clone, its commit."""
    command = ["git", "-C", str(paths.root()), "log", "-1", "--format=%h of %cs"]
    run = subprocess.run(command, capture_output=True, text=True)
    commit = f", commit {run.stdout.strip()}" if run.returncode == 0 else ""
    return f"Code: tepones {version('tepones')}{commit}."


def _records(notebook: nbformat.NotebookNode) -> list[str]:
    """For each profile that a chapter draws from, what made its records; those of a live book are of this machine."""
    injected = [c.source for c in notebook.cells if "injected-parameters" in c.metadata.get("tags", [])]
    live = any('records = "live"' in source for source in injected)
    lines = []
    for profile in notebook.metadata.get("records", []):
        folder = paths.records(profile) if live else paths.published_records(profile)
        table = folder / "provenance.csv"
        if not table.is_file():
            folder, table = paths.published_records(profile), paths.published_records(profile) / "provenance.csv"
        made = dict(pd.read_csv(table, dtype=str).to_numpy())
        told = [f"{words} {html.escape(made[item])}" for item, words in TOLD.items() if item in made]
        lines.append(f"Records: <code>{html.escape(profile)}</code>, {', '.join(told)}.")
    return lines


def drop_mathjax(app: Sphinx, pagename, templatename, context, doctree) -> None:
    """Sphinx adds it wherever an output of a notebook might hold a formula."""
    if 'class="math' not in context.get("body", ""):
        scripts = context["script_files"]
        scripts[:] = [script for script in scripts if "mathjax" not in str(getattr(script, "filename", script))]


def drop_icon_script(app: Sphinx, error) -> None:
    """The theme brings its icons as a font and once more as a script of 1.5 MB, of which the pages need one."""
    script = Path(app.outdir) / "_static" / "scripts" / "fontawesome.js"
    if app.builder.name == "html" and not error:
        script.write_text("", encoding="utf-8")


def copy_pdf(app: Sphinx, error) -> None:
    if app.builder.name == "html" and not error and _pdf(app).is_file():
        shutil.copyfile(_pdf(app), Path(app.outdir) / PDF)


def _pdf(app: Sphinx) -> Path:
    """What `make pdf` has made, beside the folder of the site."""
    return Path(app.outdir).parent / "pdf" / PDF
