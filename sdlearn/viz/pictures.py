"""Pictures of every kind this package takes, made into arrays of one kind, or refused.

What is out of shape or out of range is refused rather than repaired: a latent drawn as if it were
a picture teaches something false.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..util.checks import check_images

__all__ = ["Pictures", "to_arrays", "to_tensor"]

Pictures: TypeAlias = "Tensor | np.ndarray | Image.Image | Iterable[Any]"


def to_arrays(images: Pictures) -> list[np.ndarray]:
    """Pictures as uint8 arrays (H, W, 3), each rounded as a saved picture is.

    Raises `ValueError` naming the shape, type or range that came when something is no picture,
    and when there is none at all.
    """
    arrays = list(_each(images))
    if not arrays:
        raise ValueError("images must hold at least one picture; got none")
    return arrays


def to_tensor(images: Pictures) -> Tensor:
    """Pictures of one size as one float tensor (B, 3, H, W) in [0, 1], in 256 levels.

    Raises `ValueError` as `to_arrays` does, and when the sizes differ.
    """
    arrays = to_arrays(images)
    if len({array.shape for array in arrays}) > 1:
        sizes = sorted({array.shape[1::-1] for array in arrays})
        raise ValueError(f"images must have one size; got widths and heights {sizes}")
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2) / 255


def _each(images: Pictures) -> Iterator[np.ndarray]:
    if isinstance(images, Image.Image):
        yield np.asarray(images.convert("RGB"))
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
