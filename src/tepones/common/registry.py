"""Registries: names to the code behind them, imported on first use so that listing names costs nothing."""

from collections.abc import Mapping
from functools import partial
from importlib import import_module
from typing import Any

from tepones.common.errors import UsageError


class Registry(dict[str, str]):
    """A dictionary from a name to ``"module:object"``.

    Parameters
    ----------
    kind : str
        What is registered, for messages: ``"task"``.
    entries : dict of str to str
    families : mapping of str to str, optional
        For names of the form ``FAMILY:MEMBER``: from the family to ``"module:object"``. The object takes the
        member's name first.
    """

    def __init__(self, kind: str, entries: dict[str, str], families: Mapping[str, str] | None = None):
        super().__init__(entries)
        self.kind = kind
        self.families = families or {}

    def __missing__(self, name: str) -> str:
        family, _, member = name.partition(":")
        if member and family in self.families:
            return self.families[family]
        valid = sorted([*self, *(f"{family}:NAME" for family in self.families)])
        raise UsageError(f"unknown {self.kind} {name!r}; choose from: {', '.join(valid)}")

    def load(self, name: str) -> Any:
        """Import and return the object behind a name; an unknown name raises UsageError, which lists the valid ones."""
        module, _, attribute = self[name].partition(":")
        found = getattr(import_module(module), attribute)
        return found if name in self else partial(found, name.partition(":")[2])

    def module(self, name: str) -> str:
        """Module that defines the object behind a name; raises as `load` does."""
        return self[name].partition(":")[0]
