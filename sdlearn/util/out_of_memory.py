"""When memory runs out: one sentence that says what was asked for and what to try instead.

torch raises a class of its own on cuda, and a plain `RuntimeError` on the CPU, as `models.engine`
does for ONNX Runtime. They become a `MemoryError` here. How a model gets by with less memory is in
`sdlearn.models.memory`.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

WORDS = (
    "out of memory",  # cuda, mps
    "DefaultCPUAllocator",  # the CPU, whatever the system
    "CUBLAS_STATUS_ALLOC_FAILED",  # cuda, when cuBLAS gets no workspace
    "CUBLAS_STATUS_NOT_INITIALIZED",  # the same in its first call
    "CUDNN_STATUS_ALLOC_FAILED",
    "unable to find an engine to execute this computation",  # cuDNN, likewise
    "bad_alloc",  # ONNX Runtime
    "bad allocation",  # ONNX Runtime on Windows
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` is what torch or ONNX Runtime raises when no memory is left."""
    return any(word in str(error) for word in WORDS)


@contextmanager
def explain_out_of_memory(
    device: torch.device, dtype: torch.dtype, shape: Sequence[int] = (), factor: int = 1
) -> Iterator[None]:
    """Turn what torch raises when memory runs out into a `MemoryError` of one sentence.

    The sentence names what was asked for: images of `shape` (B, 3, H, W); or, with the
    autoencoder's `factor`, of latents of `shape` (B, 4, h, w); or, without a shape, the model
    itself. The tensors of the attempt are freed, so the next call has all the memory again.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)  # their variables hold tensors
        if device.type in ("cuda", "mps"):
            import torch

            getattr(torch, device.type).empty_cache()
        tries = ", ".join(_tries(device, dtype, shape))
        what = f"{_asked(shape, factor)} on {device.type}"
        raise MemoryError(f"not enough memory for {what}; try, in this order: {tries}") from None


def _asked(shape: Sequence[int], factor: int) -> str:
    if not shape:
        return "the parts of the model"
    count, _, height, width = shape
    images = "an image" if count == 1 else f"{count} images"
    return f"{images} of {width * factor}x{height * factor} pixels"


def _tries(device: torch.device, dtype: torch.dtype, shape: Sequence[int]) -> Iterator[str]:
    """What needs less memory, the easiest first."""
    if shape and shape[0] > 1:
        yield "fewer images at once"
    if device.type == "cuda":
        yield "memory 4GB for the model, or less if that was given"
    if shape:
        yield "smaller images"
    if dtype.itemsize > 2:
        yield "dtype float16"
    yield "close other programs"
