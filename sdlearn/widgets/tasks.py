"""A question to each explorer: a prediction first, then the reveal, which measures.

Nothing that is revealed is written down beforehand: `LiveExplorer.reveal` works it out from the
model and the settings at hand.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as widgets

__all__ = ["TaskCard"]

UNDECIDED = "your prediction …"


class TaskCard(widgets.VBox):
    """A question, a menu of predictions, a button that reveals, and what came out.

    `on_reveal` is called when a prediction is there and the button is pressed; who measures calls
    `tell`.
    """

    def __init__(self, question: str, choices: Sequence[str], on_reveal: Callable[[], Any]) -> None:
        self.choices = tuple(choices)
        asked = f'<div style="margin: 4px"><strong>Predict.</strong> {html.escape(question)}</div>'
        self.prediction = widgets.Dropdown(
            options=(UNDECIDED, *choices),
            description="prediction",  # for screen readers only
            layout={"width": "auto", "flex": "1 1 auto"},
        )
        self.button = widgets.Button(
            description="reveal", tooltip="Measure it", disabled=True, layout={"width": "auto"}
        )
        self.answer = widgets.HTML()
        row = widgets.HBox([self.prediction, self.button])
        super().__init__([widgets.HTML(asked), row, self.answer])
        self.add_class("sdlearn-task")
        self.prediction.observe(self._on_choice, "value")
        self.button.on_click(lambda _button: on_reveal())

    def _on_choice(self, _change: Any) -> None:
        self.button.disabled = self.prediction.value == UNDECIDED
        self.answer.value = ""

    def tell(self, right: Sequence[str], told: str) -> None:
        """Show which of the choices are right, and the sentence with what was measured."""
        predicted = self.prediction.value
        verdict = "As you predicted" if predicted in right else f"You predicted: {predicted}"
        if predicted == UNDECIDED:
            verdict = "Revealed without a prediction"
        found = html.escape(f"{verdict}. Measured: {' or '.join(right)}. {told}")
        self.answer.value = f'<div role="status" style="margin: 4px">{found}</div>'
