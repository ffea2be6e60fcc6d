"""The picture of the README, drawn from the published records."""

from pathlib import Path

from tepones.common import paths
from tepones.common.files import write_atomically
from tepones.companion import charts, study

PROFILE, TARGET = "embedded", "digits"


def write_readme_picture() -> Path:
    """Draw the sweet phase on the far target into `book/_static/sweet-phase.svg`."""
    import vl_convert

    frame = study.tidy(study.load(PROFILE)).drop_duplicates(["ladder", "rung", "target"])
    chart = charts.sweet_phase(frame[frame["target"] == TARGET])
    path = paths.book() / "_static" / "sweet-phase.svg"
    write_atomically(path, vl_convert.vegalite_to_svg(chart.to_dict()).encode())
    return path
