"""Kernels that run several notebooks one after the other, each as if it were the first."""

import os
import sys

from ipykernel.kernelspec import get_kernel_dict
from jupyter_client import AsyncKernelManager, BlockingKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_core.utils import run_sync

from tepones.common import paths
from tepones.companion.study import numerics

#: Environment variable, and its value while a chapter is executed as it is committed: see `charts.holds`.
GUARDS, STRICT = "TEPONES_GUARDS", "strict"

#: Seconds until a kernel that does not answer is given up.
PATIENCE = 60

#: Kernels that are started until one answers.
TRIES = 3

# Run by the kernel before anything else: its messages are logged by another library than its own.
_QUIET = "--IPKernelApp.exec_lines=__import__('logging').getLogger('tornado').setLevel('CRITICAL')"

#: The environment of this process when it first imported this: in a kernel, that before its first notebook.
_ENVIRONMENT = dict(os.environ)


class _OwnInterpreter(AsyncKernelManager):
    """Kernels of the interpreter that runs this code, whatever kernels the user has registered elsewhere."""

    @property
    def kernel_spec(self) -> KernelSpec:
        # Quiet, because a kernel warns that its loopback connection is not encrypted, and prints a traceback
        # when interrupted, or when it is told to stop while a message is on its way. The seed, because the order of a
        # set would otherwise differ from run to run; one thread and the rest of it, because sums of several threads, or
        # of another processor, differ in their last bits.
        kernel = get_kernel_dict(["--log-level=CRITICAL", _QUIET])
        return KernelSpec(**kernel, env={"PYTHONHASHSEED": "0", **numerics.environment()})


class Kernel:
    """A kernel that starts when it is first needed, or needed again after it died, and ends with the `with` block.

    Starting one and importing the numerical libraries in it takes longer than most chapters do.
    """

    def __init__(self):
        self._manager: AsyncKernelManager | None = None

    def __enter__(self) -> "Kernel":
        return self

    def __exit__(self, *error: object) -> None:
        self._end()

    def ready(self, strict: bool) -> AsyncKernelManager:
        """The kernel, running, without a trace of the notebook before; if strict, `charts.holds` stops the next one.

        One that does not answer is replaced: two that start at a time may choose the same port, and one of them dies.

        Raises
        ------
        RuntimeError
            If none of `TRIES` answers.
        """
        for _ in range(TRIES - 1):
            try:
                return self._begun(strict)
            except (RuntimeError, TimeoutError):
                self._end()
        try:
            return self._begun(strict)
        except TimeoutError:
            raise RuntimeError(f"its kernel does not answer within {PATIENCE} seconds") from None

    def _begun(self, strict: bool) -> AsyncKernelManager:
        if self._manager is None or not run_sync(self._manager.is_alive)():
            self._manager = _OwnInterpreter(kernel_name="python3")
            run_sync(self._manager.start_kernel)(cwd=str(paths.root()))
        client = BlockingKernelClient(connection_file=self._manager.connection_file)
        client.load_connection_file()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=PATIENCE)
            # Not `execute_interactive`: it waits, for ever, for a message that a busy machine may miss.
            client.execute(
                f"__import__('tepones.companion.kernel', fromlist=['']).begin({str(paths.root())!r}, {strict})",
                silent=True,
                reply=True,
                timeout=PATIENCE,
            )
        finally:
            client.stop_channels()
        return self._manager

    def _end(self) -> None:
        if self._manager is not None:
            run_sync(self._manager.shutdown_kernel)(now=True)
            self._manager = None


def begin(folder: str, strict: bool) -> None:
    """In a kernel: forget the notebook before, and go to a folder."""
    from IPython import get_ipython

    os.chdir(folder)
    os.environ.clear()
    os.environ.update(_ENVIRONMENT | {GUARDS: STRICT if strict else ""})
    get_ipython().reset(new_session=True)
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
