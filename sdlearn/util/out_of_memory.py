"""When memory runs out: one sentence that says what was asked for and what to try instead.

torch says so in a class of its own on cuda and in a plain `RuntimeError` on the CPU; here both
become a `MemoryError`. Left out: how to need less in the first place (`sdlearn.models.memory`).
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["explain_out_of_memory", "is_out_of_memory"]

WORDS = (
    "out of memory",  # cuda, mps
    "DefaultCPUAllocator",  # the CPU, whatever the system
    "CUBLAS_STATUS_ALLOC_FAILED",  # cuda, when nothing is left for its library of matrix products
    "CUBLAS_STATUS_NOT_INITIALIZED",  # the same, when it is asked for the first time
    "CUDNN_STATUS_ALLOC_FAILED",
    "unable to find an engine to execute this computation",  # cuDNN, without room for any
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch says with `error` that there is no memory left."""
    return any(word in str(error) for word in WORDS)


@contextmanager
def explain_out_of_memory(
    device: torch.device,
    dtype: torch.dtype,
    shape: Sequence[int] = (),
    factor: int = 1,
) -> Iterator[None]:
    """Turn what torch raises when memory runs out into a `MemoryError` of one sentence.

    It names what was asked for: pictures of `shape` (B, 3, H, W), or of latents (B, 4, h, w) with
    the autoencoder's `factor`, or, without, the model itself. Nothing of the attempt is kept: the
    next call has all the memory again.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)  # they hold the tensors of the attempt
        if device.type in ("cuda", "mps"):
            import torch

            getattr(torch, device.type).empty_cache()
        tries = ", ".join(_tries(device, dtype, shape))
        raise MemoryError(
            f"not enough memory for {_asked(shape, factor)} on {device.type}; "
            f"try, in this order: {tries}"
        ) from None


def _asked(shape: Sequence[int], factor: int) -> str:
    if not shape:
        return "the parts of the model"
    count, _, height, width = shape
    pictures = "a picture" if count == 1 else f"{count} pictures"
    return f"{pictures} of {width * factor}x{height * factor} pixels"


def _tries(device: torch.device, dtype: torch.dtype, shape: Sequence[int]) -> Iterator[str]:
    """What wants less memory, the easiest first."""
    if shape and shape[0] > 1:
        yield "fewer pictures at once"
    if device.type == "cuda":
        yield "memory 4GB for the model, or less if that was given"
    if shape:
        yield "smaller pictures"
    if dtype.itemsize > 2:
        yield "dtype float16"
    yield "close other programs"
