"""The built site: complete, numbered, and without a request that leaves it."""

import importlib.metadata
import json
import re
import shutil
from html import unescape
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tepones.common import paths
from tepones.common.errors import TeponesError
from tepones.companion import render

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = re.compile(r"<script\b[^>]*\bsrc=\"([^\"]+)\"")
ASSET = re.compile(r"<(?:script|img|link|iframe|source)\b[^>]*\b(?:src|href)=\"([^\"]+)\"")


@pytest.fixture
def chapter(pages):
    return next((p, html) for p, html in pages.items() if p.name == "small.html")


@pytest.mark.parametrize("name", ["_config.yml", "_toc.yml"])
def test_the_book_uses_the_files_at_top_level(name):
    link = ROOT / "book" / name
    hint = "book/_config.yml and book/_toc.yml must be symbolic links; see `git config core.symlinks true`"
    assert link.is_symlink(), hint
    assert link.resolve() == ROOT / name


def test_launch_buttons_open_the_executed_chapter_in_the_repository_that_the_configuration_names(chapter):
    repository = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]
    name, branch = repository["url"].removeprefix("https://github.com/"), repository["branch"]
    place = "book/chapters/small.ipynb"
    links = unescape(chapter[1])
    assert f'href="https://mybinder.org/v2/gh/{name}/{branch}?urlpath=lab/tree/{place}"' in links
    assert f'href="https://colab.research.google.com/github/{name}/blob/{branch}/{place}"' in links


def test_no_page_asks_another_host(pages):
    assert len(pages) >= 3
    for page, html in pages.items():
        outside = [a for a in ASSET.findall(html) if re.match(r"(?:[a-z]+:)?//", a)]
        assert not outside, page


def test_every_asset_is_there(pages):
    for page, html in pages.items():
        for asset in ASSET.findall(html):
            if not asset.startswith(("#", "data:")):
                target = page.parent / asset.split("?")[0].split("#")[0]
                assert target.exists(), f"{page.name}: {asset}"


def test_vendored_scripts_are_where_they_are_needed(pages, chapter):
    page, html = chapter
    assert "vendor/vega.js" in html
    assert "vendor/mathjax/tex-mml-chtml.js" in html
    assert (page.parent.parent / "vendor/mathjax/output/chtml/fonts/woff-v2/MathJax_Main-Regular.woff").is_file()
    index = next(text for p, text in pages.items() if p.name == "index.html")
    assert "vendor/vega.js" not in index and "tex-mml-chtml" not in index


def test_vega_is_private(chapter):
    text = (chapter[0].parent.parent / "vendor/vega.js").read_text(encoding="utf-8")
    assert text.startswith("(function () {")
    assert text.rstrip().endswith("})();")
    assert "window.vegaEmbed" in text


def test_only_long_tables_get_a_filter(pages, chapter):
    index = next(text for p, text in pages.items() if p.name == "index.html")
    assert "vendor/tables/tables.js" in index and "vendor/tables/dt_bundle.css" in index
    assert "vendor/tables" not in chapter[1]


def test_every_page_says_by_which_code_and_a_chapter_by_which_records_it_was_made(pages, chapter):
    version = importlib.metadata.version("tepones")
    written = {p: text for p, text in pages.items() if p.name not in ("genindex.html", "search.html")}
    assert all(f"Code: tepones {version}" in text for text in written.values()), list(written)
    made = dict(pd.read_csv(ROOT / "data" / "records" / "tiny" / "provenance.csv", dtype=str).to_numpy())
    line = re.search(r"<p>(Records: .*?)</p>", chapter[1])[1]
    assert line.startswith("Records: <code>tiny</code>") and f"torch {made['torch']}" in line
    assert sum("Records: " in text for text in written.values()) == 1


def test_no_page_leads_to_a_pdf_that_has_not_been_made(pages):
    assert not any("tepones.pdf" in text for text in pages.values())


def test_citations_name_authors_and_year(chapter):
    text = re.sub(r"<[^>]+>", "", chapter[1])
    assert "[Ledoit and Wolf, 2004]" in text


def test_no_script_twice_and_no_thebe(pages):
    for html in pages.values():
        scripts = [s.split("?")[0] for s in SCRIPT.findall(html)]
        assert len(scripts) == len(set(scripts))
        assert "sphinx-thebe" not in " ".join(scripts)
        assert "THEBE_JS_URL" not in html


def test_the_base_themes_own_header_is_empty(pages):
    for page, html in pages.items():
        header = re.search(r"<header\b[^>]*bd-header.*?</header>", html, re.DOTALL)[0]
        assert "search" not in header, page
        assert not re.sub(r"<[^>]+>|\s", "", header), page


def test_a_figure_is_its_picture_until_it_is_drawn(chapter):
    page, html = chapter
    [(key, image)] = re.findall(r'<div class="chart" id="altair-([\w-]+)">(<img [^>]*>)</div>', html)
    assert key == "fig-small" and 'alt="Accuracy rises with sparsity on the digits."' in image
    assert 'loading="lazy"' in image and 'src="../figures/fig-small.svg"' in image
    assert (page.parent / "../figures/fig-small.svg").read_text(encoding="utf-8").startswith("<svg")


def test_the_charts_of_a_page_and_their_data_are_a_script_beside_it(chapter):
    page, html = chapter
    scripts = [name.split("?")[0] for name in SCRIPT.findall(html)]
    names = ["vendor/vega.js", "figures/chapters-small.js", "vendor/charts.js"]
    assert [name for script in scripts for name in names if script.endswith(f"/{name}")] == names
    written = (page.parent.parent / names[1]).read_text(encoding="utf-8")
    shared = json.loads(written.removeprefix("window.teponesFigures = ").removesuffix(";\n"))
    chart = shared["figures"]["fig-small"]
    assert chart["description"] == "Accuracy rises with sparsity on the digits."
    assert sum(len(shared["datasets"][name]) for name in chart["datasets"]) == 8
    assert "vegaEmbed" not in html


def test_a_chart_without_key_and_alt_text_is_told(small, executed, tmp_path):
    source = tmp_path / "book"
    shutil.copytree(small / "book", source)
    chapter = source / "chapters" / "small.ipynb"
    chapter.write_text(executed.read_text(encoding="utf-8").replace("<img src=", "<br src="), encoding="utf-8")
    with pytest.raises(TeponesError, match="page chapters/small: "):
        render.build_site(source, tmp_path)


def test_figures_tables_and_numbers_are_placed(chapter):
    text = re.sub(r"<[^>]+>", "", chapter[1])
    assert re.search(r"The best is\s+0\.93; see Fig\. 1\.1 and Table 1\.1", text)
    assert "Accuracy against sparsity." in text
    assert "The first rungs." in text
    assert "50.0%" in text


def test_the_reference_is_made_from_the_docstrings(pages):
    html = next(html for page, html in pages.items() if page.name == "transfer.html")
    text = " ".join(re.sub(r"<[^>]+>", "", html).split())
    assert "linear_probe( train_features: ndarray, train_labels: ndarray" in text and "seed: int = 0" in text
    assert "Test accuracy of a logistic regression on frozen, standardised features." in text
    # A name of ours is a link, in a signature too; fields of a named tuple are told once, as its docstring has them.
    assert re.search(r'<a class="reference internal" href="#tepones.transfer.Probe"', html)
    assert "Attributes: accuracy (float) – Mean over the classes" in text and "Alias for field" not in text


def test_chapters_open_in_binder_and_colab(chapter):
    assert "/main?urlpath=lab/tree/book/chapters/small.ipynb" in chapter[1]
    assert "/blob/main/book/chapters/small.ipynb" in chapter[1]


def test_a_broken_book_is_told_with_its_warnings(small, executed, tmp_path):
    source = tmp_path / "book"
    shutil.copytree(small / "book", source)
    (source / "index.md").write_text(
        "# Title\n\n{cite:p}`nobody1900` {numref}`nowhere` {py:obj}`tepones.nothing` {py:obj}`os.path`\n",
        encoding="utf-8",
    )
    with pytest.raises(TeponesError) as error:
        render.build_site(source, tmp_path)
    message = str(error.value)
    assert message.startswith("the site does not build: ")
    assert "nobody1900" in message
    assert "nowhere" in message
    assert "\n" not in message
    log = (paths.build() / "logs" / "site.log").read_text(encoding="utf-8")
    assert "nobody1900" in log
    # Names of ours have to resolve, those of other packages need not.
    assert "reference target not found: tepones.nothing" in log and "os.path" not in log
