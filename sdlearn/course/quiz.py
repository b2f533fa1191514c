"""The self-check at the end of a lesson: questions with choices, each of which is explained.

Where a person sits before the notebook it is a widget, everywhere else a text. Left out: marks
and records. Nobody is told how a learner did.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from string import ascii_lowercase
from typing import Any

from ..util.notebook import is_interactive
from . import catalogue

__all__ = ["Question", "Quiz", "self_check"]

WIDTH = 88  # columns of the text; notebooks break longer lines within words


@dataclass(frozen=True)
class Question:
    """A question and its choices, each with the explanation for those who pick it.

    Raises `ValueError` for fewer than two choices and when `right` is none of them.
    """

    text: str
    choices: tuple[tuple[str, str], ...]  # (choice, explanation)
    right: int  # index of the right choice

    def __post_init__(self) -> None:
        if len(self.choices) < 2:
            raise ValueError(f"choices must be at least 2; got {len(self.choices)}")
        if not 0 <= self.right < len(self.choices):
            raise ValueError(f"right must be 0 to {len(self.choices) - 1}; got {self.right}")

    def explanation(self, index: int) -> str:
        """What to say to those who pick a choice, as a sentence."""
        text = self.choices[index][1].rstrip(".")
        return f"{text[:1].upper()}{text[1:]}."


def self_check(lesson: str, *, answers: bool = False) -> Quiz:
    """The questions of a lesson, such as "noise", to be answered by clicking.

    With `answers`, a text with the explanation of every choice, for those who have no widgets.
    Raises `ValueError` for an unknown lesson.
    """
    return Quiz(lesson, catalogue.questions(lesson), answers=answers)


class Quiz:
    """Questions that show themselves in a notebook as widgets, and as text everywhere else."""

    def __init__(self, lesson: str, questions: tuple[Question, ...], *, answers: bool) -> None:
        self._lesson, self._questions, self._answers = lesson, questions, answers

    def __repr__(self) -> str:
        parts = [*self._lines()]
        if not self._answers:
            parts.append(f'The answers in words: course.self_check("{self._lesson}", answers=True)')
        return "\n".join(parts)

    def _lines(self) -> Iterator[str]:
        for number, question in enumerate(self._questions, start=1):
            yield from _wrapped(f"{number}. ", question.text)
            for index, (choice, _) in enumerate(question.choices):
                yield from _wrapped(f"   {ascii_lowercase[index]}) ", choice)
                if self._answers:
                    yield from _wrapped("      ", question.explanation(index))
            yield ""

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """The text, and the widget where a person can answer; stored notebooks keep the text."""
        text = {"text/plain": repr(self)}
        if self._answers or not is_interactive():
            return text
        from .clickable import clickable

        return {**(clickable(self._questions)._repr_mimebundle_() or {}), **text}


def _wrapped(mark: str, text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=mark, subsequent_indent=" " * len(mark))
