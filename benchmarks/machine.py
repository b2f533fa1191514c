"""The machine: its name, how busy it is, and the most arithmetic that it does in a second."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import torch

from benchmarks.report import Machine
from benchmarks.task import Task

__all__ = ["describe_machine", "matmul_limit", "settler"]

SIDE = {"cpu": 2048, "cuda": 8192}  # of the matrices: large enough to keep every core busy
LOAD_SECONDS = 0.5


def describe_machine(task: Task) -> Machine:
    """The device of `task` and what runs on it. Takes half a second to see how busy it is."""
    import psutil

    names = "torch", "diffusers", "transformers"
    return Machine(
        torch.cuda.get_device_name(task.device) if task.device == "cuda" else _processor(),
        torch.get_num_threads(),
        {"python": platform.python_version(), **{name: version(name) for name in names}},
        psutil.cpu_percent(LOAD_SECONDS) / 100,
    )


def _processor() -> str:
    """The CPU's name, which Linux keeps in a file and others tell."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def settler(device: str) -> Callable[[], None]:
    """What waits until the device has done all that it was given; a CPU has by itself."""
    return torch.cuda.synchronize if device == "cuda" else lambda: None


def matmul_limit(device: str, dtype: torch.dtype, seconds: float = 1.0) -> float:
    """FLOP a second of the fastest product of two large matrices, tried for about `seconds`.

    A measured limit, not the one of the data sheet, with as many threads as torch uses here.
    """
    side, settle = SIDE[device], settler(device)
    source = torch.Generator(device).manual_seed(0)  # ones would be easier on a GPU than weights
    a, b = torch.randn(2, side, side, generator=source, device=device, dtype=dtype)
    with _tf32():
        torch.mm(a, b)  # the first is slower
        fastest, end = float("inf"), time.perf_counter() + seconds
        while fastest == float("inf") or time.perf_counter() < end:
            settle()
            start = time.perf_counter()
            torch.mm(a, b)
            settle()
            fastest = min(fastest, time.perf_counter() - start)
    return 2 * side**3 / fastest


@contextmanager
def _tf32() -> Iterator[None]:
    """Products of float32 matrices on a GPU in TF32, which its convolutions use anyhow."""
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_tf32
    matmul.allow_tf32 = True
    try:
        yield
    finally:
        matmul.allow_tf32 = before
