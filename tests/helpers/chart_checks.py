"""What every chart of the book must do, whatever it shows."""

import re

import pytest
from drawn import width_of

from tepones.common.errors import UsageError
from tepones.companion import charts


def check_chart(build, frame):
    """A chart fits the text column, does not show the last bits of a machine, and refuses a frame without rows."""
    chart = build(frame)
    assert width_of(chart) <= charts.WIDTH
    nudged = frame.assign(**{column: frame[column] * (1 + 1e-14) for column in frame.select_dtypes("float")})
    # A parameter's view is named by a counter.
    assert re.sub(r"view_\d+", "", build(nudged).to_json()) == re.sub(r"view_\d+", "", chart.to_json())
    with pytest.raises(UsageError, match="no rows"):
        build(frame.iloc[:0])
