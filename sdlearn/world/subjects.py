"""How each subject is drawn: one small function each, in units of the subject's height.

A subject stands on (0, 0) and reaches up to y = 1; x runs to the right. `Pen.at` places that
frame on the canvas, so that no subject knows of pixels. A new subject is one more function here,
with its name in `scene.SUBJECTS`.
"""

import math
from collections.abc import Callable

from .pen import INK, RGB, Pen, blend
from .scene import HELD_BACK_SUBJECTS, SUBJECTS

CREAM: RGB = (252, 242, 214)
WOOD: RGB = (126, 82, 48)
GLASS: RGB = (172, 216, 240)
LAMP: RGB = (255, 226, 122)
STONE: RGB = (140, 140, 150)
STEAM: RGB = (250, 250, 252)
ROSE: RGB = (236, 140, 156)
LEAF: RGB = (44, 128, 62)


def _dark(colour: RGB) -> RGB:
    return blend(colour, (30, 20, 40), 0.30)


def _edge(colour: RGB) -> RGB:
    return blend(colour, (30, 20, 40), 0.55)


def _window(night: bool) -> RGB:
    return LAMP if night else GLASS


def _eye(pen: Pen, x: float, y: float, night: bool) -> None:
    """A big light eye with a dark pupil; it glows at night."""
    pen.circle(x, y, 0.118, LAMP if night else (255, 255, 255))
    pen.circle(x * 0.9, y - 0.01, 0.068, INK)


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
    """A sitting cat in the colour with a big head, seen from the front, tail to the right."""
    edge, light = _edge(colour), blend(colour, (255, 255, 255), 0.6)
    pen.arc((0.10, -0.02, 0.54, 0.56), 300 - 360, 100, edge, 5.2)
    pen.arc((0.12, 0.0, 0.52, 0.54), 300 - 360, 100, colour, 3.2)
    pen.ellipse((-0.32, 0.0, 0.32, 0.62), colour, edge)
    pen.ellipse((-0.15, 0.03, 0.15, 0.30), light)
    for side in (-1, 1):
        pen.polygon([(side * 0.38, 0.62), (side * 0.36, 1.0), (side * 0.05, 0.84)], colour, edge)
        pen.polygon([(side * 0.30, 0.74), (side * 0.30, 0.91), (side * 0.15, 0.82)], ROSE)
    pen.ellipse((-0.41, 0.32, 0.41, 0.90), colour, edge)
    for side in (-1, 1):
        _eye(pen, side * 0.19, 0.66, night)
        pen.circle(side * 0.08, 0.475, 0.095, light)
    pen.polygon([(-0.085, 0.575), (0.085, 0.575), (0.0, 0.485)], INK)


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


def train(pen: Pen, colour: RGB, night: bool) -> None:
    """A steam engine in the colour, driving to the right under a puff of steam."""
    edge, dark = _edge(colour), _dark(colour)
    for x, y, radius in ((0.02, 0.89, 0.09), (0.17, 0.88, 0.12)):
        pen.circle(x, y, radius, STEAM)
    pen.polygon([(0.22, 0.56), (0.18, 0.80), (0.40, 0.80), (0.36, 0.56)], dark, edge)
    pen.circle(0.02, 0.58, 0.10, dark, edge)
    pen.ellipse((0.32, 0.24, 0.52, 0.62), dark, edge)
    pen.rectangle((-0.20, 0.24, 0.42, 0.62), colour, edge)
    pen.rectangle((-0.52, 0.18, -0.12, 0.80), colour, edge)
    pen.rectangle((-0.56, 0.77, -0.08, 0.87), dark, edge)
    pen.rectangle((-0.43, 0.47, -0.21, 0.69), _window(night))
    pen.polygon([(0.38, 0.26), (0.38, 0.03), (0.56, 0.03)], dark, edge)
    for x, radius in ((-0.34, 0.18), (0.02, 0.14), (0.31, 0.14)):
        pen.circle(x, radius, radius, INK)
        pen.circle(x, radius, radius * 0.4, (200, 200, 206))


def _sail(pen: Pen, angle: float, edge: RGB) -> None:
    """One sail from the hub outwards: a brown spar with cream cloth beside it."""

    def at(along: float, aside: float) -> tuple[float, float]:
        x, y = math.cos(angle), math.sin(angle)
        return along * x - aside * y, 0.57 + along * y + aside * x

    pen.polygon([at(0.14, 0.0), at(0.52, 0.0), at(0.52, 0.16), at(0.14, 0.16)], CREAM, edge)
    pen.line([at(0.0, 0.0), at(0.53, 0.0)], WOOD, 2.0)


def windmill(pen: Pen, colour: RGB, night: bool) -> None:
    """A tapering mill in the colour with a darker cap and four cream sails."""
    edge = _edge(colour)
    pen.ellipse((-0.25, 0.46, 0.25, 0.88), _dark(colour), edge)
    pen.polygon([(-0.38, 0.0), (-0.24, 0.68), (0.24, 0.68), (0.38, 0.0)], colour, edge)
    pen.rectangle((-0.09, 0.0, 0.09, 0.24), WOOD)
    for quarter in range(4):
        _sail(pen, math.radians(36 + 90 * quarter), edge)
    pen.circle(0.0, 0.57, 0.07, WOOD)


def flower(pen: Pen, colour: RGB, night: bool) -> None:
    """A tall flower: eight round petals in the colour around a brown and yellow heart."""
    edge = _edge(colour)
    pen.rectangle((-0.045, 0.0, 0.045, 0.40), LEAF, _edge(LEAF))
    for side in (-1, 1):
        leaf = ((0.02, 0.04), (0.16, 0.05), (0.34, 0.17), (0.40, 0.32), (0.22, 0.28), (0.08, 0.18))
        pen.polygon([(side * x, y) for x, y in leaf], LEAF, _edge(LEAF))
    for i in (0, 2, 4, 6, 1, 3, 5, 7):  # every other petal lies behind
        x, y = 0.25 * math.cos(math.tau * i / 8), 0.25 * math.sin(math.tau * i / 8)
        pen.circle(x, 0.62 + y, 0.13, colour, edge)
    pen.circle(0.0, 0.62, 0.20, colour)
    pen.circle(0.0, 0.62, 0.165, (92, 54, 30))
    pen.circle(0.0, 0.62, 0.095, (255, 206, 60))


def robot(pen: Pen, colour: RGB, night: bool) -> None:
    """A square robot in the colour with an antenna; its big eyes glow at night."""
    edge, dark = _edge(colour), _dark(colour)
    pen.line([(0.0, 0.86), (0.0, 0.95)], edge, 2.0)
    pen.circle(0.0, 0.94, 0.06, (230, 60, 60), edge)
    for side in (-1, 1):
        pen.rectangle((side * 0.06, 0.0, side * 0.21, 0.20), dark, edge)
        pen.rectangle((side * 0.20, 0.34, side * 0.47, 0.45), dark, edge)
        pen.rectangle((side * 0.36, 0.18, side * 0.47, 0.45), dark, edge)
        pen.circle(side * 0.415, 0.18, 0.085, colour, edge)
    pen.rectangle((-0.28, 0.11, 0.28, 0.50), colour, edge)
    pen.rectangle((-0.18, 0.20, 0.18, 0.38), INK)
    pen.circle(-0.085, 0.29, 0.06, LAMP)
    pen.circle(0.085, 0.29, 0.06, (90, 210, 130))
    pen.rectangle((-0.36, 0.46, 0.36, 0.87), colour, edge)
    for side in (-1, 1):
        _eye(pen, side * 0.17, 0.71, night)
    pen.rectangle((-0.12, 0.51, 0.12, 0.565), INK)


def snowman(pen: Pen, colour: RGB, night: bool) -> None:
    """Two balls in the colour with a hat, a carrot for a nose, a scarf and buttons."""
    edge = _edge(colour)
    # Teal on a reddish snowman and red on any other, so that the scarf can be seen.
    scarf = (20, 150, 150) if colour[0] > 1.5 * colour[1] else (214, 40, 50)
    pen.circle(0.0, 0.29, 0.31, colour, edge)
    for y in (0.16, 0.31):
        pen.circle(0.04, y, 0.04, INK)
    pen.circle(0.0, 0.66, 0.255, colour, edge)
    pen.rectangle((-0.20, 0.42, 0.20, 0.51), scarf)
    pen.rectangle((-0.21, 0.20, -0.09, 0.49), scarf)
    pen.rectangle((-0.17, 0.82, 0.17, 1.0), INK)
    pen.rectangle((-0.17, 0.855, 0.17, 0.915), scarf)
    pen.rectangle((-0.29, 0.79, 0.29, 0.855), INK)
    for side in (-1, 1):
        pen.circle(side * 0.115, 0.70, 0.055, INK)
    pen.polygon([(-0.04, 0.665), (-0.04, 0.54), (0.27, 0.585)], (255, 150, 40), (130, 56, 20))


# Each subject is drawn by the function of its name.
DRAWERS: dict[str, Callable[[Pen, RGB, bool], None]] = {
    name: globals()[name] for name in (*SUBJECTS, *HELD_BACK_SUBJECTS)
}
