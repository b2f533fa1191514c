"""What a learner may answer to an exercise, and what the check must reply.

Used where the exercise needs nothing, and inside the kernel of its lesson where it needs names.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from sdlearn.course.answers import kind
from sdlearn.course.exercises import Exercise, results
from sdlearn.course.feedback import feedback

__all__ = ["probe"]


def probe(exercise: Exercise, names: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(what was answered, what the reply must hold, the reply) for many answers."""

    def reply(answer: Any) -> str:
        return feedback(exercise, answer, names)

    right = exercise.answer_of(exercise.solution, names)
    yield "the solution", "Right: ", reply(right)
    for mistake in exercise.mistakes:
        wrong = exercise.answer_of(mistake.source, names)
        start = "" if exercise.judge else "Not yet: "  # a judge may say more around it
        yield mistake.source, start + mistake.feedback, reply(wrong)
    yield "dots", "Not yet tried.", reply(...)
    yield "a wrong type", "Not yet: ", reply({"a": 1})
    yield "a function that fails", "Not yet: ", reply(lambda *arguments: arguments[99])
    for label, wrong in wrong_shapes(exercise, right):
        yield label, "Not yet: ", reply(wrong)


def wrong_shapes(exercise: Exercise, right: Any) -> Iterator[tuple[str, Any]]:
    """The right values with an axis or an item too many."""
    if exercise.judge is not None:
        return
    truth = results(exercise, right)[0]
    if kind(truth) not in ("a tensor", "a list"):
        return
    wrong = truth[None] if kind(truth) == "a tensor" else [*truth, *truth]
    yield "a wrong shape", wrong if exercise.cases is None else lambda *arguments: wrong
