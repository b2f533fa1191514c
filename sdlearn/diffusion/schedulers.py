"""Schedulers by the names people know, built fresh for every run, with every field written out.

The solvers are diffusers' own, with DDIM and PNDM as `solvers` has them. Three more traps of
diffusers are avoided here. A scheduler keeps state from one run to the next, so every run gets a
new one. `from_config` and diffusers' pipeline fill in or change fields that were left to their
defaults, so every field is given explicitly. And some combinations of options and step counts end
in NaN or in noise, so each is first tried on a small tensor with perfect predictions, and refused
if that does not lead to the clean latents.

A model's folder may name more classes (`CLASSES`).

Left out: distillation. "lcm" gives sharp images in four steps only with a model that was
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
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

import torch
from torch import Generator, Tensor

from .equations import PREDICTION_TYPES, pred_eps, velocity
from .grid import drop_step_past_the_end
from .seeds import generators, randn

MOST_LEFT = 0.2  # standard deviation of the noise; a good run leaves 0.03 or less
_X0 = torch.linspace(-1, 1, 64).view(1, 4, 4, 4)  # the clean latents of perfect runs
_reached: dict[tuple, bool] = {}
_draws_noise: dict[tuple, bool] = {}
Scheduler = Any  # diffusers' schedulers share methods, but no base class that names them

ZERO_SNR = "rescale_betas_zero_snr"  # the last timestep is pure noise (arXiv 2305.08891)
# What the model was trained with; every scheduler takes these from the model.
NOISE_SCHEDULE = (
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "trained_betas",
    "prediction_type",
    ZERO_SNR,
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
# Those that a model's folder may have: what diffusers' pipeline takes for SD 1.x and 2.x.
CLASSES = (
    *dict.fromkeys(cls for cls, _ in SCHEDULERS.values()),
    "DEISMultistepScheduler",
    "DPMSolverSDEScheduler",
    "DPMSolverSinglestepScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "LMSDiscreteScheduler",
    "SASolverScheduler",
    "TCDScheduler",
)


def load_scheduler(config: dict[str, Any], class_name: str | None = None) -> Scheduler:
    """The scheduler of a model's folder, from its `scheduler_config.json`.

    `class_name` is the class that `model_index.json` names; it has precedence over that in
    `config`, as in diffusers. Files of diffusers' first releases leave out `steps_offset` and
    `clip_sample`. diffusers' pipeline puts 1 and False there, and in the place of any other values,
    and so does this function.
    Raises `ValueError` for a class or a kind of prediction that sdlearn does not know, and
    `ImportError` naming the package that a class needs.
    """
    name = class_name or config.get("_class_name")
    if name not in CLASSES:
        raise ValueError(f"scheduler class must be one of {', '.join(sorted(CLASSES))}; got {name}")
    scheduler = _from_config(_class_of(name), config)
    kind = scheduler.config.prediction_type
    if kind not in PREDICTION_TYPES:
        known = ", ".join(PREDICTION_TYPES)
        raise ValueError(f"the scheduler's prediction_type must be one of {known}; got {kind!r}")
    fixed = {"steps_offset": 1, "clip_sample": False}
    scheduler.register_to_config(**{k: v for k, v in fixed.items() if k in scheduler.config})
    return scheduler


def _from_config(cls: Any, config: dict[str, Any]) -> Scheduler:
    """diffusers has a dummy class for one whose package is not installed; it knows which."""
    missing = [name for name in getattr(cls, "_backends", []) if find_spec(name) is None]
    if missing:
        raise ImportError(
            f"the scheduler {cls.__name__} needs the package {missing[0]}: pip install {missing[0]}"
        )
    return cls.from_config(config)


def check_scheduler(name: str | None) -> str | None:
    """`name` if it is known, or None for the model's own; `ValueError` lists the known ones."""
    if name is not None and name not in SCHEDULERS:
        known = ", ".join(SCHEDULERS)
        raise ValueError(f"scheduler must be one of {known}; got {name!r}")
    return name


def build_scheduler(name: str, like: Scheduler) -> Scheduler:
    """A new scheduler by its name, on the noise schedule that `like` was trained with.

    Raises `ValueError` for an unknown name, and for one that lacks what `like` was trained with.
    """
    check_scheduler(name)
    class_name, fields = SCHEDULERS[name]
    cls = _class_of(class_name)
    defaults = {name: field.default for name, field in inspect.signature(cls).parameters.items()}
    trained = {field: like.config[field] for field in NOISE_SCHEDULE if field in like.config}
    if not trained.get(ZERO_SNR) or ZERO_SNR in defaults:
        trained = {field: value for field, value in trained.items() if field in defaults}
        return cls(**copy.deepcopy(defaults | _GRID | fields | trained))
    raise ValueError(
        f"scheduler {name!r} has no zero terminal SNR ({ZERO_SNR}), which this model was trained "
        "with; take ddim, euler, dpm++ or unipc"
    )


def _class_of(name: str) -> Any:
    """The class of that name in `solvers` if there is one, otherwise diffusers'."""
    import diffusers

    from . import solvers

    return getattr(solvers if name in solvers.__all__ else diffusers, name)


def fresh_scheduler(
    name: str | None, own: Scheduler, num_steps: int, device: Any = "cpu"
) -> Scheduler:
    """A scheduler for one run, its timesteps set: by its name, or a copy of the model's `own`.

    `own` is not changed. Raises `ValueError` when the scheduler cannot do so many steps.
    """
    scheduler = copy.deepcopy(own) if name is None else build_scheduler(name, own)
    label = name or type(scheduler).__name__
    most = scheduler.config.get("original_inference_steps")  # of a distilled model
    if most is not None and num_steps > most:
        raise ValueError(
            f"num_steps={num_steps} does not suit {label!r}, which takes {most} at most; "
            f"take num_steps={most}"
        )
    try:
        _set_timesteps(scheduler, num_steps, device)
    except (ValueError, IndexError) as error:
        nearest = _nearest_good_count(scheduler, num_steps)
        advice = f"; take num_steps={nearest}" if nearest else ""
        raise ValueError(
            f"num_steps={num_steps} does not suit {label!r}: {error}{advice}"
        ) from error
    last = own.config.num_train_timesteps - 1
    if scheduler.timesteps.max() > last:  # "leading" spacing at 1000 steps
        raise ValueError(
            f"num_steps={num_steps} does not suit {label!r}: it would start beyond t={last}"
        )
    try:
        is_sound = _reaches_clean_latents(scheduler, num_steps)
    except (ValueError, NotImplementedError) as error:  # of the solver's step
        kind = scheduler.config.prediction_type
        raise ValueError(f"{label!r} cannot run a model that predicts {kind!r}: {error}") from error
    if not is_sound:
        nearest = _nearest_good_count(scheduler, num_steps)
        advice = f"take num_steps={nearest}" if nearest else "take another scheduler"
        raise ValueError(
            f"num_steps={num_steps} does not suit {label!r}: even a perfect prediction would not "
            f"lead to an image; {advice}"
        )
    return scheduler


def _set_timesteps(scheduler: Scheduler, num_steps: int, device: Any = "cpu") -> None:
    scheduler.set_timesteps(num_steps, device=device)
    drop_step_past_the_end(scheduler)


def noise_left(scheduler: Scheduler, num_steps: int) -> float:
    """The standard deviation of the noise that is left after a run with perfect predictions.

    The run starts from noise of standard deviation 1. About 0.03 is left where the schedule ends at
    its first ᾱ, and 0 where it ends at clean latents. NaN when the scheduler fails.
    """
    try:
        *_, latents = _perfect_run(scheduler, num_steps)
    except (IndexError, AssertionError):  # a duplicate timestep
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
    for n in near:
        with suppress(ValueError, IndexError):  # the class refuses this count
            if 1 <= n < last and _reaches_clean_latents(scheduler, n):
                return n
    return None


@torch.no_grad()
def _perfect_run(scheduler: Scheduler, num_steps: int, seed: int = 0) -> Iterator[Tensor]:
    """The latents after each step, where the network predicts the noise that is really there."""
    scheduler = copy.deepcopy(scheduler)
    _set_timesteps(scheduler, num_steps)
    extra, kind = step_arguments(scheduler, generators([seed])), scheduler.config.prediction_type
    latents = randn(_X0.shape[1:], [0]) * scheduler.init_noise_sigma
    for t, alpha_bar in zip(scheduler.timesteps, alpha_bars(scheduler), strict=True):
        x_t = scheduler.scale_model_input(latents, t)
        eps = pred_eps(x_t, _X0, alpha_bar)
        v = velocity(_X0, eps, alpha_bar)
        output = {"epsilon": eps, "sample": _X0, "v_prediction": v}[kind]
        latents = scheduler.step(output, t, latents, **extra, return_dict=False)[0]
        yield latents


def step_arguments(scheduler: Scheduler, generators: Sequence[Generator] | None) -> dict[str, Any]:
    """What `scheduler.step` takes besides the usual, for a run with a generator for each image.

    `eta`, the share of fresh noise, is 0 as in diffusers' pipeline.
    """
    known = inspect.signature(scheduler.step).parameters
    extra: dict[str, Any] = {"eta": 0.0} if "eta" in known else {}
    if generators is not None and "generator" in known:
        extra["generator"] = list(generators)
    elif generators is not None and getattr(scheduler, "noise_sampler_seed", 0) is None:
        # DPM++ SDE has a source of its own for each image, made at the first step.
        scheduler.noise_sampler_seed = [g.initial_seed() for g in generators]
    return extra


def alpha_bars(scheduler: Scheduler) -> Tensor:
    """ᾱ at every step of a run, (N,), on the device where the scheduler keeps its tables.

    Solvers with sigmas may stop between two timesteps of the training; their ᾱ is 1 / (1 + σ²).
    """
    if hasattr(scheduler, "sigmas"):
        return 1 / (1 + _sigmas(scheduler) ** 2)
    return scheduler.alphas_cumprod[scheduler.timesteps.tolist()]


def _sigmas(scheduler: Scheduler) -> Tensor:
    """σ at every step of a run; two solvers visit a point between two σ at every second step."""
    count, name = len(scheduler.timesteps), type(scheduler).__name__
    sigmas = scheduler.sigmas[:count].clone()  # there is one more, for the end
    if name == "KDPM2DiscreteScheduler":
        sigmas[1::2] = scheduler.sigmas_interpol[1:count:2]
    elif name == "DPMSolverSDEScheduler":
        sigmas[1::2] = (sigmas[:-1:2] * sigmas[1::2]).sqrt()
    return sigmas


def alpha_bar_at(scheduler: Scheduler, t: Tensor | float) -> Tensor:
    """ᾱ of any timestep, or one for each of a tensor's; between two of the training, of both."""
    table = scheduler.alphas_cumprod
    times = torch.as_tensor(t, dtype=torch.float32, device=table.device).clamp(0, len(table) - 1)
    low = times.floor().long()
    return torch.lerp(table[low], table[times.ceil().long()], times - low)
