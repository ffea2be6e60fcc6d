"""Features that a user has stored: one ``.npz`` file for each backbone and target."""

from pathlib import Path

import numpy as np

from tepones.common.errors import TeponesError, UsageError, one_line


def read_features(path: str | Path) -> dict[str, np.ndarray]:
    """Read the arrays that `tepones.scores.score` takes from a ``.npz`` file; nothing pickled in it is read.

    They are ``features``, ``labels`` and, if the file has them, ``probabilities``.

    Raises
    ------
    UsageError
        If there is no such file, or `features` or `labels` is missing.
    TeponesError
        If the file is damaged, no ``.npz`` file, or holds Python objects.
    """
    expected = "expected a .npz file with the arrays features, labels and, if known, probabilities"
    try:
        stored = np.load(path, allow_pickle=False)
        if isinstance(stored, np.ndarray):
            raise UsageError(f"{path}: a single array; {expected}")
        with stored:
            arrays = {name: stored[name] for name in ("features", "labels", "probabilities") if name in stored}
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; {expected}") from None
    except UsageError:
        raise
    except Exception as error:  # zipfile, zlib and numpy raise of every kind
        raise TeponesError(f"{path}: cannot be read ({one_line(error)}); {expected}") from None
    for name in ("features", "labels"):
        if name not in arrays:
            raise UsageError(f"{path}: array {name} is missing; {expected}")
    return arrays
