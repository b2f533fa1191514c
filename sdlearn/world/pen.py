"""A pen that draws in a frame of its own, so that no subject knows of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import ImageDraw

RGB = tuple[int, int, int]
Point = tuple[float, float]
Box = tuple[float, float, float, float]  # two opposite corners: x, y, x, y
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

    def _xy(self, point: Point) -> Point:
        x, y = self.x + point[0] * self.unit, self.y + self.up * point[1] * self.unit
        return x * self.scale, y * self.scale

    def _box(self, box: Box) -> Box:
        (ax, ay), (bx, by) = self._xy(box[:2]), self._xy(box[2:])
        return min(ax, bx), min(ay, by), max(ax, bx), max(ay, by)

    def _width(self, edge: RGB | None) -> int:
        return round(1.1 * self.scale) if edge else 0

    def polygon(self, points: Sequence[Point], fill: RGB, edge: RGB | None = None) -> None:
        """A filled polygon."""
        corners = [self._xy(point) for point in points]
        self.draw.polygon(corners, fill=fill)
        if edge:
            self.draw.line([*corners, corners[0]], edge, self._width(edge), joint="curve")

    def rectangle(self, box: Box, fill: RGB, edge: RGB | None = None) -> None:
        """A filled rectangle between two corners."""
        self.draw.rectangle(self._box(box), fill, edge, self._width(edge))

    def ellipse(self, box: Box, fill: RGB | str | int, edge: RGB | None = None) -> None:
        """A filled ellipse in the box between two corners."""
        self.draw.ellipse(self._box(box), fill, edge, self._width(edge))

    def circle(
        self, x: float, y: float, radius: float, fill: RGB | str | int, edge: RGB | None = None
    ) -> None:
        """A filled circle."""
        self.ellipse((x - radius, y - radius, x + radius, y + radius), fill, edge)

    def arc(self, box: Box, start: float, end: float, fill: RGB, width: float) -> None:
        """A piece of an ellipse's outline, from `start` to `end` degrees."""
        self.draw.arc(self._box(box), start, end, fill, round(width * self.scale))

    def line(self, points: Sequence[Point], fill: RGB | int, width: float) -> None:
        """A line through points; `width` in image pixels."""
        corners = [self._xy(point) for point in points]
        self.draw.line(corners, fill, round(width * self.scale), joint="curve")
