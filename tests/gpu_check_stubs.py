"""A table of checks that hang, die and fail, in place of `benchmarks.gpu_check.checks`."""

import os
import time
from types import SimpleNamespace

from benchmarks.gpu_check.book import Check
from benchmarks.gpu_check.worker import Missed, NotHere

MACHINE = {"card": "Abacus", "driver": "1.2", "memory": 8e9, "processor": "Beads", "cores": 2}
MACHINE |= {"versions": {"torch": "2.13.0"}, "date": "2026-12-01", "commit": "abc"}


class Bench:
    """Says which process it is in; `clear` fails once the card is broken."""

    def __init__(self, setting):
        if setting.device == "none":
            raise ValueError("torch sees no NVIDIA card here")
        self.broken = False

    def machine(self):
        return MACHINE

    def clear(self):
        if self.broken:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")


def good(bench):
    return SimpleNamespace(says="fine", numbers={"process": os.getpid()}, met=True)


def poor(bench):
    return SimpleNamespace(says="ratio 1.30", numbers={"ratio": 1.3}, met=False)


def hang(bench):
    time.sleep(600)


def die(bench):
    print("Segmentation fault", flush=True)
    os._exit(139)


def fail(bench):
    raise ValueError("no\nsuch  thing")


def spoil(bench):
    bench.broken = True
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


def miss(bench):
    raise Missed("4 images do not fit")


def absent(bench):
    raise NotHere("needs a GPU")


def none(bench):
    return SimpleNamespace(says="fine", numbers={"ratio": float("nan")}, met=True)


FUNCTIONS = good, poor, hang, die, fail, spoil, miss, absent, none
CHECKS = {Check(f.__name__, 1 + (f is none), 60, f.__name__): f for f in FUNCTIONS}
