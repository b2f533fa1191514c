"""The maths of Stable Diffusion: equations, guidance, the loop, schedulers, seeds.

equations      adding noise, and one step back (DDPM, DDIM)
guidance       the two predictions, put together
loop           from noise to clean latents, one `Step` after the other
ideal          the best guess of all, where the data are known
editing        runs that begin at an image, or keep a part of one
schedulers     diffusers' solvers by the names people know
seeds          the noise that a seed stands for
interpolation  between two latents or two texts
"""

from .editing import Network, mask_of_latents, steps_of_strength
from .equations import (
    PREDICTION_TYPES,
    SCHEDULES,
    add_noise,
    alphas_cumprod,
    betas,
    ddim_step,
    ddpm_step,
    eps_of,
    posterior,
    pred_eps,
    pred_x0,
    snr,
    velocity,
    x0_of,
)
from .guidance import apply_guidance, check_guidance_scale, rescale_guidance
from .ideal import ideal_eps, ideal_x0
from .interpolation import angle, lerp, slerp
from .loop import Step, denoise_steps, predict_with_guidance
from .schedulers import SCHEDULERS, build_scheduler, draws_noise, fresh_scheduler
from .seeds import check_seeds, generators, randn

__all__ = [
    "PREDICTION_TYPES",
    "SCHEDULERS",
    "SCHEDULES",
    "Network",
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
    "eps_of",
    "fresh_scheduler",
    "generators",
    "ideal_eps",
    "ideal_x0",
    "lerp",
    "mask_of_latents",
    "posterior",
    "pred_eps",
    "pred_x0",
    "predict_with_guidance",
    "randn",
    "rescale_guidance",
    "slerp",
    "snr",
    "steps_of_strength",
    "velocity",
    "x0_of",
]
