"""Pictures side by side: in reading order, as a filmstrip, as a labelled grid."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..util.images import Images, to_arrays
from .sheet import (
    FAINT,
    MARGIN,
    PAGE_WIDTH,
    Sheet,
    Table,
    as_texts,
    cell_size,
    draw,
    text_band,
    wrap,
    write,
)

__all__ = ["checked_columns", "filmstrip", "grid", "show"]

LONGEST_ROW = 6  # pictures, unless `columns` says otherwise
LABEL_WIDTH, ARROW_HEIGHT = 104, 16


def show(
    images: Images,
    titles: Iterable[object] | None = None,
    *,
    columns: int | None = None,
    size: float | None = None,
    alt: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Pictures in reading order, each `size` pixels wide, under their `titles`.

    Without `columns` at most six stand in a row; without `alt` the titles are the alternative
    text. `ax` takes one picture and draws it on an axes of your own, whose figure is returned.

    Raises `ValueError` when something is no picture (see `to_arrays`), when titles and pictures
    differ in number, or when a length is out of range.
    """
    arrays = to_arrays(images)
    texts = as_texts(titles, "titles", len(arrays))
    if ax is not None:
        if len(arrays) != 1:
            raise ValueError(f"images must be one picture when ax is given; got {len(arrays)}")
        return draw(ax, arrays[0], texts[0])
    columns = checked_columns(columns, len(arrays))
    width, height = cell_size(arrays, columns, size)
    table = Table(len(arrays), columns, width, height, band=text_band(texts, width))
    return _fill(table, arrays, texts, alt or _describe(texts, arrays))


def filmstrip(
    images: Images,
    titles: Iterable[object] | None = None,
    *,
    size: float | None = None,
    alt: str | None = None,
) -> Figure:
    """Pictures in one row, close together, above an arrow from the first to the last.

    Arguments and errors are those of `show`.
    """
    arrays = to_arrays(images)
    texts = as_texts(titles, "titles", len(arrays))
    width, height = cell_size(arrays, len(arrays), size)
    band = text_band(texts, width)
    table = Table(
        len(arrays), len(arrays), width, height, gap=2, band=band, foot=ARROW_HEIGHT + MARGIN
    )
    sheet = _fill(table, arrays, texts, alt or f"In order: {_describe(texts, arrays)}")
    left, top, _, _ = table.cell(0)
    page_width, _ = table.page
    arrow = sheet.place(left, top + height, page_width - 2 * MARGIN, ARROW_HEIGHT)
    arrow.annotate("", (1, 0.5), (0, 0.5), arrowprops={"arrowstyle": "->", "color": FAINT})
    return sheet


def grid(
    images: Images,
    *,
    rows: Sequence[object],
    columns: Sequence[object],
    size: float | None = None,
    alt: str | None = None,
) -> Figure:
    """Pictures row by row, with a label for each of the `rows` and `columns`.

    Raises `ValueError` as `show` does, and when there are not rows x columns pictures.
    """
    arrays = to_arrays(images)
    sides, heads = as_texts(rows, "rows", len(rows)), as_texts(columns, "columns", len(columns))
    if len(arrays) != len(sides) * len(heads):
        wanted = f"{len(sides)} rows x {len(heads)} columns"
        raise ValueError(f"images must be as many as {wanted}; got {len(arrays)}")
    width, height = cell_size(arrays, len(heads), size, PAGE_WIDTH - LABEL_WIDTH)
    head = text_band(heads, width)
    table = Table(len(arrays), len(heads), width, height, left=LABEL_WIDTH, head=head)
    names = f"Rows: {'; '.join(sides)}. Columns: {'; '.join(heads)}."
    texts = heads + [""] * (len(arrays) - len(heads))
    sheet = _fill(table, arrays, texts, alt or f"A grid of {len(arrays)} pictures. {names}")
    for row, text in enumerate(sides):
        label = sheet.place(0, table.cell(row * len(heads))[1], LABEL_WIDTH, height)
        write(label, 0.92, 0.5, wrap(text, LABEL_WIDTH - 16), ha="right", va="center")
    return sheet


def checked_columns(columns: int | None, count: int) -> int:
    """`columns`, or those that spread `count` pictures evenly; no more than there are pictures.

    Raises `ValueError` for less than one.
    """
    if columns is None:
        return math.ceil(count / math.ceil(count / LONGEST_ROW))
    if columns < 1:
        raise ValueError(f"columns must be at least 1; got {columns}")
    return min(columns, count)


def _fill(table: Table, arrays: list[np.ndarray], texts: list[str], alt: str) -> Sheet:
    sheet = Sheet(*table.page, alt)
    for i, (array, text) in enumerate(zip(arrays, texts, strict=True)):
        draw(sheet.place(*table.cell(i)), array, text)
    return sheet


def _describe(texts: list[str], arrays: list[np.ndarray]) -> str:
    """Alternative text: how many pictures, and their titles where they have any."""
    count = "one picture" if len(arrays) == 1 else f"{len(arrays)} pictures"
    if any(texts):
        return f"{count}: {'; '.join(text or 'untitled' for text in texts)}"
    height, width = arrays[0].shape[:2]
    return f"{count} of {width} by {height} pixels"
