"""Parts of the U-Net switched off, one at a time, to see what each was good for.

    with without_skips(sd.unet):            # nothing comes from the way down to the way up
    with with_fixed_timestep(sd.unet, 999): # whatever t it is given, it is told 999

Both are PyTorch's own hooks on the forward pass and are taken off again in any case. A part that
is switched off is not a model trained without it: the others still count on it. So this shows
what this network uses, not what a network needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from ..models.compiling import as_written

__all__ = ["SKIPS", "with_fixed_timestep", "without_skips"]

SKIPS = "res_hidden_states_tuple"  # diffusers' name for what a block of the way up is handed


@contextmanager
def without_skips(unet: Any, blocks: Iterable[int] | None = None) -> Iterator[None]:
    """While the context is open, skip connections carry zeros (Ronneberger 2015, 1505.04597).

    `blocks` are numbers of `unet.up_blocks`, 0 for the coarsest; None is all of them.
    Raises `ValueError` for a block that is not there, and `RuntimeError`, when the U-Net runs,
    for a block that takes no skip connections.
    """
    count = len(unet.up_blocks)
    picked = list(range(count)) if blocks is None else list(blocks)
    if not picked or not set(picked) <= set(range(count)):
        raise ValueError(f"blocks must be numbers in 0..{count - 1}; got {picked}")
    with ExitStack() as stack:
        stack.enter_context(as_written())
        for number in picked:
            block = unet.up_blocks[number]
            hook = block.register_forward_pre_hook(_with_zeros, with_kwargs=True)
            stack.callback(hook.remove)
        yield


def _with_zeros(_: Any, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
    if SKIPS not in kwargs:
        raise RuntimeError(f"an up block must be given {SKIPS}; got {', '.join(kwargs) or 'none'}")
    zeros = tuple(torch.zeros_like(skip) for skip in kwargs[SKIPS])
    return args, kwargs | {SKIPS: zeros}


@contextmanager
def with_fixed_timestep(unet: Any, t: float) -> Iterator[None]:
    """While the context is open, the U-Net is told timestep `t`, 0..999, whatever it is given.

    Raises `ValueError` for a timestep out of range.
    """
    highest = 999
    if not 0 <= t <= highest:
        raise ValueError(f"t must lie in 0..{highest}; got {t}")

    def replaced(_: Any, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        if len(args) > 1:
            return (args[0], _like(args[1], t), *args[2:]), kwargs
        return args, kwargs | {"timestep": _like(kwargs["timestep"], t)}

    hook = unet.register_forward_pre_hook(replaced, with_kwargs=True)
    try:
        with as_written():
            yield
    finally:
        hook.remove()


def _like(given: Tensor | float, t: float) -> Tensor | float:
    return torch.full_like(given, t) if isinstance(given, Tensor) else t
