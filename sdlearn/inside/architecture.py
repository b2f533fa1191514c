"""Architectures: what must be known of a model to build it without weights.

That of Stable Diffusion 1.5 is written out in `models.single_file`, and has a narrow sibling here
for quick tests; that of any other model is read from its folder or from the loaded model.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from ..models.loading import TINY
from ..models.single_file import CONFIGS

_NEEDED = {  # without defaults here; all else is left to the libraries' defaults
    "text_encoder": ("hidden_size", "max_position_embeddings"),
    "unet": ("sample_size", "in_channels", "block_out_channels", "cross_attention_dim"),
    "vae": ("in_channels", "latent_channels", "block_out_channels"),
}
PARTS = tuple(_NEEDED)


class Loaded(Protocol):
    """A model in memory: sdlearn's own or a pipeline of diffusers."""

    text_encoder: Any
    unet: Any
    vae: Any


@dataclass(frozen=True)
class Architecture:
    """The configs of the three parts, with the fields of their `config.json`."""

    name: str
    text_encoder: dict[str, Any] = field(repr=False)  # for transformers' CLIPTextConfig
    unet: dict[str, Any] = field(repr=False)  # for diffusers' UNet2DConditionModel
    vae: dict[str, Any] = field(repr=False)  # for diffusers' AutoencoderKL

    def __post_init__(self) -> None:
        for part, fields in _NEEDED.items():
            for name in fields:
                if name not in getattr(self, part):
                    raise ValueError(f"{part} of {self.name!r} must have {name!r} in its config")
        if self.vae.get("_class_name", "AutoencoderKL") != "AutoencoderKL":
            kind = self.vae["_class_name"]
            raise ValueError(f"vae of {self.name!r} must be an AutoencoderKL; it is an {kind}")
        told, wanted = self.text_encoder["hidden_size"], self.unet["cross_attention_dim"]
        if told != wanted:
            raise ValueError(
                f"model must be a Stable Diffusion with one text encoder; {self.name!r} has a "
                f"U-Net for text states of width {wanted}, and an encoder of width {told}"
            )

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width of the latents that the U-Net was trained on."""
        sample = self.unet["sample_size"]
        if sample is None:
            raise ValueError(f"unet of {self.name!r} must have a size; its sample_size is null")
        height, width = (sample, sample) if isinstance(sample, int) else sample
        return height, width

    @property
    def factor(self) -> int:
        """How many times shorter the sides of a latent are than those of its image: 8."""
        return 2 ** (len(self.vae["block_out_channels"]) - 1)

    def build(self, part: str) -> nn.Module:
        """One of the three parts on torch's meta device: tensors with a shape and no content."""
        from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
        from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
        from transformers.models.clip.configuration_clip import CLIPTextConfig
        from transformers.models.clip.modeling_clip import CLIPTextModel

        with torch.device("meta"):
            if part == "text_encoder":
                return CLIPTextModel(CLIPTextConfig.from_dict(self.text_encoder)).eval()
            cls = {"unet": UNet2DConditionModel, "vae": AutoencoderKL}[part]
            return cls.from_config(getattr(self, part)).eval()


SD15 = Architecture("sd15", **CONFIGS)

# Every level, block and head of SD 1.5, at about a tenth of its widths; 4 channels to a group.
_TEXT = {"hidden_size": 72, "intermediate_size": 288, "projection_dim": 72}
_UNET = {"block_out_channels": (32, 64, 128, 128), "cross_attention_dim": 72, "norm_num_groups": 8}
_VAE = {"block_out_channels": (16, 32, 64, 64), "norm_num_groups": 4}
SD15_NARROW = Architecture(
    "sd15-narrow", SD15.text_encoder | _TEXT, SD15.unet | _UNET, SD15.vae | _VAE
)

ARCHITECTURES = {each.name: each for each in (SD15, SD15_NARROW)}


def architecture_of(model: str | Path | Loaded) -> Architecture:
    """The architecture of "sd15" or "sd15-narrow", of "tiny", a folder, or a model in memory.

    Of a folder only the three `config.json` are read. Raises `ValueError` for what is none of
    these or not built like Stable Diffusion 1.x, `FileNotFoundError` for a folder without them.
    """
    if isinstance(model, str) and model in ARCHITECTURES:
        return ARCHITECTURES[model]
    if model == "tiny":
        return _read("tiny", TINY)
    if isinstance(model, (str, Path)) and str(model) and Path(model).expanduser().is_dir():
        return _read(str(model), Path(model).expanduser())
    if isinstance(model, (str, Path)) or not all(hasattr(model, part) for part in PARTS):
        raise ValueError(
            "model must be 'sd15', 'sd15-narrow', 'tiny', a Stable Diffusion folder or a loaded "
            f"model with {', '.join(PARTS)}; got {model!r}"
        )
    name = getattr(model, "name", type(model).__name__)
    text_encoder = model.text_encoder.config.to_dict()
    return Architecture(name, text_encoder, dict(model.unet.config), dict(model.vae.config))


def _read(name: str, folder: Path) -> Architecture:
    return Architecture(name, *(_read_config(folder / part / "config.json") for part in PARTS))


def _read_config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        folders = f"a Stable Diffusion folder has one config.json in each of {', '.join(PARTS)}"
        raise FileNotFoundError(f"{path} is missing; {folders}")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged and cannot be read ({error})") from error
