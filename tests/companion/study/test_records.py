"""Records: complete or absent, keyed by all they depend on, never trusted when damaged or another's."""

import dataclasses
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_cells import Square

from tepones.common.errors import TeponesError
from tepones.companion.study import records
from tepones.companion.study.records import Cell, Store


@dataclasses.dataclass(frozen=True)
class Reading(Cell):
    """A cell that reads a file or a folder."""

    path: str

    def inputs(self):
        return {"pages": Path(self.path)}

    def compute(self, store):
        path = Path(self.path)
        return {"text": "".join(file.read_text() for file in (sorted(path.iterdir()) if path.is_dir() else [path]))}, {}


@dataclasses.dataclass(frozen=True)
class Counting(Cell):
    """A cell that needs the one that reads."""

    reading: Reading

    def requires(self):
        return [self.reading]

    def compute(self, store):
        return {"letters": len(store.require(self.reading).values["text"])}, {}


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


def _replace(content):
    def damage(path):
        path.write_bytes(content)

    return damage


def _instead_of(make):
    def damage(path):
        path.unlink()
        make(path)

    return damage


def _grow(path):
    with open(path, "r+b") as file:
        file.truncate(40 * 10**9)  # sparse: nothing of it is on the disk


def _blob(path):
    (blob,) = path.parent.glob("*.safetensors")
    return blob


def _damage_tensors(path):
    content = bytearray(_blob(path).read_bytes())
    content[-1] ^= 1
    _blob(path).write_bytes(content)


DAMAGE = {
    "another number": _damage_text,
    "half of it": _truncate,
    "nothing": _replace(b""),
    "a list": _replace(b"[1, 2]"),
    "null": _replace(b"null"),
    "a word": _replace(b'"record"'),
    "a number without end": _replace(b"1" * 10_000),
    "nesting without end": _replace(b"[" * 200_000),
    "nested objects without end": _replace(b'{"a":' * 200_000),
    "bytes that are no text": _replace(b"\xff\xfe\x00"),
    "a folder": _instead_of(os.mkdir),
    "a pipe": _instead_of(os.mkfifo),
    "40 GB": _grow,
    "other tensors": _damage_tensors,
    "no tensors": lambda path: _blob(path).unlink(),
    "40 GB of tensors": lambda path: _grow(_blob(path)),
    "a pipe of tensors": lambda path: _instead_of(os.mkfifo)(_blob(path)),
    "a folder of tensors": lambda path: _instead_of(os.mkdir)(_blob(path)),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_record_is_told_in_one_line_and_never_believed(store, capfd, damage):
    store.compute(Square(7))
    path = store.path(Square(7))
    DAMAGE[damage](path)
    assert store.get(Square(7)) is None
    (told,) = capfd.readouterr().err.splitlines()
    assert str(path) in told and "damaged" in told


@pytest.mark.parametrize("damage", [name for name in DAMAGE if "folder" not in name])
def test_a_damaged_record_is_computed_again(store, damage):
    store.compute(Square(7))
    DAMAGE[damage](store.path(Square(7)))
    for _ in range(2):
        assert store.compute(Square(7)).values == {"square": 49}
    assert Square.calls == [7, 7]


@settings(max_examples=300, deadline=None)
@given(data=st.data(), of_tensors=st.booleans(), cut=st.booleans())
def test_a_flipped_bit_or_a_lost_end_is_never_believed(tmp_path_factory, data, of_tensors, cut):
    """What is read is what was computed, or nothing: a flip may hit a blank of the JSON, which says the same."""
    folder = tmp_path_factory.getbasetemp() / "flips"
    store = Store(folder)
    record = store.compute(Square(7))
    path = record.blob if of_tensors else store.path(Square(7))
    content = path.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    if cut:
        path.write_bytes(content[:place])
    else:
        bit = 1 << data.draw(st.integers(0, 7))
        path.write_bytes(content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :])
    found = store.get(Square(7))
    path.write_bytes(content)
    assert found is None or found.values == record.values
    assert found is None or not of_tensors


def test_a_record_under_the_name_of_another_is_not_believed(store, capfd):
    one, other = Square(7), Square(8)
    for cell in (one, other):
        store.compute(cell)
    content = store.path(one).read_bytes()
    store.path(one).write_bytes(store.path(other).read_bytes())
    store.path(other).write_bytes(content)
    assert store.get(one) is None and store.get(other) is None
    assert capfd.readouterr().err.count("record of another cell") == 2
    assert store.compute(one).values == {"square": 49} and store.compute(other).values == {"square": 64}


def test_a_record_of_the_same_cell_under_another_key_is_not_believed(store, monkeypatch):
    """Such as one that an older version of the code or of a library made, copied to today's name."""
    store.compute(Square(7))
    body = store.path(Square(7)).read_bytes()
    monkeypatch.setattr(records, "versions", lambda: {"torch": "0.0"})
    later = Store(store.folder)
    assert later.path(Square(7)) != store.path(Square(7))
    later.path(Square(7)).write_bytes(body)
    assert later.get(Square(7)) is None


def test_the_key_depends_on_fields_and_versions(store, monkeypatch):
    assert store.key(Square(1)) != store.key(Square(2))
    monkeypatch.setattr(records, "versions", lambda: {"torch": "0.0"})
    assert Store(store.folder).key(Square(1)) != store.key(Square(1))


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_cell_reads_is_in_its_key_and_in_those_that_need_it(tmp_path, kind):
    place = tmp_path / "pages"
    page = place / "one" if kind == "folder" else place
    page.parent.mkdir(exist_ok=True)
    page.write_text("abc")
    cell = Counting(Reading(str(place)))

    def counted():
        store = Store(tmp_path / "records")
        store.compute(cell.reading)
        return store.compute(cell).values["letters"]

    assert counted() == 3
    page.write_text("abcdef")
    assert counted() == 6
    shutil.copy2(page, tmp_path / "elsewhere")
    page.unlink()
    shutil.copy2(tmp_path / "elsewhere", page)  # the same content with the same times: nothing is computed again
    before = Store(tmp_path / "records").path(cell).stat().st_mtime_ns
    assert counted() == 6
    assert Store(tmp_path / "records").path(cell).stat().st_mtime_ns == before
    times = page.stat()
    page.write_text("fedcba")
    os.utime(page, ns=(times.st_atime_ns, times.st_mtime_ns))  # replaced, and its time set back
    assert Store(tmp_path / "records").get(cell) is None


def test_a_complete_store_can_be_read_without_its_inputs(tmp_path):
    page = tmp_path / "page"
    page.write_text("abc")
    cell = Reading(str(page))
    Store(tmp_path / "records").compute(cell)
    page.unlink()
    assert Store(tmp_path / "records").get(cell).values == {"text": "abc"}


def test_a_store_on_a_read_only_disk_is_enough_to_read(store, tmp_path, monkeypatch):
    page = tmp_path / "page"
    page.write_text("abc")
    for cell in (Square(7), Reading(str(page))):
        store.compute(cell)

    def refuse(*arguments, **options):
        raise OSError(30, "Read-only file system")

    for name in ("replace", "unlink", "mkdir", "remove"):
        monkeypatch.setattr(os, name, refuse)
    there = Store(store.folder)
    there.clean()
    assert there.compute(Square(7)).values == {"square": 49}
    assert there.compute(Reading(str(page))).values == {"text": "abc"}
    with pytest.raises(OSError, match="Read-only"):
        there.compute(Square(8))


def test_a_missing_record_is_a_failure(store):
    with pytest.raises(TeponesError, match="no usable record of Square"):
        store.require(Square(3))


def test_a_kill_while_writing_leaves_no_record(tmp_path):
    """A process is killed between its temporary file and the rename: the record does not exist."""
    program = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(sys.modules[Square.__module__].__file__).parent)!r})
from small_cells import Square
from tepones.companion.study.records import Store
os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)
Store({str(tmp_path)!r}).compute(Square(7))
"""
    assert subprocess.run([sys.executable, "-c", program]).returncode == -9
    Square.calls.clear()
    store = Store(tmp_path)
    assert store.get(Square(7)) is None
    strays = list(tmp_path.rglob(".*.tmp"))
    assert strays
    assert store.compute(Square(7)).values == {"square": 49}
    store.clean()
    assert list(tmp_path.rglob(".*.tmp")) == strays  # may still be being written, for all that one can see
    for stray in strays:
        os.utime(stray, (0, 0))
    store.clean()
    assert not list(tmp_path.rglob(".*.tmp"))


def _write_often(folder, seed):
    # The same cell with other tensors, as two processors may make them; one process number for all, as in containers.
    os.getpid = lambda: 1
    Square.noise = seed
    store = Store(folder)
    for _ in range(100):
        store._make(Square(7))


def test_several_hosts_may_make_the_same_record_at_a_time(tmp_path, capfd):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write_often, args=(tmp_path, seed)) for seed in range(3)]
    Store(tmp_path).compute(Square(7))
    for writer in writers:
        writer.start()
    read = 0
    while any(writer.is_alive() for writer in writers):
        record = Store(tmp_path).get(Square(7))
        assert record is not None and set(record.tensors()["array"].tolist()) <= {7, 8, 9}
        read += 1
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert read > 10 and "damaged" not in capfd.readouterr().err


def test_a_record_says_what_it_is(store):
    store.compute(Square(7))
    body = json.loads(store.path(Square(7)).read_text())
    assert (body["kind"], body["cell"], body["key"]) == ("square", {"number": 7}, store.key(Square(7)))
    assert store.path(Square(7)).stem == body["key"]


def test_a_store_is_one_in_each_process(store):
    import pickle

    copies = [pickle.loads(pickle.dumps(store)) for _ in range(2)]
    assert copies[0] is copies[1] and copies[0].folder == store.folder
