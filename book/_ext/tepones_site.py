"""Sphinx extension: everything that a page needs comes from the site itself.

Vega and MathJax are taken from installed Python packages and written into the built site when a build
starts. The chapters stay ordinary notebooks, which load Vega from the network where they run; here their text becomes
MyST again, and what their figures consist of moves into files beside the pages.
"""

import json
import re
import shutil
from html import escape
from importlib.metadata import files
from pathlib import Path

import altair
import nbformat
import vl_convert
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from tepones.common.errors import TeponesError
from tepones.companion import figures, plain

VEGA = "vendor/vega.js"
CHARTS = "vendor/charts.js"
MATHJAX = "vendor/mathjax"
FIGURES = "figures"

_PARAMETERS = re.compile(r'<dl>\s*<dd><em class="sig-param">.*?</dl>', re.DOTALL)


def setup(app: Sphinx) -> dict:
    # 400 is before the themes and other extensions read the configuration, 900 after all have added scripts.
    app.connect("config-inited", use_own_mathjax, priority=400)
    app.connect("builder-inited", write_vendored)
    app.connect("source-read", read_myst)
    app.connect("html-page-context", place_figures, priority=400)
    app.connect("html-page-context", mend_markup, priority=400)
    app.connect("html-page-context", tidy_scripts, priority=900)
    app.connect("autodoc-skip-member", skip_fields)
    app.connect("autodoc-process-docstring", keep_colons, priority=400)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def use_own_mathjax(app: Sphinx, config) -> None:
    # Names of scripts are relative to _static, at any depth of the page.
    config.mathjax_path = f"../{MATHJAX}/tex-mml-chtml.js"


def write_vendored(app: Sphinx) -> None:
    if app.builder.format != "html":
        return
    site = Path(app.outdir)
    version = ".".join(altair.VEGALITE_VERSION.split(".")[:2])
    bundle = vl_convert.javascript_bundle(vl_version=version)
    target = site / VEGA
    target.parent.mkdir(parents=True, exist_ok=True)
    # The bundle's top-level constants would collide with those of Sphinx's own scripts and break the search.
    target.write_text(f"(function () {{\n{bundle}\n}})();\n", encoding="utf-8")
    shutil.copyfile(Path(__file__).with_name("charts.js"), site / CHARTS)

    root = "sphinx-mathjax-offline/static/mathjax/"
    for file in files("sphinx-mathjax-offline"):
        name = str(file).removeprefix(root)
        if name == "tex-mml-chtml.js" or name.startswith(("output/chtml/fonts/woff-v2/", "input/tex/extensions/")):
            target = site / MATHJAX / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.locate(), target)


def read_myst(app: Sphinx, docname, source) -> None:
    if app.env.doc2path(docname).endswith(".ipynb"):
        notebook = nbformat.reads(source[0], as_version=4)
        plain.restore(notebook)
        source[0] = nbformat.writes(notebook)


def place_figures(app: Sphinx, pagename, templatename, context, doctree) -> None:
    """Put what a page's figures consist of into files: pictures, and one script with the charts and their data.

    Panels and figures of one page that draw the same rows share them.
    """
    try:
        between, found = figures.split(context.get("body", ""))
    except TeponesError as error:
        raise ExtensionError(f"page {pagename}: {error}") from None
    if not found:
        return
    folder = Path(app.outdir) / FIGURES
    folder.mkdir(exist_ok=True)
    body, datasets, specs = between[:1], {}, {}
    for figure, following in zip(found, between[1:], strict=True):
        (folder / f"{figure.key}.svg").write_text(figure.picture, encoding="utf-8")
        source = f"{'../' * pagename.count('/')}{FIGURES}/{figure.key}.svg"
        image = " ".join(f'{name}="{escape(value)}"' for name, value in figure.attributes.items())
        place = f'id="{figures.PLACE}{figure.key}"'
        body += [f'<div class="chart" {place}><img src="{source}" {image} loading="lazy"></div>', following]
        own = figure.spec.pop("datasets", {})
        datasets |= own
        specs[figure.key] = figure.spec | {"datasets": list(own)}
    context["body"] = "".join(body)
    script = folder / f"{pagename.replace('/', '-')}.js"
    shared = json.dumps({"datasets": datasets, "figures": specs}, ensure_ascii=False, separators=(",", ":"))
    script.write_text(f"window.teponesFigures = {shared};\n", encoding="utf-8")
    for priority, name in enumerate((VEGA, f"{FIGURES}/{script.name}", CHARTS), 100):
        app.add_js_file(f"../{name}", priority=priority, loading_method="defer")


def mend_markup(app: Sphinx, pagename, templatename, context, doctree) -> None:
    """Change what Sphinx and its theme write against the rules of accessible pages."""
    body = context.get("body", "")
    # What scrolls has to be in reach of the keyboard.
    body = body.replace('class="pst-scrollable-table-container"', 'class="pst-scrollable-table-container" tabindex="0"')
    # The items of a list are items; the role of its own was withdrawn.
    body = body.replace('role="doc-biblioentry"', 'role="listitem"')
    # The parameters of a signature are a list of definitions without terms.
    context["body"] = _PARAMETERS.sub(
        lambda found: (
            found[0]
            .replace("<dl>", '<div class="sig-params">')
            .replace("</dl>", "</div>")
            .replace("<dd>", "<div>")
            .replace("</dd>", "</div>")
        ),
        body,
    )


def tidy_scripts(app: Sphinx, pagename, templatename, context, doctree) -> None:
    """Drop scripts that are there twice, and Thebe, which no button of this site starts."""
    kept = {}
    for script in context["script_files"]:
        body = getattr(script, "attributes", {}).get("body") or ""
        name = str(getattr(script, "filename", script) or "")
        if "thebe" not in f"{name}{body}".lower():
            kept.setdefault((name, body), script)
    context["script_files"][:] = kept.values()


def skip_fields(app: Sphinx, what, name, member, skip, options) -> bool | None:
    """Leave out the fields of named tuples, which the docstrings of their classes describe; None: decide as usual."""
    return True if str(getattr(member, "__doc__", "")).startswith("Alias for field number") else None


def keep_colons(app: Sphinx, what, name, member, options, lines: list[str]) -> None:
    """Napoleon takes what a constant's first line says before a colon for its type; an empty comment keeps it away."""
    if what in ("data", "attribute", "property"):
        lines[:0] = ["..", ""]
