"""What a learner may answer to an exercise, and what the check must reply.

Used where the exercise needs nothing, and inside the kernel of its lesson where it needs names.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from sdlearn.course.answers import feedback, kind
from sdlearn.course.exercises import Exercise, Mistake, OpenExercise

__all__ = ["OPEN", "probe"]

OPEN = {  # wrong answers to open exercises, and what the judge must say among other things
    "start.three": (
        ("first", "three seeds give three images; you have 1"),
        ("first * 3", "two images are the same: give each a seed of its own"),
        ("first[0]", "the list of images that sd.generate gives is expected"),
        ("[1, 2, 3]", "images are expected, but your list holds a number"),
    ),
    "start.boat": (
        ("first", "subject house, colour red"),
        ("[]", "your list is empty: give at least one seed"),
    ),
    "guidance.hard": (
        ("7.5", "of 8 are right, and 4 are wanted"),
        ("1", "these words need a push, so go above 1"),
        ("look(1)", "a number is expected, the guidance scale"),
    ),
}


def probe(exercise: Exercise, names: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(what was answered, what the reply must hold, the reply) for many answers."""

    def reply(answer: Any) -> str:
        return feedback(exercise, answer, names)

    right = pasted(exercise, names)
    yield "the solution", "Right: ", reply(right)
    if isinstance(exercise, OpenExercise):
        for source, expected in OPEN[exercise.name]:
            yield source, expected, reply(eval(source, dict(names)))
    else:
        for mistake in exercise.known_mistakes(names):
            wrong = answer_with(exercise, mistake)
            yield "a mistake", f"Not yet: {mistake.feedback}", reply(wrong)
    yield "dots", "Not yet tried.", reply(...)
    yield "a wrong type", "Not yet: ", reply({"a": 1})
    yield "a function that fails", "Not yet: ", reply(lambda *arguments: arguments[99])
    for label, wrong in wrong_shapes(exercise, right):
        yield label, "Not yet: ", reply(wrong)


def pasted(exercise: Exercise, names: Mapping[str, Any]) -> Any:
    """The answer that the solution defines where there is nothing but what the exercise needs."""
    here = {name: names[name] for name in exercise.needs}
    exec(exercise.solution, here)
    return here["answer"]


def answer_with(exercise: Exercise, mistake: Mistake) -> Any:
    """An answer that gives the results of a mistake."""
    results = iter(mistake.results)
    return (lambda *arguments: next(results)) if exercise.arguments else mistake.results[0]


def wrong_shapes(exercise: Exercise, right: Any) -> Iterator[tuple[str, Any]]:
    """The right values with an axis or an item too many."""
    if isinstance(exercise, OpenExercise):
        return
    truth = exercise.results(right)[0]
    if kind(truth) not in ("a tensor", "a list"):
        return
    wrong = truth[None] if kind(truth) == "a tensor" else [*truth, *truth]
    yield "a wrong shape", wrong if not exercise.arguments else lambda *arguments: wrong
