"""A figure as notebooks hold it: a chart that is drawn where scripts run, and until then a picture of it.

The picture is in the place that the chart takes, as a data address, so that it is there in a notebook that is not
trusted, without a network, and in a reader that runs no scripts. `html` writes a figure and `split` reads it again, for
the site, which keeps pictures and data in files beside its pages.
"""

import json
import re
from html import escape, unescape
from typing import NamedTuple
from urllib.parse import quote, unquote

import altair as alt

from tepones.common.errors import TeponesError

#: The first part of the id of a figure's place in a page; its key follows.
PLACE = "altair-"

#: Where the data address of a picture begins.
_DATA = "data:image/svg+xml,"

# SVG marks are elements that screen readers and tests can see. Of the menu only the download stays: the other entries
# leave the page.
_EMBED = {"renderer": "svg", "actions": {"export": True, "source": False, "compiled": False, "editor": False}}

#: A figure in a page, up to the chart's specification.
_FIGURE = re.compile(
    rf'<style>[^<]*</style>\s*<div id="{PLACE}([\w-]+)">(<img [^>]*>)?</div>\s*<script\b(?:(?!</script>).)*?\}}\)\(',
    re.DOTALL,
)


class Figure(NamedTuple):
    """A figure of a page: its key, the chart's specification, the picture (SVG) and the attributes of its ``img``."""

    key: str
    spec: dict
    picture: str
    attributes: dict[str, str]


def html(spec: dict, key: str) -> str:
    """A figure as HTML: the picture in its place, and the script that draws the chart there.

    Parameters
    ----------
    spec : dict
        Vega-Lite specification, whose `description` is the text for readers who do not see it.
    key : str
        Name of the figure.
    """
    place = f"{PLACE}{key}"
    written = alt.utils.spec_to_html(
        spec,
        mode="vega-lite",
        vega_version=alt.VEGA_VERSION,
        vegalite_version=alt.VEGALITE_VERSION,
        vegaembed_version=alt.VEGAEMBED_VERSION,
        output_div=place,
        embed_options=dict(_EMBED),
        json_kwds={"separators": (",", ":")},
        fullhtml=False,
        template="universal",
    )
    try:
        svg = picture(spec)
    except ImportError:
        # A session that lacks vl-convert, as on Colab, draws the chart itself.
        return written
    width, height = re.search(r'width="([\d.]+)" height="([\d.]+)"', svg).groups()
    # Percent signs and angle brackets would end the address or its attribute; single quotes take less room.
    address = _DATA + quote(svg.replace("'", "&apos;").replace('"', "'"), safe=" !$&'()*+,-./:;=?@_~")
    attributes = {"src": address, "alt": spec["description"], "width": width, "height": height}
    shown = " ".join(f'{name}="{_escaped(value)}"' for name, value in attributes.items())
    return written.replace(f'<div id="{place}"></div>', f'<div id="{place}"><img {shown}></div>')


def picture(spec: dict) -> str:
    """Draw a chart as SVG for white paper, the same bytes each time; `ImportError` without vl-convert.

    Coordinates have one digit behind the point, and what only scripts and screen readers use is left out, which an
    image has no use for: about half of the bytes.
    """
    import vl_convert

    spec = spec | {"background": "white", "config": spec.get("config", {}) | {"aria": False}}
    svg = vl_convert.vegalite_to_svg(spec)
    # What is referred to is numbered on from picture to picture of one process.
    for number, name in enumerate(dict.fromkeys(re.findall(r'\bid="(\w+)"', svg))):
        svg = re.sub(rf'(id="|url\(#){name}\b', rf"\g<1>p{number}", svg)
    svg = re.sub(r' (?:aria-\w+|role|class|pointer-events)="[^"]*"| (?:opacity|stroke-width)="1"', "", svg)
    svg = re.sub(r'<path [^>]*display="none"/>', "", svg)
    return re.sub(r'(?<= )(?:transform|d|x2|y2)="[^"]*"', lambda found: _shortened(found[0]), svg)


def split(page: str) -> tuple[list[str], list[Figure]]:
    """Read the figures of a page: the HTML before, between and behind them, and one fewer figures.

    Raises
    ------
    TeponesError
        If the page holds a chart that `html` did not write, or a figure without picture or without text.
    """
    between, figures, start = [], [], 0
    for found in _FIGURE.finditer(page):
        key, image = found.groups()
        spec, end = json.JSONDecoder().raw_decode(page, found.end())
        attributes = {name: unescape(value) for name, value in re.findall(r'([\w-]+)="([^"]*)"', image or "")}
        if not attributes.get("src", "").startswith(_DATA) or not spec.get("description"):
            raise TeponesError(f"figure {key!r} has no picture or no alt text: execute its chapter again")
        drawn = unquote(attributes.pop("src").removeprefix(_DATA))
        between.append(page[start : found.start()])
        figures.append(Figure(key, spec, drawn, attributes))
        start = page.index("</script>", end) + len("</script>")
    between.append(page[start:])
    if any("vegaEmbed(" in part for part in between):
        raise TeponesError("a chart that `charts.show` did not make, without key and alt text")
    return between, figures


def _escaped(value: str) -> str:
    """For an attribute in double quotes, where single ones are not in the way."""
    return escape(value, quote=False).replace('"', "&quot;")


def _shortened(attribute: str) -> str:
    return re.sub(r"-?\d+\.\d\d+", lambda number: f"{float(number[0]):.1f}".removesuffix(".0"), attribute)
