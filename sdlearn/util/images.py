"""Tensors as Pillow images, and images side by side on one page: quick to import, no figure needed.

Left out: figures with axes and labels (`sdlearn.viz`).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["tile", "to_pil"]

GAP = 2  # pixels of white between pictures


def to_pil(images: Tensor) -> list[Image.Image]:
    """Pictures (B, 3, H, W) in [0, 1] as Pillow images, rounded as diffusers rounds them."""
    if not images.isfinite().all():
        warnings.warn(
            "pixels that are no finite numbers are drawn black; half precision may be too narrow "
            "for this model: try float32",
            stacklevel=2,
        )
        images = images.nan_to_num(0, 0, 0)
    pixels = images.detach().cpu().permute(0, 2, 3, 1).float().numpy()
    return [Image.fromarray(picture) for picture in (pixels * 255).round().astype("uint8")]


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
