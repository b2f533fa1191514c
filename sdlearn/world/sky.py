"""Skies: the gradient of the hour, stars, and the one item a scene may have up there."""

from __future__ import annotations

import random
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from .palette import CENTRES, HORIZON, IMAGE_SIZE, SKY_GRADIENTS, lit_thing
from .pen import INK, RGB, Pen, blend
from .scene import POSITIONS, Scene

__all__ = ["CANVAS", "SUPERSAMPLING", "draw_sky", "draw_sky_item", "draw_stars", "gradient"]

SUPERSAMPLING = 3  # canvas pixels per image pixel, for smooth edges
CANVAS = IMAGE_SIZE * SUPERSAMPLING


@lru_cache(maxsize=64)
def gradient(top: RGB, bottom: RGB, height: int) -> Image.Image:
    """A vertical gradient over the canvas width, `height` canvas pixels high."""
    ramp = np.linspace(0, 1, height)[:, None, None]
    rows = np.asarray(top) * (1 - ramp) + np.asarray(bottom) * ramp
    return Image.fromarray(np.repeat(rows.round().astype(np.uint8), CANVAS, axis=1))


@lru_cache(maxsize=3)
def draw_sky(time: str) -> Image.Image:
    """The bare sky on a full canvas; shared, so copy it before drawing on it."""
    top, bottom = SKY_GRADIENTS[time]
    sky = Image.new("RGB", (CANVAS, CANVAS), bottom)
    sky.paste(gradient(top, bottom, (HORIZON + 6) * SUPERSAMPLING), (0, 0))
    return sky


def draw_stars(pen: Pen, rng: random.Random) -> None:
    """A handful of stars above the horizon."""
    for _ in range(14):
        x, y, radius = rng.uniform(2, 126), rng.uniform(3, 66), rng.choice((0.8, 1.0, 1.3))
        pen.circle(x, y, radius, (255, 248, 214))


def draw_sky_item(image: Image.Image, pen: Pen, scene: Scene, rng: random.Random) -> None:
    """Draw the sky item where the subject leaves room for it."""
    taken = {thing.position for thing in scene.things}
    free = [p for p in POSITIONS if p not in taken] or ["middle"]
    x = CENTRES[rng.choice(free)] + rng.uniform(-6, 6)
    y = rng.uniform(22, 28)
    if scene.sky == "sun":
        _glow(image, x, y, 30, (255, 240, 170) if scene.time == "day" else (255, 214, 120))
        pen.circle(x, y, 12, (255, 226, 80) if scene.time == "day" else (255, 150, 60))
    elif scene.sky == "moon":
        _glow(image, x, y, 26, (210, 214, 240))
        _moon(pen, x, y)
    elif scene.sky == "cloud":
        _cloud(pen, x, y, scene.time)
        if not scene.is_pair:
            _cloud(pen, x + (44 if x < 64 else -44), y - 8, scene.time, 0.75)
    elif scene.sky == "rainbow":
        _rainbow(image, scene.time, rng.uniform(-5, 5))
    elif scene.sky == "balloon":
        _balloon(pen, x, y, scene.time)


@lru_cache(maxsize=8)
def _glow_mask(radius: int) -> Image.Image:
    size = 2 * radius * SUPERSAMPLING
    axis = np.linspace(-1, 1, size)
    distance = np.hypot(axis[:, None], axis[None, :])
    return Image.fromarray((150 * np.clip(1 - distance, 0, 1) ** 1.6).astype(np.uint8))


def _glow(image: Image.Image, x: float, y: float, radius: int, colour: RGB) -> None:
    corner = (round((x - radius) * SUPERSAMPLING), round((y - radius) * SUPERSAMPLING))
    mask = _glow_mask(radius)
    image.paste(Image.new("RGB", mask.size, colour), corner, mask)


def _moon(pen: Pen, x: float, y: float) -> None:
    """A crescent: the outer arc back along the inner one."""
    turn = np.linspace(-np.pi * 0.62, np.pi * 0.62, 40)
    outer = [(x - 12 * np.cos(a), y + 12 * np.sin(a)) for a in turn]
    bulge = [(x + 3.4 - 9.6 * np.cos(a), y + 12 * np.sin(a) * 0.82) for a in turn[::-1]]
    pen.polygon([*outer, *bulge], (252, 244, 202))


def _cloud(pen: Pen, x: float, y: float, time: str, scale: float = 1.0) -> None:
    white = {"day": (255, 255, 255), "sunset": (255, 214, 196), "night": (146, 154, 190)}[time]
    shade = blend(white, SKY_GRADIENTS[time][0], 0.22)
    puffs = ((-12, 2, 7.5), (-3, -4, 9.5), (8, -1, 8.5), (15, 3, 5.5))
    for colour, drop in ((shade, 2.2), (white, 0.0)):
        for dx, dy, radius in puffs:
            pen.circle(x + dx * scale, y + dy * scale + drop, radius * scale, colour)
        pen.rectangle(
            x - 12 * scale, y + 2 * scale + drop, x + 15 * scale, y + 8.5 * scale + drop, colour
        )


RAINBOW = (
    (226, 60, 60),
    (246, 150, 50),
    (250, 224, 80),
    (86, 186, 96),
    (70, 130, 220),
    (146, 84, 190),
)


def _rainbow(image: Image.Image, time: str, shift: float) -> None:
    band, strength = 4.0, {"day": 0.85, "sunset": 0.8}[time]
    layer = image.copy()
    pen = Pen(ImageDraw.Draw(layer), SUPERSAMPLING)
    x, y, outer = 64 + shift, HORIZON + 14.0, 88.0
    for i, colour in enumerate(RAINBOW):
        pen.circle(x, y, outer - i * band, colour)
    inside = round(outer - len(RAINBOW) * band)
    mask = Image.new("L", image.size, 0)
    mask_pen = Pen(ImageDraw.Draw(mask), SUPERSAMPLING)
    mask_pen.circle(x, y, outer, round(255 * strength))
    mask_pen.circle(x, y, inside, 0)
    image.paste(layer, (0, 0), mask)


def _balloon(pen: Pen, x: float, y: float, time: str) -> None:
    cream, teal = (lit_thing(c, time) for c in ((252, 240, 210), (24, 150, 150)))
    pen.line([(x - 7, y + 4), (x - 2.6, y + 19)], INK, 0.8)
    pen.line([(x + 7, y + 4), (x + 2.6, y + 19)], INK, 0.8)
    pen.ellipse(x - 12.5, y - 16, x + 12.5, y + 10, teal)
    pen.ellipse(x - 7.2, y - 16, x + 7.2, y + 10, cream)
    pen.ellipse(x - 2.6, y - 16, x + 2.6, y + 10, teal)
    pen.polygon([(x - 9, y + 4.6), (x + 9, y + 4.6), (x + 3, y + 13), (x - 3, y + 13)], teal)
    pen.rectangle(x - 3.4, y + 17, x + 3.4, y + 22, (128, 84, 48))
