"""A self-check as a widget: radio buttons, an explanation for what is picked, and the score.

Left out: what the questions are (`catalogue`) and the text for those without widgets (`quiz`).
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

if TYPE_CHECKING:
    from .quiz import Question

__all__ = ["clickable"]


def clickable(questions: Sequence[Question]) -> widgets.VBox:
    """A widget in which the questions can be answered, in any order and again and again."""
    score = widgets.HTML()
    buttons = [_buttons(question) for question in questions]

    def count(_change: Any = None) -> None:
        pairs = zip(buttons, questions, strict=True)
        right = sum(picked.index == question.right for picked, question in pairs)
        answered = sum(picked.index is not None for picked in buttons)
        score.value = _spoken(f"{answered} of {len(questions)} answered, {right} right.")

    for picked in buttons:
        picked.observe(count, "index")
    count()
    cards = zip(range(1, len(questions) + 1), questions, buttons, strict=True)
    return widgets.VBox([*(_card(*card) for card in cards), score])


def _buttons(question: Question) -> widgets.RadioButtons:
    return widgets.RadioButtons(
        options=[(choice, index) for index, (choice, _) in enumerate(question.choices)],
        value=None,
        description="Pick one",
        tooltip=question.text,
        layout=widgets.Layout(width="auto"),
    )


def _card(number: int, question: Question, buttons: widgets.RadioButtons) -> widgets.VBox:
    """A question with its buttons and the explanation of the choice that is picked."""
    text = widgets.HTML(f"<b>{number}. {_as_html(question.text)}</b>")
    explanation = widgets.HTML(_spoken(""))

    def explain(change: Any) -> None:
        explanation.value = _spoken(question.explanation(change["new"]))

    buttons.observe(explain, "index")
    return widgets.VBox([text, buttons, explanation])


def _spoken(text: str) -> str:
    """HTML that screen readers read out when it changes."""
    return f'<div role="status">{_as_html(text)}</div>'


def _as_html(text: str) -> str:
    """Text with `code` in it, safe as HTML."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
