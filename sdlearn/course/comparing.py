"""Is one value the other, and if not, what can be said without giving it away?

Values are numbers, texts, True or False, tensors (arrays and lists of numbers will do), images, and
lists or tuples of these.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from .words import kind, plain

__all__ = ["difference", "is_rounded"]

UNREADABLE = "your tensor cannot be read: give an ordinary one, with all of its numbers"
RELATIVE = 1e-5  # how far off an answer may be, as a share of its size
MOST_DECIMALS = 6


def difference(answer: Any, truth: Any, tolerance: float = 1e-4) -> str | None:
    """What is wrong with `answer`, without a full stop, or None when it is `truth`.

    Floats may differ by `tolerance` plus 1e-5 of their size; whole numbers must agree. Raises
    `TypeError` for a truth that cannot be compared.
    """
    truth = plain(truth)
    expected = kind(truth)
    if expected not in COMPARE:
        raise TypeError(f"{expected} cannot be compared; write an OpenExercise with a judge")
    try:
        answer = _as_expected(plain(answer), expected)
    except RecursionError:  # a list that contains itself
        return _another_kind(answer, truth)
    except Exception:  # a tensor that holds no numbers, or not all of them: sparse, meta
        return UNREADABLE
    if kind(answer) != expected:
        return _another_kind(answer, truth)
    return COMPARE[expected](answer, truth, tolerance)


def is_rounded(answer: Any, truth: Any, decimals: int) -> bool:
    """Whether `answer` is `truth` rounded to `decimals` places after the point, or to more.

    >>> is_rounded(7.3, 7.2649, 1), is_rounded(7.3, 7.2649, 2), is_rounded(7.2, 7.2649, 1)
    (True, False, False)
    """
    try:
        a, t = (_numbers(value) for value in (answer, truth))
    except Exception:  # not numbers
        return False
    if a.shape != t.shape or t.dtype.kind != "f" or not np.isfinite(a).all() or not a.any():
        return False
    for places in range(decimals, MOST_DECIMALS + 1):
        whole = np.abs(a * 10**places - np.round(a * 10**places)) < 1e-3
        near = np.abs(a - t) <= 0.501 / 10**places
        if whole.all() and near.all():
            return True
    return False


def _numbers(value: Any) -> np.ndarray:
    value = plain(value)
    items = [plain(item) for item in value] if kind(value) == "a list" else value
    array = np.asarray(items)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"numbers are expected; got {array.dtype}")
    return array


def _as_expected(answer: Any, expected: str) -> Any:
    """Another form of the same answer: a list for a tensor, a tensor with one number for it."""
    if expected == "a number" and getattr(answer, "size", 0) == 1:
        return plain(answer.reshape(()))
    if expected == "a list" and kind(answer) == "a tensor" and answer.ndim == 1:
        return list(answer)
    if expected == "a tensor" and kind(answer) == "a list" and len(answer):
        return _as_array(answer)
    return answer


def _as_array(items: Iterable[Any]) -> Any:
    """Numbers, tensors or lists of them, all of one shape, as an array; else as they are."""
    values = [_as_array(item) if kind(item) == "a list" else plain(item) for item in items]
    numbers = all(kind(value) in ("a number", "a tensor") for value in values)
    alike = len({np.shape(value) for value in values}) == 1 if numbers else False
    return np.asarray(values) if alike else values


def _another_kind(answer: Any, truth: Any) -> str:
    """What to say to an answer of another kind than is expected."""
    expected, given = kind(truth), kind(answer)
    sentence = f"{expected} is expected, yours is {given}"
    if expected == "a number" and given == "a text" and _reads_as_number(answer):
        return f"{sentence}: leave the quotes out"
    if expected == "a number" and given == "a list" and _product(answer) == truth:
        return f"one number is expected, and yours are its factors: multiply them, {_times(answer)}"
    if expected == "a list" and given == "a tensor":
        shape = tuple(answer.shape)
        if shape == tuple(truth):
            return "your tensor has the right shape; the shape itself is asked for, its `.shape`"
        return f"{sentence} of shape {shape}"
    return sentence


def _reads_as_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _product(items: Sequence[Any]) -> float:
    values = [plain(item) for item in items]
    return math.prod(values) if all(kind(value) == "a number" for value in values) else math.nan


def _times(items: Sequence[Any]) -> str:
    return " * ".join(str(plain(item)) for item in items)


def _exact(answer: bool, truth: bool, tolerance: float) -> str | None:
    return None if answer == truth else f"it is not {answer}"


def _number(answer: float, truth: float, tolerance: float) -> str | None:
    try:
        apart = abs(answer - truth)
    except OverflowError:
        return "your number is far too large"
    margin = 0 if isinstance(truth, int) else tolerance + RELATIVE * abs(truth)
    if apart <= margin:
        return None
    if not math.isfinite(answer):
        return f"{answer} is not a finite number"
    if abs(answer + truth) <= margin:
        return "the size is right, the sign is wrong"
    sentence = f"{written(answer)} is too {'large' if answer > truth else 'small'}"
    if isinstance(truth, int) and apart == 1:
        return f"{sentence}, by one"
    for factor in (2, 10, 100, 1000):
        if any(math.isclose(answer, r * truth, rel_tol=1e-4) for r in (factor, 1 / factor)):
            return f"{sentence}, by a factor of {factor}"
    return sentence


def written(number: float) -> str:
    """A number as replies write it: 8,192 or 0.3002."""
    return f"{number:,.6g}" if isinstance(number, float) else f"{number:,}"


def _text(answer: str, truth: str, tolerance: float) -> str | None:
    if answer.strip() == truth.strip():
        return None
    if answer.casefold().split() == truth.casefold().split():
        return "the words are right, but not the spaces or capitals"
    return f"it is not {answer[:60]!r}"


def _list(answer: Sequence[Any], truth: Sequence[Any], tolerance: float) -> str | None:
    if len(answer) != len(truth):
        return f"{len(truth)} items are expected, yours are {len(answer)}"
    for index, pair in enumerate(zip(answer, truth, strict=True)):
        if problem := difference(*pair, tolerance):
            return f"item [{index}]: {problem}"
    return None


def _image(answer: Any, truth: Any, tolerance: float) -> str | None:
    if answer.size != truth.size:
        expected, given = (f"{width} x {height}" for width, height in (truth.size, answer.size))
        return f"{expected} pixels are expected, yours are {given}"
    levels = [np.asarray(p.convert("RGB"), dtype=np.float64) / 255 for p in (answer, truth)]
    largest = np.abs(levels[0] - levels[1]).max()
    if largest <= max(tolerance, 1.5 / 255):  # one level of rounding
        return None
    return f"the images differ by up to {255 * largest:.0f} of 255 levels"


def _tensor(answer: np.ndarray, truth: np.ndarray, tolerance: float) -> str | None:
    if answer.dtype.kind not in "biuf":
        return f"numbers are expected, yours are of type {answer.dtype}"
    if answer.shape != truth.shape:
        return _shape(answer.shape, truth.shape)
    if truth.dtype.kind in "biu":
        tolerance = 0
    a, t = (np.asarray(values, dtype=np.float64) for values in (answer, truth))
    if _close(a, t, tolerance):
        return None
    if not np.isfinite(a).all():
        return "some values are not numbers (nan) or infinite"
    offset = _scale(a, t, tolerance) or _order(a, t, tolerance) or _range(a, t)
    return offset or f"the values are off by up to {np.abs(a - t).max():.3g}"


def _shape(answer: tuple[int, ...], truth: tuple[int, ...]) -> str:
    """What to say about a wrong shape."""
    sentence = f"the shape {truth} is expected, yours is {answer}"
    if sorted(answer) == sorted(truth):
        return f"{sentence}: the axes are in another order"
    if truth in (answer[1:], answer[:-1]):
        return f"{sentence}: there is an axis too many"
    if answer in (truth[1:], truth[:-1]):
        return f"{sentence}: there is an axis missing"
    return sentence


def _close(answer: np.ndarray, truth: np.ndarray, tolerance: float) -> bool:
    return bool(np.allclose(answer, truth, atol=tolerance, rtol=RELATIVE, equal_nan=True))


def _scale(answer: np.ndarray, truth: np.ndarray, tolerance: float) -> str | None:
    """What to say about values that are right but for one factor or one summand."""
    if _close(-answer, truth, tolerance):
        return "the sizes are right, the sign is wrong"
    if truth.size < 2:  # any number is another one times a factor
        return None
    square = float((truth * truth).sum())
    factor = float((answer * truth).sum()) / square if square else 0.0
    if abs(factor) > RELATIVE and _close(answer / factor, truth, tolerance):
        return f"the values are off by one factor: yours are {factor:.3g} times what they should be"
    shift = float((answer - truth).mean())
    if _close(answer - shift, truth, tolerance):
        side = "large" if shift > 0 else "small"
        return f"the values are off by one number: yours are {abs(shift):.3g} too {side}"
    return None


def _order(answer: np.ndarray, truth: np.ndarray, tolerance: float) -> str | None:
    """What to say about the right values in wrong places."""
    if any(_close(np.flip(answer, axis), truth, tolerance) for axis in range(answer.ndim)):
        return "the values are right, but an axis runs backwards"
    if _close(np.sort(answer, axis=None), np.sort(truth, axis=None), tolerance):
        return "the values are right, but in another order"
    return None


def _range(answer: np.ndarray, truth: np.ndarray) -> str | None:
    """What to say about values outside a range that the truth keeps to."""
    least, most = answer.min(), answer.max()
    for low, high in ((0, 1), (-1, 1)):
        inside = low <= truth.min() and truth.max() <= high
        if inside and not (low - 1e-6 <= least and most <= high + 1e-6):
            return f"values outside [{low}, {high}]: yours reach from {least:.3g} to {most:.3g}"
    return None


COMPARE: dict[str, Callable[[Any, Any, float], str | None]] = {
    "True or False": _exact,
    "a list": _list,
    "a number": _number,
    "an image": _image,
    "a tensor": _tensor,
    "a text": _text,
}
