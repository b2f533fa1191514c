"""A page on which boxes, arrows, images and words are placed by hand: `Diagram`.

Lengths are pixels of the screen, counted from the top left corner. A page is light or dark; every
part of Stable Diffusion has the same colour on all drawings: text is orange, the U-Net blue,
guidance purple, the VAE green.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import Colormap
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Polygon
from matplotlib.path import Path

from .figure import SCREEN_DPI, SHARPNESS, Sheet
from .images import LATENT_LIMIT, SIGNED

POINTS = 72 / SCREEN_DPI  # of a pixel
LINE_HEIGHT = 1.35  # of the size of its letters
STORED_COLOURS = 64  # enough for flat colours and small images, and a small file
CORNER = 7  # radius of a box's corners, and of an arrow's turns
Point = tuple[float, float]


@dataclass(frozen=True)
class Theme:
    """The colours of a page; `edges` and `faces` are those of the parts of a model."""

    paper: str
    ink: str
    faint: str
    mark: str
    edges: dict[str, str]
    faces: dict[str, str]


LIGHT = Theme(
    *("#FFFFFF", "#1F2328", "#5B6470", "#B93A00"),
    edges={"text": "#B87400", "unet": "#0067A3", "guidance": "#A33F7D", "vae": "#00805D"}
    | {"plain": "#6B7480"},
    faces={"text": "#FDF0D8", "unet": "#E2F0FA", "guidance": "#F9E6F1", "vae": "#DFF3EA"}
    | {"plain": "#F2F3F5"},
)
DARK = Theme(
    *("#14171C", "#E8EBEF", "#A6AEB9", "#FF8A50"),
    edges={"text": "#EBAA3A", "unet": "#62B6EA", "guidance": "#E79BC6", "vae": "#35C497"}
    | {"plain": "#98A2AE"},
    faces={"text": "#302612", "unet": "#12293A", "guidance": "#35202D", "vae": "#0E2D24"}
    | {"plain": "#22262C"},
)


class Place(NamedTuple):
    """A rectangle on the page, in pixels from its top left corner."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    @property
    def centre(self) -> Point:
        return self.x + self.width / 2, self.y + self.height / 2

    @classmethod
    def around(cls, x: float, y: float, width: float, height: float) -> Place:
        """The rectangle of this size around a point."""
        return cls(x - width / 2, y - height / 2, width, height)

    def grown(self, by: float) -> Place:
        """The same with a margin around it, or without one if `by` is negative."""
        return Place(self.x - by, self.y - by, self.width + 2 * by, self.height + 2 * by)


class Diagram(Sheet):
    """A `Sheet` with shapes that are placed by pixels from the top left corner."""

    def __init__(self, width: float, height: float, alt: str, *, dark: bool = False) -> None:
        self.theme = DARK if dark else LIGHT
        self.width, self.height = width, height
        super().__init__(width, height, alt, paper=self.theme.paper, colours=STORED_COLOURS)
        self.plane = self.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        self.plane.set_axis_off()

    def box(self, place: Place, part: str = "plain", **style: Any) -> None:
        """A box with round corners in the colours of a part."""
        style = {"fc": self.theme.faces[part], "ec": self.theme.edges[part], "lw": 1.1, **style}
        kind = f"round,pad=0,rounding_size={style.pop('corner', CORNER)}"
        self.plane.add_patch(FancyBboxPatch(place[:2], *place[2:], boxstyle=kind, **style))

    def shape(self, points: Sequence[Point], part: str, **style: Any) -> None:
        """An area between `points` in the colours of a part."""
        style = {"fc": self.theme.faces[part], "ec": self.theme.edges[part], "lw": 1.1, **style}
        self.plane.add_patch(Polygon(points, joinstyle="round", **style))

    def write(
        self,
        x: float,
        y: float,
        *lines: str,
        size: float = 9,
        bold: bool = False,
        colour: str | None = None,
        ha: str = "center",
        **style: Any,
    ) -> None:
        """Lines of text around a point; `size` is in points, `bold` is for the first line."""
        pitch = LINE_HEIGHT * size / POINTS
        for i, line in enumerate(lines):
            at = y + pitch * (i - (len(lines) - 1) / 2)
            weight = "bold" if bold and i == 0 else "normal"
            shown = {"ha": ha, "va": "center_baseline", "color": colour or self.theme.ink} | style
            self.plane.text(x, at, line, size=size, weight=weight, parse_math=False, **shown)

    def note(self, x: float, y: float, *lines: str, size: float = 8.5, **style: Any) -> None:
        """Lines of small, faint text around a point."""
        self.write(x, y, *lines, size=size, colour=self.theme.faint, **style)

    def width_of(self, text: str, size: float = 9, *, bold: bool = False) -> float:
        """How many pixels of the screen a line of text takes."""
        line = self.text(0, 0, text, size=size, weight="bold" if bold else "normal")
        line.set_parse_math(False)
        width = line.get_window_extent().width / SHARPNESS
        line.remove()
        return width

    def wrapped(self, text: str, width: float, most: int, size: float = 9) -> list[str]:
        """`text` in at most `most` lines of `width` pixels, the last with dots if it is longer."""
        lines: list[str] = [""]
        for word in text.split():
            longer = f"{lines[-1]} {word}".strip()
            if lines[-1] and self.width_of(longer, size) > width:
                lines.append(word)
            else:
                lines[-1] = longer
        if len(lines) > most:
            lines = [*lines[: most - 1], " ".join(lines[most - 1 :])]
        return [self.shortened(line, width, size) for line in lines]

    def shortened(self, text: str, width: float, size: float = 9) -> str:
        """`text`, or as much of its beginning as fits `width` pixels, and dots."""
        if self.width_of(text, size) <= width:
            return text
        fits = 0
        while self.width_of(f"{text[: fits + 1]}…", size) <= width:
            fits += 1
        return f"{text[:fits].rstrip(' ,')}…"

    def arrow(self, *points: Point, part: str = "plain", width: float = 1.6, **style: Any) -> None:
        """A line through `points` with round corners, and a head at the last of them."""
        usual: dict[str, Any] = {"color": self.theme.edges[part], "lw": width, "capstyle": "round"}
        usual |= {"arrowstyle": "-|>", "mutation_scale": 7 + 2.5 * width, "joinstyle": "round"}
        usual |= {"shrinkA": 0, "shrinkB": 0}
        self.plane.add_patch(FancyArrowPatch(path=_rounded(points), **{**usual, **style}))

    def diamonds(self, x: float, y: float, count: int, *, pitch: float = 13) -> None:
        """`count` marks for cross-attention from x on, to the right or with a negative `pitch`."""
        xs = [x + pitch * i for i in range(count)]
        style: dict[str, Any] = {"color": self.theme.edges["text"], "mec": self.theme.ink}
        self.plane.plot(xs, [y] * count, "D", ms=6, mew=0.6, zorder=5, **style)

    def image(self, array: np.ndarray, place: Place, **style: Any) -> None:
        """An array as an image with a thin frame, over what was drawn before it."""
        depth = 2 + len(self.plane.images) / 100
        room = SHARPNESS * np.array([place.height, place.width])
        enlarged = (room >= 1.9 * np.array(array.shape[:2])).all()
        shown = {"interpolation": "nearest" if enlarged else "antialiased", "aspect": "auto"}
        extent = (place.x, place.right, place.bottom, place.y)
        self.plane.imshow(array, extent=extent, zorder=depth, **shown | style)
        self.box(place, fc="none", lw=0.7, corner=0.5, zorder=depth)

    def numbers(
        self,
        values: np.ndarray,
        place: Place,
        *,
        limit: float = LATENT_LIMIT,
        colours: Colormap = SIGNED,
    ) -> None:
        """Numbers (h, w) as colours from -`limit` to `limit`: white is 0.

        Where there is no room for all of them some are left out, as a mean would be paler; and
        cells of one colour make a small file.
        """
        style: dict[str, Any] = {"cmap": colours, "vmin": -limit, "vmax": limit}
        self.image(values, place, interpolation="nearest", **style)

    def latents(self, channels: np.ndarray, place: Place, gap: float = 2) -> None:
        """The channels (C, h, w) of a latent, in two rows."""
        columns = -(-len(channels) // 2)
        width, height = (place.width + gap) / columns - gap, (place.height + gap) / 2 - gap
        for i, channel in enumerate(channels):
            row, column = divmod(i, columns)
            corner = place.x + column * (width + gap), place.y + row * (height + gap)
            self.numbers(channel, Place(*corner, width, height))


def _rounded(points: Sequence[Point]) -> Path:
    """The path through points, with round corners."""
    steps = list(_turns(np.asarray(points, dtype=float)))
    return Path([at for at, _ in steps], [code for _, code in steps])


def _turns(points: np.ndarray) -> Iterator[tuple[np.ndarray, Any]]:
    yield points[0], Path.MOVETO
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        back, on = before - corner, after - corner
        radius = min(CORNER, np.linalg.norm(back) / 2, np.linalg.norm(on) / 2)
        yield corner + radius * back / np.linalg.norm(back), Path.LINETO
        yield corner, Path.CURVE3
        yield corner + radius * on / np.linalg.norm(on), Path.CURVE3
    yield points[-1], Path.LINETO
