"""Schedulers by the names people know, built fresh for every run, with every field written out.

The solvers are diffusers' own. This module avoids two of their traps. A scheduler keeps state from
one run to the next, so every run gets a new one. And `from_config` and diffusers' pipeline fill in
or change what was left to a default, so here no field is left to a default.

Left out: distilled models. "lcm" gives sharp images in four steps only with a model that was
trained for it; with any other model it runs all the same, which shows what distillation is for.

    name           paper                       network calls for N steps
    ddim           arXiv 2010.02502            N
    ddpm           arXiv 2006.11239            N, draws noise
    pndm           arXiv 2202.09778 (PLMS)     N + 1
    euler          arXiv 2206.00364, alg. 2    N
    euler_a        k-diffusion, ancestral      N, draws noise
    heun           arXiv 2206.00364, alg. 1    2N - 1
    dpm++          arXiv 2211.01095 (2M)       N
    dpm++_karras   the same on Karras's grid   N
    unipc          arXiv 2302.04867            N
    lcm            arXiv 2310.04378            N, draws noise
"""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor

__all__ = [
    "SCHEDULERS",
    "alpha_bars",
    "build_scheduler",
    "check_scheduler",
    "draws_noise",
    "fresh_scheduler",
    "load_scheduler",
]

Scheduler = Any  # diffusers' schedulers share methods, but no base class that names them

# What the model was trained with; every scheduler takes these from the model.
NOISE_SCHEDULE = (
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "trained_betas",
    "prediction_type",
)
# From the noisiest timestep down, whatever the number of steps (Lin et al., arXiv 2305.08891,
# table 2). SD 1.x's "leading" starts too clean: one step at t = 1, 600 steps at t = 600. The
# offset has no effect here; diffusers' pipeline would change any other value to 1.
_GRID = {"timestep_spacing": "trailing", "steps_offset": 1}
_NO_CLIPPING = {"clip_sample": False, "clip_sample_range": 1.0}  # latents are not held to ±1
_NO_THRESHOLD = {
    "thresholding": False,
    "dynamic_thresholding_ratio": 0.995,
    "sample_max_value": 1.0,
}
_ANY_SNR = {"rescale_betas_zero_snr": False}
_PLAIN_SIGMAS = {
    "use_karras_sigmas": False,
    "use_exponential_sigmas": False,
    "use_beta_sigmas": False,
}
_NO_FLOW = {
    "use_flow_sigmas": False,
    "flow_shift": 1.0,
    "use_dynamic_shifting": False,
    "time_shift_type": "exponential",
}
_DPM = {
    **_GRID,
    **_NO_THRESHOLD,
    **_ANY_SNR,
    **_PLAIN_SIGMAS,
    **_NO_FLOW,
    "solver_order": 2,
    "algorithm_type": "dpmsolver++",
    "solver_type": "midpoint",
    "lower_order_final": True,
    "euler_at_final": False,
    "use_lu_lambdas": False,
    "final_sigmas_type": "zero",
    "lambda_min_clipped": -float("inf"),
    "variance_type": None,
}

# Name → diffusers' class and every field of it but the noise schedule.
SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": (
        "DDIMScheduler",
        {**_GRID, **_NO_CLIPPING, **_NO_THRESHOLD, **_ANY_SNR, "set_alpha_to_one": False},
    ),
    "ddpm": (
        "DDPMScheduler",
        {**_GRID, **_NO_CLIPPING, **_NO_THRESHOLD, **_ANY_SNR, "variance_type": "fixed_small"},
    ),
    "pndm": ("PNDMScheduler", {**_GRID, "skip_prk_steps": True, "set_alpha_to_one": False}),
    "euler": (
        "EulerDiscreteScheduler",
        {
            **_GRID,
            **_ANY_SNR,
            **_PLAIN_SIGMAS,
            "interpolation_type": "linear",
            "sigma_min": None,
            "sigma_max": None,
            "timestep_type": "discrete",
            "final_sigmas_type": "zero",
        },
    ),
    "euler_a": ("EulerAncestralDiscreteScheduler", {**_GRID, **_ANY_SNR}),
    "heun": ("HeunDiscreteScheduler", {**_GRID, **_NO_CLIPPING, **_PLAIN_SIGMAS}),
    "dpm++": ("DPMSolverMultistepScheduler", _DPM),
    "dpm++_karras": ("DPMSolverMultistepScheduler", {**_DPM, "use_karras_sigmas": True}),
    "unipc": (
        "UniPCMultistepScheduler",
        {
            **_GRID,
            **_NO_THRESHOLD,
            **_ANY_SNR,
            **_PLAIN_SIGMAS,
            **_NO_FLOW,
            "solver_order": 2,
            "predict_x0": True,
            "solver_type": "bh2",
            "lower_order_final": True,
            "disable_corrector": [],
            "solver_p": None,
            "final_sigmas_type": "zero",
            "sigma_min": None,
            "sigma_max": None,
            "shift_terminal": None,
        },
    ),
    "lcm": (
        "LCMScheduler",
        {
            **_GRID,
            **_NO_CLIPPING,
            **_NO_THRESHOLD,
            **_ANY_SNR,
            "original_inference_steps": 50,
            "set_alpha_to_one": False,
            "timestep_scaling": 10.0,
        },
    ),
}
_CLASSES = {cls for cls, _ in SCHEDULERS.values()}
_NOISY = {"DDPMScheduler", "EulerAncestralDiscreteScheduler", "LCMScheduler"}


def load_scheduler(config: dict[str, Any]) -> Scheduler:
    """The scheduler of a model's folder, from its `scheduler_config.json`.

    Raises `ValueError` for a class that sdlearn does not know, and for models that predict
    anything but the noise (SD 2.x at 768 pixels predicts v).
    """
    import diffusers

    name = config.get("_class_name")
    if name not in _CLASSES:
        raise ValueError(
            f"scheduler class must be one of {', '.join(sorted(_CLASSES))}; got {name}"
        )
    scheduler = getattr(diffusers, name).from_config(config)
    if scheduler.config.prediction_type != "epsilon":
        raise ValueError(
            "sdlearn runs models that predict the noise (prediction_type 'epsilon'); "
            f"this one predicts {scheduler.config.prediction_type!r}"
        )
    return scheduler


def check_scheduler(name: str | None) -> str | None:
    """`name` if it is known, or None for the model's own; `ValueError` lists the known ones."""
    if name is not None and name not in SCHEDULERS:
        known = ", ".join(SCHEDULERS)
        raise ValueError(f"scheduler must be one of {known}; got {name!r}")
    return name


def build_scheduler(name: str, like: Scheduler) -> Scheduler:
    """A new scheduler by its name, on the noise schedule that `like` was trained with.

    Raises `ValueError` for an unknown name.
    """
    import diffusers

    check_scheduler(name)
    class_name, fields = SCHEDULERS[name]
    trained = {field: getattr(like.config, field, None) for field in NOISE_SCHEDULE}
    return getattr(diffusers, class_name)(**trained, **copy.deepcopy(fields))


def fresh_scheduler(
    name: str | None, own: Scheduler, num_steps: int, device: Any = "cpu"
) -> Scheduler:
    """A scheduler for one run, its timesteps set: by its name, or a copy of the model's `own`.

    `own` is not changed. Raises `ValueError` when the scheduler cannot do so many steps.
    """
    scheduler = copy.deepcopy(own) if name is None else build_scheduler(name, own)
    label = name or type(scheduler).__name__
    try:
        scheduler.set_timesteps(num_steps, device=device)
    except (ValueError, IndexError) as error:
        raise ValueError(f"num_steps={num_steps} does not suit {label!r}: {error}") from error
    last = own.config.num_train_timesteps - 1
    if scheduler.timesteps.max() > last:  # "leading" spacing at 1000 steps
        raise ValueError(
            f"num_steps={num_steps} does not suit {label!r}: it would start beyond t={last}"
        )
    return scheduler


def draws_noise(scheduler: Scheduler) -> bool:
    """Whether the scheduler adds fresh noise in its steps."""
    return type(scheduler).__name__ in _NOISY


def alpha_bars(scheduler: Scheduler) -> Tensor:
    """ᾱ at every step of a run, (N,), on the device where the scheduler keeps its tables.

    Solvers with sigmas may stop between two timesteps of the training; their ᾱ is 1 / (1 + σ²).
    """
    times = scheduler.timesteps.tolist()
    if hasattr(scheduler, "sigmas"):  # one more than there are steps: the last is where they end
        return 1 / (1 + scheduler.sigmas[: len(times)] ** 2)
    return scheduler.alphas_cumprod[times]
