"""Files that people write: what is wrong with them is said in one line, and nothing wrong passes in silence."""

import pytest
import yaml
from pydantic import Field, ValidationError

from tepones.common import paths
from tepones.common.config import LARGEST_YAML, Strict, first_error, read_yaml
from tepones.common.errors import UsageError


class Inner(Strict):
    count: int = Field(ge=1)


class Outer(Strict):
    inner: tuple[Inner, ...]
    name: str = "x"


class Measured(Strict):
    value: float


def complaint(given):
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(given)
    return first_error(caught.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"inner": [{"count": 0}]}, "inner.0.count: Input should be greater than or equal to 1, got 0"),
        ({"inner": [{}]}, "inner.0.count: Field required"),
        ({"inner": [], "colour": "red"}, "colour: Extra inputs are not permitted, got 'red'"),
    ],
)
def test_the_first_error_names_field_reason_and_value(given, words):
    assert complaint(given) == words


def test_a_long_value_is_shortened_and_stays_on_one_line():
    words = complaint({"inner": "many\nlines " * 1000})
    assert "\n" not in words and len(words) < 200


def test_a_file_that_is_no_json_is_not_repeated_in_the_message():
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate_json("no json " * 1000)
    assert "no json" not in first_error(caught.value)


def test_the_place_is_where_its_author_wrote_it():
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({"inner": [{"count": 0}]})
    assert first_error(caught.value, lambda place: place[2:]).startswith("count: ")


def test_a_strict_value_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Inner(count=1).count = 2


#: Nine nested lists of nine, and mappings that are merged from two copies of the one before: small, and endless.
MULTIPLYING = b"".join(
    b"- &%c [%s]\n" % (97 + level, b",".join([b"*%c" % (96 + level) if level else b"x"] * 9)) for level in range(9)
)
DOUBLING = b"- &a {x: 1}\n" + b"".join(b"- &%c {<<: [*%c, *%c]}\n" % (98 + n, 97 + n, 97 + n) for n in range(24))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a: 1\nb: 2\na: 3\n", "not valid YAML: 'a' is given twice in .*line 1"),
        (b"x: {a: 1, a: 1}\n", "'a' is given twice"),
        (b"a: [\n", "not valid YAML"),
        (b"a: \xff\n", "not valid YAML"),
        ("a: \xe9\n".encode("latin-1"), "not valid YAML: expected UTF-8"),
        ("a: 1\n".encode("utf-16"), "not valid YAML: expected UTF-8"),
        (b"[" * 200_000, "more than 20 levels are nested"),
        (b"- " * 100_000, "more than 20 levels are nested"),
        (MULTIPLYING, "with aliases written out it has more than 50,000 values"),
        (DOUBLING, "with aliases written out it has more than 50,000 values"),
        (b"&a [*a]\n", "an alias stands inside of what it stands for"),
        (b"a: .inf\n", r"'\.inf' is no finite number"),
        (b"a: [1, -.NaN, .nan]\n", r"'\.nan' is no finite number"),
        (b"a: " + b"9" * 9000, "not valid YAML: .*limit"),
        (b"a: 2001-99-99\n", "not valid YAML: month must be in 1..12"),
        (b"a: !!bool x\n", "not valid YAML"),
        (b"!!" * 100_000, "not valid YAML: could not determine a constructor"),
        (b"a: x\n" * 100_000, "cannot be read .it has 500,000 bytes, more than 262,144"),
        (b"a: !!python/object/apply:os.getcwd []\n", "not valid YAML"),
        (None, r"file\.yaml: cannot be read \(No such file or directory\)"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path, content, words):
    path = tmp_path / "file.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=words) as caught:
        read_yaml(path)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("file.yaml: ")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), "inf", "NaN", "1e999"])
def test_a_number_is_finite_however_it_is_written(value):
    with pytest.raises(ValidationError, match="finite number"):
        Measured(value=value)


def test_the_files_of_the_data_are_read_as_by_pyyaml():
    """None of the limits is near."""
    for path in sorted(paths.data().rglob("*.yaml")):
        assert read_yaml(path) == yaml.safe_load(path.read_text(encoding="utf-8")), path
        assert path.stat().st_size < LARGEST_YAML / 9


def test_an_empty_file_is_nothing(tmp_path):
    (tmp_path / "file.yaml").write_bytes(b"")
    assert read_yaml(tmp_path / "file.yaml") is None


def test_a_merged_entry_may_be_overridden(tmp_path):
    path = tmp_path / "file.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n")
    assert read_yaml(path) == {"a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 2}}
