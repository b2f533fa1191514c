"""The grid of a run: the timesteps that N steps visit, from the noisiest down.

In diffusers 0.42.1, DDIM and PNDM step down by 1000 // N instead of to the next timestep of their
grid. With "leading" spacing that is the distance of the grid's timesteps for every N. With
"trailing" spacing it is so only where N divides 1000, and with "linspace" only at 1 and 1000; at
other counts diffusers gives the U-Net wrong noise levels and leaves noise in the image. Ours
(`ddim`, `solvers`) go to the next timestep of the grid, and are equal to diffusers' bit for bit
where those are right. In addition, rounding gives "trailing" spacing one timestep too many, t = -1,
at 62 of the counts up to 1000 (61 is the first), in every class of diffusers;
`drop_step_past_the_end` removes it.

Source: spacings, arXiv 2305.08891, table 2.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["drop_step_past_the_end", "next_timestep", "step_timesteps"]


def next_timestep(grid: Tensor, timestep: Tensor | int) -> int:
    """The timestep that follows in `grid`, -1 after the last one."""
    index = int((grid == timestep).nonzero()[0])
    return int(grid[index + 1]) if index + 1 < len(grid) else -1


def step_timesteps(scheduler: Any) -> Tensor:
    """The timestep at which each step begins: solvers of second order list others between them."""
    if type(scheduler).__name__ == "PNDMScheduler":  # which has its second one twice
        return torch.unique_consecutive(scheduler.timesteps)
    return scheduler.timesteps[:: scheduler.order]


def drop_step_past_the_end(scheduler: Any) -> None:
    """Remove the timestep -1 that "trailing" spacing has too many for some numbers of steps.

    Raises `ValueError` for a solver whose sigmas do not tell which of them belong to it (KDPM2).
    """
    inside = scheduler.timesteps >= 0
    if inside.all():
        return
    if hasattr(scheduler, "sigmas") and len(scheduler.sigmas) != len(inside) + 1:
        raise ValueError("its last step would go past the end of the schedule")
    scheduler.timesteps = scheduler.timesteps[inside]
    if hasattr(scheduler, "sigmas"):  # they end in one more, where the last step leads to
        scheduler.sigmas = torch.cat([scheduler.sigmas[:-1][inside.cpu()], scheduler.sigmas[-1:]])
    scheduler.num_inference_steps = len(torch.unique_consecutive(scheduler.timesteps))
