"""The page that figures are drawn on: `Sheet`, the places on it, and text that fits.

Lengths are pixels of the screen, counted from the top left. Axes lie on whole pixels, so that an
enlarged picture keeps all its pixels equal.
"""

from __future__ import annotations

import base64
import io
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo

__all__ = [
    "FAINT",
    "FONT",
    "INK",
    "MARGIN",
    "PAGE_WIDTH",
    "PALETTE",
    "Sheet",
    "Table",
    "as_texts",
    "cell_size",
    "draw",
    "text_band",
    "title",
    "wrap",
    "write",
]

# orange, sky blue, green, yellow, blue, vermilion, purple, black: Okabe and Ito (2008), told
# apart by readers with any common form of colour blindness
PALETTE = (
    *("#E69F00", "#56B4E9", "#009E73", "#F0E442"),
    *("#0072B2", "#D55E00", "#CC79A7", "#000000"),
)
INK, FAINT = "#222222", "#6B6B6B"

SCREEN_DPI = 96
SHARPNESS = 2  # pixels stored for each pixel of the screen
PAGE_WIDTH = 840  # what a notebook shows without scaling down
SIZES = (256, 192, 128, 96, 64, 32)  # widths at which 128 pixels are enlarged evenly, or nearly
MARGIN, GAP = 4, 8
FONT, LINE_HEIGHT, LETTER = 9, 15, 6.8  # points; pixels of a line and of a letter


class Sheet(Figure):
    """A `Figure` of `width` x `height` that a notebook shows as one PNG with `alt` text.

    Draw on it as on any other: `ax = Sheet(600, 300, alt="...").add_subplot()`. Pyplot does not
    know of it, so it is shown once and needs no closing. A chart, with `few_colours`, is stored
    with a palette, which takes half of the bytes and changes no more than the edges of letters.
    """

    def __init__(self, width: float, height: float, alt: str, *, few_colours: bool = False) -> None:
        inches = (width / SCREEN_DPI, height / SCREEN_DPI)
        super().__init__(figsize=inches, dpi=SHARPNESS * SCREEN_DPI, facecolor="white")
        self.alt = alt
        self.few_colours = few_colours

    def place(self, left: float, top: float, width: float, height: float) -> Axes:
        """An empty axes without ticks or frame at this place."""
        page_width, page_height = self.get_size_inches() * SCREEN_DPI
        bottom = page_height - top - height
        box = (left / page_width, bottom / page_height, width / page_width, height / page_height)
        ax = self.add_axes(box)
        ax.set_axis_off()
        return ax

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, str], dict[str, dict[str, object]]]:
        canvas = FigureCanvasAgg(self)
        canvas.draw()
        image = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])  # no alpha: smaller
        if self.few_colours:
            image = image.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        note, file = PngInfo(), io.BytesIO()
        note.add_text("Description", self.alt)
        image.save(file, format="PNG", optimize=True, pnginfo=note)
        width = round(self.get_figwidth() * SCREEN_DPI)
        return (
            {"image/png": base64.b64encode(file.getvalue()).decode(), "text/plain": self.alt},
            {"image/png": {"alt": self.alt, "width": width}},
        )


@dataclass(frozen=True)
class Table:
    """Where equal cells lie on a page: rows of `columns`, with room for text around them."""

    count: int
    columns: int
    width: float
    height: float
    gap: float = GAP
    left: float = MARGIN
    right: float = MARGIN
    head: float = 0  # above the first row
    band: float = 0  # above every row
    foot: float = MARGIN  # below the last row

    @property
    def page(self) -> tuple[float, float]:
        """Width and height of the whole page."""
        left, top, width, height = self.cell(self.columns - 1)
        rows = -(-self.count // self.columns)
        bottom = top + height + (rows - 1) * self._pitch
        return left + width + self.right, bottom + self.foot

    def cell(self, index: int) -> tuple[float, float, float, float]:
        """Left, top, width and height of a cell, counted in reading order from 0."""
        row, column = divmod(index, self.columns)
        left = self.left + column * (self.width + self.gap)
        return left, self.head + self.band + row * self._pitch, self.width, self.height

    @property
    def _pitch(self) -> float:
        return self.band + self.height + self.gap


def cell_size(
    arrays: Sequence[np.ndarray], columns: int, size: float | None, room: float = PAGE_WIDTH
) -> tuple[float, float]:
    """Width and height of the cells that hold `arrays`; without `size`, as large as fits `room`."""
    if size is not None and not 1 <= size <= 4096:
        raise ValueError(f"size must be a number of pixels from 1 to 4096; got {size}")
    fitting = (width for width in SIZES if columns * width <= room)
    width = next(fitting, SIZES[-1]) if size is None else size
    return width, round(width * max(array.shape[0] / array.shape[1] for array in arrays))


def text_band(texts: Sequence[str], width: float) -> float:
    """Height that the longest of `texts` needs when wrapped to `width`, with a margin."""
    lines = max(wrap(text, width).count("\n") + 1 if text else 0 for text in texts)
    return lines * LINE_HEIGHT + MARGIN


def wrap(text: str, width: float) -> str:
    """`text` broken into lines of at most `width`."""
    return textwrap.fill(text, max(4, int(width / LETTER)))


def as_texts(values: Iterable[object] | None, name: str, count: int) -> list[str]:
    """One text for each of `count` things; empty ones when `values` is None."""
    if values is None:
        return [""] * count
    is_list = isinstance(values, Iterable) and not isinstance(values, str)
    texts = [str(value) for value in values] if is_list else []
    if not is_list or len(texts) != count:
        kind = "text" if isinstance(values, str) else type(values).__name__
        came = str(len(texts)) if is_list else f"the {kind} {values!r}"
        raise ValueError(f"{name} must be a list with one text for each of {count}; got {came}")
    return texts


def write(ax: Axes, x: float, y: float, text: str, **style: Any) -> None:
    """Text at a place within an axes, 0 to 1 from the bottom left; `$` is an ordinary sign."""
    style = {"fontsize": FONT, "color": INK, **style}
    ax.text(x, y, text, transform=ax.transAxes, parse_math=False, **style)


def title(ax: Axes, text: str, width: float) -> None:
    """Text above an axes, wrapped to `width`."""
    ax.set_title(wrap(text, width), fontsize=FONT, color=INK, pad=3, parse_math=False)


def draw(ax: Axes, array: np.ndarray, text: str = "") -> Figure:
    """One picture, uint8 (H, W, 3), on an axes; its pixels stay visible when it is enlarged."""
    box = ax.get_window_extent()
    enlarged = box.width >= 1.9 * array.shape[1]
    ax.imshow(array, interpolation="nearest" if enlarged else "antialiased")
    ax.set_axis_off()
    figure = ax.figure if isinstance(ax.figure, Figure) else ax.figure.figure
    title(ax, text, box.width / figure.dpi * SCREEN_DPI)
    return figure
