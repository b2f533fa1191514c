"""How wrong numbers are wrong: their sign, a factor, a range, an order. Sentences for learners.

Each says what can be told without giving the answer away, the most telling first.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy import ndarray

__all__ = ["close", "of_array", "of_number", "of_shape"]

FACTORS = (2, 10, 100, 1000)
RELATIVE = 1e-5


def of_number(answer: float, truth: float, margin: float) -> str:
    """What to say to a wrong number; `margin` is how far off it might have been."""
    if not math.isfinite(answer):
        return f"{answer} is not a finite number"
    if abs(answer + truth) <= margin:
        return "the size is right, the sign is wrong"
    side = "large" if answer > truth else "small"
    if isinstance(truth, int) and abs(answer - truth) == 1:
        return f"{_written(answer)} is too {side}, by one"
    for factor in FACTORS:
        for ratio in (factor, 1 / factor):
            if math.isclose(answer, ratio * truth, rel_tol=1e-4):
                return f"{_written(answer)} is too {side}, by a factor of {factor}"
    return f"{_written(answer)} is too {side}"


def of_shape(answer: tuple[int, ...], truth: tuple[int, ...]) -> str:
    """What to say to a wrong shape."""
    sentence = f"the shape {truth} is expected, yours is {answer}"
    if sorted(answer) == sorted(truth):
        return f"{sentence}: the axes are in another order"
    if answer[1:] == truth or answer[:-1] == truth:
        return f"{sentence}: there is an axis too many"
    if truth[1:] == answer or truth[:-1] == answer:
        return f"{sentence}: there is an axis missing"
    return sentence


def of_array(answer: ndarray, truth: ndarray, tolerance: float) -> str:
    """What to say to wrong values of the right shape; both arrays are float64."""
    import numpy as np

    if not np.isfinite(answer).all():
        return "some values are not numbers (nan) or infinite"
    return (
        _scale(answer, truth, tolerance)
        or _order(answer, truth, tolerance)
        or _range(answer, truth)
        or f"the values are off, by {np.abs(answer - truth).max():.3g} where it is most"
    )


def close(answer: ndarray, truth: ndarray, tolerance: float) -> bool:
    """Whether no value is off by more than `tolerance` plus a hundred-thousandth of its size."""
    import numpy as np

    return bool(np.allclose(answer, truth, atol=tolerance, rtol=RELATIVE, equal_nan=True))


def _scale(answer: ndarray, truth: ndarray, tolerance: float) -> str | None:
    """The answer is the truth times or plus one number."""
    if close(-answer, truth, tolerance):
        return "the sizes are right, the sign is wrong"
    square = float((truth * truth).sum())
    factor = float((answer * truth).sum()) / square if square else 0.0
    if abs(factor) > RELATIVE and close(answer / factor, truth, tolerance):
        return f"the values are off by one factor: yours are {factor:.3g} times what they should be"
    shift = float((answer - truth).mean())
    if close(answer - shift, truth, tolerance):
        return f"the values are off by one number: yours are {abs(shift):.3g} too " + (
            "large" if shift > 0 else "small"
        )
    return None


def _order(answer: ndarray, truth: ndarray, tolerance: float) -> str | None:
    """The answer holds the right values in wrong places."""
    import numpy as np

    if any(close(np.flip(answer, axis), truth, tolerance) for axis in range(answer.ndim)):
        return "the values are right, but an axis runs backwards"
    if close(np.sort(answer, axis=None), np.sort(truth, axis=None), tolerance):
        return "the values are right, but in another order"
    return None


def _range(answer: ndarray, truth: ndarray) -> str | None:
    """The answer leaves a range that the truth keeps to."""
    for low, high in ((0, 1), (-1, 1)):
        inside = low <= truth.min() and truth.max() <= high
        if inside and not (low - 1e-6 <= answer.min() and answer.max() <= high + 1e-6):
            return (
                f"values outside [{low}, {high}]: yours reach "
                f"from {answer.min():.3g} to {answer.max():.3g}"
            )
    return None


def _written(number: float) -> str:
    """4,096 and 0.25, as learners read them."""
    return f"{number:,.6g}" if isinstance(number, float) else f"{number:,}"
