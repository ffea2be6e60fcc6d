"""The same bits on every x86-64 processor with AVX2, so that a study made elsewhere can be made again exactly.

Numerical libraries choose among versions of their loops by the vector instructions of the processor, and each version
adds in another order. After some steps of training the last bits have become points of accuracy. So the processes that
compute records tell every library to use what all of these processors have, before it is loaded.

Found with one processor that has AVX-512 (Intel) and one that has not (AMD): with `MKL_CBWR=AVX2` they still differ,
and numpy from 2.4 on knows instruction sets in groups, so that disabling `AVX512F` and its like does nothing.
`data/records/README.md` has the hashes and the cost.
"""

import hashlib
import os
from functools import cache

THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

PINS = {
    "ATEN_CPU_CAPABILITY": "avx2",  # torch's own loops
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # its convolutions
    "MKL_CBWR": "COMPATIBLE",  # its matrix products and decompositions
    "OPENBLAS_CORETYPE": "Haswell",  # those of numpy and scipy
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",  # numpy's loops
}


def environment() -> dict[str, str]:
    """Environment variables of a process that computes records: one thread, and `PINS` if the processor has AVX2."""
    return THREADS | (PINS if can_be_pinned() else {})


@cache
def can_be_pinned() -> bool:
    """Whether the processor has what the pins ask for; else the libraries would end with an illegal instruction."""
    import torch

    return torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")


@cache
def fingerprint() -> str:
    """How this process rounds: ``pinned`` or ``as it comes``, and a hash that is equal where results are.

    Returns
    -------
    str
        The hash, 12 hexadecimal digits, is that of the weights after a short training of a network with convolutions of
        every kind, and of a product and a decomposition by numpy. Takes a tenth of a second, once in a process.
    """
    import numpy as np
    import torch

    rng = np.random.default_rng(0)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))

    with torch.random.fork_rng():  # layers draw weights; what is computed next must not notice
        layers = torch.nn.Sequential(
            torch.nn.Conv2d(3, 16, 3, 2, 1),
            torch.nn.BatchNorm2d(16),
            torch.nn.GELU(),
            torch.nn.Conv2d(16, 16, 3, 1, 1, groups=16),
            torch.nn.Conv2d(16, 32, 1, 2),
            torch.nn.Flatten(2),
            torch.nn.TransformerEncoderLayer(64, 2, 64, dropout=0.0, batch_first=True),
            torch.nn.Flatten(),
            torch.nn.Linear(32 * 64, 10),
        )
    weights = list(layers.parameters())
    with torch.no_grad():
        for weight in weights:
            weight.copy_(0.1 * drawn(*weight.shape))
    images, labels = drawn(16, 3, 32, 32).to(memory_format=torch.channels_last), torch.arange(16) % 10
    optimizer = torch.optim.SGD(weights, lr=0.05, momentum=0.9)
    for _ in range(5):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(layers(images), labels).backward()
        optimizer.step()
    matrix = rng.standard_normal((500, 64))
    found = [weight.detach().numpy() for weight in weights]
    found += [np.linalg.eigh(matrix.T @ matrix)[0], np.exp(matrix)]
    digest = hashlib.sha256(b"".join(array.tobytes() for array in found)).hexdigest()[:12]
    pinned = all(os.environ.get(name) == value for name, value in PINS.items())
    return f"{'pinned' if pinned else 'as it comes'} {digest}"
