"""Peak memory of one contestant: that of a process of its own, as two would share their libraries.

On a GPU it is what torch allocated there at most; the driver takes some hundred MB more. On a CPU
it is the process's largest resident set: Python, libraries and weights included. The process
draws two steps, as more do not take more.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import torch

from benchmarks.contestants import CONTESTANTS, compile_ours
from benchmarks.report import Fit
from benchmarks.task import Task
from sdlearn.models.loading import find_folder
from sdlearn.models.memory import gigabytes
from sdlearn.util.out_of_memory import is_out_of_memory
from sdlearn.util.progress import Progress, no_progress

__all__ = ["child_environment", "draw_in_child", "fits", "peak_memory"]

STEPS = 2
CHILD = "from benchmarks.memory import draw_in_child as d; import sys; d(*sys.argv[1:])"


def peak_memory(name: str, task: Task, cap: int | None = None) -> int | None:
    """Bytes that a new process takes at most to load and draw; None when they are not enough.

    `name` is one of `CONTESTANTS`, `cap` a limit in bytes on a GPU's memory. Raises
    `RuntimeError` with the process's last words when it fails for another reason.
    """
    short = replace(task, steps=min(task.steps, STEPS))
    words = [name, json.dumps(asdict(short)), json.dumps(cap)]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *words],
        capture_output=True,
        text=True,
        env=child_environment(),
    )
    if done.returncode:
        last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
        raise RuntimeError(
            f"the process that measures the memory of {name} ended with {done.returncode}: "
            f"{' '.join(last) or 'no message'}"
        )
    return json.loads(done.stdout.splitlines()[-1])


def child_environment(**more: str) -> dict[str, str]:
    """This process's environment, in which Python finds this same sdlearn."""
    here = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, **more}


def fits(task: Task, cap: int, *, progress: Progress = no_progress) -> list[Fit]:
    """Whether each contestant draws `task` within `cap` bytes of a GPU's memory.

    The cap is on what torch takes, not on what the driver takes beside it.
    Raises `ValueError` for a task on the CPU, and a cap that is more than the GPU has.
    """
    if task.device != "cuda":
        raise ValueError(f"cap must be used with a GPU (--device cuda); got {task.device!r}")
    total = torch.cuda.get_device_properties(task.device).total_memory
    if not 0 < cap <= total:
        raise ValueError(f"cap must be at most the GPU's {gigabytes(total)}; got {gigabytes(cap)}")
    find_folder(task.model, task.torch_dtype)  # refused here, not by another process
    names = progress(CONTESTANTS, "within the cap", len(CONTESTANTS))
    return [Fit(task, name, cap, peak_memory(name, task, cap)) for name in names]


def draw_in_child(name: str, task: str, cap: str) -> None:
    """The measured process: prints its peak as its last line, null when it ran out of memory."""
    made, limit = Task(**json.loads(task)), json.loads(cap)
    if limit is not None:
        total = torch.cuda.get_device_properties(made.device).total_memory
        torch.cuda.set_per_process_memory_fraction(limit / total)
    try:
        contestant = CONTESTANTS[name](made, limit)
        if made.compiled and name == "sdlearn":
            compile_ours(contestant.pipeline)
        contestant.draw(made)
    except (RuntimeError, MemoryError) as error:
        if not (isinstance(error, MemoryError) or is_out_of_memory(error)):
            raise
        print("null")
    else:
        print(_peak(made.device))


def _peak(device: str) -> int:
    """Bytes that this process took at most, on the GPU or in all."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")  # Linux; what `resource` says there includes the parent's
    lines = status.read_text(encoding="utf-8").splitlines() if status.is_file() else []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS, in bytes
