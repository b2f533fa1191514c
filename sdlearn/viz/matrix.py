"""A table of numbers as coloured cells, its rows and columns named by words or by images.

The colours are cividis, which looks the same to readers with and without a common form of colour
blindness (Nuñez et al. 2018, doi 10.1371/journal.pone.0199239).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from PIL import Image, ImageOps

from ..util.images import Images, to_arrays
from .figure import GAP, INK, LETTER, PAGE_WIDTH, TEXT, Sheet, as_texts, set_title, wrap
from .images import BAR_ROOM, colour_bar
from .values import MINUS, format_number, to_numbers

COLOURS = colormaps["cividis"]
NUMBER_FONT, NUMBER_LETTER = 10, 8.5  # points; pixels of a digit
LINE_HEIGHT = 15  # pixels
LOW_CELL, WIDE_CELL = 34, 96
THUMBNAIL, AROUND = 64, 6
NAME_WIDTH, NAME_HEIGHT = 170, 150  # of a name in a row, and of one that stands upright
MOST_NAMED = 12  # rows that the alternative text speaks of one by one


def matrix(
    values: Any,
    *,
    rows: Sequence[object] | None,
    columns: Sequence[object] | None,
    digits: int | None = 2,
    column_images: Images | None = None,
    row_images: Images | None = None,
    title: str = "",
    alt: str | None = None,
) -> Figure:
    """Numbers (R, C) as coloured cells, lighter for higher, each with `digits` decimals.

    `rows` and `columns` name them; images stand as thumbnails beside the names, or alone where
    the names are None. `digits=None` writes no numbers and shows a colour bar.

    Raises `ValueError` for another shape, for names or images that differ in number, and when
    the numbers of all columns do not fit on a page.
    """
    numbers = to_numbers(values, "values", (2,))
    if digits is not None and not 0 <= digits <= 6:
        raise ValueError(f"digits must lie in 0..6, or be None; got {digits}")
    height, width = numbers.shape
    sides, heads = as_texts(rows, "rows", height), as_texts(columns, "columns", width)
    beside = _thumbnails(row_images, "row_images", height)
    above = _thumbnails(column_images, "column_images", width)
    alt = alt or _describe(numbers, sides, heads, title)
    texts = _written(numbers, digits)
    sides = [wrap(text, NAME_WIDTH) for text in sides]
    left = 2 * GAP + LETTER * max(len(line) for text in sides for line in text.split("\n"))
    left += THUMBNAIL + AROUND if beside else 0
    room = PAGE_WIDTH - left - (BAR_ROOM if digits is None else GAP)
    cell = _cell_width(texts, heads, room / width, THUMBNAIL + AROUND if above else 0)
    lines = LINE_HEIGHT * max(text.count("\n") + 1 for text in sides) + 4
    low = max(cell if digits is None else LOW_CELL, lines, THUMBNAIL + AROUND if beside else 0)
    upright = _longest_word(heads) > cell
    heads = [wrap(text, NAME_HEIGHT if upright else cell) for text in heads]
    sheet = Sheet(PAGE_WIDTH, PAGE_WIDTH, alt)
    ax = sheet.add_subplot()
    _draw_cells(ax, numbers, texts, width * cell)
    _name(ax.yaxis, sides, beside, THUMBNAIL)
    ax.xaxis.tick_top()
    _name(ax.xaxis, heads, above, min(THUMBNAIL, cell - AROUND), rotation=90 if upright else 0)
    set_title(sheet, title, left + width * cell)
    return sheet.fit_cells(1, width * cell, height * low)


def _thumbnails(images: Images | None, name: str, count: int) -> list[np.ndarray]:
    arrays = [] if images is None else to_arrays(images)
    if arrays and len(arrays) != count:
        raise ValueError(f"{name} must be one for each of {count}; got {len(arrays)}")
    return arrays


def _written(numbers: np.ndarray, digits: int | None) -> list[list[str]]:
    """The number of each cell as text; empty texts where `digits` is None."""
    if digits is None:
        return [[""] * numbers.shape[1]] * numbers.shape[0]
    rounded = numbers.round(digits) + 0.0  # -0.0 is 0
    return [[f"{number:,.{digits}f}".replace("-", MINUS) for number in row] for row in rounded]


def _longest_word(texts: Sequence[str]) -> float:
    """Pixels of the longest word, which cannot be wrapped."""
    return LETTER * max((len(word) for text in texts for word in text.split()), default=0)


def _cell_width(texts: list[list[str]], heads: Sequence[str], room: float, thumbnail: float) -> int:
    """Pixels of a cell: as its number needs, and more for an image or a word, if there is room."""
    longest = max(len(text) for row in texts for text in row)
    least = longest * NUMBER_LETTER + 10 if longest else 4
    if room < least:
        came = f"{len(heads)}: give digits=None to leave the numbers out"
        most = int(room * len(heads) / least)
        raise ValueError(f"columns must be at most {most} for numbers to fit; got {came}")
    wanted = max(least, LOW_CELL, min(_longest_word(heads) + 4, WIDE_CELL), thumbnail)
    return int(min(wanted, room))


def _draw_cells(ax: Axes, numbers: np.ndarray, texts: list[list[str]], width: float) -> None:
    low, high = float(numbers.min()), float(numbers.max())
    norm = Normalize(low, high if high > low else low + 1)
    colours = COLOURS(norm(numbers))[..., :3]
    ax.imshow(colours, aspect="auto", interpolation="nearest")
    ax.spines[:].set_visible(False)
    if not texts[0][0]:
        colour_bar(ax, width, ScalarMappable(norm, COLOURS))
        return
    style: Any = {"ha": "center", "va": "center", "fontsize": NUMBER_FONT, "in_layout": False}
    for row, column in np.ndindex(numbers.shape):
        light = colours[row, column] @ (0.299, 0.587, 0.114) > 0.5
        ax.text(column, row, texts[row][column], color=INK if light else "white", **style)


def _name(
    axis: Axis, names: Sequence[str], images: Sequence[np.ndarray], size: int, rotation: float = 0
) -> None:
    """Names of rows or columns, with thumbnails of `size` pixels between them and the cells."""
    pad = 0.75 * AROUND  # points
    axis.set_ticks(range(len(names)), names, rotation=rotation, **TEXT)
    axis.set_tick_params(length=0, pad=2 * pad + 0.75 * size if images else pad)
    for i, array in enumerate(images):
        method = Image.Resampling.NEAREST if 2 * size >= array.shape[1] else Image.Resampling.BOX
        image = ImageOps.contain(Image.fromarray(array), (2 * size, 2 * size), method)
        shown = OffsetImage(np.asarray(image), zoom=0.375)  # each pixel is one that is stored
        style: Any = {"boxcoords": "offset points", "frameon": False, "pad": 0}
        if isinstance(axis, XAxis):
            coords = axis.axes.get_xaxis_transform()
            box = AnnotationBbox(shown, (i, 1), (0, pad), coords, box_alignment=(0.5, 0), **style)
        else:
            coords = axis.axes.get_yaxis_transform()
            box = AnnotationBbox(shown, (0, i), (-pad, 0), coords, box_alignment=(1, 0.5), **style)
        axis.axes.add_artist(box)


def _describe(numbers: np.ndarray, sides: list[str], heads: list[str], title: str) -> str:
    """Alternative text: what the table holds, and each row's highest number."""
    height, width = numbers.shape
    extent = f"from {format_number(numbers.min())} to {format_number(numbers.max())}"
    parts = [f"{title or 'a table'}: {height} rows, {width} columns, {extent}."]
    for i, row in enumerate(numbers[:MOST_NAMED]):
        at = int(row.argmax())
        name, best = sides[i] or f"row {i + 1}", heads[at] or f"column {at + 1}"
        parts.append(f"{name}: highest at {best}, {format_number(row[at])}.")
    return " ".join(parts)
