"""Files that are written whole or not at all, and read only if they are what they should be."""

import hashlib
import os
import re
import stat
import time
import uuid
from collections.abc import Iterable
from pathlib import Path

from tepones.common.errors import TeponesError

#: Seconds after which a half-written file has no writer any more: writing one takes less than a minute.
STRAY = 3600

#: File of the checksums of others in its folder, as `sha256sum` writes and checks it.
SUMS = "SHA256SUMS"


class Damaged(TeponesError):
    """A published file is not what it was when it was published."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that, whatever happens, it holds either all of the new content or what it held before.

    Several processes, on one host or several that share the disk, may write the same file at a time: one of them wins.
    A file that holds the content already is left as it is.
    """
    if _holds(path, content):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_strays(folder: Path) -> None:
    """Remove what processes that were killed while writing left below a folder, once it is an hour old."""
    for path in folder.rglob(".*.tmp"):
        try:
            if time.time() - path.stat().st_mtime > STRAY:
                path.unlink()
        except OSError:  # gone by another process, or on a read-only disk, where it is in nobody's way
            continue


def read_whole(path: Path, largest: int) -> bytes:
    """Content of a file of at most so many bytes.

    Raises
    ------
    ValueError
        If it is no regular file, or larger.
    OSError
        If it cannot be read.
    """
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > largest:
            raise ValueError(f"it has {size:,} bytes, more than {largest:,}")
        return file.read(largest)


def content_hash(path: Path, size: int | None = None) -> str:
    """SHA-256 of a file, from memory of one block; of a file that has not the given size nothing is read.

    Raises
    ------
    ValueError
        If it is no regular file, or of another size.
    OSError
        If it cannot be read.
    """
    with _opened(path) as file:
        found = os.fstat(file.fileno()).st_size
        if size is not None and found != size:
            raise ValueError(f"{path.name} has {found:,} bytes instead of {size:,}")
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_sums(files: Iterable[Path]) -> Path:
    """Write the checksums of files of one folder beside them; the file written."""
    files = sorted(files)
    path = files[0].with_name(SUMS)
    write_atomically(path, "".join(f"{content_hash(file)}  {file.name}\n" for file in files).encode())
    return path


def check_sums(folder: Path) -> None:
    """Refuse a folder whose files are not what its checksums say; one without checksums is not looked at.

    Raises
    ------
    Damaged
        If a file that they name is missing or another, or they are no checksums; one line that names the file.
    """
    sums = folder / SUMS
    try:
        lines = read_whole(sums, 2**20).decode().splitlines()
    except FileNotFoundError:
        return
    except (ValueError, OSError) as error:
        raise _damaged(sums, f"cannot be read ({error})") from None
    for line in lines:
        named = re.fullmatch("([0-9a-f]{64})  (.+)", line)
        if named is None:
            raise _damaged(sums, "holds a line that is no checksum")
        path = folder / named[2]
        try:
            same = content_hash(path) == named[1]
        except (ValueError, OSError):
            raise _damaged(path, f"is missing, but {SUMS} names it") from None
        if not same:
            raise _damaged(path, f"is damaged: its SHA-256 is not the one in {SUMS}")


def _damaged(path: Path, what: str) -> Damaged:
    return Damaged(f"{path} {what}; `git checkout {path.parent}` brings back what was published")


def _opened(path: Path):
    """A regular file, open for reading; what is none is refused, and nothing is waited for."""
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise ValueError("it is no file")
    return os.fdopen(number, "rb")


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.stat().st_size == len(content) and read_whole(path, len(content)) == content
    except (OSError, ValueError):
        return False
