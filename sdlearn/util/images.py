"""Images of every kind this package takes, made into one kind: Pillow images, arrays or a tensor.

Quick to import: torch is loaded only when it is needed. What is out of shape or out of range is
refused rather than repaired: a latent drawn as if it were an image teaches something false. Left
out: figures with axes and labels (`sdlearn.viz`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import Image, ImageOps

from .checks import TOLERANCE, check_images

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Images", "tile", "to_arrays", "to_pil", "to_rgb", "to_tensor", "turn"]

Images: TypeAlias = "Tensor | np.ndarray | Image.Image | Iterable[Any]"

WHITE_OF_16_BITS = 65535
GAP = 2  # pixels of white between the images of a page


def to_pil(images: Tensor) -> list[Image.Image]:
    """Images (B, 3, H, W) in [0, 1] as Pillow images, rounded as diffusers rounds them."""
    if not images.isfinite().all():
        warnings.warn(
            "pixels that are no finite numbers are drawn black; half precision may be too narrow "
            "for this model: try float32",
            stacklevel=2,
        )
        images = images.nan_to_num(0, 0, 0)
    pixels = images.detach().cpu().permute(0, 2, 3, 1).float().numpy()
    return [Image.fromarray(image) for image in (pixels * 255).round().astype("uint8")]


def to_tensor(images: Images) -> Tensor:
    """Images of one size as one float tensor (B, 3, H, W) in [0, 1], in 256 levels.

    Raises `ValueError` as `to_arrays` does, and when the sizes differ.

    >>> to_tensor(Image.new("RGB", (64, 32), "white")).shape
    torch.Size([1, 3, 32, 64])
    """
    import torch

    arrays = to_arrays(images)
    if len({array.shape for array in arrays}) > 1:
        sizes = sorted({array.shape[1::-1] for array in arrays})
        raise ValueError(f"images must have one size; got widths and heights {sizes}")
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2) / 255


def to_arrays(images: Images) -> list[np.ndarray]:
    """Images as uint8 arrays (H, W, 3), each rounded as a saved image is.

    Takes float tensors (3, H, W) or (B, 3, H, W) in [0, 1], uint8 arrays (H, W, 3) or
    (B, H, W, 3), Pillow images (see `to_rgb`), and any iterable that mixes these. Raises
    `ValueError` naming the shape, type or range that came when something is no image, and when
    there is none at all.
    """
    arrays = list(_each(images))
    if not arrays:
        raise ValueError("images must hold at least one image; got none")
    return arrays


def _each(images: Images) -> Iterator[np.ndarray]:
    from torch import Tensor

    if isinstance(images, Image.Image):
        yield np.asarray(to_rgb(images))
    elif isinstance(images, Tensor):
        yield from _from_tensor(images)
    elif isinstance(images, np.ndarray):
        yield from _from_array(images)
    elif isinstance(images, Iterable) and not isinstance(images, str | bytes):
        for image in images:
            yield from _each(image)
    else:
        kind = type(images).__name__
        raise ValueError(f"images must be tensors, uint8 arrays or PIL images; got {kind}")


def to_rgb(
    image: Image.Image | np.ndarray | Tensor, name: str = "image", *, paper: str = "white"
) -> Image.Image:
    """One image of any kind as RGB: turned upright, what is transparent shows the `paper`.

    Takes Pillow images of any mode: greys of 16 bits keep their scale, and of 32 bits, which have
    none, the darkest becomes black and the lightest white. Takes arrays (H, W) or (H, W, C) and
    tensors (H, W), (C, H, W) or (1, C, H, W) with 1 to 4 channels (grey, with alpha, colours, with
    alpha): bytes, 16 bits without a sign, True and False, or floats in [0, 1]. `name` is that of
    the argument in the `ValueError` for everything else, and for a damaged image.

    >>> to_rgb(np.zeros((32, 64))).size
    (64, 32)
    """
    if not isinstance(image, Image.Image):
        image = _from_numbers(image, name)
    try:
        upright = ImageOps.exif_transpose(image)
        if upright.mode == "F" or upright.mode.startswith("I"):
            upright = _to_levels(upright)
        if not upright.has_transparency_data:
            return upright.convert("RGB")
        below = Image.new("RGBA", upright.size, paper)
        return Image.alpha_composite(below, upright.convert("RGBA")).convert("RGB")
    except Exception as error:  # decoders of files that anyone may have made raise anything
        raise ValueError(f"the {name} is damaged or of a kind that cannot be read") from error


def _from_numbers(values: Any, name: str) -> Image.Image:
    """An array (H, W, C) or a tensor (C, H, W) as a Pillow image with a byte for each number."""
    from torch import Tensor

    if isinstance(values, Tensor):
        values = values[0] if values.ndim == 4 and len(values) == 1 else values
        values = values.movedim(0, -1) if values.ndim == 3 else values
        values = values.detach().cpu()
        values = (values.float() if values.is_floating_point() else values).numpy()
    if not isinstance(values, np.ndarray):
        kind = type(values).__name__
        raise ValueError(f"{name} must be a PIL image, an array or a tensor; got {kind}")
    shape = values.shape
    if len(shape) not in (2, 3) or 0 in shape or (len(shape) == 3 and shape[2] > 4):
        kinds = "an array (H, W, C) or a tensor (C, H, W) with 1 to 4 channels"
        raise ValueError(f"{name} must be a PIL image, {kinds}; got an array of shape {shape}")
    levels = _to_bytes(values, name)
    return Image.fromarray(levels[..., 0] if shape[2:] == (1,) else levels)


def _to_bytes(values: np.ndarray, name: str) -> np.ndarray:
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values * np.uint8(255)
    if values.dtype == np.uint16:
        return (values / WHITE_OF_16_BITS * 255).round().astype(np.uint8)
    if not np.issubdtype(values.dtype, np.floating):
        kinds = "bytes, 16 bits without a sign, True and False, or floats in [0, 1]"
        raise ValueError(f"{name} must hold {kinds}; got {values.dtype}")
    low, high = values.min(), values.max()
    if not (low >= -TOLERANCE and high <= 1 + TOLERANCE):  # NaN fails as well
        raise ValueError(f"{name} must lie in [0, 1]; got values from {low:.3g} to {high:.3g}")
    return (values.clip(0, 1) * 255).round().astype(np.uint8)


def _to_levels(image: Image.Image) -> Image.Image:
    """Greys of 16 or 32 bits → 256 levels; Pillow would cut off all above 255."""
    values = np.asarray(image, dtype=np.float32)
    if not np.isfinite(values).all():
        raise ValueError("an image must hold finite numbers only")
    of_16_bits = image.mode.startswith("I;16")
    low, high = (0, WHITE_OF_16_BITS) if of_16_bits else (values.min(), values.max())
    levels = (values - low) / (high - low or 1) * 255
    return Image.fromarray(levels.round().astype(np.uint8))


def _from_tensor(images: Tensor) -> np.ndarray:
    """A float tensor (3, H, W) or (B, 3, H, W) in [0, 1] → uint8 (B, H, W, 3)."""
    shape = tuple(images.shape)
    if images.ndim not in (3, 4) or shape[-3] != 3 or 0 in shape[-2:]:
        raise ValueError(f"images must have shape (3, H, W) or (B, 3, H, W); got {shape}")
    values = check_images(images.detach().reshape(-1, *shape[-3:])).float().cpu()
    return (values.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()


def _from_array(images: np.ndarray) -> np.ndarray:
    """A uint8 array (H, W, 3) or (B, H, W, 3) → (B, H, W, 3)."""
    shape = images.shape
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or shape[-1] != 3 or 0 in shape[-3:]:
        raise ValueError(
            "images that are arrays must be uint8 of shape (H, W, 3) or (B, H, W, 3); "
            f"got {images.dtype} of shape {shape}"
        )
    return images.reshape(-1, *shape[-3:])


def turn(images: Tensor, number: int) -> Tensor:
    """Square images or latents (..., H, H) laid in one of eight ways.

    `number` % 4 quarter turns to the left, from 4 on mirrored left to right afterwards.
    """
    turned = images.rot90(number % 4, (-2, -1))
    return turned.flip(-1) if number >= 4 else turned


def tile(images: Sequence[Image.Image], columns: int) -> Image.Image:
    """Images of one size in rows of `columns`, on white.

    Raises `ValueError` when there is no image or `columns` is below 1.
    """
    if not images or columns < 1:
        raise ValueError(
            f"tile needs images and at least one column; got {len(images)} and {columns}"
        )
    width, height = images[0].size
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    page = Image.new("RGB", (columns * (width + GAP) - GAP, rows * (height + GAP) - GAP), "white")
    for i, image in enumerate(images):
        page.paste(image, ((i % columns) * (width + GAP), (i // columns) * (height + GAP)))
    return page
