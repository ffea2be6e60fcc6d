"""The published tables: every one can be read, and every way in which a copy is damaged is refused."""

import numpy as np
import pytest
from filled_tables import ROWS, fill

from tepones.common import paths
from tepones.common.errors import UsageError
from tepones.companion.published import tables

FOLDER = paths.data() / "published"


@pytest.mark.parametrize("name", tables.TABLES)
def test_every_table_is_read_as_its_file_says(name):
    """Against numpy's reader of the same file, cell by cell."""
    table = tables.load(name)
    file = np.genfromtxt(FOLDER / f"{name}.csv", delimiter=",", names=True, dtype=None, deletechars="")
    assert tuple(table) == file.dtype.names
    for column in table:
        np.testing.assert_array_equal(table[column], file[column])


def test_an_unknown_table_is_refused():
    with pytest.raises(UsageError, match="unknown published table 'sfda'; choose from: ped_readme"):
        tables.load("sfda")


SPARSE = "sparse-imagenet-transfer"


def damaged(tmp_path, name, change):
    lines = (FOLDER / f"{name}.csv").read_text().splitlines()
    (tmp_path / f"{name}.csv").write_text("\n".join(change(lines)) + "\n")
    with pytest.raises(UsageError) as caught:
        tables.load(name, tmp_path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def edit(row, old, new):
    """Change one line of the file, counted as an editor counts."""

    def change(lines):
        assert old in lines[row - 1]
        return [*lines[: row - 1], lines[row - 1].replace(old, new, 1), *lines[row:]]

    return change


@pytest.mark.parametrize(
    "change,words",
    [
        (edit(2, "60.4100", ""), ["row 2", "column mean_accuracy_percent: Field required"]),
        (
            edit(2, "60.4100", "160.41"),
            ["row 2", "column mean_accuracy_percent", "less than or equal to 100, got '160.41'"],
        ),
        (edit(2, "60.4100", "nan"), ["row 2", "column mean_accuracy_percent: ", "finite number, got 'nan'"]),
        (edit(2, "60.4100", "sixty"), ["row 2", "column mean_accuracy_percent", "valid number", "got 'sixty'"]),
        (
            edit(3, "AC/DC", "ACDC"),
            ["row 3", "column pruning_method", "'AC/DC', 'LTH-T'", "got 'ACDC'"],
        ),
        (edit(3, "AC/DC", ""), ["row 3", "column pruning_method: Field required"]),
        (edit(3, "0.9", "0.7"), ["row absent", "column n_runs", "resnet50, linear, SUN, AC/DC, 0.9"]),
        (edit(3, "0.9", "0.8"), ["row 3", "column nominal_sparsity", "repeats row 2"]),
        (lambda lines: [*lines, lines[5]], ["row 722", "repeats row 6"]),
        (lambda lines: lines[:-1], ["row absent", "column n_runs", "no cell for mobilenetv1"]),
        (lambda lines: [lines[0], lines[1] + ",1", *lines[2:]], ["row 2", "11 cells instead of 10"]),
        (lambda lines: [lines[0].replace("n_runs,", ""), *lines[1:]], ["row 1", "column n_runs is missing"]),
        (lambda lines: [], ["row 1", "column architecture is missing"]),
    ],
)
def test_a_damaged_table_is_refused_with_file_row_and_column(tmp_path, change, words):
    message = damaged(tmp_path, SPARSE, change)
    assert message.startswith(f"{SPARSE}.csv, ")
    for word in words:
        assert word in message


def test_a_row_that_the_source_does_not_have_is_refused(tmp_path):
    extra = "resnet50,linear,SUN,M-FAC,0.8,5,60.4100,0.0292,0.2760,-0.00692"
    message = damaged(tmp_path, SPARSE, lambda lines: [*lines, extra])
    assert "row 722, column nominal_sparsity: the source has no cell resnet50, linear, SUN, M-FAC, 0.8" in message


def test_a_missing_cell_of_a_wide_table_is_refused(tmp_path):
    message = damaged(tmp_path, "sfda_readme_wtau_supervised", edit(2, "0.605", ""))
    assert message == "sfda_readme_wtau_supervised.csv, row 2, column Caltech101: Field required"


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"torchvision_v1\.csv: cannot be read"):
        tables.load("torchvision_v1", tmp_path)


# the TEP-ones paper's own numbers ---------------------------------------------------------------------


def test_without_a_filled_file_there_is_nothing_and_no_error():
    assert tables.tep_ones().empty


def test_a_filled_file_is_picked_up(tmp_path):
    fill(tmp_path, ROWS)
    found = tables.tep_ones(tmp_path)
    assert list(found["sparsity"]) == [0, 0.5, 0.9, 0.99] and set(found["file"]) == {"tep-ones-tables.csv"}


@pytest.mark.parametrize(
    "rows,words",
    [
        ([], "tep-ones-tables.csv: no rows"),
        ([*ROWS, ROWS[0]], "row 6, column score: .* repeats row 2"),
        ([ROWS[0].replace("linear", "probe")], "row 2, column protocol: .*'linear' or 'full', got 'probe'"),
        ([ROWS[0].replace("Table 9 p. 9", "")], "row 2, column place: Field required"),
        ([ROWS[1].replace("0.5", "50")], "row 2, column sparsity: .*less than or equal to 0.99999, got '50'"),
    ],
)
def test_a_badly_filled_file_is_refused(tmp_path, rows, words):
    fill(tmp_path, rows)
    with pytest.raises(UsageError, match=words):
        tables.tep_ones(tmp_path)


def test_a_row_that_two_files_hold_is_refused(tmp_path):
    fill(tmp_path, ROWS)
    fill(tmp_path, ROWS[2:3], "tep-ones-zusatz.csv")
    with pytest.raises(UsageError, match=r"tep-ones-zusatz\.csv: net, src, .*also in another file"):
        tables.tep_ones(tmp_path)
