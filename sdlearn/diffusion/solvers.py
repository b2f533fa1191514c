"""diffusers' DDIM and PNDM, corrected so that each step leads to the next timestep of the grid.

`grid` says what was wrong with them. Sources: DDIM, arXiv 2010.02502, eq. 12; PNDM, arXiv
2202.09778, eq. 9.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.schedulers import scheduling_ddim, scheduling_pndm
from torch import Tensor

from . import ddim
from .grid import next_timestep

__all__ = ["DDIMScheduler", "PNDMScheduler"]


class DDIMScheduler(scheduling_ddim.DDIMScheduler):
    """DDIM without added noise (eta = 0), for predictions of the noise, of x_0 or of v."""

    def step(
        self,
        model_output: Tensor,
        timestep: Tensor | int,
        sample: Tensor,
        eta: float = 0.0,
        generator: Any = None,
        return_dict: bool = True,
    ) -> Any:
        """One step to the next timestep of the grid; all tensors (B, C, h, w).

        Raises `ValueError` for an `eta` other than 0.
        """
        prev_sample, x0 = ddim.step(self, model_output, timestep, sample, eta)
        if not return_dict:
            return prev_sample, x0
        return scheduling_ddim.DDIMSchedulerOutput(prev_sample, x0)


class PNDMScheduler(scheduling_pndm.PNDMScheduler):
    """Pseudo linear multistep sampling; with `skip_prk_steps`, as Stable Diffusion has it.

    A run may begin in the middle, as image to image does. In diffusers 0.42.1 it then leaves noise:
    the second call of a run repeats its first step, so the second timestep stands twice in
    `timesteps`, but always the second one of the whole grid.
    """

    def set_begin_index(self, begin_index: int = 0) -> None:
        """Begin at a step of the grid: the timestep after it is the one that stands twice.

        Raises `ValueError` for the warm-up of Runge-Kutta steps, which begins at the first step.
        """
        if not self.config.skip_prk_steps:
            if begin_index == 0:
                return
            raise ValueError("PNDM with Runge-Kutta steps (skip_prk_steps false) begins at step 0")
        grid = torch.unique_consecutive(self.timesteps)
        times = torch.ones_like(grid)
        times[begin_index + 1 : begin_index + 2] = 2
        self.timesteps: Tensor = grid.repeat_interleave(times)

    def _get_prev_sample(
        self, sample: Tensor, timestep: Any, prev_timestep: Any, model_output: Tensor
    ) -> Tensor:
        if self.config.skip_prk_steps:
            grid = torch.unique_consecutive(self.timesteps)
            if self.counter == 1:  # the first step again, with a better prediction of the noise
                timestep = grid[int((grid == prev_timestep).nonzero()[0]) - 1]
            prev_timestep = next_timestep(grid, timestep)
        return super()._get_prev_sample(sample, timestep, prev_timestep, model_output)
