"""What the autoencoder loses: PSNR and SSIM of round trips, picture → latents → picture.

SSIM is that of Wang et al. 2004 (IEEE Trans. Image Process. 13, 600-612): an 11x11 Gaussian window
of sigma 1.5, averaged over the channels. The encoder's posterior mode is taken, so nothing here is
random. Left out: perceptual distances, which need downloaded networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from ..world import Scene, render
from .adherence import batches, to_batch
from .intervals import mean_interval

if TYPE_CHECKING:
    from ..pipeline import StableDiffusion

__all__ = ["Fidelity", "fidelity", "psnr", "round_trips", "ssim"]


@dataclass(frozen=True)
class Fidelity:
    """How near round trips come to the pictures they started from."""

    pictures: int
    psnr_mean: float  # dB, mean over pictures of each picture's own
    psnr_interval: tuple[float, float]  # 95 %, of the mean
    psnr_worst: float
    ssim_mean: float  # 1 = equal
    ssim_interval: tuple[float, float]
    ssim_worst: float


def round_trips(
    sd: StableDiffusion, scenes: Sequence[Scene], batch_size: int = 16
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of (picture, restored picture), each (B, 3, H, W) float32 in [0, 1] on the CPU."""
    for some in batches(scenes, batch_size):
        images = to_batch([render(scene) for scene in some])
        yield images, _round_trip(sd, images)


@torch.no_grad()
def _round_trip(sd: StableDiffusion, images: Tensor) -> Tensor:
    latents = sd.encode_image(images.to(sd.device, sd.dtype))
    return sd.decode(latents).float().cpu()


def psnr(image: Tensor, restored: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of one picture, (3, H, W) in [0, 1]."""
    return float(peak_signal_noise_ratio(image.numpy(), restored.numpy(), data_range=1.0))


def ssim(image: Tensor, restored: Tensor) -> float:
    """Structural similarity of one picture, (3, H, W) in [0, 1]; 1 when they are equal."""
    value = structural_similarity(
        image.numpy(),
        restored.numpy(),
        channel_axis=0,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    return float(value)


def fidelity(trips: Iterable[tuple[Tensor, Tensor]]) -> Fidelity:
    """PSNR and SSIM, mean and worst, of `round_trips` of at least two pictures."""
    pairs = [
        (psnr(one, other), ssim(one, other))
        for images, restored in trips
        for one, other in zip(images, restored, strict=True)
    ]
    decibels, similarities = zip(*pairs, strict=True)
    return Fidelity(
        pictures=len(pairs),
        psnr_mean=fmean(decibels),
        psnr_interval=mean_interval(decibels),
        psnr_worst=min(decibels),
        ssim_mean=fmean(similarities),
        ssim_interval=mean_interval(similarities),
        ssim_worst=min(similarities),
    )
