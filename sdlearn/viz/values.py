"""The numbers that figures show: taken from lists, arrays and tensors, or refused; and said.

What is no number, or not finite, is refused rather than left out: a gap in a curve hides what
made it.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from torch import Tensor

Pair = tuple[float, float]  # (low, high), or (width, height)

MINUS = "\N{MINUS SIGN}"


def to_numbers(values: Any, name: str, dimensions: tuple[int, ...] = (1,)) -> np.ndarray:
    """`values` as a float array with one of these numbers of `dimensions`, none of length 0.

    Raises `ValueError` naming the argument when something is no finite number or out of shape.
    """
    if isinstance(values, str | bytes | dict):
        raise ValueError(f"{name} must hold numbers; got {values!r}")
    try:
        array = np.asarray(_plain(values), dtype=float)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} must hold numbers of one shape; got {values!r}") from error
    if array.ndim not in dimensions or 0 in array.shape:
        wanted = f"{' or '.join(map(str, dimensions))} dimensions, none of them empty"
        raise ValueError(f"{name} must have {wanted}; got shape {array.shape}")
    if not np.isfinite(array).all():
        bad = array[~np.isfinite(array)][0]
        raise ValueError(f"{name} must hold finite numbers only; got {bad}")
    return array


def _plain(values: Any) -> Any:
    """The same, however deep, without tensors: numpy reads none of a GPU and none in bfloat16."""
    if isinstance(values, Tensor):
        return values.detach().cpu().double().numpy()  # in this order: mps has no float64
    if isinstance(values, np.ndarray | str) or not isinstance(values, Iterable):
        return values
    return [_plain(value) for value in values]


def check_limits(limits: Any) -> Pair:
    """`limits` as (low, high); raises `ValueError` unless low is below high."""
    pair = to_numbers(limits, "limits")
    if pair.shape != (2,) or pair[0] >= pair[1]:
        raise ValueError(f"limits must be a pair (low, high) with low < high; got {limits!r}")
    return float(pair[0]), float(pair[1])


def format_number(number: float) -> str:
    """A number as people write it: whole and large ones in full, others in three digits.

    >>> format_number(859520964), format_number(0.06827)
    ('859,520,964', '0.0683')
    """
    number = float(number) or 0.0  # -0.0 is 0
    whole = number == round(number) or abs(number) >= 1000
    return (f"{number:,.0f}" if whole else f"{number:.3g}").replace("-", MINUS)


def format_short(number: float) -> str:
    """`format_number` for places with little room: millions as "860 M"."""
    return f"{format_number(number / 1e6)} M" if abs(number) >= 1e6 else format_number(number)
