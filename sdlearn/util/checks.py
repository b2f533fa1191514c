"""Checks of arguments that many functions share.

Each returns the value ready for use, or raises `TypeError` or `ValueError` with one sentence that
names the argument, what was expected and what came.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from numbers import Real
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

DTYPES = ("float32", "float16", "bfloat16")  # what the command line lets a model run in
TOLERANCE = 1e-3  # by which images may leave [0, 1]


def check_prompts(
    prompt: str | Iterable[str], name: str = "prompt", *, seeds: int | None = None
) -> list[str]:
    """One prompt or several as a list; with `seeds`, either one prompt or one for each seed.

    The empty string is a prompt here: it stands for "no text".
    """
    if not isinstance(prompt, Iterable) or isinstance(prompt, bytes):
        raise TypeError(f"{name} must be a string or a list of strings; got {prompt!r}")
    prompts = [prompt] if isinstance(prompt, str) else list(prompt)
    for item in prompts:
        if not isinstance(item, str):
            raise TypeError(f"{name} must be a string or a list of strings; got {item!r} in it")
        if any("\ud800" <= character <= "\udfff" for character in item):  # no UTF-8
            raise ValueError(f"{name} must be UTF-8 text; got {item!r}")
    if not prompts:
        raise ValueError(f"{name} must hold at least one string; got none")
    if seeds is not None and len(prompts) not in (1, seeds):
        needed = f"one string or one for each of {seeds} seeds"
        raise ValueError(f"{name} must be {needed}; got {len(prompts)}")
    return prompts


def check_not_blank(prompts: list[str]) -> list[str]:
    """Raise `ValueError` for a prompt without a word in it."""
    for prompt in prompts:
        if not prompt.strip():
            raise ValueError(
                f"prompt must say what to draw; got {prompt!r} "
                "(guidance_scale=0 draws without regard to the prompt)"
            )
    return prompts


def check_whole(demand: str, value: int) -> int:
    """`value` as a Python int; for anything else a `TypeError` that begins with `demand`."""
    try:
        if isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool"):
            raise TypeError
        return operator.index(value)
    except TypeError:  # tensors and arrays have an `__index__` that may refuse
        raise TypeError(f"{demand}; got {value!r}") from None


def check_number(demand: str, value: float) -> float:
    """`value` as a Python float; for anything else a `TypeError` that begins with `demand`."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{demand}; got {value!r}")
    return float(value)


def check_count(name: str, value: int) -> int:
    """A whole number of at least 1; `ValueError` or `TypeError` for anything else."""
    number = check_whole(f"{name} must be a whole number", value)
    if number < 1:
        raise ValueError(f"{name} must be at least 1; got {number}")
    return number


def check_num_steps(num_steps: int, highest: int = 1000) -> int:
    """A whole number in 1..`highest`, the number of timesteps that the model was trained on."""
    number = check_whole("num_steps must be a whole number", num_steps)
    if not 1 <= number <= highest:
        raise ValueError(f"num_steps must lie in 1..{highest}; got {number}")
    return number


def check_port(port: int) -> int:
    """A port that there is; with 0, any free one. `ValueError` if not."""
    if not 0 <= port <= 65535:
        raise ValueError(f"port must lie in 0..65535; got {port}")
    return port


def check_size(height: int, width: int, factor: int) -> tuple[int, int]:
    """An image's height and width in pixels: positive multiples of the autoencoder's `factor`."""
    for name, pixels in (("height", height), ("width", width)):
        number = check_whole(f"{name} must be a whole number of pixels", pixels)
        if number < factor or number % factor:
            raise ValueError(f"{name} must be a positive multiple of {factor} pixels; got {number}")
    return int(height), int(width)


def check_latents(latents: Tensor, part: Any, channels: int) -> Tensor:
    """Latents (B, `channels`, h, w) of the same dtype as `part`, the network that gets them."""
    _check_tensor("latents", latents, next(part.parameters()).dtype)
    shape = tuple(latents.shape)
    if len(shape) != 4 or shape[1] != channels or 0 in shape:
        raise ValueError(f"latents must have shape (B, {channels}, h, w); got {shape}")
    return latents


def check_states(name: str, states: Tensor, latents: Tensor, shape: tuple[int, int]) -> Tensor:
    """Text states (B or 1, 77, D), each of `shape`; those of one prompt are repeated B times.

    Long prompts may come as several times 77 states, as some tools encode them.
    """
    _check_tensor(name, states, latents.dtype, " (encode_text makes one of prompts)")
    (count, (length, width)), given = (len(latents), shape), tuple(states.shape)
    fits = len(given) == 3 and given[0] in (1, count) and given[2] == width
    if not fits or not given[1] or given[1] % length:
        raise ValueError(
            f"{name} must hold 1 or {count} prompts, as there are {count} latents, each {shape}; "
            f"got shape {given}"
        )
    return states.expand(count, -1, -1)


def check_timestep(t: Tensor | float, count: int) -> None:
    """A number, or a tensor with one or with `count` of them."""
    from torch import Tensor

    if isinstance(t, Tensor):
        if t.ndim > 1 or t.numel() not in (1, count):
            raise ValueError(
                f"t must be one timestep or one for each of {count} latents; got shape "
                f"{tuple(t.shape)}"
            )
    else:
        check_number("t must be a number or a tensor", t)


def check_images(images: Tensor) -> Tensor:
    """Colour images, (B, 3, H, W) in [0, 1] within `TOLERANCE`, of any floating-point dtype."""
    _check_tensor("images", images, hint=" (viz.to_tensor makes one)")
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"images must have shape (B, 3, H, W); got {tuple(images.shape)}")
    if not images.is_floating_point():
        raise ValueError(f"images must be a float tensor in [0, 1]; got {images.dtype}")
    if not ((images >= -TOLERANCE) & (images <= 1 + TOLERANCE)).all():  # NaN fails as well
        low, high = float(images.min()), float(images.max())
        raise ValueError(f"images must lie in [0, 1]; got values from {low:.3g} to {high:.3g}")
    return images


def _check_tensor(name: str, value: Any, dtype: Any = None, hint: str = "") -> None:
    """Raise for what is no tensor, or has another dtype than `dtype` outside of autocast."""
    from torch import Tensor, is_autocast_enabled

    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a tensor; got {type(value).__name__}{hint}")
    if dtype not in (None, value.dtype) and not is_autocast_enabled(value.device.type):
        raise ValueError(f"{name} must be {dtype}, as the model is; got {value.dtype}")
