"""What is said about an answer: one line, whatever it is, and never a traceback.

It says what helps most: that nothing was tried yet, a mistake or a slip that others have made too,
that a name of the lesson has changed, an error in plain words, or else a small case in which the
answer is wrong, with the numbers in it.
"""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from .comparing import UNREADABLE, difference, is_rounded, written
from .exercises import FAILURES, Exercise, Failure, Mistake, OpenExercise
from .given import changed, names_in
from .slips import slips
from .stopped import stopped
from .typed import above_the_dots, is_untouched, prints_its_answer, why_nothing
from .words import kind, listed, plain, shown

__all__ = ["feedback"]

UNTRIED = "Not yet tried."


def feedback(exercise: Exercise, answer: Any, namespace: Mapping[str, Any]) -> str:
    """ "Not yet tried.", "Right: ..." with the reason, or "Not yet: ..." with what is wrong.

    `namespace` holds the variables of the notebook. What is right does not depend on them: they
    tell what was typed in the cell, and which names of the lesson have another meaning now.
    """
    try:
        if is_untouched(answer):
            if prints_its_answer(namespace):
                return "Not yet: `print` shows a value but gives none back: leave print( ) out."
            answer = None if exercise.arguments else above_the_dots(namespace)
            if is_untouched(answer):
                return UNTRIED
    except RecursionError:
        return "Not yet: your answer contains itself, or more lists within lists than can be read."
    look = _judged if isinstance(exercise, OpenExercise) else _compared
    problem = look(exercise, answer, namespace)
    line = " ".join((f"Not yet: {problem}" if problem else f"Right: {exercise.reason}").split())
    return line if line.endswith((".", "?")) else f"{line}."


def _judged(exercise: Any, answer: Any, namespace: Mapping[str, Any]) -> str | None:
    try:
        return exercise.with_needs(exercise.judge)(answer)
    except FAILURES:  # whatever an answer of an unexpected kind leads to
        return f"an answer that is {kind(answer)} does not work here"


def _compared(exercise: Exercise, answer: Any, namespace: Mapping[str, Any]) -> str | None:
    """What is wrong with an answer of which there is one right result, or None."""
    if exercise.arguments and (problem := _unfit(exercise, answer)):
        return problem
    with _calls_of(exercise.taught()) as called:
        given = exercise.results(answer)
    if exercise.arguments and all(result is None for result in given):
        return why_nothing(answer)
    truths = _truths(exercise)
    if any(_same(given, truth, exercise.tolerance) for truth in truths):
        return _bypass(called)
    if any(_rounded(given, truth, exercise.decimals) for truth in truths):
        return _bypass(called) or _ambiguous(exercise, given)
    return _wrong(exercise, answer, given, truths[0], namespace)


def _unfit(exercise: Exercise, answer: Any) -> str | None:
    """What to say to what is no function, or one that takes other arguments."""
    if not callable(answer):
        return f"a function is expected, yours is {kind(answer)}"
    try:
        inspect.signature(answer).bind(*exercise.arguments)
    except TypeError:
        return f"your function must take {listed(exercise.arguments)}, in this order"
    except ValueError:  # a function of a library that does not tell
        pass
    return None


@lru_cache
def _truths(exercise: Exercise) -> tuple[Sequence[Any], ...]:
    """What the solution and the other right answers give."""
    rights = (exercise.right_answer(), *map(exercise.typed, exercise.sources[1:]))
    truths = tuple(exercise.results(right) for right in rights)
    for result in (result for truth in truths for result in truth):
        if isinstance(result, Failure):
            raise result.error
    return truths


# The function that is being taught


@contextmanager
def _calls_of(functions: Mapping[str, Callable[..., Any]]) -> Iterator[set[str]]:
    """The names of those `functions` that are called while the block is open, by any name."""
    called: set[str] = set()
    names = {getattr(inspect.unwrap(f), "__code__", f): name for name, f in functions.items()}

    def watch(frame: Any, event: str, argument: Any) -> None:
        found = frame.f_code if event == "call" else argument if event == "c_call" else None
        if found is not None and found in names:
            called.add(names[found])

    before = sys.getprofile()
    if names:
        sys.setprofile(watch)
    try:
        yield called
    finally:
        if names:
            sys.setprofile(before)


def _bypass(called: set[str]) -> str | None:
    if not called:
        return None
    names = listed(sorted(called))
    return f"the result is right, but {names} made it: write its lines yourself"


# Right and rounded results


def _same(given: Sequence[Any], truth: Sequence[Any], tolerance: float) -> bool:
    return all(_is_one(*pair, tolerance) for pair in zip(given, truth, strict=True))


def _is_one(answer: Any, truth: Any, tolerance: float) -> bool:
    if isinstance(answer, Failure) or isinstance(truth, Failure):
        return isinstance(truth, Failure) and truth.is_like(answer)
    if _is_nan(answer) and _is_nan(truth):  # of the logarithm of a number below 0, in a slip
        return True
    try:
        return difference(answer, truth, tolerance) is None
    except TypeError:  # a slip gives something that is no value
        return False


def _is_nan(value: Any) -> bool:
    try:
        return math.isnan(plain(value))
    except (TypeError, ValueError, RuntimeError, OverflowError):  # no number
        return False


def _rounded(given: Sequence[Any], truth: Sequence[Any], decimals: int) -> bool:
    return all(is_rounded(*pair, decimals) for pair in zip(given, truth, strict=True))


def _ambiguous(exercise: Exercise, given: Sequence[Any]) -> str | None:
    """What to say to so few digits that a known mistake looks the same."""
    if any(_rounded(given, m.results, exercise.decimals) for m in exercise.known_mistakes()):
        return "that may be right, but to so few digits a wrong answer looks the same: give more"
    return None


# Wrong results


def _wrong(
    exercise: Exercise,
    answer: Any,
    given: Sequence[Any],
    truth: Sequence[Any],
    namespace: Mapping[str, Any],
) -> str:
    if reply := _known(exercise, given):
        return reply
    code = getattr(answer, "__code__", None)
    used = [*exercise.needs, *(names_in(code) if code else ())]
    if reply := changed(exercise.given, used, namespace):
        return reply
    for result in given:
        if isinstance(result, Failure):
            return stopped(result.error, answer)
    if exercise.arguments and not _steady(given, exercise.results(answer)):
        noise = [name for name in exercise.arguments if name in ("eps", "noise")]
        own = f": use `{noise[0]}`, which it is given" if noise else ""
        return f"your function gives another result at every call, as it draws new noise{own}"
    if not exercise.arguments and _rounded(given, truth, decimals=1):
        return f"right as far as it goes: give at least {exercise.decimals} decimals"
    return _different(exercise, given, truth)


def _steady(given: Sequence[Any], again: Sequence[Any]) -> bool:
    """Whether a function gives the same at a second call, as far as it gives numbers."""
    try:
        first, second = ([np.asarray(plain(x)) for x in some] for some in (given, again))
    except FAILURES:
        return True
    return all(
        a.dtype.kind not in "iuf" or (a.shape == b.shape and np.allclose(a, b, equal_nan=True))
        for a, b in zip(first, second, strict=True)
    )


def _known(exercise: Exercise, given: Sequence[Any]) -> str | None:
    """What to say to a mistake, to a slip, or to one of them rounded."""
    known = _mistakes_and_slips(exercise)
    for mistake in known:
        if _same(given, mistake.results, exercise.tolerance):
            return mistake.feedback
    rounded = (m.feedback for m in known if _rounded(given, m.results, exercise.decimals))
    return next(rounded, None)


@lru_cache
def _mistakes_and_slips(exercise: Exercise) -> tuple[Mistake, ...]:
    return (*exercise.known_mistakes(), *_slipped(exercise))


def _slipped(exercise: Exercise) -> Iterator[Mistake]:
    """What the slips of writing give, as far as it is not right all the same."""
    truths = _truths(exercise)
    for slip in (slip for source in exercise.sources for slip in slips(source)):
        try:
            results = exercise.results(exercise.typed(slip.source))
        except FAILURES:  # no Python, or an error where the answer is a value
            continue
        for result in results:
            if isinstance(result, Failure):  # it is kept: without the frames, which hold the model
                result.error.__traceback__ = None
        if not any(_same(results, truth, exercise.tolerance) for truth in truths):
            yield Mistake(tuple(results), slip.feedback)


def _different(exercise: Exercise, given: Sequence[Any], truth: Sequence[Any]) -> str:
    """The first case that is wrong, with its numbers, and how many cases are right."""
    problems = [difference(*pair, exercise.tolerance) for pair in zip(given, truth, strict=True)]
    index = next(index for index, problem in enumerate(problems) if problem)
    problem = str(problems[index])
    if problem == UNREADABLE:
        return problem
    if not exercise.arguments:
        return f"{problem}{_consequence(exercise, given[0])}{_place(given[0], truth[0])}"
    right = problems.count(None)
    share = f"right in {right} of {len(problems)} cases, but " if right else ""
    call = dict(zip(exercise.arguments, exercise.cases()[index], strict=True))
    example = _example(call, given[index], truth[index])
    if example:
        number = plain(given[index])
        if kind(number) == "a number":
            problem = problem.removeprefix(f"{written(number)} is ")
        return f"{share}{example}: {problem}"
    share = f"right in {right} of {len(problems)} cases, but in another " if right else ""
    return f"{share}{problem}{_place(given[index], truth[index])}"


def _example(call: Mapping[str, Any], given: Any, truth: Any) -> str | None:
    """A small case with all of its numbers; None where there are too many of them."""
    said = {name: shown(value) for name, value in call.items()}
    result, right = shown(given), shown(truth)
    if None in (*said.values(), result, right):
        return None
    with_these = listed(f"{name} = {value}" for name, value in said.items())
    return f"with {with_these} yours gives {result}, and {right} is right"


def _consequence(exercise: Exercise, answer: Any) -> str:
    """What would follow from a wrong value."""
    try:
        sentence = exercise.with_needs(exercise.counterexample)(plain(answer))
    except FAILURES:  # not a value of the kind that is asked for
        return ""
    return f"; {sentence}" if sentence else ""


def _place(given: Any, truth: Any) -> str:
    """Where two large tensors differ most."""
    a, t = plain(given), plain(truth)
    if kind(t) != "a tensor" or kind(a) != "a tensor" or a.shape != t.shape:
        return ""
    if a.dtype.kind not in "biuf" or not np.isfinite(a).all():
        return ""
    index = np.unravel_index(np.abs(a.astype(float) - t).argmax(), t.shape)
    at = ", ".join(map(str, map(int, index)))
    return f"; at [{at}] yours is {a[index]:.4g}, and {t[index]:.4g} is right"
