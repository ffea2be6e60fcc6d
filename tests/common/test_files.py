"""Files written whole by any number of writers, and read only if they are what they should be."""

import os
import threading
import time

import pytest

from tepones.common import paths
from tepones.common.files import (
    STRAY,
    SUMS,
    Damaged,
    check_sums,
    content_hash,
    read_whole,
    remove_strays,
    write_atomically,
    write_sums,
)


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"before")
    monkeypatch.setattr(os, "fsync", lambda number: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"after")
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_that_holds_the_content_already_is_left_as_it_is(tmp_path):
    path = tmp_path / "folder" / "file"
    write_atomically(path, b"same")
    before = path.stat()
    write_atomically(path, b"same")
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    write_atomically(path, b"sane")
    assert path.read_bytes() == b"sane"


def test_writers_with_the_same_process_number_do_not_tear_each_others_files(tmp_path, monkeypatch):
    """As in two containers, or on two hosts that share a disk: all that such writers have in common is the name."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    path, contents = tmp_path / "file", [bytes([65 + k]) * 100_000 for k in range(4)]
    write_atomically(path, contents[0])
    failures = []

    def write(content):
        for _ in range(75):
            try:
                write_atomically(path, content)
            except OSError as error:
                failures.append(error)

    writers = [threading.Thread(target=write, args=(content,)) for content in contents]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert path.read_bytes() in contents
    assert not failures and os.listdir(tmp_path) == ["file"]


def test_only_old_strays_are_removed(tmp_path):
    names = (".a.json.0123.tmp", ".b.json.4567.tmp", "kept.tmp", ".kept.json")
    for name in names:
        (tmp_path / name).write_bytes(b"half")
    old = time.time() - STRAY - 60
    for name in (names[0], *names[2:]):
        os.utime(tmp_path / name, (old, old))
    remove_strays(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted(names[1:])


@pytest.mark.parametrize("read", [lambda path: read_whole(path, 10), content_hash])
@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("/dev/zero", path)])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path, make, read):
    make(tmp_path / "thing")
    with pytest.raises(ValueError, match="it is no file"):
        read(tmp_path / "thing")


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    assert read_whole(path, 10) == b"0123456789"
    with pytest.raises(ValueError, match="10 bytes, more than 9"):
        read_whole(path, 9)
    with pytest.raises(ValueError, match="10 bytes instead of 11"):
        content_hash(path, 11)
    assert content_hash(path, 10) == "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882"


@pytest.fixture
def summed(tmp_path):
    for name in ("a.csv", "b c.csv", "other.md"):
        (tmp_path / name).write_text(f"{name}\n1\n2\n")
    assert write_sums(tmp_path.glob("*.csv")) == tmp_path / SUMS
    return tmp_path


def test_checksums_are_those_of_sha256sum(summed):
    """Of the file `abc` without a line break it is the example of FIPS 180-2."""
    (summed / "a.csv").write_text("abc")
    write_sums([summed / "a.csv"])
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  a.csv\n"
    assert (summed / SUMS).read_text() == expected


def test_files_as_they_were_and_files_without_checksums_pass(summed):
    (summed / "other.md").write_text("changed")
    (summed / "new.csv").write_text("new")
    assert check_sums(summed) is None
    assert check_sums(summed / "nowhere") is None


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("b c.csv", "b c.csv\n1\n", "is damaged: its SHA-256 is not the one in SHA256SUMS"),
        ("a.csv", "a.csv\n1\n2\n\n", "is damaged: its SHA-256 is not the one in SHA256SUMS"),
        ("a.csv", None, "is missing, but SHA256SUMS names it"),
        (SUMS, "a.csv", "holds a line that is no checksum"),
        (SUMS, f"{'0' * 64}  ../a.csv\n", "is missing, but SHA256SUMS names it"),
        (SUMS, "x" * 2**21, "cannot be read"),
    ],
)
def test_a_file_that_is_cut_changed_or_gone_is_named_with_what_to_do(summed, name, content, told):
    if content is None:
        (summed / name).unlink()
    else:
        (summed / name).write_text(content)
    with pytest.raises(Damaged) as raised:
        check_sums(summed)
    assert told in str(raised.value) and f"`git checkout {summed}" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_every_published_table_has_a_checksum():
    folders = [paths.data() / "published", *(path for path in (paths.data() / "records").iterdir() if path.is_dir())]
    assert len(folders) > 5
    for folder in folders:
        check_sums(folder)
        named = {line.split("  ")[1] for line in (folder / SUMS).read_text().splitlines()}
        assert named == {path.name for path in folder.iterdir() if path.suffix in (".csv", ".parquet")}, folder
