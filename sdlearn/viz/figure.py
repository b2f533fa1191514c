"""The page that figures are drawn on: `Sheet`, cells of whole pixels on it, and its texts.

matplotlib's constrained layout finds room for every text; it is run once, and what it places stays
where it is. Lengths are pixels of the screen.
"""

from __future__ import annotations

import base64
import io
import textwrap
from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.transforms import Bbox
from PIL import Image
from PIL.PngImagePlugin import PngInfo

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
GAP = 8  # between neighbours, and half of it around the page
LETTER = 6.8  # pixels, in a text of 9 points
TEXT: dict[str, Any] = {"fontsize": 9, "color": INK, "parse_math": False}  # `$` is a plain sign
LARGE = TEXT | {"fontsize": 10}


class Sheet(Figure):
    """A `Figure` of `width` x `height` that a notebook shows as one PNG with `alt` text.

    Draw on it as on any other: `ax = Sheet(600, 300, alt="...").add_subplot()`. Pyplot does not
    know of it, so it is shown once and needs no closing. With `colours`, at most 256, it is stored
    with a palette of so many, which takes half of the bytes; of a chart, it changes no more than
    the edges of letters.
    """

    def __init__(
        self,
        width: float,
        height: float,
        alt: str,
        *,
        colours: int | None = None,
        paper: str = "white",
    ) -> None:
        inches = (width / SCREEN_DPI, height / SCREEN_DPI)
        super().__init__(figsize=inches, dpi=SHARPNESS * SCREEN_DPI, facecolor=paper)
        self.alt = alt
        self.colours = colours

    def fit_cells(self, columns: int, width: float, height: float, *, gap: float = GAP) -> Sheet:
        """Resize the page until its subplots, in rows of `columns`, have this size; return it.

        They lie on whole pixels, so that an enlarged image keeps all its pixels equal.
        """
        grid = np.array([columns, -(-len(self.axes) // columns)])
        cell = SHARPNESS * np.array([width, height])
        lay_out(self, gap)
        for _ in range(3):  # a colour bar is as wide as its cell makes it, so once is not enough
            page, box = self.get_size_inches() * self.dpi, self.axes[0].get_position(original=True)
            missing = cell - page * [box.width, box.height]
            if np.abs(missing).max() <= 1:
                break
            pixels = np.ceil((page + grid * missing) / SHARPNESS - 0.01)  # 0.01: rounding errors
            self.set_size_inches(*(pixels / SCREEN_DPI))
            lay_out(self, gap)
        for ax in self.axes:
            corner = np.round(self.transFigure.transform(ax.get_position(original=True).p0))
            ax.set_position(Bbox([corner, corner + cell]).transformed(self.transFigure.inverted()))
        return self

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
        canvas = FigureCanvasAgg(self)
        canvas.draw()
        image = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])  # no alpha: smaller
        if self.colours:
            how = Image.Quantize.MEDIANCUT
            image = image.quantize(self.colours, how, dither=Image.Dither.NONE)
        note, file = PngInfo(), io.BytesIO()
        note.add_text("Description", self.alt)
        image.save(file, format="PNG", optimize=True, pnginfo=note)
        width = round(self.get_figwidth() * SCREEN_DPI)
        return (
            {"image/png": base64.b64encode(file.getvalue()).decode(), "text/plain": self.alt},
            {"image/png": {"alt": self.alt, "width": width}},
        )


def lay_out(figure: Figure, gap: float = GAP) -> None:
    """Move the subplots so that all texts fit, with `gap` pixels between neighbours."""
    pad = gap / 2 / SCREEN_DPI
    ConstrainedLayoutEngine(w_pad=pad, h_pad=pad, wspace=0, hspace=0).execute(figure)


def figure_of(ax: Axes) -> Figure:
    """The whole figure of an axes, also of one within a subfigure."""
    return ax.figure if isinstance(ax.figure, Figure) else ax.figure.figure


def set_title(figure: Figure, title: str, width: float) -> None:
    """A title in bold letters at the page's left edge, wrapped to `width`."""
    if title:
        lines = wrap(title, 0.72 * width)  # 0.72: bold and larger
        figure.suptitle(lines, x=0.01, ha="left", weight="bold", **LARGE)


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
