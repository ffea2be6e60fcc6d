"""The site in a real browser that can reach nothing but the site."""

import functools
import http.server
import threading
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

SITE = Path(__file__).resolve().parents[2] / "book" / "_build" / "html"

CHARTS = """() => [...document.querySelectorAll('div[id^="altair-"]')].map((chart) => ({
    id: chart.id,
    alt: chart.querySelector('[role="graphics-document"]')?.getAttribute('aria-label'),
    marks: chart.querySelectorAll('svg .role-mark [role="graphics-symbol"], svg .role-mark path').length,
    wide: chart.scrollWidth > chart.clientWidth + 1,
}))"""

MATHS = """() => [...document.querySelectorAll('.math')].filter(
    (formula) => !formula.querySelector('mjx-container') || formula.querySelector('mjx-merror')
).map((formula) => formula.textContent)"""


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


def faults_of(page, url, address):
    """Everything that is wrong with a page, and how many charts and formulae it has."""
    faults = []
    page.on("request", lambda r: r.url.startswith((address, "data:", "blob:")) or faults.append(f"asks {r.url}"))
    page.on("response", lambda r: r.status < 400 or faults.append(f"{r.status} for {r.url}"))
    page.on("console", lambda m: m.type != "error" or faults.append(f"console: {m.text}"))
    page.on("pageerror", lambda e: faults.append(f"script error: {e}"))
    page.goto(url, wait_until="networkidle")
    page.evaluate("() => window.MathJax?.startup?.promise")
    formulae = page.locator(".math").count()
    faults += [f"formula not drawn: {text}" for text in page.evaluate(MATHS)]
    charts = page.evaluate(CHARTS)
    for chart in charts:
        if not chart["marks"]:
            faults.append(f"{chart['id']} has no marks")
        if not chart["alt"]:
            faults.append(f"{chart['id']} has no alt text")
        if chart["wide"]:
            faults.append(f"{chart['id']} is wider than its column")
    return faults, len(charts), formulae


def test_every_page_draws_itself(address, browser):
    names = sorted(p.relative_to(SITE).as_posix() for p in SITE.rglob("*.html") if "_static" not in p.parts)
    assert len(names) >= 5, names
    found, n_charts, n_formulae = [], 0, 0
    for name in names:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        faults, charts, formulae = faults_of(page, address + name, address)
        page.close()
        found += [f"{name}: {fault}" for fault in faults]
        n_charts += charts
        n_formulae += formulae
    assert not found, "\n".join(found)
    assert n_charts
    assert n_formulae


def test_the_search_finds_a_word_of_the_landing_page(address, browser):
    page = browser.new_page()
    page.goto(f"{address}search.html?q=backbone", wait_until="networkidle")
    page.wait_for_selector("#search-results li", timeout=10_000)
    page.close()
