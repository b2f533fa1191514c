"""A pen that draws in a frame of its own, so that no subject knows of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import ImageDraw

__all__ = ["INK", "RGB", "Pen", "Point", "blend"]

RGB = tuple[int, int, int]
Point = tuple[float, float]
INK: RGB = (52, 42, 48)


def blend(colour: RGB, other: RGB, share: float) -> RGB:
    """`colour` with `share` (0..1) of `other` mixed in."""
    r, g, b = (round(c + (o - c) * share) for c, o in zip(colour, other, strict=True))
    return (r, g, b)


@dataclass(frozen=True)
class Pen:
    """Draws in a frame of its own: origin, unit length and whether y points up.

    `scale` is canvas pixels per image pixel. A fresh pen works in image pixels with y down;
    `at` gives one whose origin is a subject's foot, whose unit is its height and whose y is up.
    """

    draw: ImageDraw.ImageDraw
    scale: float
    x: float = 0.0
    y: float = 0.0
    unit: float = 1.0
    up: float = 1.0

    def at(self, x: float, y: float, height: float) -> Pen:
        """A pen standing at image pixel (x, y), measuring in `height`s, y upwards."""
        return replace(self, x=x, y=y, unit=height, up=-1.0)

    def _xy(self, x: float, y: float) -> tuple[float, float]:
        return (
            (self.x + x * self.unit) * self.scale,
            (self.y + self.up * y * self.unit) * self.scale,
        )

    def _box(self, x0: float, y0: float, x1: float, y1: float) -> list[float]:
        (ax, ay), (bx, by) = self._xy(x0, y0), self._xy(x1, y1)
        return [min(ax, bx), min(ay, by), max(ax, bx), max(ay, by)]

    def _outline(self) -> int:
        return round(1.1 * self.scale)

    def polygon(
        self, points: Sequence[tuple[float, float]], fill: RGB, edge: RGB | None = None
    ) -> None:
        """A filled polygon."""
        corners = [self._xy(*p) for p in points]
        self.draw.polygon(corners, fill=fill)
        if edge is not None:
            self.draw.line([*corners, corners[0]], fill=edge, width=self._outline(), joint="curve")

    def rectangle(
        self, x0: float, y0: float, x1: float, y1: float, fill: RGB, edge: RGB | None = None
    ) -> None:
        """A filled rectangle between two corners."""
        width = self._outline() if edge else 0
        self.draw.rectangle(self._box(x0, y0, x1, y1), fill=fill, outline=edge, width=width)

    def ellipse(
        self, x0: float, y0: float, x1: float, y1: float, fill: RGB | int, edge: RGB | None = None
    ) -> None:
        """A filled ellipse in the box between two corners."""
        width = self._outline() if edge else 0
        self.draw.ellipse(self._box(x0, y0, x1, y1), fill=fill, outline=edge, width=width)

    def circle(
        self, x: float, y: float, radius: float, fill: RGB | int, edge: RGB | None = None
    ) -> None:
        """A filled circle."""
        self.ellipse(x - radius, y - radius, x + radius, y + radius, fill, edge)

    def arc(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        start: float,
        end: float,
        fill: RGB,
        width: float,
    ) -> None:
        """A piece of an ellipse's outline, from `start` to `end` degrees."""
        self.draw.arc(
            self._box(x0, y0, x1, y1), start, end, fill=fill, width=round(width * self.scale)
        )

    def line(self, points: Sequence[tuple[float, float]], fill: RGB, width: float) -> None:
        """A line through points; `width` in image pixels."""
        self.draw.line(
            [self._xy(*p) for p in points],
            fill=fill,
            width=round(width * self.scale),
            joint="curve",
        )
