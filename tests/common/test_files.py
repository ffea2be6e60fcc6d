"""Files written whole by any number of writers, and read only if they are what they should be."""

import os
import threading
import time

import pytest

from tepones.common.files import STRAY, content_hash, read_whole, remove_strays, write_atomically


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
