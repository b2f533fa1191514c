"""Two pipelines in turns: the same pictures first, then their times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from benchmarks.contestants import CONTESTANTS, Contestant, compile_ours, counted, plain_form, work
from benchmarks.machine import matmul_limit, settler
from benchmarks.memory import peak_memory
from benchmarks.report import Calls, Comparison, Difference, Side, difference
from benchmarks.task import Task
from benchmarks.timing import Timing, interleaved
from sdlearn.inside.anatomy import anatomy
from sdlearn.models.loading import find_folder
from sdlearn.util.checks import check_count, check_whole
from sdlearn.util.progress import Progress, no_progress

__all__ = ["check_tolerance", "compare"]


class First(NamedTuple):
    """A contestant's first pictures of a task, slower than all that follow, and their calls."""

    pictures: np.ndarray
    unet: Calls


def compare(
    tasks: Sequence[Task], *, repeats: int = 5, tolerance: int = 0, progress: Progress = no_progress
) -> list[Comparison]:
    """Both pipelines at every task; the tasks differ in nothing but their guidance and batch.

    Pictures may differ by `tolerance` of 255 levels; where they differ by more, nothing is timed.
    They are compared in diffusers' own form. On a GPU the form that is timed (its layout, slices,
    compiled code) rounds otherwise, and how far it is off is told as well; on a CPU it must draw
    the same pictures too.
    Raises `ValueError` or `TypeError` for bad arguments, and what loading raises.
    """
    check_count("repeats", repeats)
    check_tolerance(tolerance)
    find_folder(tasks[0].model, tasks[0].torch_dtype)  # refused here, not by another process
    return list(_compare(tasks, repeats, tolerance, progress))


def check_tolerance(tolerance: int) -> None:
    """`ValueError` or `TypeError` unless it is a whole number of levels, 0..255."""
    if not 0 <= check_whole("tolerance must be a whole number", tolerance) <= 255:
        raise ValueError(f"tolerance must lie in 0..255 levels; got {tolerance}")


def _compare(
    tasks: Sequence[Task], repeats: int, tolerance: int, progress: Progress
) -> Iterator[Comparison]:
    peaks = _peaks(tasks, progress)  # before the models of this process take their memory
    pair = [enter(tasks[0]) for enter in CONTESTANTS.values()]
    firsts = _firsts(pair, tasks, progress)
    if tasks[0].compiled:  # after the first: on a GPU it sees no hooks any more
        compile_ours(pair[0].pipeline)
    built = anatomy(pair[0].pipeline)
    limit = matmul_limit(tasks[0].device, tasks[0].torch_dtype)
    for task in tasks:
        ours, theirs = firsts[task]
        apart = difference(ours.pictures, theirs.pictures)
        timed = None
        if task.compiled or task.device != "cpu":
            timed = difference(pair[0].draw(task), theirs.pictures)
        same = _same(task, apart, timed, tolerance)
        timings = _timings(pair, task, repeats, progress) if same else []
        sides = (
            Side(
                contestant.name,
                timing,
                first.unet,
                work(built, first.unet, task.batch),
                peaks[task, contestant.name],
                limit,
            )
            for contestant, timing, first in zip(pair, timings, firsts[task], strict=False)
        )
        yield Comparison(task, apart, tolerance, tuple(sides), timed)


def _same(task: Task, apart: Difference, timed: Difference | None, tolerance: int) -> bool:
    """Whether both do the same work. A GPU may round otherwise as it is timed, a CPU may not."""
    if timed is None or task.device != "cpu":
        return apart.within(tolerance)
    return apart.within(tolerance) and timed.within(tolerance)


def _peaks(tasks: Sequence[Task], progress: Progress) -> dict[tuple[Task, str], int | None]:
    """Of every contestant at every task, each in a process of its own."""
    wanted = [(task, name) for task in tasks for name in CONTESTANTS]
    shown = progress(wanted, "peak memory", len(wanted))
    return {(task, name): peak_memory(name, task) for task, name in shown}


def _firsts(
    pair: Sequence[Contestant], tasks: Sequence[Task], progress: Progress
) -> dict[Task, list[First]]:
    shown = progress(tasks, "first pictures", len(tasks))
    return {task: [_first(contestant, task) for contestant in pair] for task in shown}


def _first(contestant: Contestant, task: Task) -> First:
    with plain_form(contestant.pipeline), counted(contestant.pipeline.unet) as pictures:
        drawn = contestant.draw(task)
    if not pictures:
        raise RuntimeError(f"no call of the U-Net of {contestant.name} was seen by the hook")
    return First(drawn, Calls(len(pictures), sum(pictures)))


def _timings(
    pair: Sequence[Contestant], task: Task, repeats: int, progress: Progress
) -> list[Timing]:
    actions = [partial(contestant.draw, task) for contestant in pair]
    return interleaved(repeats, *actions, settle=settler(task.device), progress=progress)
