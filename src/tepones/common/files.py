"""Files that are written whole or not at all, and read only if they are what they should be."""

import hashlib
import os
import stat
import time
import uuid
from pathlib import Path

#: Seconds after which a half-written file has no writer any more: writing one takes less than a minute.
STRAY = 3600


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
