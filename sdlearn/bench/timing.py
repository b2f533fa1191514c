"""Seconds: of several actions in turns, and what is told of a row of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

__all__ = ["Timing", "Watch", "interleaved", "unwatched"]

T = TypeVar("T")


class Watch(Protocol):
    """Hands on what it is given, one after the other, and shows how far it is."""

    def __call__(self, items: Iterable[T], label: str, total: int) -> Iterable[T]: ...


def unwatched(items: Iterable[T], label: str, total: int) -> Iterable[T]:
    """The `Watch` that shows nothing."""
    return items


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
    watch: Watch = unwatched,
) -> list[Timing]:
    """Time each action `repeats` times, in turns so that a busy moment hits them all.

    `settle` waits for a device that works on its own, before each start and before each stop.
    """
    seconds: list[list[float]] = [[] for _ in actions]
    for _ in watch(range(repeats), "in turns", repeats):
        for action, taken in zip(actions, seconds, strict=True):
            settle()
            start = time.perf_counter()
            action()
            settle()
            taken.append(time.perf_counter() - start)
    return [Timing(tuple(taken)) for taken in seconds]
