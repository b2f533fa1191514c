"""One line about an answer, whatever it is: never a traceback.

It says what helps most: not tried, an error, a mistake that others have made too, or else what is
off. Left out: how values are compared (`answers`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .answers import difference, kind
from .exercises import Exercise, results
from .untouched import is_untouched

__all__ = ["UNTOUCHED", "feedback"]

UNTOUCHED = "Not yet tried."
LONGEST_ERROR = 160  # characters


def feedback(exercise: Exercise, answer: Any, namespace: Mapping[str, Any]) -> str:
    """ "Not yet tried.", "Right: ..." with the reason, or "Not yet: ..." with what is wrong.

    `namespace` holds the variables of the lesson that the exercise needs.
    """
    if is_untouched(answer):
        return UNTOUCHED
    missing = [name for name in exercise.needs if name not in namespace]
    if missing:
        return f"Not yet: first run the cells above, which make {' and '.join(missing)}."
    ask = _compare if exercise.judge is None else _ask_judge
    problem = ask(exercise, answer, namespace)
    return _sentence(f"Not yet: {problem}" if problem else f"Right: {exercise.reason}")


def _sentence(text: str) -> str:
    """On one line, with a full stop."""
    line = " ".join(text.split())
    return line if line.endswith((".", "?")) else f"{line}."


def _ask_judge(exercise: Exercise, answer: Any, namespace: Mapping[str, Any]) -> str | None:
    assert exercise.judge is not None
    try:
        return exercise.judge(answer, namespace)
    except Exception as error:  # whatever an answer of an unexpected kind leads to
        return _unfit(answer, error)


def _compare(exercise: Exercise, answer: Any, namespace: Mapping[str, Any]) -> str | None:
    """What is wrong with an answer of which there is one right form, or None."""
    if exercise.cases is not None and not callable(answer):
        return f"a function is expected, yours is {kind(answer)}"
    try:
        given = results(exercise, answer)
    except Exception as error:
        return f"your function stops with {_described(error)}{_place(error, answer)}"
    if exercise.cases is not None and all(result is None for result in given):
        return "your function returns nothing: let it end with return and the result"
    try:
        truth = results(exercise, exercise.answer_of(exercise.solution, namespace))
    except Exception as error:  # the lesson's variables were given another meaning
        return f"first run the cells above again ({_described(error)})"
    try:
        problem = _first_difference(given, truth, exercise.tolerance)
        return problem and (_known_mistake(exercise, given, namespace) or problem)
    except Exception as error:  # a sparse tensor, 10**400
        return _unfit(given[0], error)


def _first_difference(given: list[Any], truth: list[Any], tolerance: float) -> str | None:
    """What is wrong in the first wrong case, and how many cases are right."""
    pairs = zip(given, truth, strict=True)
    problems = [difference(one, other, tolerance) for one, other in pairs]
    wrong = [problem for problem in problems if problem is not None]
    if not wrong or len(wrong) == len(problems):
        return wrong[0] if wrong else None
    right = len(problems) - len(wrong)
    return f"right in {right} of {len(problems)} cases, but in another {wrong[0]}"


def _known_mistake(
    exercise: Exercise, given: list[Any], namespace: Mapping[str, Any]
) -> str | None:
    """What the catalogue says to an answer that comes to the same as a mistake in it."""
    for mistake in exercise.mistakes:
        wrong = results(exercise, exercise.answer_of(mistake.source, namespace))
        if _first_difference(given, wrong, exercise.tolerance) is None:
            return mistake.feedback
    return None


def _unfit(answer: Any, error: Exception) -> str:
    return f"an answer that is {kind(answer)} does not work here ({_described(error)})"


def _described(error: Exception) -> str:
    """The kind of an error and the beginning of what it says."""
    text = " ".join(str(error).split())[:LONGEST_ERROR].rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _place(error: Exception, function: Any) -> str:
    """Where in the learner's own code an error came up."""
    code, line, trace = getattr(function, "__code__", None), 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code is code:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f", in line {line} of the cell" if line else ""
