"""Sparse encoding: a tensor with many zeros as the values that are not zero and where they are.

Positions are stored as one bit for each entry, or as the gaps between neighbours (the number of zeros before each
value) in the smallest unsigned integer that holds the largest gap; each tensor takes whatever is smallest, its
plain form included. A plain tensor keeps its name; an encoded one becomes ``name#values``, ``name#shape`` and
``name#bits`` or ``name#gaps``. Nothing is rounded: decoding gives equal tensors of the same type.
"""

from collections.abc import Mapping

import numpy as np

Arrays = dict[str, np.ndarray]
PLACES = ("bits", "gaps")

#: Bytes of a file's header that a tensor of three pieces takes beyond one of one.
OVERHEAD = 200


def encode(arrays: Mapping[str, np.ndarray]) -> Arrays:
    """Encode tensors.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        No name may hold a ``#``.

    Returns
    -------
    dict of str to ndarray
        What `decode` takes.
    """
    encoded: Arrays = {}
    for name, array in arrays.items():
        flat = array.reshape(-1)
        positions = np.flatnonzero(flat)
        gaps = np.diff(positions, prepend=-1) - 1
        places = {
            "bits": np.packbits(flat != 0),
            "gaps": gaps.astype(np.min_scalar_type(int(gaps.max(initial=0)))),
        }
        smallest = min(PLACES, key=lambda place: places[place].nbytes)
        pieces = {
            "values": flat[positions],
            "shape": np.array(array.shape, np.int64),
            smallest: places[smallest],
        }
        if sum(piece.nbytes for piece in pieces.values()) + OVERHEAD < array.nbytes:
            encoded |= {f"{name}#{piece}": content for piece, content in pieces.items()}
        else:
            encoded[name] = array
    return encoded


def decode(encoded: Mapping[str, np.ndarray]) -> Arrays:
    """Decode what `encode` made.

    Raises
    ------
    ValueError
        If a piece is missing, or the pieces of a tensor do not fit each other.
    """
    arrays: Arrays = {}
    for key in encoded:
        name, _, piece = key.partition("#")
        if not piece:
            arrays[name] = encoded[name]
        elif name not in arrays:
            arrays[name] = _decode(name, encoded)
    return arrays


def _decode(name: str, encoded: Mapping[str, np.ndarray]) -> np.ndarray:
    pieces = {piece: encoded.get(f"{name}#{piece}") for piece in ("values", "shape", *PLACES)}
    values, shape, bits, gaps = pieces.values()
    if values is None or shape is None or (bits is None) == (gaps is None):
        raise ValueError(f"tensor {name} is incomplete")
    size = int(np.prod(shape))
    if bits is not None:
        positions = np.flatnonzero(np.unpackbits(bits, count=size))
    else:
        positions = np.cumsum(gaps.astype(np.int64) + 1) - 1
    if len(positions) != len(values) or (len(positions) and positions[-1] >= size):
        raise ValueError(f"tensor {name} has {len(values)} values at {len(positions)} places of {size}")
    array = np.zeros(size, values.dtype)
    array[positions] = values
    return array.reshape(shape)
