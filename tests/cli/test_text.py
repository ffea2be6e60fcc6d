"""Tables as text: what people read fits their screen, what programs read is all there."""

import csv
import io
import json

import pandas as pd
import pytest

from tepones.cli import text

FRAME = pd.DataFrame(
    {
        "backbone": ["plain", "a-very-long-name/" * 12, "new\nline\x1b[31m"],
        "score": [0.123456789, float("nan"), -1e-9],
        "sparsity": [0.0, 0.98, 1 / 3],
        "bytes": [999, 3213766, 4_100_000_000],
        "flags": ["", "N ≤ D, saturated", ""],
    }
)
FORMATS = {"sparsity": text.percent, "bytes": text.amount("B")}


def test_a_table_for_people_fits_and_loses_nothing():
    drawn = text.table(FRAME, "table", FORMATS)
    assert max(map(len, drawn.splitlines())) <= text.WIDTH
    header, *lines = drawn.splitlines()
    names = "".join(line[: header.index("score") - 2].strip() for line in lines)
    assert names == f"plain{FRAME['backbone'][1]}new\\nline\\x1b[31m"
    for part in ("0.1235", "98 %", "33.33 %", "999 B", "3.21 MB", "4.10 GB", "–", "-1e-09"):
        assert part in drawn
    assert "\x1b" not in drawn


def test_numbers_are_never_broken_over_lines():
    many = pd.DataFrame({"backbone": ["name" * 30], **{f"score{n}": [0.5] for n in range(8)}})
    drawn = text.table(many, "table")
    assert drawn.count("0.5") == 8 and max(map(len, drawn.splitlines())) <= text.WIDTH


def test_a_wide_table_has_one_line_for_each_row():
    assert len(text.table(FRAME, "table", FORMATS, wide=True).splitlines()) == 4


def test_csv_has_six_digits_and_no_control_characters():
    rows = list(csv.DictReader(io.StringIO(text.table(FRAME, "csv", FORMATS))))
    assert [row["score"] for row in rows] == ["0.123457", "", "-1e-09"]
    assert rows[1]["backbone"] == FRAME["backbone"][1] and rows[2]["backbone"] == "new\\nline\\x1b[31m"
    assert [row["bytes"] for row in rows] == ["999", "3213766", "4100000000"]


def test_json_has_names_as_they_are_and_null_where_there_is_no_number():
    written = text.as_json({"ranking": pd.DataFrame({"backbone": ["a", "ü\n"], "value": [1 / 3, float("nan")]})})
    assert json.loads(written) == {
        "ranking": [{"backbone": "a", "value": 0.333333}, {"backbone": "ü\n", "value": None}]
    }
    assert "ü" in written


@pytest.mark.parametrize(("value", "shown"), [(0, "0 B"), (1, "1 B"), (1500, "1.50 kB"), (2.5e12, "2.50 TB")])
def test_amounts_have_three_digits_and_a_prefix(value, shown):
    assert text.amount("B")(value).replace("K", "k") == shown
