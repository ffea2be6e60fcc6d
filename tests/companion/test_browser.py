"""The site in a real browser that can reach nothing but the site."""

import csv
import functools
import gzip
import http.server
import io
import re
import threading
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

pytestmark = pytest.mark.browser

SITE = Path(__file__).resolve().parents[2] / "book" / "_build" / "html"

PAGES = sorted(p.relative_to(SITE).as_posix() for p in SITE.rglob("*.html") if "_static" not in p.parts)

#: A page whose charts have menus, panels, methods and a coloured table.
CHARTED = "chapters/ladders.html"

WIDTHS = (360, 800, 1440)

THEMES = ("light", "dark")

CHARTS = """() => [...document.querySelectorAll('.chart')].map((chart) => ({
    id: chart.id,
    alt: chart.getAttribute('role') === 'graphics-document' && chart.getAttribute('aria-label'),
    named: !chart.querySelector('[role="graphics-symbol"]:not([aria-label])'),
    marks: chart.querySelectorAll('svg .role-mark [role="graphics-symbol"], svg .role-mark path').length,
    reachable: chart.tabIndex === 0 || chart.scrollWidth <= chart.clientWidth,
    files: [...chart.nextElementSibling.querySelectorAll('button')].map((button) => button.textContent).join(),
}))"""

MATHS = """() => [...document.querySelectorAll('.math')].filter(
    (formula) => !formula.querySelector('mjx-container') || formula.querySelector('mjx-merror')
).map((formula) => formula.textContent)"""

WIDER = "() => document.scrollingElement.scrollWidth - innerWidth"

#: What WCAG 2.2 AA asks for, as far as a program can see.
RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
    "resultTypes": ["violations"],
    # It would load the style sheets anew.
    "preload": False,
}

DRAWN = (
    "() => [...document.querySelectorAll('.chart')].every((chart) => chart.nextElementSibling?.matches('.chart-files'))"
)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def address():
    if not (SITE / "index.html").is_file():
        pytest.fail(f"no site at {SITE}: run `make book` first", pytrace=False)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(SITE)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def opened(address, browser):
    """Open a page in a theme, drawn and typeset; what is wrong with it is added to `page.faults` from then on."""
    contexts = []

    def open_page(name, width=1280, theme="light", **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        context.add_init_script(f"localStorage.mode = localStorage.theme = '{theme}'")
        page = context.new_page()
        faults = page.faults = []
        page.on("request", lambda r: r.url.startswith((address, "data:", "blob:")) or faults.append(f"asks {r.url}"))
        page.on("response", lambda r: r.status < 400 or faults.append(f"{r.status} for {r.url}"))
        page.on("console", lambda m: m.type != "error" or faults.append(f"console: {m.text}"))
        page.on("pageerror", lambda e: faults.append(f"script error: {e}"))
        page.goto(address + name, wait_until="load")
        if options.get("java_script_enabled", True):
            page.wait_for_function(DRAWN)
            page.evaluate("() => window.MathJax?.startup?.promise")
        return page

    yield open_page
    for context in contexts:
        context.close()


def faults_of(page):
    """Everything that is wrong with a page as it is drawn, whatever its size and theme."""
    faults = [*page.faults, *(f"formula not drawn: {text}" for text in page.evaluate(MATHS))]
    for chart in page.evaluate(CHARTS):
        for what in ("marks", "alt", "named", "reachable"):
            if not chart[what]:
                faults.append(f"{chart['id']}: not {what}")
        if chart["files"] != "data as CSV,SVG,PNG":
            faults.append(f"{chart['id']} offers {chart['files']!r}")
    return faults


def violations(page, rules):
    """What axe finds against its rules, each with a few of the places."""
    for rule in Axe().run(page, context={"exclude": [[".chart svg g g"]]}, options=rules).response["violations"]:
        places = "; ".join(" ".join(map(str, node["target"])) for node in rule["nodes"][:3])
        yield f"{rule['id']} ({len(rule['nodes'])}): {places}"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_draws_itself_at_every_width_in_both_themes_for_everybody(name, opened):
    page = opened(name, width=WIDTHS[0])
    # The theme puts what scrolls into reach of the keyboard a moment after the page is there.
    page.wait_for_timeout(400)
    found = list(violations(page, RULES))
    for theme in THEMES:
        page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(50)
            seen = faults_of(page)
            wider = page.evaluate(WIDER)
            if wider > 0:
                seen.append(f"{wider} pixels wider than the page")
            found += [f"{theme}, {width}: {fault}" for fault in seen]
    found += violations(page, RULES | {"runOnly": {"type": "rule", "values": ["color-contrast"]}})
    assert not found, "\n".join(dict.fromkeys(found))


def test_there_are_charts_and_formulae_to_look_at(opened):
    assert len(PAGES) >= 5
    assert len(opened(CHARTED).evaluate(CHARTS)) == 5
    assert opened("chapters/the-score.html").locator("mjx-container").count()


def test_a_page_without_charts_or_formulae_loads_no_library_for_them(opened):
    page = opened("bibliography.html")
    assert not page.locator("script[src*='vendor/']").count()


def test_the_first_page_takes_less_than_a_megabyte(address, browser):
    """As servers of static pages send it: compressed, but for what is so already."""
    page, sizes = browser.new_page(), []
    page.on("response", lambda r: sizes.append(len(r.body() if r.url.endswith("woff2") else gzip.compress(r.body()))))
    page.goto(address, wait_until="networkidle")
    page.close()
    assert len(sizes) > 5 and sum(sizes) < 1e6


def test_no_page_and_no_script_with_its_charts_is_above_a_megabyte_nor_the_site_above_25():
    parts = [path for path in SITE.rglob("*") if path.is_file()]
    large = [path for path in parts if path.suffix == ".html" or path.parent.name == "figures"]
    assert {path.name for path in large if path.stat().st_size > 1e6} == set()
    assert sum(path.stat().st_size for path in parts) < 25e6


def test_long_tables_can_be_filtered(opened):
    page = opened("chapters/scores.html")
    rows = page.locator("table").first.locator("tbody tr")
    before = rows.count()
    page.locator(".dt-search input").first.fill("TEP-ones")
    assert 3 <= rows.count() < before
    assert not page.faults


def test_the_book_can_be_had_as_a_pdf_where_it_was_made(opened):
    made = SITE.parent / "pdf" / "tepones.pdf"
    link = opened("index.html").locator("a[href='tepones.pdf']")
    assert link.count() == made.is_file()
    if made.is_file():
        assert (SITE / "tepones.pdf").read_bytes() == made.read_bytes()


def test_a_menu_changes_the_chart(opened):
    page = opened(CHARTED)
    chart = page.locator("#altair-fig-ladders")
    before = chart.locator("svg").inner_html()
    chart.locator("select").nth(0).select_option("digits")
    assert chart.locator("svg").inner_html() != before
    cells = page.locator("#altair-fig-layers")
    before = cells.locator("svg").inner_html()
    cells.locator("input[type=radio]").first.press("Space")
    assert cells.locator("svg").inner_html() != before
    assert not page.faults


def test_what_is_pointed_at_in_one_panel_stands_out_in_all(opened):
    page = opened("chapters/sweet-phase.html")
    symbols = page.locator("#altair-fig-sweet-phase .role-mark.mark-symbol")

    def in_colour():
        """Of each group of symbols, by panel and mark, how many have not faded."""
        count = "(groups) => groups.map(group => group.querySelectorAll(':scope > path[opacity=\"1\"]').length)"
        return symbols.evaluate_all(count)

    before = in_colour()
    # Another mark may lie above it, which is one of a ladder as well.
    symbols.first.locator("path").nth(3).hover(force=True)
    pointed = in_colour()
    assert all(0 < ours < all_ for ours, all_ in zip(pointed, before, strict=True)) and len(before) >= 6
    page.mouse.move(1, 1)
    assert in_colour() == before and not page.faults


def saved(page, words):
    """What a button below the first chart saves, when it is pressed on the keyboard: name and content."""
    with page.expect_download() as download:
        page.locator(".chart-files").first.get_by_role("button", name=words).press("Enter")
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def test_a_figure_can_be_saved_as_data_and_as_pictures(opened):
    page = opened(CHARTED, theme="dark")
    name, text = saved(page, "data as CSV")
    rows = list(csv.DictReader(io.StringIO(text.decode())))
    assert name == "fig-ladders.csv"
    assert len({row["method"] for row in rows}) == 15 and all(0 <= float(row["accuracy"]) <= 1 for row in rows)
    name, svg = saved(page, "SVG")
    assert name == "fig-ladders.svg"
    # On white, where what has the colour of the page's text is black.
    assert svg.startswith(b"<svg") and b'fill="white"' in svg and b"currentColor" in svg
    name, png = saved(page, "PNG")
    assert name == "fig-ladders.png" and png.startswith(b"\x89PNG") and len(png) > 10_000
    assert not page.faults


def test_charts_follow_the_switch_of_the_page(opened):
    page = opened(CHARTED)
    text = page.locator("#altair-fig-ladders .role-axis-label text").first

    def brightness():
        red, green, blue = map(int, re.findall(r"\d+", text.evaluate("text => getComputedStyle(text).fill"))[:3])
        return (red + green + blue) / 3

    assert brightness() < 80
    for _ in range(3):
        page.locator("button.theme-switch-button").first.click()
        if page.evaluate("document.documentElement.dataset.theme") == "dark":
            break
    assert brightness() > 180
    assert not page.faults


@pytest.mark.parametrize("name", [name for name in PAGES if name.startswith("chapters/")])
def test_without_scripts_every_figure_is_a_picture(name, opened):
    page = opened(name, java_script_enabled=False)
    pictures = page.locator(".chart > img")
    for number in range(pictures.count()):
        assert pictures.nth(number).evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
    assert not page.faults


def test_the_search_finds_a_word_of_the_landing_page(opened):
    page = opened("search.html?q=backbone")
    page.wait_for_selector("#search-results li", timeout=10_000)
