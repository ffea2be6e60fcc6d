"""The content of files that cells read: part of the keys of their records, so that replaced files are noticed."""

import hashlib
import json
import os
from pathlib import Path

from tepones.common.files import content_hash, read_whole, write_atomically

#: In the folder of a store: what was found when each input was last looked at.
INDEX = "inputs.json"
_LARGEST = 2**20

#: Stands for the content of an input that was never there.
NOT_THERE = "not there"


class Inputs:
    """Digests of files and folders.

    A file is read again only if its size, a time, or the list of files has changed since it was last looked at, so a
    data set is read once on a machine. Of an input that is not there now, the content is what it was: a store that is
    complete can be read without the data sets.

    Parameters
    ----------
    folder : Path
        Where the index is kept; nothing is written as long as nothing has changed.
    """

    def __init__(self, folder: Path):
        self._index = folder / INDEX
        self._digests: dict[str, str] = {}

    def digest(self, name: str, path: Path) -> str:
        """Digest of the content of a file, or of all files in a folder.

        Parameters
        ----------
        name : str
            The same on every machine.
        path : Path

        Returns
        -------
        str
            64 hexadecimal digits, or `NOT_THERE`.
        """
        if name not in self._digests:
            self._digests[name] = self._looked_at(name, path)
        return self._digests[name]

    def _looked_at(self, name: str, path: Path) -> str:
        known = self._known()
        last = known.get(name, {"content": NOT_THERE})
        files = _files(path)
        if not files:
            return last["content"]
        stats = {file: os.stat(file) for file in files}
        told = [(inside, stats[file]) for file, inside in files.items()]
        state = _digest([[inside, s.st_size, s.st_mtime_ns, s.st_ctime_ns] for inside, s in told])
        if last.get("state") != state:
            last = {
                "state": state,
                "content": _digest([[inside, content_hash(Path(file))] for file, inside in files.items()]),
            }
            write_atomically(self._index, json.dumps(known | {name: last}, indent=1).encode())
        return last["content"]

    def _known(self) -> dict[str, dict[str, str]]:
        try:
            known = json.loads(read_whole(self._index, _LARGEST))
        except (FileNotFoundError, ValueError):  # none yet, or damaged: everything is looked at again
            return {}
        return known if isinstance(known, dict) and all(isinstance(entry, dict) for entry in known.values()) else {}


def _files(path: Path) -> dict[str, str]:
    """Files to read, sorted, each with its name inside of the folder."""
    if path.is_file():
        return {str(path): ""}
    found = [os.path.join(folder, name) for folder, _, names in os.walk(path, followlinks=True) for name in names]
    return {file: os.path.relpath(file, path) for file in sorted(found)}


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
