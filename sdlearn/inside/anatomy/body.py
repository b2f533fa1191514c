"""The anatomy of a whole model: its parts measured on the meta device, and the U-Net's levels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from .architecture import Architecture, Loaded, architecture_of
from .measuring import measure, trace_skips
from .part import CROSS_ATTENTION, Level, Part, Skip, combine

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Anatomy", "anatomy", "pixel_unet"]


@dataclass(frozen=True)
class Anatomy:
    """A model taken apart. `print` shows a table, `figure` a picture."""

    name: str
    parts: Mapping[str, Part] = field(repr=False)  # "text_encoder", "unet", "vae", ...
    skips: tuple[Skip, ...] = field(repr=False)

    @property
    def parameters(self) -> int:
        """Of all parts: text encoder, U-Net and both halves of the VAE."""
        return sum(self.parts[name].parameters for name in ("text_encoder", "unet", "vae"))

    @property
    def cross_attentions(self) -> list[Part]:
        """The places where the U-Net looks at the text: 16 in Stable Diffusion 1.5."""
        return self.parts["unet"].of_kind(CROSS_ATTENTION)

    @property
    def levels(self) -> list[Level]:
        """The U-Net's levels, from the size of the latents down to the smallest."""
        unet = self.parts["unet"]
        count = sum(part.name.startswith("down_blocks.") for part in unet.children)
        pairs = [(f"down_blocks.{i}", f"up_blocks.{count - 1 - i}") for i in range(count)]
        return [self._level(unet[down], unet[up]) for down, up in pairs]

    def _level(self, down: Part, up: Part) -> Level:
        [(_, channels, height, width)] = down["resnets.0"].outputs
        skips = tuple(skip for skip in self.skips if skip.target.startswith(f"{up.name}."))
        return Level((height, width), channels, down, up, skips)

    def figure(self) -> Figure:
        """The way from text and noise to a picture, with shapes and shares, as one figure."""
        from .picture import draw_anatomy

        return draw_anatomy(self)

    def __str__(self) -> str:
        from .table import anatomy_table

        return anatomy_table(self)


def anatomy(model: str | Path | Loaded = "sd15") -> Anatomy:
    """Every part of a model with its parameters, shapes and FLOPs, for one picture of its size.

    `model` is "sd15", its sibling "sd15-narrow", "tiny", a folder in Stable Diffusion's layout (its
    configs are read, not its weights), or a loaded model. The parts are "text_encoder", "unet",
    "vae_encoder", "vae_decoder", and "vae", which is a round trip through both halves.
    Raises `ValueError` for what is none of these, and `FileNotFoundError` for a folder without
    configs.
    """
    plan = architecture_of(model)
    unet, inputs = _unet(plan)
    encoder, decoder = _measure_vae(plan)
    parts = {
        "text_encoder": _measure_text_encoder(plan),
        "unet": measure("unet", unet, **inputs),
        "vae_encoder": encoder,
        "vae_decoder": decoder,
        "vae": combine("vae", "AutoencoderKL", (encoder, decoder)),
    }
    return Anatomy(plan.name, parts, trace_skips(unet, **inputs))


def pixel_unet(model: str | Path | Loaded = "sd15") -> Part:
    """The same U-Net without a VAE: its layers unchanged, its input the picture itself, 3xHxW.

    Errors are those of `anatomy`.
    """
    plan = architecture_of(model)
    channels = plan.vae["in_channels"]
    config = plan.unet | {
        "in_channels": channels,
        "out_channels": channels,
        "sample_size": plan.unet["sample_size"] * plan.factor,
    }
    unet, inputs = _unet(replace(plan, unet=config))
    return measure("unet", unet, **inputs)


_zeros = partial(torch.zeros, device="meta")


def _unet(plan: Architecture) -> tuple[nn.Module, dict[str, Any]]:
    """A U-Net without weights, and the arguments of one call of it."""
    config, tokens = plan.unet, plan.text_encoder["max_position_embeddings"]
    side = config["sample_size"]
    inputs = {
        "sample": _zeros(1, config["in_channels"], side, side),
        "timestep": _zeros(()),
        "encoder_hidden_states": _zeros(1, tokens, config["cross_attention_dim"]),
    }
    return plan.build("unet"), inputs


def _measure_text_encoder(plan: Architecture) -> Part:
    tokens = plan.text_encoder["max_position_embeddings"]
    ids = _zeros(1, tokens, dtype=torch.long)
    return measure("text_encoder", plan.build("text_encoder"), ids)


def _measure_vae(plan: Architecture) -> tuple[Part, Part]:
    """Encoder and decoder, each with the 1x1 convolution between it and the latents."""
    vae: Any = plan.build("vae")
    side, channels = plan.unet["sample_size"], plan.vae["latent_channels"]
    large = side * plan.factor
    picture = _zeros(1, plan.vae["in_channels"], large, large)
    moments = _zeros(1, 2 * channels, side, side)  # a mean and a log-variance for each number
    latents = _zeros(1, channels, side, side)
    encoder = (
        measure("encoder", vae.encoder, picture),
        measure("quant_conv", vae.quant_conv, moments),
    )
    decoder = (
        measure("post_quant_conv", vae.post_quant_conv, latents),
        measure("decoder", vae.decoder, latents),
    )
    return (
        combine("vae_encoder", "Encoder", encoder),
        combine("vae_decoder", "Decoder", decoder),
    )
