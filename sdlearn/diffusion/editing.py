"""Runs that begin at an image, and runs that keep a part of one: image to image and inpainting.

    image to image   the image's latents with noise, from a timestep in the middle on
                     (SDEdit, Meng et al. 2021, arXiv 2108.01073)
    inpainting       after each step, what is outside of a mask becomes the image again, with as
                     much noise as the rest has (blended latent diffusion, arXiv 2206.02779)

All operations come in the order of diffusers' pipelines for both, so the latents are the same, bit
for bit. Where diffusers 0.42.1 is wrong this is right: its PNDM, begun in the middle, runs one step
behind from the third call on and leaves noise in the image (`solvers.PNDMScheduler`).
Letters: B images, h w latent.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..util.checks import check_number
from .grid import step_timesteps
from .schedulers import Scheduler

Network = Callable[[Tensor, Tensor, Tensor], Tensor]  # (x_t, t, text states) → its prediction


def default_strength(masked: bool) -> float:
    """1 with a mask, otherwise 0.8, as in diffusers."""
    return 1.0 if masked else 0.8


def check_strength(strength: float) -> float:
    """A number in [0, 1]; `TypeError` or `ValueError` for anything else."""
    share = check_number("strength must be a number in [0, 1]", strength)
    if not 0 <= share <= 1:  # NaN fails as well
        raise ValueError(f"strength must lie in [0, 1]; got {strength}")
    return share


def check_edit(
    latents: Tensor,
    image_latents: Tensor | None,
    strength: float | None,
    mask: Tensor | None,
    masked_image_latents: Tensor | None,
    start: float | None,
) -> float:
    """The strength, by default `default_strength`.

    Raises `ValueError` or `TypeError` for arguments that do not fit `latents` (B, 4, h, w) or do
    not go together.
    """
    given = {"strength": strength, "mask": mask, "masked_image_latents": masked_image_latents}
    if image_latents is None:
        for name, value in given.items():
            if value is not None:
                raise ValueError(f"{name} goes with image_latents; got {name} without them")
        return 1.0
    if start is not None:
        raise ValueError("start is for latents that have their noise; leave image_latents out")
    count, channels, *size = latents.shape
    _check_shape("image_latents", image_latents, count, [channels, *size])
    if mask is not None:
        _check_shape("mask", mask, count, [1, *size])
    if masked_image_latents is not None:
        _check_shape("masked_image_latents", masked_image_latents, count, [channels, *size])
    return check_strength(default_strength(mask is not None) if strength is None else strength)


def _check_shape(name: str, value: Tensor, count: int, shape: list[int]) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a tensor; got {type(value).__name__}")
    if list(value.shape) not in ([1, *shape], [count, *shape]):
        wanted = " or ".join(str((n, *shape)) for n in sorted({1, count}))
        raise ValueError(f"{name} must have shape {wanted}; got {tuple(value.shape)}")


def steps_of_strength(num_steps: int, strength: float) -> int:
    """How many of `num_steps` are run at a `strength` in [0, 1]: the last ones, rounded down.

    >>> steps_of_strength(20, 0.5), steps_of_strength(5, 0.5), steps_of_strength(5, 0.1)
    (10, 2, 0)
    """
    return min(int(num_steps * strength), num_steps)


def begin_run(
    scheduler: Scheduler,
    latents: Tensor,
    num_steps: int,
    *,
    image_latents: Tensor | None = None,
    strength: float = 1.0,
    start: float | None = None,
    pure_noise: bool = False,
) -> tuple[int | None, Tensor]:
    """Where in a fresh scheduler's `timesteps` the run begins, and the latents to begin with.

    Without `image_latents` and `start`, (None, `latents`), which are unit-variance noise. With
    `start` they are x_t of that timestep. With `image_latents` they are the noise that these get,
    at the timestep that `strength` stands for; or all there is, with `pure_noise` at strength 1.
    """
    if start is not None:
        index = begin_at_timestep(scheduler, start)
        return index, to_own_scale(scheduler, latents, index)
    if image_latents is None:
        return None, latents
    index = begin_at_step(scheduler, num_steps - steps_of_strength(num_steps, strength))
    if pure_noise and strength == 1:
        return index, latents * scheduler.init_noise_sigma
    if index >= len(scheduler.timesteps):  # no step is left to run
        return index, image_latents
    return index, noised_image(scheduler, image_latents, latents, index)


def begin_at_step(scheduler: Scheduler, step: int) -> int:
    """Make a fresh scheduler begin at a step, 0 for the first; its index in `timesteps`.

    A solver that calls the network twice a step has more timesteps than steps.
    """
    index = step * scheduler.order
    if hasattr(scheduler, "set_begin_index"):  # the others look each timestep up
        scheduler.set_begin_index(index)
    return index


def count_calls(scheduler: Scheduler, num_steps: int, strength: float = 1.0) -> int:
    """How often a run with a fresh scheduler calls the network."""
    first = begin_at_step(scheduler, num_steps - steps_of_strength(num_steps, strength))
    return max(0, len(scheduler.timesteps) - first)


def begin_at_timestep(scheduler: Scheduler, start: float) -> int:
    """Make a fresh scheduler begin at timestep `start`; its index in `timesteps`.

    If `start` is not on the run's grid it takes the place of the timestep nearest to it. Raises
    `TypeError` or `ValueError` for what is no timestep of the training.
    """
    last = scheduler.config.num_train_timesteps - 1
    wanted = check_number(f"start must be a timestep, a number in 0..{last}", start)
    distances = (step_timesteps(scheduler).cpu().double() - wanted).abs()
    index = begin_at_step(scheduler, int(distances.argmin()))
    if distances.min() > 0:
        if not (0 <= wanted <= last and wanted.is_integer()):
            raise ValueError(f"start must be a whole number in 0..{last}; got {start}")
        scheduler.timesteps[index] = start
        if hasattr(scheduler, "sigmas"):
            alpha_bar = scheduler.alphas_cumprod[int(start)]
            scheduler.sigmas[index] = ((1 - alpha_bar) / alpha_bar) ** 0.5
    return index


def noised_image(scheduler: Scheduler, image_latents: Tensor, noise: Tensor, index: int) -> Tensor:
    """Latents of an image with the noise of the timestep at `index`, on the scheduler's scale.

    For a scheduler that begins there, or that has come there.
    """
    t = scheduler.timesteps[index : index + 1].repeat(len(noise))
    return scheduler.add_noise(image_latents, noise, t)


def to_own_scale(scheduler: Scheduler, x_t: Tensor, index: int) -> Tensor:
    """x_t of the papers at the timestep at `index`, on the scale of the scheduler's latents.

    The scale differs in the Euler family, which divides its latents before it calls the network.
    """
    asked = copy.deepcopy(scheduler)  # the question counts as the beginning of a run
    scale = asked.scale_model_input(torch.ones_like(x_t[:1, :1, :1, :1]), asked.timesteps[index])
    return x_t / scale


@dataclass(frozen=True, eq=False)
class Kept:
    """What a run keeps of an image: everything where the mask is 0."""

    image_latents: Tensor  # (B or 1, 4, h, w)
    noise: Tensor  # (B, 4, h, w), the noise that the run began with
    mask: Tensor  # (1, 1, h, w), 1 where the image is made anew, 0 where it is kept

    def restore(self, scheduler: Scheduler, latents: Tensor, index: int) -> Tensor:
        """`latents`, with the image where it is kept, as noisy as timestep `index` asks."""
        image = self.image_latents
        if index < len(scheduler.timesteps):  # else the run is at its end
            image = noised_image(scheduler, image, self.noise, index)
        return (1 - self.mask) * image + self.mask * latents


def with_more_channels(network: Network, mask: Tensor, masked_image_latents: Tensor) -> Network:
    """`network` of a U-Net made for inpainting, which sees the mask and the rest as well.

    Its nine channels are x_t, the mask (1) and the latents of the image with grey under the mask.
    """
    count = max(len(mask), len(masked_image_latents))
    parts = (part.expand(count, -1, -1, -1) for part in (mask, masked_image_latents))
    more = torch.cat(list(parts), dim=1)  # (B or 1, 5, h, w)

    def predict(x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        return network(torch.cat([x_t, more.repeat(len(x_t) // count, 1, 1, 1)], 1), t, cond)

    return predict


def mask_of_latents(mask: Tensor, factor: int) -> Tensor:
    """A mask of pixels, (1, 1, H, W), as one of latents, (1, 1, h, w), both of zeros and ones.

    A latent cell is made anew if any of its pixels is masked. diffusers looks at one pixel in 64,
    so thin strokes vanish there.

    >>> mask = torch.zeros(1, 1, 16, 16)
    >>> mask[..., 3, 13] = 1
    >>> mask_of_latents(mask, 8)[0, 0]
    tensor([[0., 1.],
            [0., 0.]])
    """
    return F.max_pool2d(mask, factor).contiguous()
