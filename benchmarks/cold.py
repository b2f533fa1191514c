"""From the shell to the PNG: `sdlearn generate` beside a plain script around diffusers."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.comparing import check_tolerance
from benchmarks.contestants import variant_of
from benchmarks.memory import child_environment
from benchmarks.report import Comparison, Side, difference
from benchmarks.task import PROMPT, Task
from benchmarks.timing import Timing, interleaved
from sdlearn.models.loading import find_folder
from sdlearn.util.checks import check_count
from sdlearn.util.progress import Progress, no_progress

__all__ = ["compare_cold", "plain_script"]


def plain_script(task: Task) -> str:
    """What someone without sdlearn would write to draw `task` to the file `sys.argv[1]`."""
    dtype = task.torch_dtype
    folder = find_folder(task.model, dtype)
    prompt = PROMPT if task.guidance else ""
    move = "" if task.device == "cpu" else f".to({task.device!r})"
    [seed] = task.seeds
    return f"""\
import sys, torch
from diffusers import StableDiffusionPipeline
pipe = StableDiffusionPipeline.from_pretrained(
    {str(folder)!r}, variant={variant_of(folder, dtype)!r}, safety_checker=None, dtype={dtype}
){move}
pipe.set_progress_bar_config(disable=True)
generator = torch.Generator().manual_seed({seed})
images = pipe({prompt!r}, num_inference_steps={task.steps}, guidance_scale={task.guidance},
              generator=generator).images
images[0].save(sys.argv[1])
"""


def compare_cold(
    tasks: Sequence[Task], *, repeats: int = 5, tolerance: int = 0, progress: Progress = no_progress
) -> list[Comparison]:
    """Both from the shell, at every task of one picture, without safety checker.

    The first run of each is not counted: it brings the files into the system's cache. Raises
    `ValueError` for several pictures at a time and for a compiled task, which would time the
    compiler.
    """
    check_count("repeats", repeats)
    check_tolerance(tolerance)
    for task in tasks:
        _check(task)
    return list(_compare(tasks, repeats, tolerance, progress))


def _check(task: Task) -> None:
    if task.batch != 1 or task.compiled:
        raise ValueError(f"cold must be one picture at a time, not compiled; got {task}")


def _compare(
    tasks: Sequence[Task], repeats: int, tolerance: int, progress: Progress
) -> Iterator[Comparison]:
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder, "ours.png"), Path(folder, "theirs.png")
        for task in tasks:
            actions = _commands(task, ours, theirs)
            for action in progress(actions, "first pictures", len(actions)):
                action()
            apart = difference(_pixels(ours), _pixels(theirs))
            timings: list[Timing] = []
            if apart.within(tolerance):
                timings = interleaved(repeats, *actions, progress=progress)
            names = "sdlearn generate", "a plain script"
            sides = (Side(*side) for side in zip(names, timings, strict=False))
            yield Comparison(task, apart, tolerance, tuple(sides))


def _commands(task: Task, ours: Path, theirs: Path) -> list[Callable[[], None]]:
    """What draws `task` to a file, each in a new process, offline."""
    environment = child_environment(HF_HUB_OFFLINE="1")

    def run(*words: str) -> None:
        done = subprocess.run(
            [sys.executable, *words], capture_output=True, text=True, env=environment
        )
        if done.returncode:
            raise RuntimeError(f"{words[:2]} ended with {done.returncode}: {done.stderr[-300:]}")

    generate = [
        *("-m", "sdlearn", "generate", PROMPT, "--model", task.model, "--quiet", "--force"),
        *("--seed", str(task.seeds[0]), "--steps", str(task.steps)),
        *("--guidance", str(task.guidance), "-o", str(ours)),
        *("--device", task.device, "--dtype", task.dtype, "--no-safety-checker"),
    ]
    return [partial(run, *generate), partial(run, "-c", plain_script(task), str(theirs))]


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)[None]
