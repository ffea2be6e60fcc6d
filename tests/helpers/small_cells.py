"""Cells that are small and leave a trace on disk, for the tests of the runner."""

import dataclasses
import os
import signal
import time


@dataclasses.dataclass(frozen=True)
class Step:
    number: int
    trace: str
    seconds: float = 0.0
    fails_at: int = -1

    def requires(self):
        return [dataclasses.replace(self, number=self.number - 1)] if self.number else []

    def code(self):
        return ["tepones.common.errors"]

    def compute(self, store):
        time.sleep(self.seconds)
        if self.number == self.fails_at:
            raise RuntimeError("the disk is made of cheese")
        with open(self.trace, "a") as file:
            file.write(f"{self.number}\n")
        before = store.require(self.requires()[0]).values["sum"] if self.number else 0
        return {"sum": before + self.number, "process": os.getpid()}, {}


@dataclasses.dataclass(frozen=True)
class Suicide:
    def requires(self):
        return []

    def code(self):
        return ["tepones.common.errors"]

    def compute(self, store):
        os.kill(os.getpid(), signal.SIGKILL)


def chain(trace, length, **fields):
    return [[Step(number, str(trace), **fields)] for number in range(length)]
