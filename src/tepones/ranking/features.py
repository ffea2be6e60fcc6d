"""Features that a user has stored: one ``.npz`` file for each backbone and target."""

from pathlib import Path

import numpy as np

from tepones.common.errors import TeponesError, UsageError, one_line

#: A compressed file may have arrays of so many times its bytes: more would be a small file that fills the memory. Of
#: arrays of fewer bytes than `SMALL` nothing is asked.
MOST_UNPACKED = 100
SMALL = 2**28

#: Characters of what numpy and zipfile say is wrong, which may repeat any part of the file.
LONGEST_ERROR = 300


def read_features(path: str | Path) -> dict[str, np.ndarray]:
    """Read the arrays that `tepones.scores.score` takes from a ``.npz`` file; nothing pickled in it is read.

    They are ``features``, ``labels`` and, if the file has them, ``probabilities``.

    Raises
    ------
    UsageError
        If there is no such file, or `features` or `labels` is missing.
    TeponesError
        If the file is damaged, no ``.npz`` file, holds Python objects, or is compressed more than `MOST_UNPACKED`-fold.
    """
    path = Path(path)
    expected = "expected a .npz file with the arrays features, labels and, if known, probabilities"
    try:
        stored = np.load(path, allow_pickle=False)
        if isinstance(stored, np.ndarray):
            raise UsageError(f"{path}: a single array; {expected}")
        with stored:
            unpacked = sum(entry.file_size for entry in stored.zip.infolist())
            if unpacked > max(SMALL, MOST_UNPACKED * path.stat().st_size):
                raise TeponesError(
                    f"{path}: its arrays have {unpacked:,} bytes, more than {MOST_UNPACKED} times those of the file; "
                    "save them without compression: np.savez"
                )
            arrays = {name: stored[name] for name in ("features", "labels", "probabilities") if name in stored}
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; {expected}") from None
    except TeponesError:
        raise
    except Exception as error:  # zipfile, zlib and numpy raise of every kind
        raise TeponesError(f"{path}: cannot be read ({one_line(error)[:LONGEST_ERROR]}); {expected}") from None
    for name in ("features", "labels"):
        if name not in arrays:
            raise UsageError(f"{path}: array {name} is missing; {expected}")
    return arrays
