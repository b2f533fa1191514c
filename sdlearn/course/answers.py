"""What is said about an answer: one line, whatever it is, and never a traceback.

It says what helps most: that nothing was tried yet, an error, a mistake that others have made too,
or else what can be told about the difference without giving the answer away. Answers are numbers,
texts, True or False, tensors (arrays will do), images, and lists or tuples of these.
"""

from __future__ import annotations

import ast
import dis
import inspect
import math
import textwrap
import traceback
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import Any

import numpy as np

from .exercises import Exercise, OpenExercise

LONGEST_ERROR = 160  # characters
RELATIVE = 1e-5  # how far off an answer may be, as a share of its size
FAILURES = (Exception, SystemExit)  # what an answer may stop with

# What a body of nothing but a constant compiles to, in all versions of Python.
IDLE = {"LOAD_CONST", "NOP", "RESUME", "RETURN_CONST", "RETURN_VALUE"}

KINDS: tuple[tuple[Any, str], ...] = (  # bool before int, which it is a kind of
    (bool, "True or False"),
    ((int, float), "a number"),
    (str, "a text"),
    ((list, tuple), "a list"),
    (type(None), "None"),
    (type(...), "`...`"),
)


def feedback(exercise: Exercise, answer: Any, namespace: Mapping[str, Any]) -> str:
    """ "Not yet tried.", "Right: ..." with the reason, or "Not yet: ..." with what is wrong.

    `namespace` holds the variables of the lesson that the exercise needs.
    """
    try:
        if _is_untouched(answer):
            return "Not yet tried."
    except RecursionError:
        return "Not yet: your answer contains itself, or more lists within lists than can be read."
    if missing := [name for name in exercise.needs if name not in namespace]:
        return f"Not yet: first run the cells above, which make {' and '.join(missing)}."
    if isinstance(exercise, OpenExercise):
        problem = _judged(exercise, answer, namespace)
    else:
        problem = _compared(exercise, answer, namespace)
    line = " ".join((f"Not yet: {problem}" if problem else f"Right: {exercise.reason}").split())
    return line if line.endswith((".", "?")) else f"{line}."


def _judged(exercise: OpenExercise, answer: Any, namespace: Mapping[str, Any]) -> str | None:
    try:
        return exercise.problem(answer, namespace)
    except FAILURES as error:  # whatever an answer of an unexpected kind leads to
        return _unfit(answer, error)


def _compared(exercise: Exercise, answer: Any, namespace: Mapping[str, Any]) -> str | None:
    """What is wrong with an answer of which there is one right form, or None."""
    if exercise.arguments and not callable(answer):
        return f"a function is expected, yours is {kind(answer)}"
    try:
        given = exercise.results(answer)
    except FAILURES as error:
        return f"your function stops with {_described(error)}{_place(error, answer)}"
    if exercise.arguments and all(result is None for result in given):
        return "your function returns nothing: let it end with return and the result"
    try:
        truth = exercise.results(exercise.right_answer(namespace))
    except Exception as error:  # the lesson's variables were given another meaning
        return f"first run the cells above again ({_described(error)})"
    try:
        problem = _first_difference(given, truth, exercise.tolerance)
        for mistake in exercise.known_mistakes(namespace) if problem else ():
            if _first_difference(given, mistake.results, exercise.tolerance) is None:
                return mistake.feedback
        return problem
    except Exception as error:  # a sparse tensor, 10**400
        return _unfit(given[0], error)


def _first_difference(given: Sequence[Any], truth: Sequence[Any], tolerance: float) -> str | None:
    """What is wrong in the first wrong case, and how many cases are right."""
    problems = [difference(*pair, tolerance) for pair in zip(given, truth, strict=True)]
    wrong = [problem for problem in problems if problem is not None]
    if not wrong or len(wrong) == len(problems):
        return wrong[0] if wrong else None
    right = len(problems) - len(wrong)
    return f"right in {right} of {len(problems)} cases, but in another {wrong[0]}"


def _unfit(answer: Any, error: BaseException) -> str:
    return f"an answer that is {kind(answer)} does not work here ({_described(error)})"


def _described(error: BaseException) -> str:
    """The kind of an error and the beginning of what it says."""
    text = " ".join(str(error).split())[:LONGEST_ERROR].rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _place(error: BaseException, function: Any) -> str:
    """Where in the learner's own code an error came up."""
    code, steps = getattr(function, "__code__", None), traceback.walk_tb(error.__traceback__)
    lines = [line for frame, line in steps if frame.f_code is code]
    return f", in line {lines[-1]} of the cell" if lines else ""


# Is an answer still the `...` that the lesson came with?


def _is_untouched(answer: Any) -> bool:
    """Whether an answer is None or `...`, holds nothing else, or is a function that does nothing.

    A function counts as untouched as well when its last statement is `...`: lessons may give the
    lines above it.
    """
    if isinstance(answer, dict):
        answer = list(answer.values())
    if isinstance(answer, (list, tuple)):
        return len(answer) > 0 and all(map(_is_untouched, answer))
    if isinstance(answer, FunctionType):
        return _does_nothing(answer) or _ends_in_dots(answer)
    return answer is None or answer is ... or (isinstance(answer, str) and answer == "...")


def _does_nothing(function: FunctionType) -> bool:
    """Whether the body is `...`, `pass`, a text, or returns nothing at once."""
    steps = [step for step in dis.get_instructions(function) if step.opname != "RESUME"]
    return all(step.opname in IDLE and step.argval in (None, ...) for step in steps)


def _ends_in_dots(function: FunctionType) -> bool:
    """Whether the last statement of the body is `...`, as far as the source can be read."""
    try:
        [definition] = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return False
    return isinstance(definition, ast.FunctionDef) and ast.unparse(definition.body[-1]) == "..."


# Is one value the other?


def difference(answer: Any, truth: Any, tolerance: float = 1e-4) -> str | None:
    """What is wrong with `answer`, without a full stop, or None when it is `truth`.

    Floats may differ by `tolerance` plus 1e-5 of their size; whole numbers must agree. Raises
    `TypeError` for a truth that cannot be compared.
    """
    answer, truth = _plain(answer), _plain(truth)
    expected = kind(truth)
    if expected not in COMPARE:
        raise TypeError(f"{expected} cannot be compared; write an OpenExercise with a judge")
    if expected == "a number" and getattr(answer, "size", 0) == 1:
        answer = _plain(answer.reshape(()))
    if expected == "a list" and kind(answer) == "a tensor":
        answer = list(answer)
    if kind(answer) != expected:
        return f"{expected} is expected, yours is {kind(answer)}"
    return COMPARE[expected](answer, truth, tolerance)


def _plain(value: Any) -> Any:
    """Tensors as arrays, with floats in float64, and those with one number as that number."""
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
        return "an image"
    if hasattr(value, "__array__"):
        return "a tensor"
    return "a function" if callable(value) else f"of type {type(value).__name__}"


def _exact(answer: bool, truth: bool, tolerance: float) -> str | None:
    return None if answer == truth else f"it is not {answer}"


def _number(answer: float, truth: float, tolerance: float) -> str | None:
    margin = 0 if isinstance(truth, int) else tolerance + RELATIVE * abs(truth)
    if abs(answer - truth) <= margin:
        return None
    if not math.isfinite(answer):
        return f"{answer} is not a finite number"
    if abs(answer + truth) <= margin:
        return "the size is right, the sign is wrong"
    written = f"{answer:,.6g}" if isinstance(answer, float) else f"{answer:,}"
    sentence = f"{written} is too {'large' if answer > truth else 'small'}"
    if isinstance(truth, int) and abs(answer - truth) == 1:
        return f"{sentence}, by one"
    for factor in (2, 10, 100, 1000):
        if any(math.isclose(answer, r * truth, rel_tol=1e-4) for r in (factor, 1 / factor)):
            return f"{sentence}, by a factor of {factor}"
    return sentence


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
