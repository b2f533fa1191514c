"""The maths of Stable Diffusion: equations, guidance, the loop, schedulers, seeds.

equations      adding noise, and one step back (DDPM, DDIM)
guidance       the two predictions, put together
loop           from noise to clean latents, one `Step` after the other
schedulers     diffusers' solvers by the names people know
seeds          the noise that a seed stands for
interpolation  between two latents or two texts
"""

from .equations import (
    SCHEDULES,
    add_noise,
    alphas_cumprod,
    betas,
    ddim_step,
    ddpm_step,
    posterior,
    pred_eps,
    pred_x0,
    snr,
)
from .guidance import apply_guidance, check_guidance_scale
from .interpolation import angle, lerp, slerp
from .loop import NoisePredictor, Step, denoise_steps, predict_noise_with_guidance
from .schedulers import SCHEDULERS, build_scheduler, draws_noise, fresh_scheduler
from .seeds import check_seeds, generators, randn

__all__ = [
    "SCHEDULERS",
    "SCHEDULES",
    "NoisePredictor",
    "Step",
    "add_noise",
    "alphas_cumprod",
    "angle",
    "apply_guidance",
    "betas",
    "build_scheduler",
    "check_guidance_scale",
    "check_seeds",
    "ddim_step",
    "ddpm_step",
    "denoise_steps",
    "draws_noise",
    "fresh_scheduler",
    "generators",
    "lerp",
    "posterior",
    "pred_eps",
    "pred_x0",
    "predict_noise_with_guidance",
    "randn",
    "slerp",
    "snr",
]
