"""Measures on pixels: what the autoencoder loses, and how images of one prompt differ.

PSNR of round trips, image → latents → image. The encoder's posterior mode is taken, so nothing in
it is random. What is blurred may still have a good PSNR, so sharpness stands beside it: how much of
the difference between neighbouring pixels is left. And latents ought to be a small image of the
image: what is decoded from turned latents is compared with the turned image (arXiv 2502.09509).
Left out: perceptual distances, which need downloaded networks, and SSIM, whose value depends on the
library that computes it.

Diversity: guidance buys adherence with it (Ho and Salimans 2022, arXiv 2207.12598), so the two are
reported together. The measure is the root mean square difference of pixels, averaged over all pairs
of one prompt's images; one number for each prompt, so that the spread over prompts is known. It
knows nothing of content: noise is "diverse" too, so read it beside adherence.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from ..pipeline import StableDiffusion
from ..util.images import to_tensor, turn
from ..util.progress import Progress, no_progress
from ..world import Scene, full_caption, render
from .intervals import mean_interval

TURNS = {  # how an image is laid → the number that `turn` takes
    "upright": 0,
    "mirrored": 4,
    "upside down": 6,
    "quarter turn": 1,
    "half turn": 2,
    "three quarter turns": 3,
}


@dataclass(frozen=True)
class Fidelity:
    """How close the autoencoder comes to the images that it is given."""

    images: int
    psnr_mean: float  # dB, mean over images of each image's own
    psnr_interval: tuple[float, float]  # 95 %, of the mean
    psnr_worst: float
    sharpness: float  # mean gradient of the round trips over that of the images; 1 is as sharp
    psnr_by_style: dict[str, float]
    psnr_turned: dict[str, float]  # name in `TURNS` → mean, of what turned latents decode to


def psnr(image: Tensor, restored: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of one image, (3, H, W) in [0, 1]; inf when equal.

    >>> image = torch.full((3, 8, 8), 0.5)
    >>> round(psnr(image, image + 0.1), 1)  # -10 log10(0.1²)
    20.0
    """
    error = (image.double() - restored.double()).square().mean()
    return float(-10 * error.log10())


def render_batches(scenes: Sequence[Scene], batch_size: int) -> Iterator[Tensor]:
    """What the world draws: batches (B, 3, H, W) in [0, 1]."""
    for start in range(0, len(scenes), batch_size):
        yield to_tensor([render(scene) for scene in scenes[start : start + batch_size]])


def round_trips(
    sd: StableDiffusion, scenes: Sequence[Scene], batch_size: int = 16
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of (image, restored image), each (B, 3, H, W) float32 in [0, 1] on the CPU."""
    for images in render_batches(scenes, batch_size):
        with torch.no_grad():
            latents = sd.encode_image(images.to(sd.device, sd.dtype))
            restored = sd.decode(latents).float().cpu()
        yield images, restored


def mean_gradient(image: Tensor) -> float:
    """Mean absolute difference of neighbouring pixels, across and down; `image` (3, H, W)."""
    return float(image.diff(dim=-1).abs().mean() + image.diff(dim=-2).abs().mean()) / 2


def turned_trips(sd: StableDiffusion, images: Tensor) -> Iterator[tuple[str, Tensor, Tensor]]:
    """For each of `TURNS`: its name, the turned images, what their turned latents decode to.

    `images` (B, 3, H, H) in [0, 1]; so are the results, float32 on the CPU.
    """
    with torch.no_grad():
        latents = sd.encode_image(images.to(sd.device, sd.dtype))
        decoded = [sd.decode(turn(latents, n)).float().cpu() for n in TURNS.values()]
    for (name, number), restored in zip(TURNS.items(), decoded, strict=True):
        yield name, turn(images, number), restored


def fidelity(
    sd: StableDiffusion,
    scenes: Sequence[Scene],
    batch_size: int = 16,
    progress: Progress = no_progress,
) -> Fidelity:
    """What the autoencoder of `sd` makes of the renders of at least two scenes."""
    decibels: dict[str, list[float]] = {name: [] for name in TURNS}
    before, after = [], []  # mean gradients
    batches = render_batches(scenes, batch_size)
    for images in progress(batches, "VAE", math.ceil(len(scenes) / batch_size)):
        for name, expected, restored in turned_trips(sd, images):
            decibels[name] += [psnr(*pair) for pair in zip(expected, restored, strict=True)]
            if name == "upright":
                before += [mean_gradient(image) for image in expected]
                after += [mean_gradient(image) for image in restored]
    own = decibels["upright"]
    by_style: dict[str, list[float]] = {}
    for scene, value in zip(scenes, own, strict=True):
        by_style.setdefault(scene.style, []).append(value)
    return Fidelity(
        images=len(own),
        psnr_mean=fmean(own),
        psnr_interval=mean_interval(own),
        psnr_worst=min(own),
        sharpness=fmean(after) / fmean(before),
        psnr_by_style={style: fmean(values) for style, values in by_style.items()},
        psnr_turned={name: fmean(values) for name, values in decibels.items()},
    )


def pixel_distance(images: Tensor) -> float:
    """Mean over all pairs of the root mean square difference; `images` (B >= 2, 3, H, W).

    In [0, 1] for images in [0, 1]: 0 when all are equal, 1 for black beside white.
    """
    if len(images) < 2:
        raise ValueError(f"images must hold at least two; got {len(images)}")
    flat = images.flatten(1).float()
    return float(torch.pdist(flat).mean() / flat.shape[1] ** 0.5)


def diversity(
    sd: StableDiffusion, scenes: Sequence[Scene], seeds: Sequence[int], **sampling: Any
) -> list[float]:
    """`pixel_distance` over `seeds`, one for each scene's full caption.

    `sampling`: arguments of `StableDiffusion.generate`, such as `guidance_scale=2`.
    """
    images = (sd.generate(full_caption(scene), seeds=seeds, **sampling) for scene in scenes)
    return [pixel_distance(to_tensor(some)) for some in images]


def world_diversity(scenes: Sequence[Scene], count: int) -> list[float]:
    """The same of the world itself: `count` renders of each scene that differ in `variant` only.

    A model that draws exactly what it was taught has this diversity.
    """
    rng = random.Random("diversity")
    variants = ([replace(s, variant=rng.getrandbits(32)) for _ in range(count)] for s in scenes)
    return [pixel_distance(next(render_batches(some, count))) for some in variants]
