"""Progress of long work: what a function takes in order to show it, and a bar in the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Progress(Protocol):
    """Passes items through, as `tqdm` does, and shows how many of them have come by."""

    def __call__(self, items: Iterable[T], label: str, total: int) -> Iterable[T]:
        """`items` unchanged; there will be `total` of them."""


def no_progress(items: Iterable[T], label: str, total: int) -> Iterable[T]:
    """The `Progress` that shows nothing."""
    return items


def progress_bar(items: Iterable[T], label: str, total: int) -> Iterable[T]:
    """The `Progress` that draws a bar on stderr, and removes it when the work is done."""
    from tqdm import tqdm

    return tqdm(items, desc=label, total=total, leave=False, mininterval=0.5)
