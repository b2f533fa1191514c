"""Answers as learners give them, and the replies of the checks to them."""

import itertools
import linecache
import textwrap
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from sdlearn.course.answers import feedback
from sdlearn.course.exercises import Exercise, Mistake, OpenExercise
from sdlearn.course.given import names_in
from sdlearn.course.words import kind

__all__ = ["cell_of", "probe", "reply_to", "typed"]

CELLS = itertools.count(1)


def reply_to(
    exercise: Exercise,
    source: str,
    names: Mapping[str, Any] | None = None,
    notebook: Mapping[str, Any] | None = None,
) -> str:
    """The reply to an answer that is typed into a cell; `names` have values of a learner's own."""
    return feedback(exercise, typed(exercise, source, names), {**(names or {}), **(notebook or {})})


def typed(exercise: Exercise, source: str, names: Mapping[str, Any] | None = None) -> Any:
    """The answer that a cell defines, its lines kept where Python looks for them, as IPython does.

    A cell has the names of the lesson that it uses. It is written as `cell_of` reads it.
    """
    cell, name = cell_of(exercise, source), f"<cell {next(CELLS)}>"
    linecache.cache[name] = (len(cell), None, cell.splitlines(keepends=True), name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # of `2(x + 1)`
        code = compile(cell, name, "exec")
    given = exercise.given
    here = {n: given[n].make() for n in names_in(code) if n in given and n not in (names or {})}
    here |= names or {}
    exec(code, here)
    return here["answer"]


def cell_of(exercise: Exercise, source: str) -> str:
    """A whole cell is kept; lines are the body of a function; a formula is what it returns."""
    if "answer = " in source or "def answer" in source:
        return source
    if not exercise.arguments:
        return f"answer = {source}\n"
    is_formula = "\n" not in source and not source.startswith(("return ", "import ", "raise "))
    body = f"return {source}" if is_formula else source
    return f"def answer({', '.join(exercise.arguments)}):\n{textwrap.indent(body, ' ' * 4)}\n"


def probe(exercise: Exercise) -> Iterator[tuple[str, str, str]]:
    """(what was answered, what the reply must hold, the reply) for answers to any exercise."""

    def reply(answer: Any) -> str:
        return feedback(exercise, answer, {})

    for source in exercise.sources:
        yield source, "Right: ", reply_to(exercise, source)
    if not isinstance(exercise, OpenExercise):
        for mistake in exercise.known_mistakes():
            wrong = _answer_with(exercise, mistake)
            yield "a mistake", f"Not yet: {mistake.feedback}", reply(wrong)
    yield "dots", "Not yet tried.", reply(...)
    yield "a wrong type", "Not yet: ", reply({"a": 1})
    yield "a function that fails", "Not yet: ", reply(lambda *arguments: arguments[99])
    for label, wrong in _wrong_shapes(exercise):
        yield label, "Not yet: ", reply(wrong)


def _answer_with(exercise: Exercise, mistake: Mistake) -> Any:
    """An answer that gives the results of a mistake."""
    results = itertools.cycle(mistake.results)
    return (lambda *arguments: next(results)) if exercise.arguments else mistake.results[0]


def _wrong_shapes(exercise: Exercise) -> Iterator[tuple[str, Any]]:
    """The right values with an axis or an item too many."""
    if isinstance(exercise, OpenExercise):
        return
    truth = exercise.results(exercise.right_answer())[0]
    if kind(truth) not in ("a tensor", "a list"):
        return
    wrong = truth[None] if kind(truth) == "a tensor" else [*truth, *truth]
    yield "a wrong shape", wrong if not exercise.arguments else lambda *arguments: wrong
