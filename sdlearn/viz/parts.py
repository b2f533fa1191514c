"""What the parts of the model pass on, as pictures: tokens and latent channels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from .sheet import (
    FAINT,
    FONT,
    INK,
    MARGIN,
    PAGE_WIDTH,
    Sheet,
    Table,
    as_texts,
    cell_size,
    text_band,
    title,
    write,
)
from .values import to_numbers

__all__ = ["channels", "tokens"]

LIMIT = 3  # latents of a trained model are scaled to a spread of about 1
WORD_END, MARK_START = "</w>", "<|"
MARK_COLOUR, WORD_COLOURS = "#E4E4E4", ("#FBE3B5", "#CDE8F8")  # pale orange, pale sky blue
LETTER_WIDTH, BOX_HEIGHT, BOX_PITCH, WORD_GAP = 7.3, 26, 54, 8


def channels(
    latents: Any,
    titles: Iterable[object] | None = None,
    *,
    size: float | None = None,
    alt: str | None = None,
) -> Figure:
    """The channels of one latent, (C, h, w) or (1, C, h, w), side by side as colours.

    White is 0, orange is below and purple above; the colours end at -3 and 3.
    Raises `ValueError` for another shape and for numbers that are not finite.
    """
    numbers = to_numbers(latents, "latents", (3, 4)).astype(np.float32)
    if numbers.ndim == 4 and len(numbers) != 1:
        shape = numbers.shape
        raise ValueError(f"latents must have shape (C, h, w) or (1, C, h, w); got {shape}")
    values = list(numbers.reshape(-1, *numbers.shape[-2:]))  # C times (h, w)
    texts = [f"channel {i + 1}" for i in range(len(values))]
    texts = texts if titles is None else as_texts(titles, "titles", len(values))
    width, height = cell_size(values, len(values), 128 if size is None else size)
    table = Table(
        len(values), len(values), width, height, right=52, band=text_band(texts, width), foot=10
    )
    sheet = Sheet(*table.page, alt or f"{len(values)} channels of numbers as coloured cells")
    for i, value in enumerate(values):
        _channel(sheet, table, i, value, texts[i])
    return sheet


def _channel(sheet: Sheet, table: Table, i: int, value: np.ndarray, text: str) -> None:
    ax = sheet.place(*table.cell(i))
    shown = ax.imshow(value, cmap="PuOr", vmin=-LIMIT, vmax=LIMIT, interpolation="nearest")
    title(ax, text, table.width)
    if i == table.count - 1:
        left, top, width, height = table.cell(i)
        bar = sheet.place(left + width + 12, top, 10, height)
        bar.set_axis_on()
        sheet.colorbar(shown, cax=bar, ticks=[-LIMIT, 0, LIMIT])
        bar.tick_params(labelsize=FONT, colors=INK)


@dataclass(frozen=True)
class _Box:
    text: str
    number: int
    colour: str
    left: float
    top: float
    width: float


def tokens(pieces: Sequence[str], ids: Sequence[int], *, alt: str | None = None) -> Figure:
    """The pieces that a tokenizer made of a text, as boxes with their ids below.

    `pieces` are as `tokenizer.convert_ids_to_tokens` gives them. Pieces of one word touch and
    share a colour (the last of a word ends in `</w>`); marks (`<|...|>`) are grey.
    Raises `ValueError` when pieces and ids differ in number or there are none.
    """
    if not len(pieces) or len(pieces) != len(ids):
        raise ValueError(f"pieces and ids must be as many; got {len(pieces)} and {len(ids)}")
    boxes = list(_boxes(pieces, ids))
    words = ", ".join(f"{box.text} {box.number}" for box in boxes)
    alt = alt or f"tokens, each with its id: {words}"
    page_width = max(box.left + box.width for box in boxes) + MARGIN
    sheet = Sheet(page_width, boxes[-1].top + BOX_PITCH, alt)
    for box in boxes:
        ax = sheet.place(box.left, box.top, box.width, BOX_HEIGHT)
        ax.set_axis_on()
        ax.set(xticks=[], yticks=[], facecolor=box.colour)
        write(ax, 0.5, 0.5, box.text, ha="center", va="center", family="monospace")
        write(ax, 0.5, -0.42, str(box.number), ha="center", va="center", color=FAINT)
    return sheet


def _boxes(pieces: Sequence[str], ids: Sequence[int]) -> Iterator[_Box]:
    """One box for each piece, from left to right and on to the next line where the page ends."""
    left, top, word = float(MARGIN), float(MARGIN), 0
    for piece, number in zip(pieces, ids, strict=True):
        mark = piece.startswith(MARK_START)
        text = piece.strip("<|>") if mark else piece.removesuffix(WORD_END)
        width = LETTER_WIDTH * max(len(text), len(str(number))) + 12
        if left + width > PAGE_WIDTH - MARGIN:
            left, top = float(MARGIN), top + BOX_PITCH
        colour = MARK_COLOUR if mark else WORD_COLOURS[word % 2]
        yield _Box(text, int(number), colour, left, top, width)
        ends = mark or piece.endswith(WORD_END)
        left, word = left + width + (WORD_GAP if ends else 0), word + ends
