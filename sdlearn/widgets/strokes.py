"""The maths of painting on latents: a stroke, where it lies, and where it shows in the picture.

Left out: the explorer around it (`sdlearn.widgets.painter`), and squares that are no squares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Stroke", "area", "nearby", "paint"]

DIFFERENT = 2 / 255  # a change of colours below this, wherever it is greatest, is not seen


@dataclass(frozen=True)
class Stroke:
    """`amount` is added to a channel, everywhere or in a square of `size` times `size` cells.

    Channels, rows and columns count from 1, as on the page. `row` and `column` are those of the
    square's upper left cell; what of it lies outside does nothing. `size` 0 is everywhere.
    """

    channel: int
    amount: float
    row: int = 1
    column: int = 1
    size: int = 0

    def __str__(self) -> str:
        place = f"{self.size} x {self.size} cells from row {self.row}, column {self.column}"
        sign = "+" if self.amount >= 0 else "−"
        where = f"in {place}" if self.size else "everywhere"
        return f"channel {self.channel}, {sign}{abs(self.amount):g} {where}"


def paint(latents: Tensor, stroke: Stroke) -> Tensor:
    """`latents`, (B, C, h, w), with the stroke added; those that were given stay as they are.

    Raises `ValueError` for a stroke that lies outside.
    """
    limits = {"channel": (1, latents.shape[1]), "row": (1, latents.shape[2])}
    limits |= {"column": (1, latents.shape[3]), "size": (0, max(latents.shape[2:]))}
    for name, (low, high) in limits.items():
        if not low <= getattr(stroke, name) <= high:
            raise ValueError(f"{name} must lie in {low}..{high}; got {getattr(stroke, name)}")
    painted = latents.clone()
    painted[(slice(None), stroke.channel - 1, *area(stroke))] += stroke.amount
    return painted


def area(stroke: Stroke, margin: int = 0) -> tuple[slice, slice]:
    """The rows and the columns that a stroke changes, and `margin` cells around them."""
    if not stroke.size:
        return slice(None), slice(None)
    starts = (stroke.row - 1, stroke.column - 1)
    rows, columns = (slice(max(0, s - margin), s + stroke.size + margin) for s in starts)
    return rows, columns


def nearby(before: Image.Image, after: Image.Image, stroke: Stroke, cell: int) -> float | None:
    """Which share of the change lies in the stroke's square and one cell around it, 0..1.

    `cell` is the side of a cell in pixels. None where nothing to speak of has changed.
    """
    one, other = (np.asarray(picture, dtype=np.float32) / 255 for picture in (before, after))
    change = np.abs(one - other).mean(axis=2)  # (H, W)
    if change.max() < DIFFERENT:
        return None
    cells = change.reshape(change.shape[0] // cell, cell, -1, cell).sum(axis=(1, 3))  # (h, w)
    return float(cells[area(stroke, margin=1)].sum() / cells.sum())
