"""What the autoencoder loses: the PSNR of round trips, image → latents → image.

The encoder's posterior mode is taken, so nothing here is random. Left out: perceptual distances,
which need downloaded networks, and SSIM, whose value hangs on the library that computes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..util.images import to_tensor
from ..world import Scene, render
from .adherence import batches
from .intervals import mean_interval

if TYPE_CHECKING:
    from ..pipeline import StableDiffusion

__all__ = ["Fidelity", "fidelity", "psnr", "round_trips"]


@dataclass(frozen=True)
class Fidelity:
    """How near round trips come to the pictures they started from."""

    pictures: int
    psnr_mean: float  # dB, mean over pictures of each picture's own
    psnr_interval: tuple[float, float]  # 95 %, of the mean
    psnr_worst: float


def round_trips(
    sd: StableDiffusion, scenes: Sequence[Scene], batch_size: int = 16
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of (picture, restored picture), each (B, 3, H, W) float32 in [0, 1] on the CPU."""
    for some in batches(scenes, batch_size):
        images = to_tensor([render(scene) for scene in some])
        yield images, _round_trip(sd, images)


@torch.no_grad()
def _round_trip(sd: StableDiffusion, images: Tensor) -> Tensor:
    latents = sd.encode_image(images.to(sd.device, sd.dtype))
    return sd.decode(latents).float().cpu()


def psnr(image: Tensor, restored: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of one image, (3, H, W) in [0, 1]; inf when equal."""
    error = (image.double() - restored.double()).square().mean()
    return float(-10 * error.log10())


def fidelity(trips: Iterable[tuple[Tensor, Tensor]]) -> Fidelity:
    """PSNR, mean and worst, of `round_trips` of at least two pictures."""
    decibels = [
        psnr(one, other)
        for images, restored in trips
        for one, other in zip(images, restored, strict=True)
    ]
    return Fidelity(
        pictures=len(decibels),
        psnr_mean=fmean(decibels),
        psnr_interval=mean_interval(decibels),
        psnr_worst=min(decibels),
    )
