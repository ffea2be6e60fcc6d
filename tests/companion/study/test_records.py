"""Records: complete or absent, keyed by all they depend on, never trusted when damaged."""

import dataclasses
import os
import subprocess
import sys
import textwrap
import typing

import numpy as np
import pytest

from tepones.common.errors import TeponesError
from tepones.common.files import write_atomically
from tepones.companion.study import records
from tepones.companion.study.records import Store, code_hash, key


@dataclasses.dataclass(frozen=True)
class Square:
    number: int
    calls: typing.ClassVar[list[int]] = []

    def requires(self):
        return []

    def code(self):
        return ["tepones.common.errors"]

    def compute(self, store):
        Square.calls.append(self.number)
        return {"square": self.number**2}, {"array": np.full(3, self.number)}


@pytest.fixture
def store(tmp_path):
    Square.calls.clear()
    return Store(tmp_path / "records")


def test_a_record_is_computed_once(store):
    first, second = store.compute(Square(7)), store.compute(Square(7))
    assert first.values == second.values == {"square": 49}
    assert second.tensors()["array"].tolist() == [7, 7, 7]
    assert Square.calls == [7]
    assert second.made["seconds"] >= 0 and "torch" in second.made["versions"]


def _damage_text(path):
    path.write_text(path.read_text().replace("49", "50"))


def _truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty(path):
    path.write_bytes(b"")


def _not_a_record(path):
    path.write_text("[1, 2]")


def _damage_tensors(path):
    blob = path.with_suffix(".safetensors")
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.write_bytes(content)


def _lose_tensors(path):
    path.with_suffix(".safetensors").unlink()


@pytest.mark.parametrize("damage", [_damage_text, _truncate, _empty, _not_a_record, _damage_tensors, _lose_tensors])
def test_a_damaged_record_is_told_and_computed_again(store, capfd, damage):
    store.compute(Square(7))
    (path,) = store.folder.glob("square/*.json")
    damage(path)
    assert store.compute(Square(7)).values == {"square": 49}
    assert Square.calls == [7, 7]
    told = capfd.readouterr().err
    assert str(path) in told and "damaged" in told and "Traceback" not in told
    store.compute(Square(7))
    assert Square.calls == [7, 7]


def test_the_key_depends_on_fields_and_versions(monkeypatch):
    assert key(Square(1)) != key(Square(2))
    before = key(Square(1))
    key.cache_clear()
    monkeypatch.setattr(records, "versions", lambda: {"torch": "0.0"})
    assert key(Square(1)) != before
    key.cache_clear()


def test_the_code_hash_sees_code_but_not_comments(monkeypatch, tmp_path):
    source = tmp_path / "module.py"
    monkeypatch.setattr(records, "_source", lambda module: source)

    def hashed(text):
        source.write_text(textwrap.dedent(text))
        records._tree.cache_clear()
        code_hash.cache_clear()
        return code_hash(Square, "tepones.module")

    one = hashed("""def f(x):\n    "Say it."\n    return x + 1\n""")
    assert hashed("""# a comment\ndef f(x):\n    "Say it otherwise."\n    return (x + 1)\n""") == one
    assert hashed("""def f(x):\n    "Say it."\n    return x + 2\n""") != one
    records._tree.cache_clear()
    code_hash.cache_clear()


def test_a_missing_record_is_a_failure(store):
    with pytest.raises(TeponesError, match="no usable record of Square"):
        store.require(Square(3))


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"before")
    monkeypatch.setattr(os, "fsync", lambda number: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"after")
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["file"]


def test_a_kill_while_writing_leaves_no_record(tmp_path):
    """A process is killed between its temporary file and the rename: the record does not exist."""
    program = f"""
import os, signal, sys
sys.path.insert(0, {str(os.path.dirname(__file__))!r})
from test_records import Square
from tepones.companion.study.records import Store
os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)
Store({str(tmp_path)!r}).compute(Square(7))
"""
    assert subprocess.run([sys.executable, "-c", program]).returncode == -9
    Square.calls.clear()
    store = Store(tmp_path)
    assert store.get(Square(7)) is None
    assert store.compute(Square(7)).values == {"square": 49}
