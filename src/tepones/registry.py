"""Registries: names to the code behind them, imported on first use so that listing names costs nothing."""

from importlib import import_module
from typing import Any

from tepones.errors import choose


class Registry(dict[str, str]):
    """A dictionary from a name to ``"module:object"``.

    Parameters
    ----------
    kind : str
        What is registered, in the words of the design (``"task"``); used in messages.
    entries : dict of str to str
    """

    def __init__(self, kind: str, entries: dict[str, str]):
        super().__init__(entries)
        self.kind = kind

    def load(self, name: str) -> Any:
        """Import and return the object behind a name.

        Raises
        ------
        UsageError
            If the name is unknown; lists the valid ones.
        """
        choose(self.kind, name, self)
        return getattr(import_module(self.module(name)), self[name].partition(":")[2])

    def module(self, name: str) -> str:
        """Module that defines the object behind a name."""
        return self[name].partition(":")[0]
