"""What a benchmark found, as frozen records. The numbers of the table are properties of these."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from benchmarks.task import Task
from benchmarks.timing import Timing

__all__ = [
    "ENOUGH",
    "RESTLESS",
    "Calls",
    "Comparison",
    "Difference",
    "Fit",
    "Machine",
    "Profile",
    "Report",
    "Result",
    "Side",
    "difference",
]

ENOUGH = 5  # repeats that a median wants
RESTLESS = 0.3  # load before the start, or spread of the timings, above which to be warned


@dataclass(frozen=True)
class Machine:
    """Where it was measured."""

    processor: str  # the GPU's name on a GPU
    threads: int  # that torch uses on the CPU
    versions: dict[str, str]
    load: float  # of all cores before the start, by whatever else runs, in [0, 1]


@dataclass(frozen=True)
class Difference:
    """Between two sets of pictures in 8 bits."""

    pixels: int  # that differ in any channel
    of: int  # pixels in all
    levels: int  # the largest difference, 0..255

    def within(self, tolerance: int) -> bool:
        """Whether no channel of any pixel differs by more than `tolerance` levels."""
        return self.levels <= tolerance


def difference(first: np.ndarray, second: np.ndarray) -> Difference:
    """Between two batches of pictures, uint8 (B, H, W, 3). Raises `ValueError` for two sizes."""
    if first.shape != second.shape:
        raise ValueError(f"pictures must have one size; got {first.shape} and {second.shape}")
    apart = np.abs(first.astype(int) - second.astype(int)).max(axis=-1)
    return Difference(int((apart > 0).sum()), apart.size, int(apart.max()))


@dataclass(frozen=True)
class Calls:
    """How often the U-Net was called for one task, counted by a hook."""

    calls: int
    pictures: int  # that went through it in all calls together


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
    """Two contestants at one task, this pipeline first."""

    task: Task
    difference: Difference
    tolerance: int  # levels of 255
    sides: tuple[Side, ...]  # none where the pictures differ: they are not the same work
    as_timed: Difference | None = None  # None where what was compared is what was timed

    @property
    def ratio(self) -> float | None:
        """Median of ours to median of theirs, below 1 when ours is faster."""
        if not self.sides:
            return None
        ours, theirs = self.sides
        return ours.timing.median / theirs.timing.median


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
        """The stages of the picture whose time is the median, so that they add up to it."""
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
    """All of it."""

    machine: Machine
    results: Sequence[Result]

    @property
    def same(self) -> bool:
        """Whether every pair of contestants drew the same pictures."""
        return all(r.ratio is not None for r in self.results if isinstance(r, Comparison))

    @property
    def warning(self) -> str | None:
        """One sentence when the machine was too busy to trust the numbers."""
        spread = max((timing.spread for timing in self.timings), default=0.0)
        if self.machine.load > RESTLESS:
            reason = f"{self.machine.load:.0%} load before the start"
        elif spread > RESTLESS:
            reason = f"the same thing varied by {spread:.0%}"
        else:
            return None
        return f"the machine is busy ({reason}); measure again when it is idle"

    @property
    def timings(self) -> list[Timing]:
        """Of everything that was timed."""
        found = []
        for result in self.results:
            if isinstance(result, Comparison):
                found += [side.timing for side in result.sides]
            elif isinstance(result, Profile):
                found.append(result.totals)
        return found
