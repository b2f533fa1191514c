"""Drawing styles: each turns the storybook image of a scene into one of another hand.

A style is a filter on the finished canvas, so that every subject, ground and sky has it, also those
that are drawn later. The textures are fixed and repeat with the 8 pixels of the autoencoder's
cells: a texture by chance could not survive a 48-fold compression.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

PAPER = (250, 247, 240)
LEAD = (28, 26, 32)
BLOCK = 4  # pixels: the side of one square of pixel art
HATCH = 8  # pixels: how far the pencil's strokes are apart along a row
PANE = 32  # pixels: the size of a pane of stained glass

Floats = NDArray[np.floating]


def draw_in_style(
    canvas: Image.Image, style: str, size: int, dry: Image.Image | None = None
) -> Image.Image:
    """The `canvas`, RGB and square, in a `style`, scaled down to `size` pixels.

    `dry` is the canvas before rain or snow fell over it: lines are drawn around what it shows.
    """
    return _FILTERS[style](canvas, dry or canvas, size)


def _scaled(canvas: Image.Image, dry: Image.Image, size: int) -> Image.Image:
    return canvas.resize((size, size), Image.Resampling.LANCZOS)


def watercolour(canvas: Image.Image, dry: Image.Image, size: int) -> Image.Image:
    """Pale washes, darker where a wash ends and in pools, with bare paper around the picture."""
    soft = _scaled(canvas, dry, size).filter(ImageFilter.GaussianBlur(0.6))
    image = np.asarray(soft, np.float32)
    pigment = _pools(size) * (1 - 0.42 * _outlines(dry, size))
    wash = _mix(_vivid(image, 1.15) * pigment[..., None], PAPER, 0.24)
    return _to_image(_mix(wash, PAPER, _bare_edge(size)[..., None]))


def coloured_pencil(canvas: Image.Image, dry: Image.Image, size: int) -> Image.Image:
    """Slanted strokes in the colour on paper, with darker lines around things."""
    image = np.asarray(_scaled(canvas, dry, size), np.float32)
    strokes = _mix(_mix(image, PAPER, 0.10), PAPER, _hatching(size)[..., None])
    return _to_image(_mix(strokes, (60, 50, 60), 0.6 * _outlines(dry, size)[..., None]))


def pixel_art(canvas: Image.Image, dry: Image.Image, size: int) -> Image.Image:
    """Large squares, each in one of a few levels of red, green and blue."""
    squares = canvas.resize((size // BLOCK, size // BLOCK), Image.Resampling.BOX)
    levels = np.round(_vivid(np.asarray(squares, np.float32), 1.1) / 255 * 9) / 9 * 255
    return _to_image(levels).resize((size, size), Image.Resampling.NEAREST)


def stained_glass(canvas: Image.Image, dry: Image.Image, size: int) -> Image.Image:
    """Strong colours in panes, held by dark lead."""
    image = np.asarray(_scaled(canvas, dry, size), np.float32)
    lead = np.maximum(_panes(size), np.clip(2.2 * _outlines(dry, size), 0, 1))
    return _to_image(_mix(_vivid(image, 1.35), LEAD, lead[..., None]))


_FILTERS: dict[str, Callable[[Image.Image, Image.Image, int], Image.Image]] = {
    "storybook": _scaled,
    "watercolour": watercolour,
    "coloured pencil": coloured_pencil,
    "pixel art": pixel_art,
    "stained glass": stained_glass,
}


def _mix(image: Floats, colour: tuple[int, int, int], share: float | Floats) -> Floats:
    return image + (np.asarray(colour, np.float32) - image) * share


def _vivid(image: Floats, strength: float) -> Floats:
    """Colours further from grey, each as light as before."""
    grey = image.mean(axis=-1, keepdims=True)
    return np.clip(grey + strength * (image - grey), 0, 255)


def _to_image(levels: Floats) -> Image.Image:
    return Image.fromarray(levels.round().clip(0, 255).astype(np.uint8))


def _outlines(canvas: Image.Image, size: int) -> Floats:
    """Where colours change abruptly: 0 to 1, (size, size)."""
    small = canvas.resize((size * 2, size * 2), Image.Resampling.BOX)
    spread = ImageChops.difference(
        small.filter(ImageFilter.MaxFilter(3)), small.filter(ImageFilter.MinFilter(3))
    )
    strength = np.asarray(spread, np.float32).max(axis=-1)
    sharp = np.clip((strength - 60) / 70, 0, 1)
    return sharp.reshape(size, 2, size, 2).mean(axis=(1, 3))


def _grid(size: int) -> tuple[Floats, Floats]:
    y, x = np.mgrid[:size, :size].astype(np.float32)
    return y, x


@lru_cache(maxsize=4)
def _pools(size: int) -> Floats:
    """Slow changes of the wash's darkness, around 1."""
    y, x = _grid(size)
    waves = np.sin(x / 9 + 1.3 * np.sin(y / 13)) * np.sin(y / 11 + 1.1 * np.sin(x / 17))
    return 1 - 0.055 * (1 + waves)


@lru_cache(maxsize=4)
def _bare_edge(size: int) -> Floats:
    """1 where the paper at the border stays bare, 0 in the picture."""
    y, x = _grid(size)
    wobble = 1.6 * np.sin(x / 7) * np.cos(y / 9) + 1.2 * np.sin((x + y) / 5)
    inside = np.minimum.reduce([x, y, size - 1 - x, size - 1 - y]) + wobble
    return 1 - np.clip((inside - 3.5) / 2.5, 0, 1)


@lru_cache(maxsize=4)
def _hatching(size: int) -> Floats:
    """The share of bare paper between the pencil's strokes."""
    y, x = _grid(size)
    return 0.30 * (0.5 + 0.5 * np.sin(2 * np.pi * (x + y) / HATCH)) ** 1.5


@lru_cache(maxsize=4)
def _panes(size: int) -> Floats:
    """Lead between the panes of a window: a leaning lattice, 1 on the lead."""
    y, x = _grid(size)
    lines = [(x + y) % PANE, (x - y) % PANE]
    return np.max([np.clip(1.6 - np.abs(line - PANE / 2), 0, 1) for line in lines], axis=0)
