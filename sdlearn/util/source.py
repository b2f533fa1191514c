"""The image that a run begins with, and the mask of what it makes anew, from whatever is given.

Left out: how the run uses them (`sdlearn.diffusion.editing`). Letters: B images, H W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from .checks import check_size
from .images import to_rgb, to_tensor

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Source", "read_source"]


@dataclass(frozen=True, eq=False)
class Source:
    """An image, or one for each seed, and what is to be made anew in it."""

    pixels: Tensor  # (B or 1, 3, H, W), float32 in [0, 1], in 256 levels
    mask: Tensor | None = None  # (1, 1, H, W), 1 where pixels are made anew; None is everywhere

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[-2], self.pixels.shape[-1]

    @property
    def masked_pixels(self) -> Tensor:
        """The pixels with grey under the mask: what a U-Net made for inpainting is shown."""
        return self.pixels if self.mask is None else self.pixels * (1 - self.mask) + 0.5 * self.mask

    def paste(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1], with the pixels of the source outside the mask."""
        if self.mask is None:
            return images
        return images.cpu().float().where(self.mask.bool(), self.pixels)


def read_source(
    image: Any,
    mask: Any = None,
    *,
    height: int | None = None,
    width: int | None = None,
    factor: int = 8,
) -> Source:
    """The source made of an image of any kind (see `to_rgb`), or of a list of them.

    It gets `height` and `width`, by default those of the image, rounded down to multiples of the
    autoencoder's `factor`. `mask` is an image of any kind: light is made anew, dark and transparent
    parts are kept. Raises `ValueError` for what is no image, for images of several sizes, and for a
    mask that marks nothing.

    >>> read_source(np.zeros((100, 131, 3)), np.ones((20, 20), bool)).size
    (96, 128)
    """
    if hasattr(image, "ndim") and image.ndim == 4:
        image = list(image)
    given = list(image) if isinstance(image, Sequence) and not isinstance(image, str) else [image]
    images = [to_rgb(each) for each in given]
    sizes = sorted({each.size for each in images})
    if len(sizes) != 1:
        raise ValueError(f"image must be one or several of one size; got {sizes or 'none'}")
    own_width, own_height = images[0].size
    height = own_height - own_height % factor if height is None else height
    width = own_width - own_width % factor if width is None else width
    height, width = check_size(height, width, factor)
    resized = [each.resize((width, height), Image.Resampling.LANCZOS) for each in images]
    return Source(to_tensor(resized), None if mask is None else read_mask(mask, height, width))


def read_mask(mask: Any, height: int, width: int) -> Tensor:
    """(1, 1, H, W) of zeros and ones: 1 wherever any of the mask's pixels there is light."""
    import torch

    light = np.asarray(to_rgb(mask, "mask", paper="black").convert("L")) >= 128
    if not light.any():
        raise ValueError("mask must be light where the image is to be made anew; it is all dark")
    # The mean over each pixel: a stroke that is thinner than a pixel remains.
    shares = Image.fromarray(light.astype(np.float32)).resize((width, height), Image.Resampling.BOX)
    return torch.from_numpy((np.asarray(shares) > 0).astype(np.float32))[None, None]
