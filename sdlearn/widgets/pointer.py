"""A mouse, a pen or a finger over an image: which cells of a grid it went through.

ipywidgets have no pointer events. But the HTML of a `widgets.HTML` is put into the page as it is,
so an element of it may have a handler of its own. The handler types the cells into a text box that
nobody sees, whose value ipywidgets bring to Python while the pointer moves. It works wherever
ipywidgets do: in JupyterLab, in Notebook 7 and on a page of Voilà.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any, TypeAlias

import ipywidgets as widgets

from . import page as layout

__all__ = ["Place", "PointerPad", "parse_drag"]

Place: TypeAlias = "tuple[int, int]"  # row and column of a cell, from 1

# Runs when the pointer goes down; `this` is the surface over the image. Each drag has a number. The
# image's place is taken once: a title that grows while one paints may move it by a line.
HANDLER = """
const pad = this, root = pad.closest('.sdlearn-canvas');
const line = root.querySelector('.sdlearn-path input'), drag = Date.now(), places = [];
const cell = (x, size, count) => 1 + Math.min(count - 1, Math.max(0, Math.floor(count * x / size)));
const box = root.querySelector('img').getBoundingClientRect();
const go = (at) => {
  const place = cell(at.clientY - box.top, box.height, ROWS) + ','
    + cell(at.clientX - box.left, box.width, COLUMNS);
  if (places.includes(place)) return;
  places.push(place);
  line.value = drag + ':' + places.join(';');
  line.dispatchEvent(new Event('input', {bubbles: true}));
};
event.preventDefault();
pad.setPointerCapture(event.pointerId);
go(event);
pad.onpointermove = (moved) => [...(moved.getCoalescedEvents?.() ?? []), moved].forEach(go);
pad.onpointerup = pad.onpointercancel = () => { pad.onpointermove = null; };
"""


class PointerPad:
    """Feels a pointer over the image of a panel, which is divided into `rows` times `columns`.

    `on_drag` gets the number of the drag and all cells that it went through so far, in order. It
    is called in the thread that ipywidgets handle a change in. `over` puts the pad on a panel.
    """

    def __init__(
        self, rows: int, columns: int, on_drag: Callable[[str, tuple[Place, ...]], Any], told: str
    ) -> None:
        handler = HANDLER.replace("ROWS", str(rows)).replace("COLUMNS", str(columns))
        handler, told = html.escape(" ".join(handler.split())), html.escape(told)
        self.surface = widgets.HTML(f'<div title="{told}" onpointerdown="{handler}"></div>')
        self.surface.add_class("sdlearn-pad")
        self.line = widgets.Text(layout={"display": "none"})
        self.line.add_class("sdlearn-path")
        self.line.observe(lambda change: on_drag(*parse_drag(change["new"])), "value")

    def over(self, panel: widgets.Widget) -> widgets.Box:
        """The panel with the pad on its image."""
        return layout.canvas(panel, self.surface, self.line)


def parse_drag(text: str) -> tuple[str, tuple[Place, ...]]:
    """The number of a drag, and the cells that it went through.

    >>> parse_drag("17:3,4;3,5")
    ('17', ((3, 4), (3, 5)))
    """
    number, _, cells = text.partition(":")
    places = (cell.split(",") for cell in cells.split(";"))
    return number, tuple((int(row), int(column)) for row, column in places)
