"""A forward pass by DeepSparse, for a Python that has it: `speed.by_deepsparse` runs this file there.

DeepSparse skips zeros wherever they are, on CPUs with AVX2 or AVX-512. Its last version that installs is 1.8.0; the
project has ended.
"""

import sys

import deepsparse
import numpy as np

from tepones.companion.bench.pairs import ratio


def main(folder: str) -> None:
    """Print the ratio of the times of `dense.onnx` and `pruned.onnx` of a folder on its `images.npy`."""
    images = np.load(f"{folder}/images.npy")
    dense, pruned = (
        deepsparse.compile_model(f"{folder}/{name}.onnx", batch_size=len(images), num_cores=1)
        for name in ("dense", "pruned")
    )
    print(ratio(lambda: dense.run([images]), lambda: pruned.run([images])))


if __name__ == "__main__":
    main(sys.argv[1])
