"""Train the noise predictor: `diffusers.UNet2DConditionModel` on latents and text states.

Epsilon prediction on SD 1.x's own schedule, min-SNR weighting with gamma 5 (Hang et al. 2023,
arXiv 2303.09556), 10 % of the captions dropped to the encoded empty string, so that
classifier-free guidance has its unconditional half (Ho & Salimans 2022, arXiv 2207.12598).
Latents are computed once; captions are worded anew whenever an image is used.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from ..diffusion.equations import add_noise, snr
from ..world import caption
from .data import RenderedImages, rng_for_words, scene_in_new_words
from .loop import Batch, TrainingConfig

CAPTION_DROPOUT = 0.1
MIN_SNR_GAMMA = 5.0
NUM_TIMESTEPS = 1000

CONFIG = TrainingConfig(steps=5_500, batch_size=32, lr=1e-3, warmup=200, decay=0.5, ema=0.998)


def build_scheduler() -> DDIMScheduler:
    """SD 1.x's noise schedule with every field written out, so that nothing is left to defaults.

    One field differs from SD 1.x: "trailing" steps begin at the noisiest timestep, however few
    they are (Lin et al., arXiv 2305.08891); "leading" ones would begin at t = 1 for a single step.
    """
    return DDIMScheduler(
        num_train_timesteps=NUM_TIMESTEPS,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        trained_betas=None,
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="epsilon",
        thresholding=False,
        dynamic_thresholding_ratio=0.995,
        clip_sample_range=1.0,
        sample_max_value=1.0,
        timestep_spacing="trailing",
        rescale_betas_zero_snr=False,
    )


def build_unet(text_width: int = 128) -> UNet2DConditionModel:
    """An untrained 10.9 M parameter U-Net for 16x16 latents, attending to text at 8x8 and 4x4."""
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(64, 128, 192),
        layers_per_block=1,
        cross_attention_dim=text_width,
        attention_head_dim=8,  # diffusers reads this as the number of heads
    )


class UNetObjective(nn.Module):
    """The weighted noise-prediction error of one batch; the text tower is frozen."""

    alphas_cumprod: Tensor

    def __init__(self, unet: UNet2DConditionModel, text_encoder: CLIPTextModel) -> None:
        super().__init__()
        self.unet = unet
        self.text_encoder = text_encoder.requires_grad_(False)
        self.register_buffer("alphas_cumprod", build_scheduler().alphas_cumprod, persistent=False)

    def forward(self, x0: Tensor, ids: Tensor, noise: Tensor, t: Tensor) -> dict[str, Tensor]:
        """`x0`, `noise` (B, 4, h, w); `ids` (B, 77); `t` (B,) below `NUM_TIMESTEPS` → losses."""
        alpha_bar = self.alphas_cumprod[t]
        x_t = add_noise(x0, noise, alpha_bar)
        cond = self.text_encoder(ids).last_hidden_state  # (B, 77, D)
        eps = self.unet(x_t, t, encoder_hidden_states=cond).sample
        error = (eps - noise).square().mean(dim=(1, 2, 3))
        ratio = snr(alpha_bar)
        weight = ratio.clamp(max=MIN_SNR_GAMMA) / ratio
        return {"loss": (weight * error).mean(), "eps_error": error.mean()}


@torch.no_grad()
def loss_by_timestep(
    objective: UNetObjective, latents: Tensor, ids: Tensor, timesteps: Sequence[int]
) -> dict[int, float]:
    """Timestep → mean squared error of the predicted noise, on the same noise at every timestep.

    `latents` (B, 4, h, w) and their captions' `ids` (B, 77) are best of scenes never trained on.
    """
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
    batch = {"x0": latents, "ids": ids, "noise": noise.to(latents)}
    found = {}
    for t in timesteps:
        losses = objective(**batch, t=torch.full((len(latents),), t, device=latents.device))
        found[t] = float(losses["eps_error"])
    return found


@torch.no_grad()
def encode_all(vae: AutoencoderKL, images: RenderedImages | Tensor) -> Tensor:
    """The latents (N, 4, h, w) of all images: posterior means, scaled."""
    device = next(vae.parameters()).device
    rows = torch.arange(len(images)).split(64)
    latents = [vae.encode(images[r].to(device)).latent_dist.mode().cpu() for r in rows]
    return torch.cat(latents) * vae.config.scaling_factor


def make_batch(
    latents: Tensor,
    first_scene: int,
    tokenizer: CLIPTokenizer,
    batch_size: int,
    generator: torch.Generator,
) -> Batch:
    """Random rows, their captions newly worded, noise and timesteps.

    Row 0 of the latents is scene number `first_scene`. Every tenth caption or so is empty.
    """
    rows = torch.randint(len(latents), (batch_size,), generator=generator)
    rng = rng_for_words(generator)
    captions = [
        "" if rng.random() < CAPTION_DROPOUT else caption(scene_in_new_words(index, rng))
        for index in (rows + first_scene).tolist()
    ]
    x0 = latents[rows]
    return {
        "x0": x0,
        "ids": tokenizer(captions, padding="max_length", return_tensors="pt").input_ids,
        "noise": torch.randn(x0.shape, generator=generator),
        "t": torch.randint(NUM_TIMESTEPS, (batch_size,), generator=generator),
    }
