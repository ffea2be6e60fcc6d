"""The content of what cells read: looked at once, again when anything has changed, remembered when it is gone."""

import json
import os
import shutil

import pytest

from tepones.companion.study import inputs
from tepones.companion.study.inputs import INDEX, NOT_THERE, Inputs


@pytest.fixture
def pictures(tmp_path):
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        (tmp_path / "pictures" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pictures" / name).write_text(name)
    return tmp_path / "pictures"


@pytest.fixture
def digest(tmp_path, pictures):
    """The digest as a process finds it that has not looked before."""
    return lambda place=pictures: Inputs(tmp_path / "store").digest("pictures", place)


def _rename(pictures):
    (pictures / "cat" / "2.png").rename(pictures / "dog" / "2.png")


def _swap(pictures):
    one, other = (pictures / "cat" / name for name in ("1.png", "2.png"))
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


def _touchlessly(pictures):
    path = pictures / "dog" / "1.png"
    times = path.stat()
    path.write_text("DOG/1.PNG")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


CHANGES = {
    "a picture is replaced": lambda pictures: (pictures / "cat" / "1.png").write_text("another"),
    "replaced, its time set back": _touchlessly,
    "one is added": lambda pictures: (pictures / "dog" / "2.png").write_text("new"),
    "one is gone": lambda pictures: (pictures / "dog" / "1.png").unlink(),
    "one changes its class": _rename,
    "two are swapped": _swap,
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_changes_the_digest(digest, pictures, change):
    before = digest()
    CHANGES[change](pictures)
    assert digest() != before


def test_a_copy_elsewhere_has_the_same_digest(digest, pictures, tmp_path):
    shutil.copytree(pictures, tmp_path / "copy")
    other = Inputs(tmp_path / "other store").digest("pictures", tmp_path / "copy")
    assert other == digest()


def test_linked_folders_are_looked_into(digest, pictures, tmp_path):
    (pictures / "dog").rename(tmp_path / "elsewhere")
    (pictures / "dog").symlink_to(tmp_path / "elsewhere")
    before = digest()
    (tmp_path / "elsewhere" / "1.png").write_text("another")
    assert digest() != before


def test_what_has_not_changed_is_not_read_again(digest, monkeypatch):
    before, read = digest(), []
    monkeypatch.setattr(inputs, "content_hash", lambda path: read.append(path))
    assert digest() == before and not read


def test_what_is_gone_is_what_it_was(digest, pictures, tmp_path):
    assert digest(tmp_path / "nowhere") == NOT_THERE
    before = digest()
    shutil.rmtree(pictures)
    assert digest() == before != NOT_THERE


@pytest.mark.parametrize("content", ["", "null", "[]", '{"pictures": 3}', "{" * 10, "\x00"])
def test_a_damaged_index_is_made_anew(digest, tmp_path, content):
    before = digest()
    (tmp_path / "store" / INDEX).write_text(content)
    assert digest() == before
    assert json.loads((tmp_path / "store" / INDEX).read_text())["pictures"]["content"] == before
