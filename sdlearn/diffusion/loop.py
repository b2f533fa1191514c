"""The denoising loop, as a generator that yields one `Step` at a time.

    for each timestep t, from noisy to clean:
        eps          the noise that the U-Net predicts, with and without the text
        pred_x0      the clean latents that this noise implies
        next_latents one step of the scheduler towards them

Some U-Nets predict v or x_0 instead (`equations`); guidance and the scheduler work on what the
U-Net predicts, and `Step` holds the noise that it implies.

(DDPM algorithm 2, arXiv 2006.11239, with classifier-free guidance, arXiv 2207.12598, and any
solver.) Left out: what happens before and after, and all checks (`sdlearn.pipeline`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from .editing import Kept, Network
from .equations import eps_of, x0_of
from .guidance import apply_guidance, rescale_guidance
from .schedulers import alpha_bars, step_arguments


@dataclass(frozen=True, eq=False)
class Step:
    """One step of the loop; all tensors (B, 4, h, w).

    `latents` and `next_latents` are on the scheduler's own scale: those of the Euler family are
    sqrt(1 + sigma²) times as large as x_t of the paper. `eps` and `pred_x0` belong to x_t, to which
    the loop scales the latents before it calls the U-Net.
    """

    index: int  # 0 for the first step
    t: float  # timestep, for SD 1.x 0..999, larger is noisier
    latents: Tensor  # before the step
    eps_uncond: Tensor | None  # None at guidance scale 1, which does not need it
    eps_cond: Tensor | None  # None at guidance scale 0, which does not need it
    eps: Tensor  # the two combined by guidance
    pred_x0: Tensor  # clean latents that eps implies (diffusers: pred_original_sample)
    next_latents: Tensor  # after the step


def denoise_steps(
    network: Network,
    scheduler: Any,
    latents: Tensor,
    cond: Tensor,
    uncond: Tensor | None,
    *,
    guidance_scale: float,
    guidance_rescale: float = 0.0,
    generators: Sequence[Generator] | None = None,
    begin: int | None = None,
    kept: Kept | None = None,
) -> Iterator[Step]:
    """Denoise `latents`, (B, 4, h, w), with a new scheduler whose timesteps are set.

    They are unit-variance noise; or, with `begin`, latents on the scheduler's own scale, of the
    timestep at that index, from which the run goes on (`editing`). `kept` is what every step keeps
    of an image.
    """
    extra, kind = step_arguments(scheduler, generators), scheduler.config.prediction_type
    latents = latents * scheduler.init_noise_sigma if begin is None else latents
    # Read these numbers once: in the loop, each read would wait for the GPU to finish its step.
    numbers, alpha_bar = scheduler.timesteps.tolist(), alpha_bars(scheduler)
    first = begin or 0
    for index, t in enumerate(scheduler.timesteps[first:], first):
        with torch.no_grad():
            x_t = scheduler.scale_model_input(latents, t)
            without, with_text, output = predict_with_guidance(
                network, x_t, t, cond, uncond, guidance_scale, guidance_rescale
            )
            next_latents = scheduler.step(output, t, latents, **extra, return_dict=False)[0]
            if kept is not None:
                next_latents = kept.restore(scheduler, next_latents, index + 1)
            now = x_t, alpha_bar[index], kind
            step = Step(
                index=index - first,
                t=float(numbers[index]),
                latents=latents,
                eps_uncond=None if without is None else eps_of(without, *now),
                eps_cond=None if with_text is None else eps_of(with_text, *now),
                eps=eps_of(output, *now),
                pred_x0=x0_of(output, *now),
                next_latents=next_latents,
            )
        # Outside of no_grad, or the caller would run without gradients between two steps.
        yield step
        latents = next_latents


def predict_with_guidance(
    network: Network,
    x_t: Tensor,
    t: Tensor,
    cond: Tensor,
    uncond: Tensor | None,
    guidance_scale: float,
    guidance_rescale: float = 0.0,
) -> tuple[Tensor | None, Tensor | None, Tensor]:
    """The predictions without and with the text, and the guided one; one without influence is None.

    Both predictions come from one call on a batch twice as long, the unconditional half first, as
    in diffusers: two calls would give other last bits.
    """
    if guidance_scale == 1 or uncond is None:
        with_text = network(x_t, t, cond)
        return None, with_text, with_text
    if guidance_scale == 0:
        without = network(x_t, t, uncond)
        return without, None, without
    both = network(torch.cat([x_t, x_t]), t, torch.cat([uncond, cond]))  # (2B, 4, h, w)
    without, with_text = both.chunk(2)  # (B, 4, h, w) each
    guided = apply_guidance(without, with_text, guidance_scale)
    if guidance_rescale:
        guided = rescale_guidance(guided, with_text, guidance_rescale)
    return without, with_text, guided
