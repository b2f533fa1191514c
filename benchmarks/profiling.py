"""Where the time of a picture goes: the stages of this pipeline, timed from outside.

Hooks on the text encoder and the U-Net and a wrapper around `vae.decode` note when each begins
and ends. What lies between the first call of the U-Net and the decoder, and is no call of the
U-Net, is arithmetic of guidance and scheduler. On a GPU every mark waits for the device, which
costs some time of its own, so the sum is not the fastest that the pipeline can do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from torch import nn

from benchmarks.contestants import CONTESTANTS, compile_ours
from benchmarks.machine import settler
from benchmarks.report import Profile
from benchmarks.task import Task
from benchmarks.timing import Timing
from sdlearn.util.checks import check_count
from sdlearn.util.progress import Progress, no_progress

__all__ = ["STAGES", "Span", "profile", "stages", "watched"]

TEXT, UNET, STEPS, DECODE, REST = STAGES = (
    "text encoder",
    "U-Net",
    "guidance and scheduler",
    "decoder",
    "the rest",
)
Clock = Callable[[], float]


@dataclass(frozen=True)
class Span:
    """One call of a stage, in seconds of one clock."""

    stage: str
    begin: float
    end: float


def profile(
    tasks: Sequence[Task], *, repeats: int = 5, progress: Progress = no_progress
) -> list[Profile]:
    """The stages of every task; the tasks differ in nothing but their guidance and batch.

    Raises `ValueError` for a task compiled for a GPU, and what loading raises.
    """
    check_count("repeats", repeats)
    if tasks[0].compiled and tasks[0].device != "cpu":
        raise ValueError("profile must be without compile on a GPU: no hook sees what it made")
    ours = CONTESTANTS["sdlearn"](tasks[0])
    if tasks[0].compiled:
        compile_ours(ours.pipeline)
    settle = settler(tasks[0].device)

    def clock() -> float:
        settle()
        return time.perf_counter()

    def picture(task: Task) -> tuple[dict[str, float], int]:
        with watched(ours.pipeline, clock) as spans:
            begin = clock()
            ours.draw(task)
            total = clock() - begin
        return stages(spans, total), sum(span.stage == UNET for span in spans)

    def profiled(task: Task) -> Profile:
        ours.draw(task)  # the first is slower
        taken = [picture(task) for _ in progress(range(repeats), "pictures", repeats)]
        timings = {name: Timing(tuple(found[name] for found, _ in taken)) for name in STAGES}
        return Profile(task, timings, taken[0][1])

    return [profiled(task) for task in tasks]


def stages(spans: Sequence[Span], total: float) -> dict[str, float]:
    """Seconds of each of `STAGES`, which add up to `total`.

    Raises `RuntimeError` when U-Net or decoder were not seen. A text encoder may be missing: text
    states can be kept from one picture to the next.
    """
    begins = {span.stage: span.begin for span in reversed(spans)}  # of each stage's first call
    if not {UNET, DECODE} <= set(begins):
        raise RuntimeError("no call of the U-Net or of vae.decode was seen; nothing to profile")
    found = dict.fromkeys((TEXT, UNET, DECODE), 0.0)
    for span in spans:
        found[span.stage] += span.end - span.begin
    found[STEPS] = begins[DECODE] - begins[UNET] - found[UNET]
    found[REST] = total - sum(found.values())
    return {stage: found[stage] for stage in STAGES}


@contextmanager
def watched(pipeline: Any, clock: Clock) -> Iterator[list[Span]]:
    """A list of the calls of text encoder, U-Net and decoder; all is as before afterwards."""
    spans: list[Span] = []
    decode = pipeline.vae.decode

    def timed(*args: Any, **kwargs: Any) -> Any:
        begin = clock()
        result = decode(*args, **kwargs)
        spans.append(Span(DECODE, begin, clock()))
        return result

    with ExitStack() as stack:
        for stage, module in ((TEXT, pipeline.text_encoder), (UNET, pipeline.unet)):
            stack.enter_context(_hooked(module, stage, spans, clock))
        pipeline.vae.decode = timed
        stack.callback(delattr, pipeline.vae, "decode")
        yield spans


@contextmanager
def _hooked(module: nn.Module, stage: str, spans: list[Span], clock: Clock) -> Iterator[None]:
    """Note the begin and the end of every call of `module`."""
    begins: list[float] = []
    before = module.register_forward_pre_hook(lambda *_: begins.append(clock()))
    after = module.register_forward_hook(
        lambda *_: spans.append(Span(stage, begins.pop(), clock()))
    )
    try:
        yield
    finally:
        before.remove()
        after.remove()
