"""What every widget here is built on: controls, a picture below them, and a line of text.

Where nobody can move a control (a stored notebook, a page, a test), the same picture is the
output, one PNG with alternative text. Left out: any logic.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets

from ..util.notebook import is_interactive

__all__ = ["StaticFigure"]


class StaticFigure(widgets.VBox):
    """Controls, the picture they lead to, and a status line for the sighted and screen readers."""

    def __init__(self, controls: Sequence[widgets.Widget]) -> None:
        self._image, self._line = widgets.HTML(), widgets.HTML()
        self._data: dict[str, str] = {}
        self._metadata: dict[str, dict[str, object]] = {}
        self._status = ""
        super().__init__([*controls, self._image, self._line])

    @property
    def status(self) -> str:
        """The sentence below the picture; empty when there is nothing to say."""
        return self._status

    def say(self, sentence: str) -> None:
        """Put `sentence` below the picture."""
        self._status = sentence
        self._line.value = f'<span role="status">{html.escape(sentence)}</span>'

    def show(self, png: str, alt: str, width: int) -> None:
        """Put a picture in place of the last one: a PNG in base64, `width` pixels of the screen."""
        self._data = {"image/png": png, "text/plain": alt}
        self._metadata = {"image/png": {"alt": alt, "width": width}}
        source = f"data:image/png;base64,{png}"
        self._image.value = f'<img src="{source}" alt="{html.escape(alt)}" width="{width}">'

    def _repr_mimebundle_(
        self, **options: Any
    ) -> tuple[dict[str, Any], dict[str, dict[str, object]]]:
        live = super()._repr_mimebundle_(**options) if is_interactive() else None
        return {**(live or {}), **self._data}, self._metadata
