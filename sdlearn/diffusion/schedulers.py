"""Schedulers by the names people know, built fresh for every run, with every field written out.

The solvers are diffusers' own, with DDIM and PNDM as `grid` has them. Three more traps of diffusers
are avoided here. A scheduler keeps state from one run to the next, so every run gets a new one.
`from_config` and diffusers' pipeline fill in or change fields that were left to their defaults, so
every field is given explicitly. And some combinations of options and step counts end in NaN or in
noise, so each is first tried on a small tensor with perfect predictions, and refused if that does
not lead to the clean latents.

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
import inspect
import json
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from .equations import pred_eps
from .seeds import generators, randn

MOST_LEFT = 0.2  # standard deviation of the noise; a good run leaves 0.03 or less
_X0 = torch.linspace(-1, 1, 64).view(1, 4, 4, 4)  # the clean latents of perfect runs
_reached: dict[tuple, bool] = {}
_draws_noise: dict[tuple, bool] = {}
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
# table 2). SD 1.x's "leading" starts at a lower noise level than the latents have: a single step
# starts at t = 1, 600 steps start at t = 600. The
# offset has no effect here; diffusers' pipeline would change any other value to 1.
_GRID = {"timestep_spacing": "trailing", "steps_offset": 1}
# Latents are not limited to -1..1 as images are, so no predicted x_0 is clipped.
_DDIM = {"clip_sample": False, "set_alpha_to_one": False}

# Name → diffusers' class, and the fields that differ from the defaults of the class.
SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", _DDIM),
    "ddpm": ("DDPMScheduler", {"clip_sample": False}),
    "pndm": ("PNDMScheduler", {"skip_prk_steps": True, "set_alpha_to_one": False}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_a": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {"clip_sample": False}),
    "dpm++": ("DPMSolverMultistepScheduler", {}),
    "dpm++_karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "lcm": ("LCMScheduler", _DDIM),
}
_CLASSES = {cls for cls, _ in SCHEDULERS.values()}


def load_scheduler(config: dict[str, Any]) -> Scheduler:
    """The scheduler of a model's folder, from its `scheduler_config.json`.

    Raises `ValueError` for a class that sdlearn does not know, and for models that predict
    anything but the noise (SD 2.x at 768 pixels predicts v).
    """
    name = config.get("_class_name")
    if name not in _CLASSES:
        raise ValueError(
            f"scheduler class must be one of {', '.join(sorted(_CLASSES))}; got {name}"
        )
    scheduler = _class_of(name).from_config(config)
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
    check_scheduler(name)
    class_name, fields = SCHEDULERS[name]
    cls = _class_of(class_name)
    defaults = {name: field.default for name, field in inspect.signature(cls).parameters.items()}
    trained = {field: getattr(like.config, field, None) for field in NOISE_SCHEDULE}
    return cls(**copy.deepcopy(defaults | _GRID | fields | trained))


def _class_of(name: str) -> Any:
    """The class of that name in `grid` if there is one, otherwise diffusers'."""
    import diffusers

    from . import grid

    return getattr(grid if name in grid.__all__ else diffusers, name)


def fresh_scheduler(
    name: str | None, own: Scheduler, num_steps: int, device: Any = "cpu"
) -> Scheduler:
    """A scheduler for one run, its timesteps set: by its name, or a copy of the model's `own`.

    `own` is not changed. Raises `ValueError` when the scheduler cannot do so many steps.
    """
    scheduler = copy.deepcopy(own) if name is None else build_scheduler(name, own)
    label = name or type(scheduler).__name__
    try:
        _set_timesteps(scheduler, num_steps, device)
    except (ValueError, IndexError) as error:
        raise ValueError(f"num_steps={num_steps} does not suit {label!r}: {error}") from error
    last = own.config.num_train_timesteps - 1
    if scheduler.timesteps.max() > last:  # "leading" spacing at 1000 steps
        raise ValueError(
            f"num_steps={num_steps} does not suit {label!r}: it would start beyond t={last}"
        )
    if not _reaches_clean_latents(scheduler, num_steps):
        nearest = _nearest_good_count(scheduler, num_steps)
        advice = f"take num_steps={nearest}" if nearest else "take another scheduler"
        raise ValueError(
            f"num_steps={num_steps} does not suit {label!r}: even a perfect prediction would not "
            f"lead to an image; {advice}"
        )
    return scheduler


def _set_timesteps(scheduler: Scheduler, num_steps: int, device: Any = "cpu") -> None:
    from .grid import drop_step_past_the_end

    scheduler.set_timesteps(num_steps, device=device)
    drop_step_past_the_end(scheduler)


def noise_left(scheduler: Scheduler, num_steps: int) -> float:
    """The standard deviation of the noise that is left after a run with perfect predictions.

    The run starts from noise of standard deviation 1. About 0.03 is left where the schedule ends at
    its first ᾱ, and 0 where it ends at clean latents. NaN when the scheduler fails.
    """
    try:
        *_, latents = _perfect_run(scheduler, num_steps)
    except (
        IndexError,
        AssertionError,
    ):  # a duplicate timestep
        return math.nan
    return float((latents - _X0).std())


def draws_noise(scheduler: Scheduler) -> bool:
    """Whether the scheduler adds fresh noise in its steps, so that its runs need seeds.

    Two short runs with different generators are compared; names of classes do not tell.
    """
    key = _configuration(scheduler)
    if key not in _draws_noise:  # every run of the loop asks
        runs = [torch.stack(list(_perfect_run(scheduler, 4, seed))) for seed in (0, 1)]
        _draws_noise[key] = not torch.equal(*runs)
    return _draws_noise[key]


def _configuration(scheduler: Scheduler) -> tuple[type, str]:
    """The class and the fields of a scheduler, as a key for what is known of it."""
    config = {k: v for k, v in scheduler.config.items() if not k.startswith("_")}
    return type(scheduler), json.dumps(config, sort_keys=True, default=str)


def _reaches_clean_latents(scheduler: Scheduler, num_steps: int) -> bool:
    """Whether a perfect run ends in finite numbers that are mostly the clean latents."""
    key = (*_configuration(scheduler), num_steps)
    if key not in _reached:
        _reached[key] = noise_left(scheduler, num_steps) < MOST_LEFT
    return _reached[key]


def _nearest_good_count(scheduler: Scheduler, num_steps: int) -> int | None:
    last = scheduler.config.num_train_timesteps
    near = [num_steps + sign * distance for distance in range(1, 6) for sign in (1, -1)]
    return next((n for n in near if 1 <= n < last and _reaches_clean_latents(scheduler, n)), None)


@torch.no_grad()
def _perfect_run(scheduler: Scheduler, num_steps: int, seed: int = 0) -> Iterator[Tensor]:
    """The latents after each step, where the network predicts the noise that is really there."""
    scheduler = copy.deepcopy(scheduler)
    _set_timesteps(scheduler, num_steps)
    extra = {}
    if "generator" in inspect.signature(scheduler.step).parameters:
        extra["generator"] = generators([seed])[0]
    latents = randn(_X0.shape[1:], [0]) * scheduler.init_noise_sigma
    for t, alpha_bar in zip(scheduler.timesteps, alpha_bars(scheduler), strict=True):
        x_t = scheduler.scale_model_input(latents, t)
        eps = pred_eps(x_t, _X0, alpha_bar)
        prediction = {
            "epsilon": eps,
            "sample": _X0,
            "v_prediction": alpha_bar.sqrt() * eps - (1 - alpha_bar).sqrt() * _X0,
        }[scheduler.config.prediction_type]
        latents = scheduler.step(prediction, t, latents, **extra, return_dict=False)[0]
        yield latents


def alpha_bars(scheduler: Scheduler) -> Tensor:
    """ᾱ at every step of a run, (N,), on the device where the scheduler keeps its tables.

    Solvers with sigmas may stop between two timesteps of the training; their ᾱ is 1 / (1 + σ²).
    """
    times = scheduler.timesteps.tolist()
    if hasattr(scheduler, "sigmas"):  # one for each step, and one for the end
        return 1 / (1 + scheduler.sigmas[: len(times)] ** 2)
    return scheduler.alphas_cumprod[times]
