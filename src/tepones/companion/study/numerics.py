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
        The hash, 12 hexadecimal digits, is that of the weights of a convolutional network after a short training, and
        of a product, eigenvalues and exponentials by numpy. Takes a fifth of a second, once in a process.
    """
    import numpy as np
    import torch
    from torch import nn

    rng = np.random.default_rng(0)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))

    def block(n_in: int, n_out: int, stride: int) -> list[nn.Module]:
        return [nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()]

    with torch.random.fork_rng():  # layers draw weights; what is computed next must not notice
        shortcut = nn.Conv2d(32, 32, 1, 2, bias=False)
        end = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)]
        network = nn.Sequential(*block(3, 16, 2), *block(16, 32, 1), shortcut, *block(32, 64, 2), *end)
    weights = list(network.parameters())
    with torch.no_grad():
        for weight in weights:
            weight.copy_(drawn(*weight.shape) * weight[0].numel() ** -0.5)
    network = network.to(memory_format=torch.channels_last)
    images, labels = drawn(64, 3, 32, 32).to(memory_format=torch.channels_last), torch.arange(64) % 10
    for _ in range(10):  # without an optimizer, whose import takes longer than all of this
        loss = nn.functional.cross_entropy(network(images), labels)
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for weight, gradient in zip(weights, gradients, strict=True):
                weight -= 0.05 * gradient
    matrix = rng.standard_normal((2000, 128))
    gram = matrix.T @ matrix
    found = [weight.detach().contiguous().numpy() for weight in weights]
    found += [gram, np.linalg.eigh(gram)[0], np.exp(matrix)]
    digest = hashlib.sha256(b"".join(array.tobytes() for array in found)).hexdigest()[:12]
    pinned = all(os.environ.get(name) == value for name, value in PINS.items())
    return f"{'pinned' if pinned else 'as it comes'} {digest}"
