"""A page to draw a diagram on: boxes, arrows, marks and text, at pixels from the top left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.patches import FancyBboxPatch, Polygon, Rectangle

from ...viz.sheet import FAINT, FONT, INK, PALETTE, Sheet

__all__ = ["CLEAR", "COLOURS", "FAINT", "INK", "TINTS", "Box", "Canvas"]

# One colour for each part, and the same colour pale for its surface.
COLOURS = {"text": PALETTE[0], "unet": PALETTE[4], "vae": PALETTE[2], "plain": FAINT}
TINTS = {"text": "#FBE3B5", "unet": "#CDE8F8", "vae": "#CBEBDD", "plain": "#F2F2F2"}
CLEAR = "none"

Point = tuple[float, float]


class Box(tuple[float, float, float, float]):
    """Left, top, width and height, and the places on its rim where arrows begin and end."""

    __slots__ = ()

    def __new__(cls, left: float, top: float, width: float, height: float) -> Box:
        return super().__new__(cls, (left, top, width, height))

    @property
    def centre(self) -> Point:
        left, top, width, height = self
        return left + width / 2, top + height / 2

    @property
    def west(self) -> Point:
        return self[0], self.centre[1]

    @property
    def east(self) -> Point:
        return self[0] + self[2], self.centre[1]

    @property
    def north(self) -> Point:
        return self.centre[0], self[1]

    @property
    def south(self) -> Point:
        return self.centre[0], self[1] + self[3]


class Canvas:
    """A `Sheet` with one axes that measures in pixels of the screen, y downwards."""

    def __init__(self, width: float, height: float, alt: str) -> None:
        self.sheet = Sheet(width, height, alt)
        self.ax = self.sheet.place(0, 0, width, height)
        self.ax.set(xlim=(0, width), ylim=(height, 0))

    def box(self, box: Box, part: str, *, face: str | None = None) -> None:
        """A rounded box in a part's colours."""
        left, top, width, height = box
        shape = FancyBboxPatch(
            (left + 4, top + 4),
            width - 8,
            height - 8,
            boxstyle="round,pad=4,rounding_size=6",
            facecolor=TINTS[part] if face is None else face,
            edgecolor=COLOURS[part],
            linewidth=1.2,
        )
        self.ax.add_patch(shape)

    def shape(self, points: Sequence[Point], part: str) -> None:
        """A closed shape with straight edges in a part's colours."""
        style = {"facecolor": TINTS[part], "edgecolor": COLOURS[part], "linewidth": 1.2}
        self.ax.add_patch(Polygon(points, closed=True, joinstyle="round", **style))

    def text(self, at: Point, *lines: str, bold: bool = False, **style: Any) -> None:
        """Lines of text around a point; `bold` is for the first line."""
        style = {"fontsize": FONT, "color": INK, "ha": "center", "va": "center", **style}
        for i, line in enumerate(lines):
            y = at[1] + 15 * (i - (len(lines) - 1) / 2)
            weight = "bold" if bold and i == 0 else "normal"
            self.ax.text(at[0], y, line, weight=weight, parse_math=False, **style)

    def arrow(self, *points: Point, part: str = "plain", width: float = 1.4) -> None:
        """A line through `points` with its head at the last of them."""
        xs, ys = zip(*points[:-1], strict=True)
        self.ax.plot(xs, ys, color=COLOURS[part], linewidth=width, solid_capstyle="round")
        style = {
            "arrowstyle": "-|>",
            "color": COLOURS[part],
            "linewidth": width,
            "shrinkA": 0,
            "shrinkB": 0,
        }
        self.ax.annotate("", points[-1], points[-2], arrowprops=style)

    def marks(self, at: Point, count: int) -> None:
        """`count` diamonds in a row: cross-attention, in the colour of the text."""
        xs = [at[0] + 17 * (i - (count - 1) / 2) for i in range(count)]
        style: dict[str, Any] = {"markersize": 7, "markeredgecolor": INK, "markeredgewidth": 0.8}
        self.ax.plot(xs, [at[1]] * count, "D", color=COLOURS["text"], **style)

    def picture(self, box: Box, array: np.ndarray, **style: Any) -> None:
        """An array shown as a picture with a thin frame, in front of the pictures before it."""
        left, top, width, height = box
        style |= {"extent": (left, left + width, top + height, top), "aspect": "auto"}
        depth = 2 + len(self.ax.images)
        self.ax.imshow(array, interpolation="nearest", zorder=depth, **style)
        frame = Rectangle((left, top), width, height, facecolor=CLEAR, edgecolor=INK, zorder=depth)
        frame.set_linewidth(0.8)
        self.ax.add_patch(frame)
