"""The page with the chart of a ranking: it draws itself from disk, and a name in it is never more than a name."""

import json
import re

import pandas as pd
import pytest

from tepones.ranking import Ranking, chart

NASTY = [
    "</script><script>document.title = 'run'</script>",
    "<img src=x onerror=\"document.title='run'\">",
    "a\x1b[31m\nb",
]


@pytest.fixture
def page(tmp_path):
    table = pd.DataFrame({"rank": [1, 2, 3], "backbone": NASTY, "gaussian": [3.0, 2.0, 1.0], "null": 0.5})
    ranked = Ranking(table.assign(flags="", sparsity=0.0), pd.DataFrame(), "gaussian")
    chart.save_chart(ranked, tmp_path / "chart.html")
    return tmp_path / "chart.html"


def test_no_name_ends_the_script_that_it_stands_in(page):
    text = page.read_text(encoding="utf-8")
    [data] = re.findall(r'"datasets": (\{.*?\}\]\})', text)
    [rows] = json.loads(data).values()
    assert [row["backbone"] for row in rows] == [*NASTY[:2], "a\\x1b[31m\\nb"]
    assert "<" not in data and "document.title" in data


@pytest.mark.browser
def test_chromium_draws_the_page_from_disk_and_runs_nothing_of_the_names(page, browser):
    opened = browser.new_page()
    faults = []
    opened.on("request", lambda r: r.url.startswith(("file:", "data:", "blob:")) or faults.append(r.url))
    opened.on("console", lambda m: m.type != "error" or faults.append(m.text))
    opened.on("pageerror", lambda e: faults.append(str(e)))
    opened.goto(page.as_uri(), wait_until="networkidle")
    assert not faults and opened.title() != "run"
    marks = opened.locator("path, circle").count() or opened.locator("canvas").count()
    assert marks
    opened.mouse.move(200, 30)
    opened.wait_for_timeout(300)
    assert opened.title() != "run" and opened.locator("img").count() == 0
    opened.close()
