"""Which device and which floating-point type to run on, when the caller does not say."""

from __future__ import annotations

import torch


def pick_device(device: str | torch.device | None = None) -> torch.device:
    """`device` if torch can use it here, or the best there is: cuda, then mps, then the CPU.

    Raises `ValueError` for a device that is unknown or that this machine does not have.
    """
    if device is None:
        kinds = (kind for kind in ("cuda", "mps") if _is_available(kind))
        return torch.device(next(kinds, "cpu"))
    try:
        picked = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device must be 'cpu', 'cuda' or 'mps'; got {device!r}") from error
    if picked.type != "cpu" and not _is_available(picked.type):
        raise ValueError(f"device {device!r} is not available here; leave it out to run anyway")
    count = torch.cuda.device_count() if picked.type == "cuda" else 1
    if (picked.index or 0) >= count:
        there = f"there {'is' if count == 1 else 'are'} {count}"
        raise ValueError(f"device {device!r} is not available here; {there}")
    return picked


def pick_dtype(dtype: torch.dtype | None, device: torch.device) -> torch.dtype:
    """`dtype`, or what suits the device: float16 on cuda, float32 elsewhere.

    Raises `ValueError` for what is no floating-point type.
    """
    if dtype is None:
        return torch.float16 if device.type == "cuda" else torch.float32
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise ValueError(f"dtype must be a floating-point type of torch; got {dtype!r}")
    return dtype


def _is_available(kind: str) -> bool:
    backend = {"cuda": torch.cuda, "mps": torch.backends.mps}.get(kind)
    return backend is not None and backend.is_available()
