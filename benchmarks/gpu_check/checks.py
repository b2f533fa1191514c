"""The table of checks, `CHECKS`, and the checks: what is right, how fast, and in what memory.

A check gets the `Bench` and gives what it found, one sentence and numbers. It raises `Missed` where
what it aims at is not so and `NotHere` where it cannot be run; any other error is told as it is.
All draw with the same prompt and with seeds from 7 on, as all of `benchmarks` does. Images are
compared in levels of 255.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.contestants import CONTESTANTS, PROMPT, Contestant
from benchmarks.gpu_check.bench import FEW, Bench
from benchmarks.gpu_check.book import Check
from benchmarks.gpu_check.cells import code_cells, run_cells
from benchmarks.gpu_check.standin import FLAG_ALL, write_lora
from benchmarks.gpu_check.worker import Missed, NotHere
from benchmarks.measuring import first_images, interleaved, settler, work
from benchmarks.records import FIRST_SEED, Task, difference
from benchmarks.script import ROOT
from sdlearn.inside.anatomy import bytes_text
from sdlearn.models.memory import GB, gigabytes
from sdlearn.pipeline import StableDiffusion, load

__all__ = ["CHECKS", "Bench"]

ONE_LEVEL = 1  # float32 without TF32 on two devices: what rounds to another level
NEAR = 2  # two pipelines on one card, in the same form
GARBLED = 10.0  # mean level: half precision and compiled code stay far below, other images above
PEAK = 4.0 * GB
ROOM = GB // 2  # beside the weights: too little for a batch, enough for a small image
MANY = 8  # images
LESSON_SECONDS = 60  # after which no other cell of a lesson is begun
EMPTY = 2**28  # bytes that libraries may keep on the card when all models are gone


@dataclass(frozen=True)
class Found:
    """What a check found."""

    says: str
    numbers: dict[str, Any] = field(default_factory=dict)
    met: bool = True


def must(holds: bool, sentence: str) -> None:
    """Raise `Missed` unless something holds."""
    if not holds:
        raise Missed(sentence)


# Images


def draw(sd: StableDiffusion, count: int = 1, **how: Any) -> np.ndarray:
    """`count` images as uint8, (B, H, W, 3)."""
    images = sd.generate(PROMPT, seeds=range(FIRST_SEED, FIRST_SEED + count), **how)
    return np.stack([np.asarray(image) for image in images])


def mean_levels(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(float) - other.astype(float)).mean())


def must_be_images(images: np.ndarray) -> None:
    """Raise `Missed` for images of one colour, which is what numbers that are none become."""
    must(float(images.std()) > 5, f"the images are of one colour (spread {images.std():.1f})")


@contextmanager
def exact_float32() -> Iterator[None]:
    """Without TF32, which convolutions in float32 use by default and which has 10 bits."""
    backends: tuple[Any, ...] = torch.backends.cudnn, torch.backends.cuda.matmul
    before = [backend.allow_tf32 for backend in backends]
    try:
        for backend in backends:
            backend.allow_tf32 = False
        yield
    finally:
        for backend, allowed in zip(backends, before, strict=True):
            backend.allow_tf32 = allowed


def on_both(bench: Bench) -> tuple[StableDiffusion, StableDiffusion]:
    """The tiny model in float32, on the card and on the CPU."""
    device, kind = bench.setting.device, torch.float32
    return load("tiny", device=device, dtype=kind), load("tiny", device="cpu", dtype=kind)


def agree(here: StableDiffusion, cpu: StableDiffusion, count: int = 1, **how: Any) -> int:
    """By how many levels images of two devices differ at most, in exact float32."""
    with exact_float32():
        return difference(draw(here, count, **how), draw(cpu, count, **how)).levels


# First part: the stand-in, the same images, memory


def stand_in(bench: Bench) -> Found:
    begin = bench.now()
    folder = Path(bench.stand_in)
    size = sum(file.stat().st_size for file in folder.rglob("*.safetensors"))
    return Found(f"{bytes_text(size)} in {bench.now() - begin:.0f} s", {"bytes": size})


def tiny_as_on_the_cpu(bench: Bench) -> Found:
    here, cpu = on_both(bench)
    how = {"num_steps": bench.setting.steps}
    exact = agree(here, cpu, 4, **how)
    usual = difference(draw(here, 4, **how), draw(cpu, 4, **how)).levels
    says = f"4 images in float32 differ by up to {exact} levels, with TF32 by up to {usual}"
    return Found(says, {"levels": exact, "levels_with_tf32": usual}, exact <= ONE_LEVEL)


def peak(bench: Bench) -> Found:
    bench.clear()
    held = bench.meter.held()
    if held > EMPTY:
        raise RuntimeError(f"{gigabytes(held)} are held on the card before anything is loaded")
    task, peaks = bench.task(steps=FEW), {}
    for name, enter in CONTESTANTS.items():
        peaks[name] = bench.meter.peak_of(lambda enter=enter: enter(task).draw(task))[1]
    ours, theirs = peaks.values()
    more = more_images(bench, task)
    says = f"{gigabytes(ours)}, diffusers {gigabytes(theirs)}; {listed(more)}"
    numbers = {**peaks, "more": more, "beside": bench.meter.beside()}
    return Found(says, numbers, ours <= PEAK)


def more_images(bench: Bench, task: Task) -> dict[str, int]:
    """Peaks of ours with several images at a time, and with these decoded one by one."""
    ours = CONTESTANTS["sdlearn"](task)
    peaks: dict[str, int] = {}
    for sliced in (False, True):
        ours.pipeline.vae.use_slicing = sliced
        found = batches(bench, ours, task)
        peaks |= {f"{name}{', one by one' if sliced else ''}": size for name, size in found.items()}
    return peaks


def batches(bench: Bench, ours: Contestant, task: Task) -> dict[str, int]:
    """Peaks with several images at a time, as many as fit."""
    peaks = {}
    for batch in (4, MANY):
        try:
            several = partial(ours.draw, replace(task, batch=batch))
            peaks[f"{batch} images"] = bench.meter.peak_of(several)[1]
        except MemoryError:
            bench.meter.empty()
    return peaks


def listed(sizes: dict[str, int]) -> str:
    return ", ".join(f"{name} {gigabytes(size)}" for name, size in sizes.items())


def within_8_gb(bench: Bench) -> Found:
    bench.clear()
    limit, task = 8 * GB, bench.task(steps=FEW)
    with bench.meter.cap(limit):
        ours = CONTESTANTS["sdlearn"](task, limit)
        peaks = batches(bench, ours, task)
    must("4 images" in peaks, "4 images at a time do not fit")
    rest = "" if len(peaks) == 2 else f"; {MANY} at a time do not fit"
    numbers = {"plan": str(ours.pipeline.memory), "peaks": peaks}
    return Found(f"{listed(peaks)}{rest}; {ours.pipeline.memory}", numbers)


# First part: speed


def turns(bench: Bench, task: Task, contestants: dict[str, Contestant]) -> dict[str, Any]:
    """Seconds of an image by all in turns, who have drawn it before, in the form that is timed."""
    drawn = [contestant.draw(task) for contestant in contestants.values()]
    for images in drawn:
        must_be_images(images)
    actions = [partial(contestant.draw, task) for contestant in contestants.values()]
    settle = settler(task.device)
    timings = interleaved(bench.setting.repeats, *actions, settle=settle)
    ours, theirs = (timing.median for timing in timings[:2])
    return {
        "ratio": ours / theirs,
        "seconds": dict(zip(contestants, (t.seconds for t in timings), strict=True)),
        "medians": dict(zip(contestants, (t.median for t in timings), strict=True)),
        "mean_levels": mean_levels(*drawn[:2]),
        **({} if task.model == "tiny" else {"share": share(bench, task, ours)}),
    }


def told(numbers: dict[str, Any]) -> str:
    """Ratio and medians in words, and the share of the FLOP limit where it is known."""
    each = ", ".join(f"{name} {seconds:.3f} s" for name, seconds in numbers["medians"].items())
    share = f", {numbers['share']:.0%} of the FLOP limit" if "share" in numbers else ""
    return f"ratio {numbers['ratio']:.2f}: {each}{share}"


def share(bench: Bench, task: Task, seconds: float) -> float:
    """Of what the product of two large matrices reaches, the part that an image reaches."""
    done = work(bench.anatomy, bench.calls(task), task.batch)
    return done / seconds / bench.flop_limit(task.dtype)


def beside(bench: Bench, task: Task, most: float = 1.0) -> Found:
    """Ours beside diffusers, both as they are loaded; in the same form the images must agree."""
    pair = {name: bench.enter(name, task) for name in CONTESTANTS}
    mine, their = (first_images(contestant, task)[0] for contestant in pair.values())
    levels = difference(mine, their).levels
    numbers = {"levels": levels, **turns(bench, task, pair)}
    says = f"{told(numbers)}; in diffusers' form up to {levels} levels apart"
    return Found(says, numbers, levels <= NEAR and round(numbers["ratio"], 2) <= most)


def tiny_beside_diffusers(bench: Bench) -> Found:
    return beside(bench, bench.task("tiny"))


def beside_diffusers(bench: Bench) -> Found:
    return beside(bench, bench.task())


def compiled(bench: Bench, way: str) -> Found:
    """Ours compiled beside diffusers' as it is loaded."""
    task = bench.task()
    bench.keep(("diffusers", "eager"))
    theirs = bench.enter("diffusers", task)
    ours = bench.enter("sdlearn", task, way)
    return compared(bench, {f"sdlearn, {way}": ours, "diffusers": theirs})


def compared(bench: Bench, contestants: dict[str, Contestant], most: float = 0.75) -> Found:
    """Compiled code rounds otherwise: images are only looked at for being garbled."""
    numbers = turns(bench, bench.task(), contestants)
    taken = {name: s for name, s in bench.compile_seconds.items() if name in contestants}
    numbers["compile_seconds"] = taken
    levels = numbers["mean_levels"]
    must(levels < GARBLED, f"compiled, the image is another one: {levels:.1f} levels on average")
    began = ", ".join(f"{name} {s:.0f} s" for name, s in taken.items())
    says = f"{told(numbers)}; {levels:.2f} levels apart on average; first image: {began}"
    return Found(says, numbers, round(numbers["ratio"], 2) <= most)


def over_compiled(bench: Bench) -> Found:
    """Both compiled in the same way: whole, unless ours could not be."""
    task = bench.task()
    way = "whole" if bench.has("sdlearn", task, "whole") else "regional"
    bench.keep(("sdlearn", way))
    both = {f"{who}, {way}": bench.enter(who, task, way) for who in CONTESTANTS}
    return compared(bench, both, most=1.0)


# Second part: less memory


def offload(bench: Bench, memory: int, kind: str) -> Found:
    """The plan for `memory`, kept to by a cap: the same image, and how long it takes."""
    task = bench.task(steps=FEW)
    expected = bench.enter("sdlearn", task).draw(task)
    bench.clear()
    try:
        with bench.meter.cap(memory):
            ours = CONTESTANTS["sdlearn"](task, memory)
            drawn, most = bench.meter.peak_of(partial(ours.draw, task))
            begin = bench.now()
            again = ours.draw(task)  # the parts are where the first image left them
            seconds = bench.now() - begin
    except MemoryError as error:
        raise Missed(f"an image does not fit into {gigabytes(memory)}: {error}") from error
    plan = ours.pipeline.memory
    must(plan.offload == kind, f"{gigabytes(memory)} are planned for with {plan}")
    levels = max(difference(images, expected).levels for images in (drawn, again))
    says = f"peak {gigabytes(most)}, {FEW} steps in {seconds:.1f} s, up to {levels} levels apart"
    return Found(says, {"peak": most, "seconds": seconds, "levels": levels}, levels <= NEAR)


def slices_and_tiles(bench: Bench) -> Found:
    sd = bench.ours(bench.task())
    side, batch = 2 * sd.image_size, sd.init_latents(range(4))
    large = sd.init_latents([FIRST_SEED], height=side, width=side)
    numbers, whole = {}, {}
    for name, latents in (("4 images", batch), (f"{side}x{side}", large)):
        whole[name], numbers[name] = bench.meter.peak_of(partial(sd.decode, latents))
    sd.vae.use_slicing = sd.vae.use_tiling = True
    try:
        slices, numbers["in slices"] = bench.meter.peak_of(partial(sd.decode, batch))
        tiles, numbers["in tiles"] = bench.meter.peak_of(partial(sd.decode, large))
    finally:
        sd.vae.use_slicing = sd.vae.use_tiling = False
    apart = 255 * float((slices.float() - whole["4 images"].float()).abs().mean())
    must(bool(tiles.isfinite().all()), "what is decoded in tiles is not finite")
    must(apart < 1, f"what is decoded in slices is {apart:.1f} levels away on average")
    sizes = {name: size for name, size in numbers.items() if size}
    less = list(sizes.values())  # whole, large, slices, tiles; empty on the CPU
    met = not less or (less[2] < less[0] and less[3] < less[1])
    says = f"slices {apart:.2f} levels apart on average; {listed(sizes) or 'no peaks on the CPU'}"
    return Found(says, {"peaks": sizes, "mean_levels": apart}, met)


def out_of_memory(bench: Bench) -> Found:
    task = bench.task(steps=FEW)
    sd = bench.ours(task)
    before = draw(sd, num_steps=FEW)
    bench.meter.empty()
    with bench.meter.cap(bench.meter.held() + ROOM):
        said = refusal(sd, MANY)
        small = draw(sd, num_steps=FEW, height=64, width=64)
    wanted = f"not enough memory for {MANY} images of {sd.image_size}x{sd.image_size} pixels on "
    must(said.startswith(wanted), f"what is said is {said!r}")
    must_be_images(small)
    must(np.array_equal(draw(sd, num_steps=FEW), before), "afterwards the image is another one")
    return Found(f"said in a sentence ({said.partition(';')[0]}), and the next call works")


def refusal(sd: StableDiffusion, count: int) -> str:
    """What is said when memory is not enough."""
    try:
        draw(sd, count, num_steps=FEW)
    except MemoryError as error:
        return str(error)
    raise Missed(f"{count} images were drawn in {gigabytes(ROOM)} beside the weights")


# Second part: the rest of the pipeline


def bfloat16(bench: Bench) -> Found:
    bench.clear()
    return beside(bench, bench.task(dtype="bfloat16"))


def safety_checker(bench: Bench) -> Found:
    task = bench.task(steps=FEW)
    plain = draw(bench.ours(task), num_steps=FEW)
    sd = load(bench.with_checker, device=task.device, dtype=task.torch_dtype)
    assert sd.safety_checker is not None
    passed, most = bench.meter.peak_of(partial(draw, sd, num_steps=FEW))
    begin = bench.now()
    draw(sd, num_steps=FEW)
    seconds = bench.now() - begin
    must(np.array_equal(passed, plain), "an image that is not flagged is another one")
    sd.safety_checker.model.concept_embeds_weights.data.fill_(FLAG_ALL)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        black = draw(sd, num_steps=FEW)
    must(int(black.max()) == 0, "an image that is flagged is not black")
    must(any("safety checker" in str(w.message) for w in said), "nothing is said of a black image")
    memory = f", peak {gigabytes(most)}" if most else ""
    says = f"{FEW} steps in {seconds:.2f} s{memory}; flagged images are black"
    return Found(says, {"peak": most, "seconds": seconds})


def editing(bench: Bench) -> Found:
    here, cpu = on_both(bench)
    how: dict[str, Any] = {"num_steps": bench.setting.steps, "scheduler": "ddim"}
    [image] = cpu.generate(PROMPT, seeds=[3], **how)
    mask = Image.new("L", image.size)
    mask.paste(255, (0, 0, image.width // 2, image.height))
    levels = {
        "image to image": agree(here, cpu, image=image, strength=0.5, **how),
        "inpainting": agree(here, cpu, image=image, mask=mask, **how),
    }
    must_be_images(draw(bench.ours(bench.task()), image=image, strength=0.5, num_steps=FEW))
    each = ", ".join(f"{name} up to {n} levels" for name, n in levels.items())
    return Found(f"tiny beside the CPU: {each}", levels, max(levels.values()) <= ONE_LEVEL)


def lora(bench: Bench) -> Found:
    need("peft")
    here, cpu = on_both(bench)
    large, small = bench.ours(bench.task()), bench.folder / "tiny-lora.safetensors"
    write_lora(cpu.unet, small)
    cpu.load_lora_weights(small)
    with_and_without(here, small)
    here.load_lora_weights(small)
    levels = agree(here, cpu, num_steps=bench.setting.steps)
    file = bench.folder / "lora.safetensors"
    write_lora(large.unet, file)
    with_and_without(large, file)
    says = f"tiny beside the CPU up to {levels} levels; at weight 0 and taken off, plain images"
    return Found(says, {"levels": levels}, levels <= ONE_LEVEL)


def with_and_without(sd: StableDiffusion, file: Path) -> None:
    """Put a LoRA on, set its weight to 0, take it off: changed, then the same bits as before."""
    plain = draw(sd, num_steps=FEW)
    sd.load_lora_weights(file)
    changed = draw(sd, num_steps=FEW)
    sd.set_adapters(file.stem, 0)
    at_0 = draw(sd, num_steps=FEW)
    sd.unload_lora_weights()
    off = draw(sd, num_steps=FEW)
    must_be_images(changed)
    must(mean_levels(changed, plain) > 0.5, f"a LoRA on {sd.name} changes nothing")
    must(np.array_equal(at_0, plain), f"on {sd.name} a LoRA at weight 0 leaves another image")
    must(np.array_equal(off, plain), f"on {sd.name} a LoRA that is taken off leaves another image")


def need(*modules: str) -> None:
    """Raise `NotHere` for modules that are not installed."""
    if missing := [name for name in modules if find_spec(name) is None]:
        raise NotHere(f"needs {', '.join(missing)}, not installed here")


def lesson(bench: Bench, name: str) -> Found:
    """The cells of a lesson on the device that `load` picks, as many as the time allows."""
    need("matplotlib", "ipywidgets", "IPython")
    [path] = (ROOT / "lessons").glob(f"{name}_*.ipynb")
    count = len(list(code_cells(path))[: bench.setting.cells])
    ran, errors = run_cells(path, count, LESSON_SECONDS * bench.setting.patience)
    first = "".join(f"; {cell}: {error}" for cell, error in list(errors.items())[:3])
    says = f"{ran - len(errors)} of {count} cells ran without an error{first}"
    if ran < count:
        says += f"; no time for {count - ran}"
    return Found(says, {"cells": ran, "errors": errors}, not errors and ran == count)


CHECKS: dict[Check, Callable[[Bench], Found]] = {
    Check("stand_in", 1, 60, "a stand-in for SD 1.5 is written, fp16"): stand_in,
    Check("tiny_as_on_the_cpu", 1, 45, "tiny as on the CPU", "1 level"): tiny_as_on_the_cpu,
    Check("peak", 1, 45, "peak memory of one image, fp16", "at most 4.0 GB"): peak,
    Check("within_8_gb", 1, 45, "8 GB for torch, memory='8GB'", "4 images fit"): within_8_gb,
    Check("tiny_beside_diffusers", 1, 30, "tiny", "ratio at most 1.0"): tiny_beside_diffusers,
    Check("beside_diffusers", 1, 45, "SD 1.5", "ratio at most 1.0"): beside_diffusers,
    Check("regional", 1, 60, "SD 1.5, blocks compiled", "ratio at most 0.75"): partial(
        compiled, way="regional"
    ),
    Check("whole", 1, 100, "SD 1.5, compiled", "ratio at most 0.75"): partial(
        compiled, way="whole"
    ),
    Check("over_compiled", 1, 60, "SD 1.5, both compiled", "ratio at most 1.0"): over_compiled,
    Check("model_offload", 2, 40, "4 GB for torch, part by part", "fits"): partial(
        offload, memory=4 * GB, kind="model"
    ),
    Check("sequential_offload", 2, 50, "2 GB for torch, layer by layer", "fits"): partial(
        offload, memory=2 * GB, kind="sequential"
    ),
    Check("slices_and_tiles", 2, 30, "decoding in slices, in tiles", "less"): slices_and_tiles,
    Check("bfloat16", 2, 40, "SD 1.5, bfloat16", "ratio at most 1.0"): bfloat16,
    Check("safety_checker", 2, 40, "SD 1.5 with a safety checker"): safety_checker,
    Check("out_of_memory", 2, 30, "out of memory", "a sentence"): out_of_memory,
    Check("editing", 2, 40, "an image changed", "1 level"): editing,
    Check("lora", 2, 40, "a LoRA", "1 level"): lora,
    Check("lesson_05", 2, 70, "lesson 05 as a script"): partial(lesson, name="05"),
    Check("lesson_06", 2, 70, "lesson 06 as a script"): partial(lesson, name="06"),
}
