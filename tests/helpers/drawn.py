"""What a chart draws: its rows, its SVG, and whether it fits the page."""

import re

import pandas as pd
import vl_convert


def rows_of(chart):
    """All rows of all its data, as a frame."""
    return pd.DataFrame([row for data in chart.to_dict()["datasets"].values() for row in data])


def svg_of(chart):
    return vl_convert.vegalite_to_svg(chart.to_dict())


def width_of(chart):
    """Width in pixels."""
    return float(re.search(r'width="([\d.]+)"', svg_of(chart))[1])
