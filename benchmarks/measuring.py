"""The measurements: pipelines in turns, from the shell, where time goes, and memory.

All draw the same images in turns, so that a busy moment of the machine hits all of them, and
nothing is timed before the images were found to be the same.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from functools import partial
from importlib.metadata import version
from itertools import count
from os import getpid
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from PIL import Image
from torch import nn

from benchmarks.contestants import (
    CONTESTANTS,
    PROMPT,
    Contestant,
    compile_ours,
    plain_form,
    variant_of,
)
from benchmarks.records import (
    Calls,
    Comparison,
    Difference,
    Fit,
    Profile,
    Report,
    Result,
    Side,
    Task,
    Timing,
    difference,
)
from benchmarks.script import child_environment, peak_of, processor
from sdlearn.inside.anatomy import Anatomy, anatomy
from sdlearn.models.loading import find_folder
from sdlearn.models.memory import gigabytes
from sdlearn.util.checks import check_count, check_whole
from sdlearn.util.out_of_memory import is_out_of_memory
from sdlearn.util.progress import Progress, no_progress

SIDE = {"cpu": 2048, "cuda": 8192}  # of the matrices: large enough to keep every core busy
CHILD = "from benchmarks.measuring import draw_in_child as d; import sys; d(*sys.argv[1:])"
STAGES = ("text encoder", "U-Net", "guidance and scheduler", "decoder", "the rest")
TEXT, UNET, STEPS, DECODE, REST = STAGES
Span = tuple[str, float, float]  # one call of a stage: which, begin and end on one clock
Clock = Callable[[], float]


def report_on(device: str, measure: Callable[[], Sequence[Result]]) -> Report:
    """What `measure` finds, and on which machine; half a second shows how busy that is before."""
    name = torch.cuda.get_device_name(device) if device == "cuda" else processor()
    versions = {name: version(name) for name in ("torch", "diffusers", "transformers")}
    load = psutil.cpu_percent(0.5) / 100
    versions = {"python": platform.python_version(), **versions}
    return Report(name, torch.get_num_threads(), versions, load, measure())


# Time


def settler(device: str) -> Callable[[], None]:
    """What waits until the device has done all that it was given; a CPU has by itself."""
    return torch.cuda.synchronize if device == "cuda" else lambda: None


def interleaved(
    repeats: int,
    *actions: Callable[[], object],
    settle: Callable[[], None] = lambda: None,
    progress: Progress = no_progress,
) -> list[Timing]:
    """Time each action `repeats` times, in turns so that a busy moment hits them all.

    `settle` waits for a device that works on its own, before each start and before each stop.
    """
    seconds: list[list[float]] = [[] for _ in actions]
    for _ in progress(range(repeats), "in turns", repeats):
        for action, taken in zip(actions, seconds, strict=True):
            settle()
            start = time.perf_counter()
            action()
            settle()
            taken.append(time.perf_counter() - start)
    return [Timing(tuple(taken)) for taken in seconds]


def matmul_limit(device: str, dtype: torch.dtype, seconds: float = 1.0) -> float:
    """FLOP a second of the fastest product of two large matrices, tried for about `seconds`.

    A measured limit, not the one of the data sheet, with as many threads as torch uses here. On a
    GPU float32 is multiplied in TF32, which its convolutions use anyhow.
    """
    side, matmul = SIDE[device], torch.backends.cuda.matmul
    source = torch.Generator(device).manual_seed(0)  # ones would be easier on a GPU than weights
    a, b = torch.randn(2, side, side, generator=source, device=device, dtype=dtype)
    before, matmul.allow_tf32 = matmul.allow_tf32, True
    try:
        torch.mm(a, b)  # the first is slower
        fastest, end = float("inf"), time.perf_counter() + seconds
        while fastest == float("inf") or time.perf_counter() < end:
            [timing] = interleaved(1, lambda: torch.mm(a, b), settle=settler(device))
            fastest = min(fastest, timing.fastest)
    finally:
        matmul.allow_tf32 = before
    return 2 * side**3 / fastest


# Pipelines at the same task


def compare(
    tasks: Sequence[Task],
    *,
    repeats: int = 5,
    tolerance: int = 0,
    peers: Sequence[Callable[[Task], Contestant]] = (),
    progress: Progress = no_progress,
) -> list[Comparison]:
    """Both pipelines, and `peers`, at every task; these differ only in their guidance and batch.

    Images may differ by `tolerance` of 255 levels; where they differ by more, nothing is timed.
    They are compared in diffusers' own form. On a GPU the form that is timed (its layout, slices,
    compiled code) rounds otherwise, and how far it is off is told as well; on a CPU it must draw
    the same images too, compiled and by peers to one level.
    Raises `ValueError` or `TypeError` for bad arguments, what loading raises, and `RuntimeError`
    for a peer that draws other images.
    """
    _check(repeats, tolerance)
    find_folder(tasks[0].model, tasks[0].torch_dtype)  # refused here, not by another process
    # Peaks come first, before the models of this process take their memory.
    wanted = [(name, task) for task in tasks for name in CONTESTANTS]
    peaks = {pair: peak_memory(*pair) for pair in _each(wanted, "peak memory", progress)}
    pair = [enter(tasks[0]) for enter in CONTESTANTS.values()]
    others = [enter(tasks[0]) for enter in peers]
    firsts = {
        task: [first_images(contestant, task) for contestant in pair]
        for task in _each(tasks, "first images", progress)
    }
    if tasks[0].compiled:  # after the first images: on a GPU it sees no hooks any more
        compile_ours(pair[0].pipeline)
    built = anatomy(pair[0].pipeline)
    limit = matmul_limit(tasks[0].device, tasks[0].torch_dtype)
    found = []
    for task, first in firsts.items():
        apart, timed, is_same = _differences(task, pair[0], [x for x, _ in first], tolerance)
        sides: list[Side] = []
        if is_same:
            for other in others:
                _check_peer(other, task, first[1][0], tolerance)
            timings = _in_turns([*pair, *others], task, repeats, progress)
            for name, timing, (_, calls) in zip(CONTESTANTS, timings, first, strict=False):
                flops, peak = work(built, calls, task.batch), peaks[name, task]
                sides.append(Side(name, timing, calls, flops, peak, limit))
            sides += map(Side, (other.name for other in others), timings[len(pair) :])
        found.append(Comparison(task, apart, tolerance, tuple(sides), timed))
    return found


def _in_turns(
    contestants: Sequence[Contestant], task: Task, repeats: int, progress: Progress
) -> list[Timing]:
    """How long each takes for the images of each turn."""

    def action(contestant: Contestant) -> Callable[[], np.ndarray]:
        turns = count(1)
        return lambda: contestant.draw(replace(task, turn=next(turns)))

    settle = settler(task.device)
    return interleaved(repeats, *map(action, contestants), settle=settle, progress=progress)


def _check_peer(peer: Contestant, task: Task, expected: np.ndarray, tolerance: int) -> None:
    """Let a peer draw its first images; `RuntimeError` if they are others than diffusers'."""
    apart = difference(peer.draw(task), expected)
    if not apart.within(max(tolerance, 1)):
        raise RuntimeError(f"{peer.name} draws other images, by up to {apart.levels} levels")


def _differences(
    task: Task, ours: Contestant, firsts: Sequence[np.ndarray], tolerance: int
) -> tuple[Difference, Difference | None, bool]:
    """Between the first images; then of ours as it is timed; whether both do the same work."""
    apart = difference(*firsts)
    if task.device == "cpu" and not task.compiled:
        return apart, None, apart.within(tolerance)
    timed = difference(ours.draw(task), firsts[1])
    rounds_otherwise = task.device != "cpu"  # as it is timed, which is no other work
    allowed = max(tolerance, task.compiled)  # another engine may be one level off
    return apart, timed, apart.within(tolerance) and (rounds_otherwise or timed.within(allowed))


def _check(repeats: int, tolerance: int) -> None:
    check_count("repeats", repeats)
    if not 0 <= check_whole("tolerance must be a whole number", tolerance) <= 255:
        raise ValueError(f"tolerance must lie in 0..255 levels; got {tolerance}")


def _each(items: Sequence[Any], label: str, progress: Progress) -> Any:
    return progress(items, label, len(items))


def first_images(contestant: Contestant, task: Task) -> tuple[np.ndarray, Calls]:
    """A contestant's first images of a task, slower than all that follow, and their calls."""
    counts: list[int] = []  # images in every call of the U-Net

    def note(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        counts.append(len(args[0] if args else kwargs["sample"]))

    hook = contestant.pipeline.unet.register_forward_pre_hook(note, with_kwargs=True)
    with hook, plain_form(contestant.pipeline):
        images = contestant.draw(task)
    if not counts:
        raise RuntimeError(f"no call of the U-Net of {contestant.name} was seen by the hook")
    return images, Calls(len(counts), sum(counts))


def work(built: Anatomy, unet: Calls, batch: int) -> int:
    """FLOPs of one task: every image through the U-Net, and the decoder once for each image.

    The text encoder, well below 1 % of it, is left out.
    """
    return unet.images * built.parts["unet"].flops + batch * built.parts["vae_decoder"].flops


# From the shell to the PNG


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
    """`sdlearn generate` and `plain_script`, each in new processes, offline, one image a task.

    The first run of each is not counted: it brings the files into the system's cache. On a CPU the
    command draws with ONNX Runtime, and images may be one level apart. Raises `ValueError` for
    several images at a time and for a compiled task, which would time the compiler.
    """
    _check(repeats, tolerance)
    tolerance = max(tolerance, tasks[0].device == "cpu")
    for task in tasks:
        if task.batch != 1 or task.compiled:
            raise ValueError(f"cold must be one image at a time, not compiled; got {task}")
    found = []
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder, "ours.png"), Path(folder, "theirs.png")
        for task in tasks:
            actions = cold_commands(task, *files)
            for action in _each(actions, "first images", progress):
                action()
            images = [np.asarray(Image.open(file).convert("RGB"))[None] for file in files]
            apart, timings = difference(*images), []
            if apart.within(tolerance):
                timings = interleaved(repeats, *actions, progress=progress)
            names = "sdlearn generate", "a plain script"
            sides = tuple(Side(*side) for side in zip(names, timings, strict=False))
            found.append(Comparison(task, apart, tolerance, sides))
    return found


def cold_commands(task: Task, ours: Path, theirs: Path) -> list[Callable[[], None]]:
    """What draws `task` to a file, each in a new process."""
    environment = child_environment(HF_HUB_OFFLINE="1")

    def run(*words: str) -> None:
        how: Any = {"capture_output": True, "text": True, "env": environment}
        done = subprocess.run([sys.executable, *words], **how)
        if done.returncode:
            raise RuntimeError(f"{words[:2]} ended with {done.returncode}: {done.stderr[-300:]}")

    generate = [
        *("-m", "sdlearn", "generate", PROMPT, "--model", task.model, "--quiet", "--force"),
        *("--seed", str(task.seeds[0]), "--steps", str(task.steps)),
        *("--guidance", str(task.guidance), "-o", str(ours)),
        *("--device", task.device, "--dtype", task.dtype, "--no-safety-checker"),
    ]
    return [partial(run, *generate), partial(run, "-c", plain_script(task), str(theirs))]


# Where the time of an image goes


def profile(
    tasks: Sequence[Task], *, repeats: int = 5, progress: Progress = no_progress
) -> list[Profile]:
    """The stages of every task; the tasks differ in nothing but their guidance and batch.

    On a GPU every mark waits for the device, which costs some time of its own, so the sum is not
    the fastest that the pipeline can do.
    Raises `ValueError` for a task compiled for a GPU, and what loading raises.
    """
    check_count("repeats", repeats)
    if tasks[0].compiled and tasks[0].device != "cpu":
        raise ValueError("profile must be without compile on a GPU: no hook sees what it made")
    ours, settle = CONTESTANTS["sdlearn"](tasks[0]), settler(tasks[0].device)
    if tasks[0].compiled:
        compile_ours(ours.pipeline)

    def clock() -> float:
        settle()
        return time.perf_counter()

    found = []
    for task in tasks:
        ours.draw(task)  # the first is slower
        taken, calls = [], 0
        for _ in progress(range(repeats), "images", repeats):
            with watched(ours.pipeline, clock) as spans:
                begin = clock()
                ours.draw(task)
                taken.append(stages(spans, clock() - begin))
            calls = sum(stage == UNET for stage, _, _ in spans)
        timings = {name: Timing(tuple(image[name] for image in taken)) for name in STAGES}
        found.append(Profile(task, timings, calls))
    return found


def stages(spans: Sequence[Span], total: float) -> dict[str, float]:
    """Seconds of each of `STAGES`, which add up to `total`.

    What lies between the first call of the U-Net and the decoder, and is no call of the U-Net, is
    arithmetic of guidance and scheduler. A text encoder may be missing: text states can be kept
    from one image to the next. Raises `RuntimeError` when U-Net or decoder were not seen.
    """
    begins = {stage: begin for stage, begin, _ in reversed(spans)}  # of each stage's first call
    if not {UNET, DECODE} <= set(begins):
        raise RuntimeError("no call of the U-Net or of vae.decode was seen; nothing to profile")
    found = dict.fromkeys(STAGES, 0.0)
    for stage, begin, end in spans:
        found[stage] += end - begin
    found[STEPS] = begins[DECODE] - begins[UNET] - found[UNET]
    found[REST] = total - sum(found.values())
    return found


@contextmanager
def watched(pipeline: Any, clock: Clock) -> Iterator[list[Span]]:
    """A list of the calls of text encoder, U-Net and decoder; all is as before afterwards."""
    spans: list[Span] = []
    begins: dict[str, float] = {}
    decode = pipeline.vae.decode

    def begin(stage: str, *_: Any) -> None:
        begins[stage] = clock()

    def end(stage: str, *_: Any) -> None:
        spans.append((stage, begins[stage], clock()))

    def timed(*args: Any, **kwargs: Any) -> Any:
        begin(DECODE)
        result = decode(*args, **kwargs)
        end(DECODE)
        return result

    with ExitStack() as stack:
        for stage, module in ((TEXT, pipeline.text_encoder), (UNET, pipeline.unet)):
            stack.enter_context(module.register_forward_pre_hook(partial(begin, stage)))
            stack.enter_context(module.register_forward_hook(partial(end, stage)))
        pipeline.vae.decode = timed
        stack.callback(delattr, pipeline.vae, "decode")
        yield spans


# Memory


def peak_memory(name: str, task: Task, cap: int | None = None) -> int | None:
    """Bytes that a new process takes at most to load and draw; None when they are not enough.

    On a GPU it is what torch allocated there at most; the driver takes some hundred MB more. On a
    CPU it is the largest resident set of a process: Python, libraries and weights included. The
    process draws two steps, as more do not take more. `name` is one of `CONTESTANTS`, `cap` a limit
    in bytes on a GPU's memory. Raises `RuntimeError` with the process's last words when it fails
    for another reason.
    """
    words = name, json.dumps(asdict(replace(task, steps=min(task.steps, 2)))), json.dumps(cap)
    how: Any = {"capture_output": True, "text": True, "env": child_environment()}
    done = subprocess.run([sys.executable, "-c", CHILD, *words], **how)
    if done.returncode:
        last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
        raise RuntimeError(
            f"the process that measures the memory of {name} ended with {done.returncode}: "
            f"{' '.join(last) or 'no message'}"
        )
    return json.loads(done.stdout.splitlines()[-1])


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
        on_gpu = made.device == "cuda"
        print(torch.cuda.max_memory_allocated() if on_gpu else peak_of(getpid()))


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
    names = _each(list(CONTESTANTS), "within the cap", progress)
    return [Fit(task, name, cap, peak_memory(name, task, cap)) for name in names]
