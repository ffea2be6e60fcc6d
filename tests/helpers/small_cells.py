"""Cells that are small and leave a trace on disk, for the tests of the runner."""

import dataclasses
import os
import signal
import time
import typing

import numpy as np

from tepones.companion.study import numerics
from tepones.companion.study.records import Cell


@dataclasses.dataclass(frozen=True)
class Step(Cell):
    number: int
    trace: str
    seconds: float = 0.0
    fails_at: int = -1
    #: This step waits as long as there is a file of the name of the trace and `.hold`.
    held_at: int = -1

    def requires(self):
        return [dataclasses.replace(self, number=self.number - 1)] if self.number else []

    def compute(self, store):
        time.sleep(self.seconds)
        while self.number == self.held_at and os.path.exists(f"{self.trace}.hold"):
            time.sleep(0.02)
        if self.number == self.fails_at:
            raise RuntimeError("the disk is made of cheese")
        with open(self.trace, "a") as file:
            file.write(f"{self.number}\n")
        before = store.require(self.requires()[0]).values["sum"] if self.number else 0
        return {"sum": before + self.number, "process": os.getpid()}, {}


@dataclasses.dataclass(frozen=True)
class Suicide(Cell):
    def compute(self, store):
        os.kill(os.getpid(), signal.SIGKILL)


def chain(trace, length, **fields):
    return [[Step(number, str(trace), **fields)] for number in range(length)]


@dataclasses.dataclass(frozen=True)
class Square(Cell):
    """A number squared, and what has been computed so far."""

    number: int
    calls: typing.ClassVar[list[int]] = []
    noise: typing.ClassVar[int] = 0

    def compute(self, store):
        Square.calls.append(self.number)
        return {"square": self.number**2}, {"array": np.full(3, self.number + Square.noise)}


@dataclasses.dataclass(frozen=True)
class Rounding(Cell):
    """How the process rounds that computes it, and what it was told."""

    def compute(self, store):
        told = {name: os.environ.get(name) for name in numerics.environment()}
        return {"fingerprint": numerics.fingerprint(), "environment": told}, {}
