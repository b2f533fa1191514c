"""What is asked for (`Task`) and what was found. The numbers of a table are properties of these."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch

from sdlearn.diffusion.guidance import check_guidance_scale
from sdlearn.util.checks import DTYPES, check_count, check_num_steps

DEVICES = ("cpu", "cuda")  # there is no clock for others, nor for one of several GPUs
FIRST_SEED = 7
PROMPTS = (
    "a large red house on the left, on green grass, at sunset, under a rainbow",
    "a small blue boat on the right, at night, under the moon",
    "a yellow cat on white snow",
    "a large green castle in the middle, in the rain, as a watercolour",
    "a white rocket at night, as pixel art",
)
ENOUGH = 5  # repeats that a median wants
RESTLESS = 0.3  # load before the start, or spread of the timings, above which to be warned


@dataclass(frozen=True)
class Task:
    """Images of one prompt with the seeds 7, 8, ..., at the model's own size and scheduler.

    Each `turn` has other seeds, and another prompt than the one before it: what an engine keeps of
    the last text must not make it faster.
    Raises `ValueError` or `TypeError` for what cannot be drawn, or not by diffusers as well.
    """

    model: str = "tiny"
    device: str = "cpu"  # one of DEVICES
    dtype: str = "float32"  # one of `sdlearn.util.checks.DTYPES`
    steps: int = 20
    guidance: float = 3.0  # 0, 1 or more: diffusers draws without guidance up to 1
    batch: int = 1  # images at a time
    compiled: bool = False  # this pipeline, as `load(..., compile=True)` does; diffusers' never is
    turn: int = 0

    def __post_init__(self) -> None:
        check_num_steps(self.steps)
        check_count("batch", self.batch)
        for name, known in (("device", DEVICES), ("dtype", DTYPES)):
            if (got := getattr(self, name)) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}; got {got!r}")
        if check_guidance_scale(self.guidance) != 0 and self.guidance < 1:
            raise ValueError(
                "guidance must be 0, or 1 and more: diffusers' pipeline takes every other scale "
                f"for 1; got {self.guidance}"
            )

    @property
    def torch_dtype(self) -> torch.dtype:
        return getattr(torch, self.dtype)

    @property
    def seeds(self) -> Sequence[int]:
        first = FIRST_SEED + self.turn * self.batch
        return range(first, first + self.batch)

    @property
    def prompt(self) -> str:
        return PROMPTS[self.turn % len(PROMPTS)]


@dataclass(frozen=True)
class Timing:
    """How long the same thing took, each time that it was done."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def fastest(self) -> float:
        return min(self.seconds)

    @property
    def spread(self) -> float:
        """From the fastest to the slowest, as a share of the median."""
        return (max(self.seconds) - min(self.seconds)) / self.median


@dataclass(frozen=True)
class Difference:
    """Between two sets of images in 8 bits."""

    pixels: int  # that differ in any channel
    of: int  # pixels in all
    levels: int  # the largest difference, 0..255

    def within(self, tolerance: int) -> bool:
        """Whether no channel of any pixel differs by more than `tolerance` levels."""
        return self.levels <= tolerance


def difference(first: np.ndarray, second: np.ndarray) -> Difference:
    """Between two batches of images, uint8 (B, H, W, 3). Raises `ValueError` for two sizes."""
    if first.shape != second.shape:
        raise ValueError(f"images must have one size; got {first.shape} and {second.shape}")
    apart = np.abs(first.astype(int) - second.astype(int)).max(axis=-1)  # (B, H, W)
    return Difference(int((apart > 0).sum()), apart.size, int(apart.max()))


@dataclass(frozen=True)
class Calls:
    """How often the U-Net was called for one task, counted by a hook."""

    calls: int
    images: int  # that went through it in all calls together


@dataclass(frozen=True)
class Side:
    """One contestant's result."""

    name: str
    timing: Timing
    unet: Calls | None = None  # None from the shell, where nothing but the time is seen
    flops: int | None = None  # of U-Net and decoder for one task
    peak: int | None = None  # bytes, of a process of its own
    limit: float | None = None  # FLOP a second, of a product of two large matrices

    @property
    def share(self) -> float | None:
        """Of the device's measured limit, in [0, 1]."""
        if self.flops is None or self.limit is None:
            return None
        return self.flops / self.timing.median / self.limit


@dataclass(frozen=True)
class Comparison:
    """Contestants at one task: this pipeline, diffusers', and other engines."""

    task: Task
    difference: Difference
    tolerance: int  # levels of 255
    sides: tuple[Side, ...]  # none where the images differ: they are not the same work
    as_timed: Difference | None = None  # None where what was compared is what was timed

    @property
    def ratio(self) -> float | None:
        """Median of ours to that of diffusers, below 1 when ours is faster."""
        return self.ratio_to(self.sides[1]) if self.sides else None

    def ratio_to(self, side: Side) -> float:
        """Median of ours to that of a side."""
        return self.sides[0].timing.median / side.timing.median


@dataclass(frozen=True)
class Profile:
    """Where the time of this pipeline goes: for each stage its seconds, once for each repeat."""

    task: Task
    stages: dict[str, Timing]
    calls: int  # of the U-Net

    @property
    def totals(self) -> Timing:
        return Timing(tuple(map(sum, zip(*(t.seconds for t in self.stages.values()), strict=True))))

    @property
    def median(self) -> dict[str, float]:
        """The stages of the image whose time is the median, so that they add up to it."""
        totals = self.totals.seconds
        at = totals.index(statistics.median_low(totals))
        return {stage: timing.seconds[at] for stage, timing in self.stages.items()}


@dataclass(frozen=True)
class Fit:
    """Whether a contestant draws a task within so much memory of a GPU."""

    task: Task
    name: str
    cap: int  # bytes
    peak: int | None  # bytes; None when it ran out of memory


Result: TypeAlias = "Comparison | Profile | Fit"


@dataclass(frozen=True)
class Report:
    """All that was found, and where."""

    processor: str  # the GPU's name on a GPU
    threads: int  # that torch uses on the CPU
    versions: dict[str, str]
    load: float  # of all cores before the start, by whatever else runs, in [0, 1]
    results: Sequence[Result]

    @property
    def same(self) -> bool:
        """Whether every pair of contestants drew the same images."""
        return all(r.ratio is not None for r in self.results if isinstance(r, Comparison))

    @property
    def timings(self) -> list[Timing]:
        """Of everything that was timed."""
        sides = [side for r in self.results if isinstance(r, Comparison) for side in r.sides]
        totals = [r.totals for r in self.results if isinstance(r, Profile)]
        return [*(side.timing for side in sides), *totals]

    @property
    def warning(self) -> str | None:
        """One sentence when the machine was too busy to trust the numbers."""
        spread = max((timing.spread for timing in self.timings), default=0.0)
        if self.load > RESTLESS:
            reason = f"{self.load:.0%} load before the start"
        elif spread > RESTLESS:
            reason = f"the same thing varied by {spread:.0%}"
        else:
            return None
        return f"the machine is busy ({reason}); measure again when it is idle"
