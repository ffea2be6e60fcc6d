"""Figures as HTML: what is written can be read again, and the picture is the same each time."""

import re
import sys

import altair as alt
import pandas as pd
import pytest

from tepones.common.errors import TeponesError
from tepones.companion import figures

TEXT = 'Rows say "a < b" & it\'s 100 % so.'


@pytest.fixture
def spec():
    frame = pd.DataFrame({"x": [1.23456, 2], "name": ["<b>'", 'a "b" &']})
    line = alt.Chart(frame, title="100 % of <b>").mark_line(clip=True).encode(x="x:Q", y="name:N")
    return line.properties(description=TEXT).to_dict()


def test_what_is_written_can_be_read(spec):
    page = f"<p>before</p>{figures.html(spec, 'one')}<p>between</p>{figures.html(spec, 'fig-2')}<p>behind</p>"
    between, found = figures.split(page)
    assert [part.strip() for part in between] == ["<p>before</p>", "<p>between</p>", "<p>behind</p>"]
    assert [figure.key for figure in found] == ["one", "fig-2"]
    assert all(figure.spec == spec and figure.attributes["alt"] == TEXT for figure in found)
    assert {float(found[0].attributes[side]) > 20 for side in ("width", "height")} == {True}
    assert ">100 % of &lt;b&gt;<" in found[0].picture and ">&lt;b&gt;&apos;<" in found[0].picture


def test_the_picture_stands_where_the_chart_is_drawn(spec):
    """Altair's script draws into the element before it; vega-embed empties that first."""
    html = figures.html(spec, "one")
    place = re.search(
        r'<div id="altair-one"><img src="data:image/svg\+xml,[^"<>]*" alt="[^"]*"[^<>]*></div>\s*<script', html
    )
    assert place and html.count("<img") == 1


def test_a_picture_has_the_same_bytes_each_time_and_no_digit_too_many(spec):
    first = figures.picture(spec)
    assert figures.picture(spec) == first
    assert 'clip-path="url(#p0)"' in first and 'id="p0"' in first
    assert not re.search(r'(?:transform|\bd)="[^"]*\.\d\d', first)
    assert "aria-" not in first and 'fill="white"' in first
    assert "background" not in spec, "the chart itself stays as it is"


def test_a_session_without_the_library_for_pictures_still_draws_the_chart(spec, monkeypatch):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    html = figures.html(spec, "one")
    assert '<div id="altair-one"></div>' in html and "vegaEmbed(" in html
    with pytest.raises(TeponesError, match="figure 'one' has no picture or no alt text"):
        figures.split(html)


def test_charts_that_are_no_figures_are_told(spec):
    html = figures.html(spec, "one")
    assert figures.split("<p>vega</p>") == (["<p>vega</p>"], [])
    with pytest.raises(TeponesError, match="figure 'one' has no picture or no alt text"):
        figures.split(html.replace('"description":', '"name":'))
    with pytest.raises(TeponesError, match=r"a chart that `charts.show` did not make"):
        figures.split(html.replace('<div id="altair-one">', '<div id="other">'))
