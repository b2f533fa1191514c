"""Is one answer the other? `difference` says in a sentence what is wrong with it, or None.

Answers are numbers, texts, True or False, tensors (arrays will do), pictures, and lists or tuples
of these. Left out: where the right answer comes from (`exercises`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from . import offsets

if TYPE_CHECKING:
    from numpy import ndarray

__all__ = ["difference", "kind"]

KINDS: tuple[tuple[Any, str], ...] = (  # bool before int, which it is a kind of
    (bool, "True or False"),
    ((int, float), "a number"),
    (str, "a text"),
    ((list, tuple), "a list"),
    (type(None), "None"),
    (type(...), "`...`"),
)


def difference(answer: Any, truth: Any, tolerance: float = 1e-4) -> str | None:
    """What is off in `answer`, without its full stop, or None when it is `truth`.

    Floats may differ by `tolerance` plus 1e-5 of their size; whole numbers must agree. Raises
    `TypeError` for a truth that is none of the kinds above.
    """
    answer, truth = plain(answer), plain(truth)
    if kind(truth) not in COMPARE:
        raise TypeError(f"{kind(truth)} cannot be compared; give the exercise a judge")
    if kind(truth) == "a number" and getattr(answer, "size", 0) == 1:
        answer = plain(answer.reshape(()))
    if kind(truth) == "a list" and kind(answer) == "a tensor":
        answer = list(answer)
    if kind(answer) != kind(truth):
        return f"{kind(truth)} is expected, yours is {kind(answer)}"
    return COMPARE[kind(truth)](answer, truth, tolerance)


def plain(value: Any) -> Any:
    """Tensors and arrays as arrays of float64, those with one number as that number."""
    import numpy as np

    if hasattr(value, "detach"):  # a tensor
        value = value.detach().cpu()
        value = (value.double() if value.is_floating_point() else value).numpy()
    if isinstance(value, (np.ndarray, np.generic)) and value.ndim == 0:
        return value.item()
    return value


def kind(value: Any) -> str:
    """What a value is, in the words that learners are told."""
    for types, words in KINDS:
        if isinstance(value, types):
            return words
    if hasattr(value, "getbands"):
        return "a picture"
    if hasattr(value, "__array__"):
        return "a tensor"
    return "a function" if callable(value) else f"of type {type(value).__name__}"


def _number(answer: float, truth: float, tolerance: float) -> str | None:
    margin = 0 if isinstance(truth, int) else tolerance + 1e-5 * abs(truth)
    return None if abs(answer - truth) <= margin else offsets.of_number(answer, truth, margin)


def _exact(answer: bool, truth: bool, tolerance: float) -> str | None:
    return None if answer == truth else f"it is not {answer}"


def _text(answer: str, truth: str, tolerance: float) -> str | None:
    if answer.strip() == truth.strip():
        return None
    if answer.casefold().split() == truth.casefold().split():
        return "the words are right, but not the spaces or capitals"
    return f"it is not {answer[:60]!r}"


def _list(answer: Sequence[Any], truth: Sequence[Any], tolerance: float) -> str | None:
    if len(answer) != len(truth):
        return f"{len(truth)} items are expected, yours are {len(answer)}"
    for index, (one, other) in enumerate(zip(answer, truth, strict=True)):
        if problem := difference(one, other, tolerance):
            return f"item [{index}]: {problem}"
    return None


def _tensor(answer: ndarray, truth: ndarray, tolerance: float) -> str | None:
    import numpy as np

    if answer.dtype.kind not in "biuf":
        return f"numbers are expected, yours are of type {answer.dtype}"
    if answer.shape != truth.shape:
        return offsets.of_shape(answer.shape, truth.shape)
    if truth.dtype.kind in "biu":
        tolerance = 0
    a, t = (np.asarray(values, dtype=np.float64) for values in (answer, truth))
    return None if offsets.close(a, t, tolerance) else offsets.of_array(a, t, tolerance)


def _picture(answer: Any, truth: Any, tolerance: float) -> str | None:
    import numpy as np

    if answer.size != truth.size:
        sizes = [f"{width} x {height}" for width, height in (truth.size, answer.size)]
        return f"{sizes[0]} pixels are expected, yours are {sizes[1]}"
    levels = [np.asarray(p.convert("RGB"), dtype=np.float64) / 255 for p in (answer, truth)]
    largest = np.abs(levels[0] - levels[1]).max()
    if largest <= max(tolerance, 1.5 / 255):  # one level of rounding
        return None
    return f"the pictures differ by up to {255 * largest:.0f} of 255 levels"


COMPARE: dict[str, Callable[[Any, Any, float], str | None]] = {
    "True or False": _exact,
    "a list": _list,
    "a number": _number,
    "a picture": _picture,
    "a tensor": _tensor,
    "a text": _text,
}
