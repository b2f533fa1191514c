"""What is printed for a lesson, as Markdown: a plan of one page, a worksheet, and its key.

The worksheet has no answer in it; the key has all of them, and the reasons.
"""

from __future__ import annotations

from collections.abc import Iterator
from string import ascii_lowercase

from ..exercises import Exercise, OpenExercise
from ..quiz import Question, questions
from .outline import Outline, Task

__all__ = ["key", "plan", "worksheet"]

MISTAKES = 2  # of each task that the plan has room for
LINES = "\n".join(["<div class='line'></div>"] * 3)  # to write on


def plan(lesson: Outline) -> str:
    """A page for the teacher: aims, times, answers, what goes wrong, what to ask."""
    return "\n".join(_plan(lesson)) + "\n"


def _plan(lesson: Outline) -> Iterator[str]:
    minutes = sum(task.minutes for task in lesson.tasks if not task.extra)
    yield f"# {lesson.title}: a plan\n"
    yield f"**Time.** {lesson.time} The tasks take {minutes} minutes of it.\n"
    yield "**Aims.** At the end learners can\n"
    yield from (f"{number}. {promise}" for number, promise in enumerate(lesson.promises, 1))
    yield "\n**Tasks**\n"
    yield "| task | minutes | expected | what goes wrong |"
    yield "|---|---|---|---|"
    yield from map(_task_row, lesson.tasks)
    yield "\n**Ask before the cell below is run**\n"
    yield from (f"- {' '.join(text.split())}" for text in lesson.predictions)
    yield "\n**Ask at the end**\n"
    yield from (f"- {question.text}" for question in _questions(lesson))
    if lesson.measured:
        yield "\n**What was measured when the lesson was last run**\n"
        yield f"```text\n{lesson.measured}```"


def _task_row(task: Task) -> str:
    wrong = "; ".join(_usual_mistakes(task.exercise)) or "see the hints"
    cells = (
        f"{task.number} {task.stars}{_mark(task)}",
        task.minutes,
        expected(task.exercise),
        wrong,
    )
    return f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in cells)} |"


def _mark(task: Task) -> str:
    return " (extra)" if task.extra else ""


def expected(exercise: Exercise) -> str:
    """The right answer on one line: a value, or the last line of a function."""
    from ..words import shown  # loads numpy

    if isinstance(exercise, OpenExercise):
        return "many answers are right, and the check judges them"
    if not exercise.arguments and (value := shown(exercise.right_answer())):
        return value
    return f"`{exercise.solution.strip().splitlines()[-1].strip()}`"


def _usual_mistakes(exercise: Exercise) -> list[str]:
    if isinstance(exercise, OpenExercise):
        return []
    return [mistake.feedback for mistake in exercise.known_mistakes()[:MISTAKES]]


def worksheet(lesson: Outline) -> str:
    """What learners fill in on paper: guesses, answers, and the questions at the end."""
    return "\n".join(_worksheet(lesson)) + "\n"


def _worksheet(lesson: Outline) -> Iterator[str]:
    yield f"# {lesson.title}: worksheet\n\nName: ______________________  Date: ______________\n"
    for number, text in enumerate(lesson.predictions, 1):
        yield f"## Guess {number}\n\n{text}\n\n{LINES}\n"
    for task in lesson.tasks:
        yield f"## Your turn {task.number} {task.stars}, {task.minutes} minutes{_mark(task)}\n"
        yield f"{task.text}\n\n{LINES}\n"
    yield "## Check yourself\n"
    for number, question in enumerate(_questions(lesson), 1):
        yield f"**{number}.** {question.text}\n"
        yield from (f"- ☐ {letter}) {choice}" for letter, choice in _choices(question))
        yield ""
    yield f"## In one sentence: what surprised you?\n\n{LINES}"


def key(lesson: Outline) -> str:
    """The answers to the worksheet, with their reasons."""
    return "\n".join(_key(lesson)) + "\n"


def _key(lesson: Outline) -> Iterator[str]:
    yield f"# {lesson.title}: answers\n"
    if lesson.predictions:
        yield "## Guesses\n\nWhat was measured when the lesson was last run:\n"
        yield f"```text\n{lesson.measured or 'the lesson was not run yet'}\n```\n"
    for task in lesson.tasks:
        yield f"## Your turn {task.number}\n\n```python\n{task.exercise.solution}```\n"
        yield f"{task.exercise.reason}\n"
    yield "## Check yourself\n"
    for number, question in enumerate(_questions(lesson), 1):
        letter, choice = list(_choices(question))[question.right]
        yield f"**{number}.** {letter}) {choice}. {question.choices[question.right][1]}\n"


def _choices(question: Question) -> Iterator[tuple[str, str]]:
    yield from zip(ascii_lowercase, (choice for choice, _ in question.choices), strict=False)


def _questions(lesson: Outline) -> tuple[Question, ...]:
    return questions(lesson.key) if lesson.key else ()
