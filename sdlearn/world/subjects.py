"""How each subject is drawn: one small function each, in units of the subject's height.

A subject stands on (0, 0) and reaches up to y = 1; x runs to the right. `Pen.at` places that
frame on the canvas, so that no subject knows of pixels. A new subject is one more function here,
with its name in `scene.SUBJECTS`.
"""

from collections.abc import Callable

from .pen import INK, RGB, Pen, blend
from .scene import SUBJECTS

CREAM: RGB = (252, 242, 214)
WOOD: RGB = (126, 82, 48)
GLASS: RGB = (172, 216, 240)
LAMP: RGB = (255, 226, 122)
STONE: RGB = (140, 140, 150)


def _dark(colour: RGB) -> RGB:
    return blend(colour, (30, 20, 40), 0.30)


def _edge(colour: RGB) -> RGB:
    return blend(colour, (30, 20, 40), 0.55)


def _window(night: bool) -> RGB:
    return LAMP if night else GLASS


def house(pen: Pen, colour: RGB, night: bool) -> None:
    """Walls in the colour, a darker roof with a chimney, a door and two windows."""
    edge = _edge(colour)
    pen.rectangle((0.20, 0.66, 0.33, 0.98), _dark(colour), edge)
    pen.rectangle((-0.44, 0.0, 0.44, 0.58), colour, edge)
    pen.polygon([(-0.56, 0.56), (0.0, 1.0), (0.56, 0.56)], _dark(colour), edge)
    pen.rectangle((-0.10, 0.0, 0.10, 0.34), WOOD)
    pen.rectangle((-0.35, 0.22, -0.18, 0.42), _window(night))
    pen.rectangle((0.18, 0.22, 0.35, 0.42), _window(night))


def tree(pen: Pen, colour: RGB, night: bool) -> None:
    """A brown trunk under a round crown in the colour."""
    edge = _edge(colour)
    pen.polygon([(-0.08, 0.0), (-0.05, 0.5), (0.05, 0.5), (0.08, 0.0)], WOOD)
    blobs = ((-0.2, 0.50, 0.20), (0.2, 0.50, 0.20), (0.0, 0.72, 0.27))
    for x, y, radius in blobs:
        pen.circle(x, y, radius, colour, edge)
    for x, y, radius in blobs:
        pen.circle(x, y, radius - 0.025, colour)
    pen.circle(-0.07, 0.80, 0.09, blend(colour, (255, 255, 255), 0.35))


def boat(pen: Pen, colour: RGB, night: bool) -> None:
    """A hull in the colour under two sails in a lighter tone of it."""
    edge, light = _edge(colour), blend(colour, (255, 255, 255), 0.35)
    pen.line([(0.0, 0.2), (0.0, 1.0)], WOOD, 1.6)
    pen.polygon([(0.04, 0.34), (0.04, 0.98), (0.44, 0.34)], light, edge)
    pen.polygon([(-0.04, 0.34), (-0.04, 0.86), (-0.36, 0.34)], light, edge)
    pen.polygon([(-0.54, 0.28), (0.54, 0.28), (0.34, 0.0), (-0.36, 0.0)], colour, edge)
    pen.rectangle((-0.47, 0.19, 0.47, 0.24), CREAM)


def car(pen: Pen, colour: RGB, night: bool) -> None:
    """A round little car in the colour with dark wheels and lamps."""
    edge = _edge(colour)
    pen.ellipse((-0.36, 0.16, 0.32, 0.98), colour, edge)
    pen.ellipse((-0.28, 0.30, -0.04, 0.85), _window(night))
    pen.ellipse((0.0, 0.30, 0.24, 0.85), _window(night))
    pen.rectangle((-0.29, 0.25, 0.25, 0.48), colour)
    pen.ellipse((-0.56, 0.10, 0.56, 0.60), colour, edge)
    for x in (-0.30, 0.30):
        pen.circle(x, 0.14, 0.15, INK)
        pen.circle(x, 0.14, 0.06, (200, 200, 206))
    pen.circle(0.48, 0.34, 0.055, LAMP)


def castle(pen: Pen, colour: RGB, night: bool) -> None:
    """Two towers with pointed roofs beside a battlemented wall with a gate."""
    edge, roof = _edge(colour), _dark(colour)
    for left in (-0.23, -0.055, 0.12):
        pen.rectangle((left, 0.46, left + 0.11, 0.60), colour, edge)
    pen.rectangle((-0.30, 0.0, 0.30, 0.50), colour, edge)
    for x in (-0.34, 0.34):
        pen.rectangle((x - 0.13, 0.0, x + 0.13, 0.68), colour, edge)
        pen.polygon([(x - 0.18, 0.66), (x, 1.0), (x + 0.18, 0.66)], roof, edge)
        pen.rectangle((x - 0.045, 0.40, x + 0.045, 0.56), _window(night))
    pen.ellipse((-0.12, 0.14, 0.12, 0.38), WOOD)
    pen.rectangle((-0.12, 0.0, 0.12, 0.26), WOOD)


def cat(pen: Pen, colour: RGB, night: bool) -> None:
    """A sitting cat in the colour, seen from the front, tail to the right."""
    edge, light = _edge(colour), blend(colour, (255, 255, 255), 0.45)
    pen.arc((0.10, -0.02, 0.52, 0.56), 300 - 360, 100, edge, 5.2)
    pen.arc((0.12, 0.0, 0.50, 0.54), 300 - 360, 100, colour, 3.2)
    pen.ellipse((-0.30, 0.0, 0.30, 0.66), colour, edge)
    pen.ellipse((-0.14, 0.04, 0.14, 0.44), light)
    for side in (-1, 1):
        pen.polygon([(side * 0.28, 0.68), (side * 0.25, 1.0), (side * 0.03, 0.86)], colour, edge)
    pen.ellipse((-0.32, 0.44, 0.32, 0.92), colour, edge)
    for side in (-1, 1):
        pen.circle(side * 0.13, 0.70, 0.062, (250, 250, 220) if night else INK)
    pen.polygon([(-0.05, 0.60), (0.05, 0.60), (0.0, 0.54)], (224, 110, 130))


def rocket(pen: Pen, colour: RGB, night: bool) -> None:
    """A rocket in the colour with darker fins and nose, a round window and a flame."""
    edge, dark = _edge(colour), _dark(colour)
    pen.polygon([(-0.10, 0.16), (0.0, -0.04), (0.10, 0.16)], (255, 160, 40))
    for side in (-1, 1):
        pen.polygon([(side * 0.15, 0.44), (side * 0.34, 0.06), (side * 0.12, 0.16)], dark, edge)
    hull = [(-0.13, 0.13), (-0.19, 0.40), (-0.17, 0.66), (-0.10, 0.85), (0.0, 1.0)]
    pen.polygon([*hull, *[(-x, y) for x, y in hull[::-1]]], colour, edge)
    pen.polygon([(-0.115, 0.82), (0.0, 1.0), (0.115, 0.82)], dark, edge)
    pen.circle(0.0, 0.58, 0.095, CREAM)
    pen.circle(0.0, 0.58, 0.065, _window(night))


def lighthouse(pen: Pen, colour: RGB, night: bool) -> None:
    """A tapering tower in bands of the colour and cream with a lamp room on top."""
    edge = _edge(colour)

    def half(y: float) -> float:
        return 0.24 - 0.13 * y / 0.74

    for i in range(5):
        low, high = 0.74 * i / 5, 0.74 * (i + 1) / 5
        fill = colour if i % 2 == 0 else blend(CREAM, colour, 0.12)
        foot, top = half(low), half(high)
        pen.polygon([(-foot, low), (foot, low), (top, high), (-top, high)], fill)
    pen.line([(-half(0), 0.0), (-half(0.74), 0.74), (half(0.74), 0.74), (half(0), 0.0)], edge, 1.0)
    pen.rectangle((-0.16, 0.73, 0.16, 0.77), STONE)
    pen.rectangle((-0.09, 0.77, 0.09, 0.90), LAMP, edge)
    pen.polygon([(-0.14, 0.89), (0.0, 1.0), (0.14, 0.89)], _dark(colour), edge)


# Each subject is drawn by the function of its name.
DRAWERS: dict[str, Callable[[Pen, RGB, bool], None]] = {name: globals()[name] for name in SUBJECTS}
