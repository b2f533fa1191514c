"""DDIM (Song et al. 2020, arXiv 2010.02502), by itself: it takes no time to import.

    x_prev = sqrt(alpha_bar_prev) x_0 + sqrt(1 - alpha_bar_prev) eps        (eq. 12, no noise added)

`DDIM` takes the place of diffusers' class where a model is loaded only to draw (`models.light`),
since importing diffusers takes longer than drawing an image of the tiny model. The results are
those of diffusers bit for bit, at numbers of steps where diffusers is right (`grid`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..util.config import Config
from .equations import PREDICTION_TYPES, alphas_cumprod, betas
from .grid import next_timestep

__all__ = ["DDIM", "step"]

KNOWN: dict[str, tuple[Any, ...]] = {  # field → the values that `DDIM` is written for
    "beta_schedule": ("linear", "scaled_linear"),
    "trained_betas": (None,),
    "rescale_betas_zero_snr": (False,),
    "clip_sample": (False,),
    "thresholding": (False,),
    "timestep_spacing": ("leading", "trailing"),
    "steps_offset": (1,),
    "prediction_type": PREDICTION_TYPES,
}


def step(
    scheduler: Any, model_output: Tensor, timestep: Tensor | int, sample: Tensor, eta: float = 0.0
) -> tuple[Tensor, Tensor]:
    """The next latents and the x_0 that the prediction implies, all (B, C, h, w).

    `scheduler` is a `DDIM` or diffusers' class. Raises `ValueError` for an `eta` other than 0.
    """
    if eta:
        raise ValueError(f"eta must be 0, as this DDIM adds no noise; got {eta}")
    alpha_bar = scheduler.alphas_cumprod[timestep]
    prev = next_timestep(scheduler.timesteps, timestep)
    final = scheduler.final_alpha_cumprod
    alpha_bar_prev = scheduler.alphas_cumprod[prev] if prev >= 0 else final
    x0, eps = _x0_and_eps(scheduler, model_output, sample, alpha_bar)
    return alpha_bar_prev**0.5 * x0 + (1 - alpha_bar_prev) ** 0.5 * eps, x0


def _x0_and_eps(
    scheduler: Any, model_output: Tensor, sample: Tensor, alpha_bar: Tensor
) -> tuple[Tensor, Tensor]:
    """The operations come in the same order as in diffusers, so that the bits are equal."""
    config, signal, noise = scheduler.config, alpha_bar**0.5, (1 - alpha_bar) ** 0.5
    if config.prediction_type == "v_prediction":
        x0 = signal * sample - noise * model_output
        eps = signal * model_output + noise * sample
    elif config.prediction_type == "sample":
        x0 = model_output
        eps = (sample - signal * x0) / noise
    else:
        x0 = (sample - noise * model_output) / signal
        eps = model_output
    if config.thresholding:
        x0 = scheduler._threshold_sample(x0)
    elif config.clip_sample:
        x0 = x0.clamp(-config.clip_sample_range, config.clip_sample_range)
    return x0, eps


class DDIM:
    """A scheduler as the loop uses it, from the fields of a `scheduler_config.json`.

    Raises `ValueError` for a field that is missing or has a value that only diffusers' class knows.
    """

    order = 1
    init_noise_sigma = 1.0

    def __init__(self, config: Mapping[str, Any]) -> None:
        for field, values in KNOWN.items():
            if field not in config or config[field] not in values:
                known = " or ".join(map(repr, values))
                raise ValueError(f"{field} must be {known} here; got {config.get(field)!r}")
        self.config = Config(config)
        count, ends = config["num_train_timesteps"], (config["beta_start"], config["beta_end"])
        made = betas(config["beta_schedule"], count, beta_range=ends)
        self.alphas_cumprod = alphas_cumprod(made)  # (T,)
        one = torch.tensor(1.0)
        self.final_alpha_cumprod = one if config["set_alpha_to_one"] else self.alphas_cumprod[0]
        self.timesteps = torch.arange(count).flip(0)

    def set_timesteps(self, num_steps: int, device: Any = "cpu") -> None:
        """Choose the timesteps of a run, in `timesteps`, (N,)."""
        count, self.num_inference_steps = self.config.num_train_timesteps, num_steps
        if self.config.timestep_spacing == "leading":
            times = np.arange(num_steps)[::-1] * (count // num_steps) + self.config.steps_offset
        else:
            times = np.round(np.arange(count, 0, -count / num_steps)) - 1
        self.timesteps = torch.from_numpy(times.astype(np.int64)).to(device)

    def scale_model_input(self, sample: Tensor, timestep: Tensor | int | None = None) -> Tensor:
        """The latents themselves: these are on the scale of x_t."""
        return sample

    def step(
        self,
        model_output: Tensor,
        timestep: Tensor | int,
        sample: Tensor,
        eta: float = 0.0,
        return_dict: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """One step to the next timestep of the grid: the next latents and x_0, (B, C, h, w).

        Raises `ValueError` for an `eta` other than 0, and for `return_dict`.
        """
        if return_dict:
            raise ValueError("return_dict must be False: this step returns two tensors")
        return step(self, model_output, timestep, sample, eta)
