"""One generation from the words to the image, with everything that the map shows of it.

`trace` makes the calls of `StableDiffusion.generate` one by one and keeps what goes in and out of
each; `viz.pipeline_map` draws it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from ..diffusion.equations import add_noise
from ..diffusion.loop import Step
from ..diffusion.schedulers import alpha_bar_at
from ..models.tokenizing import token_ids
from ..pipeline import StableDiffusion
from ..util.checks import check_not_blank
from ..util.images import to_arrays

if TYPE_CHECKING:  # matplotlib is imported with figures, not with what they show
    from ..viz.pipeline_map import Moment, Trace

MOMENTS = 6  # of each process
SHOWN = 0.35  # of the way through the loop: the step whose predictions are shown


def trace(
    sd: StableDiffusion,
    prompt: str,
    *,
    seed: int = 7,
    num_steps: int | None = None,
    guidance_scale: float | None = None,
) -> Trace:
    """Generate one image and keep what happened on the way.

        viz.pipeline_map(trace(sd, "a red house on green grass"))

    Without `num_steps` and `guidance_scale` they are the model's own. The image is the one that
    `sd.generate` gives. Raises what the stages of `sd` raise.
    """
    from ..viz.pipeline_map import Moment, Trace

    num_steps = sd.defaults.num_steps if num_steps is None else num_steps
    scale = sd.defaults.guidance_scale if guidance_scale is None else guidance_scale
    began = time.perf_counter()
    states, empty = sd.encode_text(check_not_blank([prompt])), sd.encode_text("")
    noise = sd.init_latents([seed])
    how: dict[str, Any] = {"num_steps": num_steps, "guidance_scale": scale, "seeds": [seed]}
    steps = list(sd.denoise(noise, states, empty, **how))
    result = steps[-1].next_latents
    [image] = to_arrays(sd.decode(result).float())
    seconds = time.perf_counter() - began

    shown = steps[round(SHOWN * (len(steps) - 1))]
    x_t = _x_t(sd, shown)
    return Trace(
        model=sd.name,
        prompt=prompt,
        seed=seed,
        num_steps=len(steps),
        guidance_scale=scale,
        scheduler=type(sd.scheduler).__name__.removesuffix("Scheduler"),
        seconds=seconds,
        device=sd.device.type,
        pieces=tuple(sd.tokenizer.convert_ids_to_tokens(token_ids(sd.tokenizer, prompt))),
        states=_array(states),
        empty_states=_array(empty),
        noise=_array(noise),
        step=shown.index + 1,
        t=shown.t,
        latents=_array(x_t),
        eps_cond=None if shown.eps_cond is None else _array(shown.eps_cond),
        eps_uncond=None if shown.eps_uncond is None else _array(shown.eps_uncond),
        result=_array(result),
        image=image,
        forward=_forward(sd, result, noise),
        reverse=(*_reverse(sd, steps), Moment(0, 1, image)),
        parameters={
            name: sum(p.numel() for p in getattr(sd, name).parameters())
            for name in ("text_encoder", "unet", "vae")
        },
        bytes_per_parameter=sd.dtype.itemsize,
    )


def _forward(sd: StableDiffusion, x0: Tensor, noise: Tensor) -> tuple[Moment, ...]:
    """x0 (1, C, h, w) under the noise of more and more timesteps, from none to all of it."""
    from ..viz.pipeline_map import Moment

    count = sd.scheduler.config.num_train_timesteps
    times = [min(round(i * count / (MOMENTS - 1)), count - 1) for i in range(MOMENTS)]
    shares = [1.0, *(float(alpha_bar_at(sd.scheduler, t)) for t in times[1:])]
    images = _decoded(sd, [add_noise(x0, noise, share) for share in shares])
    return tuple(map(Moment, times, shares, images))


def _reverse(sd: StableDiffusion, steps: Sequence[Step]) -> list[Moment]:
    """Some steps of a generation, evenly spread from the first on."""
    from ..viz.pipeline_map import Moment

    count = min(MOMENTS - 1, len(steps))
    some = [steps[round(i * len(steps) / count)] for i in range(count)]
    images = _decoded(sd, [_x_t(sd, step) for step in some])
    expected = _decoded(sd, [step.pred_x0 for step in some])
    times = [step.t for step in some]
    shares = [float(alpha_bar_at(sd.scheduler, t)) for t in times]
    return list(map(Moment, times, shares, images, expected))


def _x_t(sd: StableDiffusion, step: Step) -> Tensor:
    """The latents of a step on the scale of the papers, whatever the scheduler's."""
    return add_noise(step.pred_x0, step.eps, alpha_bar_at(sd.scheduler, step.t))


def _decoded(sd: StableDiffusion, latents: Sequence[Tensor]) -> list[np.ndarray]:
    """Latents, each (1, C, h, w), as images, uint8 (H, W, 3)."""
    return to_arrays([sd.decode(one).float() for one in latents])


def _array(tensor: Tensor) -> np.ndarray:
    """The first of a batch."""
    return tensor[0].detach().float().cpu().numpy()
