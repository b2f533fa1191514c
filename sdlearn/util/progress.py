"""How far a long work is: what a function takes to show it, and the bar of the command line."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Protocol, TypeVar

__all__ = ["Watch", "bar", "unwatched"]

T = TypeVar("T")


class Watch(Protocol):
    """Wraps something to iterate over, to show how far it is: as `tqdm` does."""

    def __call__(self, items: Iterable[T], label: str, total: int) -> Iterable[T]:
        """`items` unchanged; there will be `total` of them."""


def unwatched(items: Iterable[T], label: str, total: int) -> Iterable[T]:
    """The `Watch` that shows nothing."""
    return items


def bar(items: Iterable[T], label: str, total: int) -> Iterable[T]:
    """The `Watch` that draws a bar on stderr, gone when the work is done."""
    from tqdm import tqdm

    return tqdm(items, desc=label, total=total, file=sys.stderr, leave=False, mininterval=0.5)
