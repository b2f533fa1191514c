"""Pictures side by side on one page, with Pillow alone: quick to import, no figure needed."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

__all__ = ["tile"]

GAP = 2  # pixels of white between pictures


def tile(images: Sequence[Image.Image], columns: int) -> Image.Image:
    """Pictures of one size in rows of `columns`, on white.

    Raises `ValueError` when there is no picture or `columns` is below 1.
    """
    if not images or columns < 1:
        raise ValueError(
            f"tile needs pictures and at least one column; got {len(images)} and {columns}"
        )
    width, height = images[0].size
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    page = Image.new("RGB", (columns * (width + GAP) - GAP, rows * (height + GAP) - GAP), "white")
    for i, image in enumerate(images):
        page.paste(image, ((i % columns) * (width + GAP), (i // columns) * (height + GAP)))
    return page
