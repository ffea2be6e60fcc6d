"""Sphinx extension: everything that a page needs comes from the site itself.

Vega and MathJax are taken from installed Python packages and written into the built site when a build
starts. The chapters stay ordinary notebooks, which load Vega from the network where they run.
"""

import shutil
from importlib.metadata import files
from pathlib import Path

import altair
import vl_convert
from sphinx.application import Sphinx

VEGA = "vendor/vega.js"
MATHJAX = "vendor/mathjax"


def setup(app: Sphinx) -> dict:
    # 400 is before the themes and other extensions read the configuration, 900 after all have added scripts.
    app.connect("config-inited", use_own_mathjax, priority=400)
    app.connect("builder-inited", write_vendored)
    app.connect("html-page-context", add_vega, priority=400)
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

    root = "sphinx-mathjax-offline/static/mathjax/"
    for file in files("sphinx-mathjax-offline"):
        name = str(file).removeprefix(root)
        if name == "tex-mml-chtml.js" or name.startswith(("output/chtml/fonts/woff-v2/", "input/tex/extensions/")):
            target = site / MATHJAX / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.locate(), target)


def add_vega(app: Sphinx, pagename, templatename, context, doctree) -> None:
    if "vegaEmbed" not in context.get("body", ""):
        return
    # Altair's output loads nothing when this object says that its versions are already there.
    known = {
        "vega_version": altair.VEGA_VERSION,
        "vegalite_version": altair.VEGALITE_VERSION,
        "vegaembed_version": altair.VEGAEMBED_VERSION,
    }
    app.add_js_file(None, body=f"var VEGA_DEBUG = {known};", priority=100)
    app.add_js_file(f"../{VEGA}", priority=101)


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
