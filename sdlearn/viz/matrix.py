"""A table of numbers as coloured cells, its rows and columns named by words or by pictures.

The colours are cividis, which looks the same to readers with and without a common form of colour
blindness (Nuñez et al. 2018, doi 10.1371/journal.pone.0199239).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ..util.images import Images, to_arrays
from .heat import BAR_ROOM, colour_bar
from .sheet import INK, LETTER, LINE_HEIGHT, MARGIN, PAGE_WIDTH, Sheet, as_texts, draw, wrap, write
from .values import MINUS, format_number, to_numbers

__all__ = ["matrix"]

COLOURS = colormaps["cividis"]
NUMBER_FONT, NUMBER_LETTER = 10, 8.5  # points; pixels of a digit
LOW_CELL, WIDE_CELL = 34, 96  # pixels
THUMBNAIL, AROUND = 64, 6
NAME_WIDTH, NAME_HEIGHT = 170, 150  # pixels of a name in a row, and of one that stands upright
MOST_NAMED = 12  # rows that the alternative text speaks of one by one


def matrix(
    values: Any,
    *,
    rows: Sequence[object] | None,
    columns: Sequence[object] | None,
    digits: int | None = 2,
    column_pictures: Images | None = None,
    row_pictures: Images | None = None,
    title: str = "",
    alt: str | None = None,
) -> Figure:
    """Numbers (R, C) as coloured cells, lighter for higher, each with `digits` decimals.

    `rows` and `columns` name them; pictures stand as thumbnails beside the names, or alone where
    the names are None. `digits=None` writes no numbers and shows a colour bar.

    Raises `ValueError` for another shape, for names or pictures that differ in number, and when
    the numbers of all columns do not fit on a page.
    """
    numbers = to_numbers(values, "values", (2,))
    if digits is not None and not 0 <= digits <= 6:
        raise ValueError(f"digits must lie in 0..6, or be None; got {digits}")
    sides = _Names(rows, row_pictures, "rows", numbers.shape[0])
    heads = _Names(columns, column_pictures, "columns", numbers.shape[1])
    texts = _written(numbers, digits)
    plan = _plan(texts, sides, heads, title, digits)
    sheet = Sheet(*plan.page, alt or _describe(numbers, sides.texts, heads.texts, title))
    _draw_cells(sheet, plan, numbers, texts)
    for i in range(len(sides.texts)):
        _draw_side(sheet, plan, sides, i)
    for i in range(len(heads.texts)):
        _draw_head(sheet, plan, heads, i)
    band = sheet.place(plan.left, MARGIN, plan.columns * plan.width, LINE_HEIGHT)
    write(band, 0, 0, title, va="bottom", weight="bold", fontsize=NUMBER_FONT)
    return sheet


class _Names:
    """What stands beside the rows, or above the columns: texts, thumbnails, or both."""

    def __init__(
        self, texts: Sequence[object] | None, pictures: Images | None, name: str, count: int
    ) -> None:
        self.texts = as_texts(texts, name, count)
        self.pictures = [] if pictures is None else to_arrays(pictures)
        if self.pictures and len(self.pictures) != count:
            came = len(self.pictures)
            raise ValueError(f"{name[:-1]}_pictures must be one for each of {count}; got {came}")

    def room(self, wrapped: float) -> float:
        """Pixels of the longest line of the texts when they are wrapped to `wrapped` pixels."""
        lines = [line for text in self.texts for line in wrap(text, wrapped).splitlines()]
        return LETTER * max(map(len, lines), default=0)

    def lines(self, wrapped: float) -> int:
        """Lines of the longest of the texts when they are wrapped to `wrapped` pixels."""
        return max(len(wrap(text, wrapped).splitlines()) for text in self.texts)

    @property
    def longest_word(self) -> float:
        """Pixels of the longest word, which cannot be wrapped."""
        return LETTER * max((len(word) for text in self.texts for word in text.split()), default=0)


@dataclass(frozen=True)
class _Plan:
    """Where everything lies, in pixels of the screen."""

    rows: int
    columns: int
    width: float  # of a cell
    height: float
    left: float  # of the first cell
    top: float
    right: float  # beside the last cell
    thumbnail: float  # above a column
    upright: bool  # names of columns read upwards

    @property
    def page(self) -> tuple[float, float]:
        across, down = self.columns * self.width, self.rows * self.height
        return self.left + across + self.right, self.top + down + 2 * MARGIN


def _plan(
    texts: list[list[str]], sides: _Names, heads: _Names, title: str, digits: int | None
) -> _Plan:
    rows, columns = len(sides.texts), len(heads.texts)
    beside = THUMBNAIL + AROUND if sides.pictures else 0
    left = MARGIN + sides.room(NAME_WIDTH) + 2 * MARGIN + beside
    right = BAR_ROOM if digits is None else 2 * MARGIN
    width = _cell_width(texts, heads, (PAGE_WIDTH - left - right) / columns)
    height = max(width if digits is None else LOW_CELL, LINE_HEIGHT * sides.lines(NAME_WIDTH) + 4)
    upright = heads.longest_word > width
    named = heads.room(NAME_HEIGHT) if upright else LINE_HEIGHT * heads.lines(width)
    thumbnail = min(THUMBNAIL, width - AROUND) if heads.pictures else 0
    top = 2 * MARGIN + (LINE_HEIGHT + MARGIN if title else 0) + named + MARGIN
    top += thumbnail + AROUND if thumbnail else 0
    height = max(height, beside)
    return _Plan(rows, columns, width, height, left, top, right, thumbnail, upright)


def _cell_width(texts: list[list[str]], heads: _Names, room: float) -> float:
    """Pixels of a cell: as its number needs, and more for a picture or a word, if there is room."""
    longest = max(len(text) for row in texts for text in row)
    least = longest * NUMBER_LETTER + 10 if longest else 4
    if room < least:
        most = int(room * len(heads.texts) / least)
        raise ValueError(
            f"columns must be at most {most} for numbers to fit; got {len(heads.texts)}: "
            "give digits=None to leave the numbers out"
        )
    wanted = max(least, LOW_CELL, min(heads.longest_word + 4, WIDE_CELL))
    wanted = max(wanted, THUMBNAIL + AROUND if heads.pictures else 0)
    return min(wanted, room)


def _written(numbers: np.ndarray, digits: int | None) -> list[list[str]]:
    """The number of each cell as text; empty texts where `digits` is None."""
    if digits is None:
        return [[""] * numbers.shape[1]] * numbers.shape[0]
    rounded = numbers.round(digits) + 0.0  # -0.0 is 0
    return [[f"{number:,.{digits}f}".replace("-", MINUS) for number in row] for row in rounded]


def _draw_cells(sheet: Sheet, plan: _Plan, numbers: np.ndarray, texts: list[list[str]]) -> None:
    box = (plan.left, plan.top, plan.columns * plan.width, plan.rows * plan.height)
    ax = sheet.place(*box)
    low, high = float(numbers.min()), float(numbers.max())
    norm = Normalize(low, high if high > low else low + 1)
    colours = COLOURS(norm(numbers))[..., :3]
    ax.imshow(colours, aspect="auto", interpolation="nearest")
    for (row, column), colour in zip(
        np.ndindex(numbers.shape), colours.reshape(-1, 3), strict=True
    ):
        ink = INK if colour @ (0.299, 0.587, 0.114) > 0.5 else "white"
        place: dict[str, Any] = {"ha": "center", "va": "center"}
        ax.text(column, row, texts[row][column], fontsize=NUMBER_FONT, color=ink, **place)
    if not texts[0][0]:
        colour_bar(sheet, (box[0] + box[2], plan.top, box[3]), norm, COLOURS)


def _draw_side(sheet: Sheet, plan: _Plan, sides: _Names, row: int) -> None:
    top = plan.top + row * plan.height
    right = plan.left - 2 * MARGIN
    if sides.pictures:
        edge = top + (plan.height - THUMBNAIL) / 2
        right -= THUMBNAIL
        draw(sheet.place(right + MARGIN, edge, THUMBNAIL, THUMBNAIL), sides.pictures[row])
        right -= AROUND
    label = sheet.place(MARGIN, top, right - MARGIN, plan.height)
    write(label, 1, 0.5, wrap(sides.texts[row], NAME_WIDTH), ha="right", va="center")


def _draw_head(sheet: Sheet, plan: _Plan, heads: _Names, column: int) -> None:
    left = plan.left + column * plan.width
    bottom = plan.top - MARGIN
    if heads.pictures:
        bottom -= plan.thumbnail
        edge = left + (plan.width - plan.thumbnail) / 2
        draw(sheet.place(edge, bottom, plan.thumbnail, plan.thumbnail), heads.pictures[column])
        bottom -= AROUND
    label = sheet.place(left, MARGIN, plan.width, bottom - MARGIN)
    text = wrap(heads.texts[column], NAME_HEIGHT if plan.upright else plan.width)
    write(label, 0.5, 0, text, ha="center", va="bottom", rotation=90 if plan.upright else 0)


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
