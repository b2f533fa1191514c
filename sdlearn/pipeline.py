"""Stable Diffusion in its stages, each of which can be called, watched and changed.

    text    → tokenize → encode_text      → cond (B, 77, D)
    seeds   → init_latents                → latents (B, 4, h, w)
    both    → denoise                     → latents (B, 4, h, w)
    latents → decode                      → images (B, 3, H, W) in [0, 1]

`generate` is these calls in a row. Every operation comes in the order of diffusers'
`StableDiffusionPipeline`, so the pictures are the same, bit for bit. Left out: all that a picture
from text does not need (LoRA, adapters, image prompts, the safety checker). Letters: B pictures,
77 tokens, D width of a text state, h w latent, H W pixels.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from . import noise
from .checks import check_images, check_not_blank, check_num_steps, check_prompts, check_side
from .denoising import Step, denoise_steps
from .guidance import check_guidance_scale
from .loading import find_folder, load_parts
from .schedulers import draws_noise, fresh_scheduler

__all__ = ["StableDiffusion", "Step", "load", "to_pil"]


def load(
    name: str | Path = "tiny",
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> StableDiffusion:
    """A Stable Diffusion, ready to draw.

    `name` is "tiny" (shipped with sdlearn), "sd15", a folder in Stable Diffusion's layout, or a
    hub id. `device` is cuda, mps or cpu, by default the first of them that is here. `dtype` is by
    default float16 on cuda and float32 elsewhere. Raises one clear sentence (`ValueError`,
    `FileNotFoundError`, `ConnectionError`) when there is no such model or it is damaged.
    """
    where = noise.pick_device(device)
    if dtype is None:
        dtype = torch.float16 if where.type == "cuda" else torch.float32
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise ValueError(f"dtype must be a floating-point type of torch; got {dtype!r}")
    parts = load_parts(find_folder(name, dtype), where, dtype)
    return StableDiffusion(str(name), **parts._asdict())


class StableDiffusion:
    """The parts of a Stable Diffusion, and the stages of drawing a picture with them."""

    def __init__(
        self,
        name: str,
        *,
        tokenizer: Any,
        text_encoder: Any,
        unet: Any,
        vae: Any,
        scheduler: Any,
    ) -> None:
        self.name = name
        self.tokenizer = tokenizer
        self.text_encoder = text_encoder
        self.unet = unet
        self.vae = vae
        self.scheduler = scheduler  # only copies of it are run: a scheduler keeps state
        self.device: torch.device = unet.device
        self.dtype: torch.dtype = unet.dtype
        self.vae_scale_factor: int = 2 ** (len(vae.config.block_out_channels) - 1)  # 8
        self.image_size: int = unet.config.sample_size * self.vae_scale_factor  # pixels

    def __repr__(self) -> str:
        size = f"{self.image_size}x{self.image_size} pixels"
        return f"StableDiffusion({self.name!r}, {size}, {self.device}, {self.dtype})"

    def tokenize(self, prompt: str | Iterable[str]) -> Tensor:
        """Prompts as token ids, (B, 77): begin, pieces of words, end, padding.

        Warns when a prompt is too long, and shows what was cut off.
        """
        prompts = check_prompts(prompt)
        for text in prompts:
            _warn_if_cut(self.tokenizer, text)
        return self.tokenizer(
            prompts,
            padding="max_length",
            max_length=self.tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        ).input_ids

    @torch.no_grad()
    def encode_text(self, prompt: str | Iterable[str]) -> Tensor:
        """What the U-Net is told of each prompt: one state for every token, (B, 77, D)."""
        return self.text_encoder(self.tokenize(prompt).to(self.device))[0]

    def init_latents(
        self, seeds: Iterable[int], *, height: int | None = None, width: int | None = None
    ) -> Tensor:
        """Unit-variance noise, (B, 4, h, w), one for each seed; height and width in pixels."""
        factor = self.vae_scale_factor
        asked = {"height": height, "width": width}
        sides = [
            check_side(name, self.image_size if pixels is None else pixels, factor) // factor
            for name, pixels in asked.items()
        ]
        shape = (self.unet.config.in_channels, *sides)
        return noise.randn(shape, seeds, self.device, self.dtype)

    @torch.no_grad()
    def predict_noise(self, latents: Tensor, t: Tensor | float, cond: Tensor) -> Tensor:
        """The noise that the U-Net sees in `latents` at timestep `t`, (B, 4, h, w).

        `latents` (B, 4, h, w) is what the papers call x_t; `cond` (B, 77, D).
        """
        return self.unet(latents, t, encoder_hidden_states=cond, return_dict=False)[0]

    def denoise(
        self,
        latents: Tensor,
        cond: Tensor,
        uncond: Tensor | None = None,
        *,
        num_steps: int = 20,
        guidance_scale: float = 3.0,
        scheduler: str | None = None,
        seeds: Iterable[int] | None = None,
    ) -> Iterator[Step]:
        """From noise to clean latents, one `Step` after the other.

        `latents` (B, 4, h, w) is unit-variance noise, as from `init_latents`; `cond` and `uncond`
        (B or 1, 77, D) come from `encode_text`. At `guidance_scale` 1 only `cond` is evaluated,
        at 0 only `uncond` (`sdlearn.guidance`); SD 1.5 likes 7.5. `scheduler` is a name in
        `sdlearn.schedulers`, None for the model's own; one that draws noise as it goes needs the
        `seeds` of `latents`.
        Raises `ValueError` or `TypeError` at the call, not at the first step.
        """
        num_steps = check_num_steps(num_steps, self.scheduler.config.num_train_timesteps)
        guidance_scale = check_guidance_scale(guidance_scale)
        if uncond is None and guidance_scale != 1:
            raise ValueError(
                f"uncond must be given unless guidance_scale is 1; got {guidance_scale}"
            )
        count = len(latents)
        fresh = fresh_scheduler(scheduler, self.scheduler, num_steps, self.device)
        return denoise_steps(
            self.predict_noise,
            fresh,
            latents,
            _for_each("cond", cond, count),
            None if uncond is None else _for_each("uncond", uncond, count),
            guidance_scale=guidance_scale,
            generators=_generators(latents, seeds) if draws_noise(fresh) else None,
        )

    @torch.no_grad()
    def encode_image(self, images: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) in [0, 1] → latents (B, 4, h, w), the likeliest, scaled."""
        check_images(images)
        for name, pixels in zip(("height", "width"), images.shape[2:], strict=True):
            check_side(name, pixels, self.vae_scale_factor)
        x = images.to(self.device, self.dtype) * 2 - 1
        return self.vae.encode(x).latent_dist.mode() * self.vae.config.scaling_factor

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Latents (B, 4, h, w) → pictures (B, 3, H, W) in [0, 1]."""
        x = self.vae.decode(latents / self.vae.config.scaling_factor, return_dict=False)[0]
        return (x * 0.5 + 0.5).clamp(0, 1)

    def generate(
        self,
        prompt: str | Iterable[str],
        *,
        seeds: Iterable[int] = (0,),
        negative_prompt: str | Iterable[str] = "",
        num_steps: int = 20,
        guidance_scale: float = 3.0,
        scheduler: str | None = None,
        height: int | None = None,
        width: int | None = None,
    ) -> list[Image.Image]:
        """Draw one picture for each seed: of one prompt, or of as many prompts as seeds."""
        seeds = noise.check_seeds(seeds)
        prompts = check_not_blank(check_prompts(prompt, seeds=len(seeds)))
        negative = check_prompts(negative_prompt, "negative_prompt", seeds=len(seeds))
        cond, uncond = self.encode_text(prompts), self.encode_text(negative)
        latents = self.init_latents(seeds, height=height, width=width)
        for step in self.denoise(
            latents,
            cond,
            uncond,
            num_steps=num_steps,
            guidance_scale=guidance_scale,
            scheduler=scheduler,
            seeds=seeds,
        ):
            latents = step.next_latents
        return to_pil(self.decode(latents))


def to_pil(images: Tensor) -> list[Image.Image]:
    """Pictures (B, 3, H, W) in [0, 1] as Pillow images, rounded as diffusers rounds them."""
    pixels = images.detach().cpu().permute(0, 2, 3, 1).float().numpy()
    return [Image.fromarray(picture) for picture in (pixels * 255).round().astype("uint8")]


def _warn_if_cut(tokenizer: Any, text: str) -> None:
    """Warn about what does not fit into the 77 tokens of a prompt."""
    most = tokenizer.model_max_length
    ids = tokenizer(text, verbose=False).input_ids  # begin, ..., end
    if len(ids) > most:
        lost = tokenizer.decode(ids[most - 1 : -1])
        warnings.warn(
            f"the prompt has {len(ids)} tokens, begin and end included, and {most} fit; "
            f"cut off: {lost!r}",
            stacklevel=3,
        )


def _for_each(name: str, states: Tensor, count: int) -> Tensor:
    """Text states for `count` pictures: one is used for all of them."""
    if states.ndim != 3 or len(states) not in (1, count):
        raise ValueError(
            f"{name} must hold 1 or {count} prompts, as there are {count} latents, each (77, D); "
            f"got shape {tuple(states.shape)}"
        )
    return states.expand(count, -1, -1)


def _generators(latents: Tensor, seeds: Iterable[int] | None) -> list[torch.Generator]:
    """Each picture's generator, past the noise that the picture began with."""
    if seeds is None:
        raise ValueError("seeds must be given for a scheduler that draws noise as it goes")
    sources = noise.generators_after(latents.shape[1:], seeds, latents.dtype)
    if len(sources) != len(latents):
        raise ValueError(
            f"seeds must be one for each of {len(latents)} latents; got {len(sources)}"
        )
    return sources
