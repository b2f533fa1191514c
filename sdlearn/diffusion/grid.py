"""diffusers' DDIM and PNDM, corrected so that each step leads to the next timestep of the grid.

The grid is the list of timesteps that N steps visit. In diffusers 0.42.1, DDIM and PNDM step down
by 1000 // N instead. With "leading" spacing that is the distance of the grid's timesteps for every
N, and the results here are equal bit for bit. With "trailing" spacing it is so only where N divides
1000, and with "linspace" only at 1 and 1000; at other counts diffusers gives the U-Net wrong noise
levels and leaves noise in the image. In addition, rounding gives "trailing" spacing one timestep
too many, t = -1, at 62 of the counts up to 1000 (61 is the first), in every class of diffusers;
`drop_step_past_the_end` removes it.

Sources: DDIM, arXiv 2010.02502, eq. 12; PNDM, arXiv 2202.09778, eq. 9; spacings, arXiv 2305.08891,
table 2.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.schedulers import scheduling_ddim, scheduling_pndm
from torch import Tensor

__all__ = ["DDIMScheduler", "PNDMScheduler", "drop_step_past_the_end", "step_timesteps"]


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
        if eta:
            raise ValueError(f"eta must be 0, as this DDIM adds no noise; got {eta}")
        alpha_bar = self.alphas_cumprod[timestep]
        prev = _next_of(self.timesteps, timestep)
        alpha_bar_prev = self.alphas_cumprod[prev] if prev >= 0 else self.final_alpha_cumprod
        x0, eps = self._x0_and_eps(model_output, sample, alpha_bar)
        prev_sample = alpha_bar_prev**0.5 * x0 + (1 - alpha_bar_prev) ** 0.5 * eps  # eq. 12
        if not return_dict:
            return prev_sample, x0
        return scheduling_ddim.DDIMSchedulerOutput(prev_sample, x0)

    def _x0_and_eps(
        self, model_output: Tensor, sample: Tensor, alpha_bar: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The operations come in the same order as in diffusers, so that the bits are equal."""
        signal, noise = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
        if self.config.prediction_type == "v_prediction":
            x0 = signal * sample - noise * model_output
            eps = signal * model_output + noise * sample
        elif self.config.prediction_type == "sample":
            x0 = model_output
            eps = (sample - signal * x0) / noise
        else:
            x0 = (sample - noise * model_output) / signal
            eps = model_output
        if self.config.thresholding:
            x0 = self._threshold_sample(x0)
        elif self.config.clip_sample:
            x0 = x0.clamp(-self.config.clip_sample_range, self.config.clip_sample_range)
        return x0, eps


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
            prev_timestep = _next_of(grid, timestep)
        return super()._get_prev_sample(sample, timestep, prev_timestep, model_output)


def _next_of(grid: Tensor, timestep: Tensor | int) -> int:
    """The timestep that follows in `grid`, -1 after the last one."""
    index = int((grid == timestep).nonzero()[0])
    return int(grid[index + 1]) if index + 1 < len(grid) else -1


def step_timesteps(scheduler: Any) -> Tensor:
    """The timestep at which each step begins: solvers of second order list others between them."""
    if isinstance(scheduler, PNDMScheduler):
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
