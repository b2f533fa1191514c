"""The self-check at the end of a lesson: questions with choices, each of which is explained.

The questions of a lesson are a Markdown file in `catalogue`. Where a person sits before the
notebook they are shown as a widget, everywhere else as text. Nobody is told how a learner did.
"""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import ascii_lowercase
from typing import Any

from ..util.notebook import is_interactive
from .catalogue import LESSONS

WIDTH = 88  # columns of the text; notebooks break longer lines within words


@dataclass(frozen=True)
class Question:
    """A question and its choices, each with the explanation for those who pick it.

    The explanation of the right choice begins with "Yes", the others with "No". Raises `ValueError`
    for fewer than two choices, or when not exactly one is right.
    """

    text: str
    choices: tuple[tuple[str, str], ...]  # (choice, explanation)

    def __post_init__(self) -> None:
        if len(self.choices) < 2:
            raise ValueError(f"choices must be at least 2; got {len(self.choices)}")
        if sum(self._says_yes()) != 1:
            raise ValueError(f"one explanation must begin with 'Yes'; got {sum(self._says_yes())}")

    def _says_yes(self) -> list[bool]:
        return [explanation.startswith("Yes") for _, explanation in self.choices]

    @property
    def right(self) -> int:
        """The index of the right choice."""
        return self._says_yes().index(True)


def questions(lesson: str) -> tuple[Question, ...]:
    """The questions at the end of a lesson. Raises `ValueError` for an unknown lesson."""
    if lesson not in LESSONS:
        raise ValueError(f"lesson must be one of {', '.join(LESSONS)}; got {lesson!r}")
    file = Path(__file__).parent / "catalogue" / f"{lesson}.md"
    return tuple(map(_question, file.read_text(encoding="utf-8").split("\n## ")[1:]))


def _question(source: str) -> Question:
    """A question as it is written: a heading, and a list of choices with explanations below."""
    text, *items = source.strip().split("\n- ")
    choices = (item.split("\n", maxsplit=1) for item in items)
    return Question(text.strip(), tuple((one, textwrap.dedent(other)) for one, other in choices))


def self_check(lesson: str, *, answers: bool = False) -> Quiz:
    """The questions of a lesson, such as "noise", to be answered by clicking.

    With `answers`, a text with the explanation of every choice, for those who have no widgets.
    Raises `ValueError` for an unknown lesson.
    """
    return Quiz(lesson, questions(lesson), answers=answers)


class Quiz:
    """Questions that show themselves in a notebook as widgets, and as text everywhere else."""

    def __init__(self, lesson: str, questions: tuple[Question, ...], *, answers: bool) -> None:
        self._lesson, self._questions, self._answers = lesson, questions, answers

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        for number, question in enumerate(self._questions, start=1):
            yield from _wrapped(f"{number}. ", question.text)
            for index, (choice, explanation) in enumerate(question.choices):
                yield from _wrapped(f"   {ascii_lowercase[index]}) ", choice)
                if self._answers:
                    yield from _wrapped("      ", explanation)
            yield ""
        if not self._answers:
            yield f'The answers in words: course.self_check("{self._lesson}", answers=True)'

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """The text, and the widget where a person can answer; stored notebooks keep the text."""
        text = {"text/plain": repr(self)}
        if self._answers or not is_interactive():
            return text
        return {**(clickable(self._questions)._repr_mimebundle_() or {}), **text}


def _wrapped(mark: str, text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=mark, subsequent_indent=" " * len(mark))


def clickable(questions: tuple[Question, ...]) -> Any:
    """A widget with radio buttons, an explanation of what is picked, and the score.

    The questions can be answered in any order and again and again.
    """
    from ipywidgets import HTML, VBox

    cards = [_card(f"{number}. ", question) for number, question in enumerate(questions, start=1)]
    buttons = [card.children[1] for card in cards]
    score = HTML()

    def count(_change: Any = None) -> None:
        pairs = zip(buttons, questions, strict=True)
        right = sum(picked.index == question.right for picked, question in pairs)
        answered = sum(picked.index is not None for picked in buttons)
        score.value = _spoken(f"{answered} of {len(questions)} answered, {right} right.")

    for picked in buttons:
        picked.observe(count, "index")
    count()
    return VBox([*cards, score])


def _card(mark: str, question: Question) -> Any:
    """A question with its buttons and the explanation of the choice that is picked."""
    from ipywidgets import HTML, Layout, RadioButtons, VBox

    buttons = RadioButtons(
        options=[(choice, index) for index, (choice, _) in enumerate(question.choices)],
        value=None,
        description="Pick one",
        tooltip=question.text,
        layout=Layout(width="auto"),
    )
    explanation = HTML(_spoken(""))

    def explain(change: Any) -> None:
        explanation.value = _spoken(question.choices[change["new"]][1])

    buttons.observe(explain, "index")
    return VBox([HTML(f"<b>{_as_html(mark + question.text)}</b>"), buttons, explanation])


def _spoken(text: str) -> str:
    """HTML that screen readers read out when it changes."""
    return f'<div role="status">{_as_html(text)}</div>'


def _as_html(text: str) -> str:
    """Text with `code` in it, safe as HTML."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
