"""Values in the words that learners are told: what kind a value is, and its numbers.

kind(torch.zeros(2))            "a tensor"
shown(torch.tensor([0.5, 2]))   "[0.5, 2]"
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

MOST_NUMBERS = 8  # of a tensor or a list that is written out

KINDS: tuple[tuple[Any, str], ...] = (  # bool before int, which it is a kind of
    (bool, "True or False"),
    ((int, float), "a number"),
    (str, "a text"),
    ((list, tuple, range), "a list"),
    (type(None), "None"),
    (type(...), "`...`"),
)


def kind(value: Any) -> str:
    """What a value is, in the words that learners are told."""
    for types, words in KINDS:
        if isinstance(value, types):
            return words
    if hasattr(value, "getbands"):
        return "an image"
    if hasattr(value, "__array__"):
        return "a tensor"
    return "a function" if callable(value) else f"of type {type(value).__name__}"


def plain(value: Any) -> Any:
    """Tensors as arrays, with floats in float64, and those with one number as that number."""
    if hasattr(value, "detach"):  # a tensor
        value = value.detach().cpu()
        value = (value.double() if value.is_floating_point() else value).numpy()
    if isinstance(value, (np.ndarray, np.generic)) and value.ndim == 0:
        return value.item()
    return value


def shown(value: Any, most: int = MOST_NUMBERS) -> str | None:
    """Numbers with four digits, texts in quotes; None for what is too long to be read."""
    value = plain(value)
    if kind(value) == "a tensor":
        value = value.tolist() if value.size <= most else None
    elif kind(value) == "a list":
        value = list(value) if _count(value) <= most else None
    if isinstance(value, list):
        items = [shown(item, most) for item in value]
        return None if None in items else f"[{', '.join(map(str, items))}]"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return str(value)
    return repr(value) if isinstance(value, str) and len(value) <= 60 else None


def _count(items: Iterable[Any]) -> float:
    try:
        return sum(1 for _ in _leaves(items))
    except RecursionError:  # a list that contains itself
        return math.inf


def _leaves(items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        if kind(item) == "a list":
            yield from _leaves(item)
        else:
            yield item


def listed(items: Iterable[str]) -> str:
    """The items as an enumeration: "a", "a and b", "a, b and c"."""
    *first, last = items
    return f"{', '.join(first)} and {last}" if first else last
