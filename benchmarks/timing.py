"""Seconds: of several actions in turns, and what is told of a row of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from sdlearn.util.progress import Progress, no_progress

__all__ = ["Timing", "interleaved"]


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
