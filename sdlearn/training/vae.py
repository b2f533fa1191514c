"""Train the autoencoder: `diffusers.AutoencoderKL`, 128x128x3 → 16x16x4 and back.

Loss: L1 + L2 on pixels, L1 on horizontal and vertical differences and on how much of them there is
around each pixel (crisp edges without a downloaded perceptual network), and a very small KL term,
as in latent diffusion (Rombach et al. 2022, arXiv 2112.10752, appendix G: the KL weight is 1e-6 on
summed terms). Left out: the adversarial and LPIPS losses of the original.

Two in five latents are turned or mirrored before they are decoded, and the image must come out
turned or mirrored likewise (EQ-VAE, arXiv 2502.09509). So latents turn with their image.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor, nn

from ..util.images import turn
from .data import RenderedImages
from .loop import Batch, TrainingConfig

LATENT_CHANNELS = 4
SCALING_FACTOR = 0.18215  # SD 1.x's own; `fold_normalisation` makes it right for ours
KL_WEIGHT = 2e-5  # of the KL per latent number
SQUARE_WEIGHT = 5.0  # of the squared error: large errors, which are small subjects, count
TEXTURE_WEIGHT = 0.5  # of the loss of contrast around each pixel
LATENT_NOISE = 0.02  # beside a spread of 1: a U-Net's latents are never exactly an encoder's
TURNED_SHARE = 0.4  # of the latents are turned before they are decoded

CONFIG = TrainingConfig(steps=9_000, batch_size=4, lr=8e-4, warmup=300, decay=0.75, ema=0.999)
DECODER_CONFIG = replace(CONFIG, lr=4e-4)


def build_vae() -> AutoencoderKL:
    """An untrained 2.6 M parameter autoencoder; four levels, so that it shrinks 8 times."""
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(16, 32, 64, 128),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        sample_size=128,
        scaling_factor=SCALING_FACTOR,
        mid_block_add_attention=False,
    )


class VAEObjective(nn.Module):
    """The losses of one batch of images."""

    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, images: Tensor, noise: Tensor, turns: Tensor) -> dict[str, Tensor]:
        """`images` (B, 3, H, H) in [-1, 1], `noise` (B, 4, h, h) normal, `turns` (B,) → losses."""
        posterior = self.vae.encode(images).latent_dist
        latents = turn_all(posterior.mean + posterior.std * noise, turns)
        losses = compare(self.vae.decode(latents).sample, turn_all(images, turns))
        kl = posterior.kl().mean() / posterior.mean[0].numel()
        return {**losses, "loss": losses["loss"] + KL_WEIGHT * kl, "kl": kl}


class DecoderObjective(nn.Module):
    """The losses of one batch for the decoder alone: the encoder, and all latents, stay.

    So a U-Net that was trained on the latents goes on to fit.
    """

    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        self.vae = vae
        vae.encoder.requires_grad_(False)
        vae.quant_conv.requires_grad_(False)

    def forward(self, images: Tensor, latents: Tensor, turns: Tensor) -> dict[str, Tensor]:
        """`images` (B, 3, H, H) in [-1, 1], their `latents` (B, 4, h, h), `turns` (B,) → losses."""
        restored = self.vae.decode(turn_all(latents, turns)).sample
        return compare(restored, turn_all(images, turns))


def compare(restored: Tensor, images: Tensor) -> dict[str, Tensor]:
    """How far images (B, 3, H, W) in [-1, 1] are from what they should be: losses by name."""
    error = restored - images
    l1, l2 = error.abs().mean(), error.square().mean()
    edges = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    texture = (_contrast(restored) - _contrast(images)).abs().mean()
    loss = l1 + SQUARE_WEIGHT * l2 + edges + TEXTURE_WEIGHT * texture
    return {"loss": loss, "l1": l1, "l2": l2, "edges": edges, "texture": texture}


def _contrast(images: Tensor) -> Tensor:
    """How much neighbouring pixels differ around each pixel, over 5 x 5 of them."""
    across = images.diff(dim=-1).abs()[..., :-1, :]
    down = images.diff(dim=-2).abs()[..., :, :-1]
    return F.avg_pool2d(across + down, 5, stride=2)


def turn_all(images: Tensor, turns: Tensor) -> Tensor:
    """Each of the `images` (B, C, H, H) turned in its own way, `turns` (B,) in 0..7."""
    return torch.stack([turn(image, n) for image, n in zip(images, turns.tolist(), strict=True)])


def make_batch(images: RenderedImages, batch_size: int, generator: torch.Generator) -> Batch:
    """Random images, the noise that samples their latents, and how those are turned."""
    batch = images[torch.randint(len(images), (batch_size,), generator=generator)]
    shape = (batch_size, LATENT_CHANNELS, batch.shape[-2] // 8, batch.shape[-1] // 8)
    noise = torch.randn(shape, generator=generator)
    return {"images": batch, "noise": noise, "turns": _random_turns(batch_size, generator)}


def make_decoder_batch(
    images: RenderedImages, latents: Tensor, batch_size: int, generator: torch.Generator
) -> Batch:
    """Random images, their latents with a little noise, and how both are turned."""
    rows = torch.randint(len(images), (batch_size,), generator=generator)
    noise = torch.randn(latents[rows].shape, generator=generator)
    shaken = latents[rows] + LATENT_NOISE * noise / SCALING_FACTOR
    turns = _random_turns(batch_size, generator)
    return {"images": images[rows], "latents": shaken, "turns": turns}


def _random_turns(count: int, generator: torch.Generator) -> Tensor:
    turns = torch.randint(8, (count,), generator=generator)
    return turns * (torch.rand(count, generator=generator) < TURNED_SHARE)


@torch.no_grad()
def round_trip(vae: AutoencoderKL, images: Tensor) -> Tensor:
    """`images` (B, 3, H, W) in [-1, 1] through the likeliest latents and back, on the CPU."""
    latents = vae.encode(images.to(next(vae.parameters()).device)).latent_dist.mode()
    return vae.decode(latents).sample.clamp(-1, 1).cpu()


@torch.no_grad()
def fold_normalisation(vae: AutoencoderKL, images: Tensor) -> None:
    """Give every latent channel mean 0 and spread 1 / `SCALING_FACTOR`, in place.

    The Stable Diffusion format has one `scaling_factor` for all channels, so unequal channels
    are evened out inside the 1x1 quant convolutions: the encoder's last one shifts and divides,
    the decoder's first multiplies back. The round trip is unchanged, and scaled latents have
    spread 1, as the noise has.
    """
    latents = torch.cat([vae.encode(chunk).latent_dist.mode() for chunk in images.split(16)])
    mean = latents.mean(dim=(0, 2, 3))
    ratio = latents.std(dim=(0, 2, 3)) * vae.config.scaling_factor
    quant, post_quant = vae.quant_conv, vae.post_quant_conv
    channels = len(mean)
    # The decoder gets z' = (z - mean) / ratio, so it must compute W (ratio z' + mean) + b.
    post_quant.bias += post_quant.weight[:, :, 0, 0] @ mean
    post_quant.weight *= ratio[None, :, None, None]
    # The encoder's moments: the mean is shifted and divided, the log-variance loses 2 log ratio.
    quant.weight[:channels] /= ratio[:, None, None, None]
    quant.bias[:channels] = (quant.bias[:channels] - mean) / ratio
    quant.bias[channels:] -= 2 * ratio.log()
