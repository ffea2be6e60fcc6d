"""Files that people write: what is wrong with them is said in one line, and nothing wrong passes in silence."""

import pytest
from pydantic import Field, ValidationError

from tepones.common.config import Strict, first_error, read_yaml
from tepones.common.errors import UsageError


class Inner(Strict):
    count: int = Field(ge=1)


class Outer(Strict):
    inner: tuple[Inner, ...]
    name: str = "x"


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


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a: 1\nb: 2\na: 3\n", "not valid YAML: 'a' is given twice in .*line 1"),
        (b"x: {a: 1, a: 1}\n", "'a' is given twice"),
        (b"a: [\n", "not valid YAML"),
        (b"a: \xff\n", "not valid YAML"),
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


def test_a_merged_entry_may_be_overridden(tmp_path):
    path = tmp_path / "file.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n")
    assert read_yaml(path) == {"a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 2}}
