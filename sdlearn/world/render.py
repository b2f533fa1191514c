"""Images for a scene: `render(scene)`, independent of how the scene is worded.

Drawn with Pillow at three times the final size and scaled down, so that edges are smooth.
Everything that is not in the caption (shifts, hills, stars) follows `scene.variant`, so the
same scene is the same image on any machine.
"""

from __future__ import annotations

import random

from PIL import Image, ImageDraw

from .palette import (
    BASELINE,
    CENTRES,
    COLOUR_RGB,
    GROUND_GRADIENTS,
    HEIGHTS,
    HORIZON,
    IMAGE_SIZE,
    SKY_GRADIENTS,
    lit_ground,
    lit_thing,
)
from .pen import RGB, Pen, blend
from .scene import Scene, Thing, check_scene
from .sky import SUPERSAMPLING, draw_sky, draw_sky_item, draw_stars, gradient
from .subjects import DRAWERS

__all__ = ["IMAGE_SIZE", "render"]


def render(scene: Scene) -> Image.Image:
    """The image of `scene`: RGB, 128 x 128 pixels."""
    check_scene(scene)
    rng = random.Random(f"render {scene.variant}")
    image = draw_sky(scene.time).copy()
    pen = Pen(ImageDraw.Draw(image), scale=SUPERSAMPLING)
    if scene.time == "night":
        draw_stars(pen, rng)
    draw_sky_item(image, pen, scene, rng)
    _hills(pen, scene, rng)
    _ground(image, pen, scene, rng)
    for thing in scene.things:
        _thing(pen, thing, scene, rng)
    return image.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.LANCZOS)


def _hills(pen: Pen, scene: Scene, rng: random.Random) -> None:
    """Soft far hills between sky and ground, for depth."""
    _, bottom = GROUND_GRADIENTS[scene.ground]
    far = blend(lit_ground(bottom, scene.time), SKY_GRADIENTS[scene.time][1], 0.45)
    for i in range(3):
        x = 22 + 42 * i + rng.uniform(-10, 10)
        width, height = rng.uniform(34, 50), rng.uniform(7, 13)
        pen.ellipse(x - width, HORIZON - height, x + width, HORIZON + 40, far)


def _ground(image: Image.Image, pen: Pen, scene: Scene, rng: random.Random) -> None:
    horizon, bottom = (lit_ground(c, scene.time) for c in GROUND_GRADIENTS[scene.ground])
    image.paste(
        gradient(horizon, bottom, (IMAGE_SIZE - HORIZON) * SUPERSAMPLING),
        (0, HORIZON * SUPERSAMPLING),
    )
    light, dark = blend(horizon, (255, 255, 255), 0.25), blend(bottom, (0, 0, 0), 0.14)
    if scene.ground == "grass":
        for _ in range(9):
            _tuft(pen, rng.uniform(3, 125), rng.uniform(90, 125), dark)
    elif scene.ground == "water":
        for _ in range(9):
            _wave(pen, rng.uniform(4, 124), rng.uniform(88, 124), light)
    else:  # snow mounds and dunes: long flat curves
        for _ in range(4):
            x, y = rng.uniform(0, 128), rng.uniform(88, 122)
            width = rng.uniform(16, 30)
            pen.arc(x - width, y, x + width, y + 12, 200, 340, blend(bottom, dark, 0.4), 1.4)


def _tuft(pen: Pen, x: float, y: float, colour: RGB) -> None:
    blades = ((-3, 0), (-2.4, -4), (-1, 0), (0, -5), (1, 0), (2.4, -4), (3, 0))
    pen.polygon([(x + dx, y + dy) for dx, dy in blades], colour)


def _wave(pen: Pen, x: float, y: float, colour: RGB) -> None:
    pen.arc(x - 6, y - 3, x, y + 2, 20, 160, colour, 1.3)
    pen.arc(x, y - 3, x + 6, y + 2, 20, 160, colour, 1.3)


def _thing(pen: Pen, thing: Thing, scene: Scene, rng: random.Random) -> None:
    x = CENTRES[thing.position] + rng.uniform(-2.5, 2.5)
    base = BASELINE + rng.uniform(-2, 2)
    height = HEIGHTS[thing.size] * rng.uniform(0.97, 1.05)
    _footing(pen, thing, scene, x, base, height)
    DRAWERS[thing.subject](
        pen.at(x, base, height),
        lit_thing(COLOUR_RGB[thing.colour], scene.time),
        scene.time == "night",
    )


def _footing(pen: Pen, thing: Thing, scene: Scene, x: float, base: float, height: float) -> None:
    """A shadow on land; on water an islet to stand on, or a ripple under a boat."""
    near = lit_ground(GROUND_GRADIENTS[scene.ground][1], scene.time)
    half = height * {"rocket": 0.34, "lighthouse": 0.36, "tree": 0.4}.get(thing.subject, 0.54)
    if scene.ground == "water" and thing.subject != "boat":
        sand = lit_ground((226, 196, 130), scene.time)
        pen.ellipse(x - half - 6, base - 4, x + half + 6, base + 7, blend(sand, (70, 50, 20), 0.25))
        pen.ellipse(x - half - 6, base - 5, x + half + 6, base + 5, sand)
    elif scene.ground == "water":
        pen.ellipse(
            x - half - 2, base - 3, x + half + 2, base + 4, blend(near, (255, 255, 255), 0.35)
        )
    else:
        pen.ellipse(x - half, base - 3.5, x + half * 1.12, base + 4, blend(near, (0, 0, 0), 0.28))
