"""Parts of the U-Net switched off, one at a time, to see what each was good for.

    with without_skips(sd.unet):             # nothing comes from the way down to the way up
    with with_fixed_timestep(sd.unet, 999):  # the U-Net is told t = 999, whatever it is given

Both use PyTorch's hooks on the forward pass. They change only calls made in their `with` block and
not those of an explorer or another thread that uses the same model meanwhile. A network without a
part is not a network trained without it: the other parts still rely on it. So this shows what this
network uses, not what a network needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from ..models.compiling import as_written
from .own_calls import own_calls

SKIPS = "res_hidden_states_tuple"  # diffusers' name for what a block of the way up is given


@contextmanager
def without_skips(unet: Any, blocks: Iterable[int] | None = None) -> Iterator[None]:
    """While the block is open, skip connections carry zeros (Ronneberger 2015, 1505.04597).

    `blocks` are numbers of `unet.up_blocks`, 0 for the coarsest; None is all of them.
    Raises `ValueError` for a block that is not there, and `RuntimeError`, when the U-Net runs,
    for a block that takes no skip connections.
    """
    count = len(unet.up_blocks)
    picked = list(range(count)) if blocks is None else list(blocks)
    if not picked or not set(picked) <= set(range(count)):
        raise ValueError(f"blocks must be numbers in 0..{count - 1}; got {picked}")
    with own_calls() as is_own_call, as_written(), ExitStack() as hooks:

        def with_zeros(_: Any, args: tuple, kwargs: dict[str, Any]) -> tuple | None:
            if not is_own_call():
                return None
            if SKIPS not in kwargs:
                given = ", ".join(kwargs) or "none"
                raise RuntimeError(f"an up block must be given {SKIPS}; got {given}")
            zeros = tuple(torch.zeros_like(skip) for skip in kwargs[SKIPS])
            return args, kwargs | {SKIPS: zeros}

        for number in picked:
            hook = unet.up_blocks[number].register_forward_pre_hook(with_zeros, with_kwargs=True)
            hooks.callback(hook.remove)
        yield


@contextmanager
def with_fixed_timestep(unet: Any, t: float, *, num_train_timesteps: int = 1000) -> Iterator[None]:
    """While the block is open, the U-Net is told timestep `t`, whatever it is given.

    Raises `ValueError` unless `t` lies in 0..num_train_timesteps - 1, where the model was trained.
    """
    if not 0 <= t <= num_train_timesteps - 1:
        raise ValueError(f"t must lie in 0..{num_train_timesteps - 1}; got {t}")
    with own_calls() as is_own_call, as_written():

        def with_t(_: Any, args: tuple, kwargs: dict[str, Any]) -> tuple | None:
            if not is_own_call():
                return None
            if len(args) > 1:
                return (args[0], _like(args[1], t), *args[2:]), kwargs
            return args, kwargs | {"timestep": _like(kwargs["timestep"], t)}

        hook = unet.register_forward_pre_hook(with_t, with_kwargs=True)
        try:
            yield
        finally:
            hook.remove()


def _like(given: Tensor | float, t: float) -> Tensor | float:
    return torch.full_like(given, t) if isinstance(given, Tensor) else t
