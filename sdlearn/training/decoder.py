"""Finish the decoder with the encoder frozen: latents, and so the U-Net, stay as they are.

Half the cost of a step of the whole autoencoder, and it can be done (again) when everything
else is ready. A little noise on the latents readies the decoder for those that the U-Net
makes, which are never exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from .data import Pictures
from .loop import Batch, Recipe, Record, fit
from .vae import EDGE_WEIGHT, draw_batch, pixel_losses

__all__ = ["RECIPE", "DecoderObjective", "train_decoder"]

LATENT_NOISE = 0.04  # in units of the scaled latents' spread, which is 1
RECIPE = Recipe(steps=4_000, batch_size=4, lr=5e-4, warmup=200, decay=0.8, ema=0.999)


class DecoderObjective(nn.Module):
    """The pixel losses of pictures decoded from their latents."""

    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        self.vae = vae
        vae.encoder.requires_grad_(False)
        vae.quant_conv.requires_grad_(False)

    def forward(self, images: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """`images` (B, 3, H, W) in [-1, 1], `noise` (B, 4, h, w) normal → losses."""
        with torch.no_grad():
            latents = self.vae.encode(images).latent_dist.mode()
        spread = LATENT_NOISE / self.vae.config.scaling_factor
        losses = pixel_losses(self.vae.decode(latents + spread * noise).sample, images)
        return {"loss": losses["l1"] + losses["l2"] + EDGE_WEIGHT * losses["edges"], **losses}


def train_decoder(
    vae: AutoencoderKL, pictures: Pictures, recipe: Recipe = RECIPE, checkpoint: Path | None = None
) -> Iterator[Record]:
    """Train the decoder of `vae` in place, one record a step."""

    def draw(generator: torch.Generator) -> Batch:
        return draw_batch(pictures, recipe.batch_size, generator)

    objective = DecoderObjective(vae)
    objective.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return fit(objective, draw, recipe, checkpoint)
