"""What kind of model a folder holds: run, or refused in one sentence that says what it is.

sdlearn runs models that are built like Stable Diffusion 1.x and 2.x: one CLIP text encoder, a U-Net
that gets its states and nothing else, and an autoencoder of latents with four channels. A U-Net
with nine channels, for inpainting, gets a mask and a masked image beside the latents. Only the
configs are read, so that nothing large is downloaded or loaded before a model is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .layout import MODELS, read_json, require_index

INPAINTING_CHANNELS = 9  # latents, a mask, and the latents of the masked image: 4 + 1 + 4
PIPELINES = {  # beginning of the pipeline's class in diffusers → what the model is called
    "StableDiffusionXL": "SDXL",
    "StableDiffusion3": "Stable Diffusion 3",
    "StableCascade": "Stable Cascade",
    "StableUnCLIP": "an unCLIP model, which draws from the embedding of an image",
    "Flux": "FLUX",
    "Kandinsky": "Kandinsky",
    "PixArt": "PixArt",
}
CHANNELS = {  # channels that a U-Net takes → what such a model does
    5: "draws from a depth map",
    7: "enlarges images",
    8: "edits images by instruction",
}
VAES = ("AutoencoderKL", "AutoencoderTiny", "AsymmetricAutoencoderKL")


def check_kind(folder: Path, name: object = None) -> Path:
    """`folder`, if sdlearn runs the kind of model in it; `name` is what the user calls it.

    Raises `ValueError` that says what the model is, or what is strange about it, and
    `FileNotFoundError` for a folder that holds no model. Configs that are missing are not missed.
    """
    index = require_index(folder)
    paths = {part: folder / part / "config.json" for part in MODELS}
    configs = {part: read_json(path) if path.is_file() else {} for part, path in paths.items()}
    reason = _other_family(index, configs["unet"]) or _strange_part(**configs)
    if reason:
        raise ValueError(
            f"{name or folder} {reason}; sdlearn runs models that are built like Stable Diffusion "
            "1.x and 2.x (diffusers.DiffusionPipeline.from_pretrained loads others)"
        )
    return folder


def _other_family(index: dict[str, Any], unet: dict[str, Any]) -> str | None:
    name = str(index.get("_class_name"))
    for beginning, family in PIPELINES.items():
        if name.startswith(beginning):
            return f"is {family} ({name})"
    if "text_encoder_2" in index or unet.get("addition_embed_type") == "text_time":
        return "is SDXL, or built like it: it has two text encoders"
    if "transformer" in index:
        return f"has a diffusion transformer in place of a U-Net ({name})"
    return None


def _strange_part(
    text_encoder: dict[str, Any], unet: dict[str, Any], vae: dict[str, Any]
) -> str | None:
    """What is strange about one of the parts, or about how they fit; None if nothing is."""
    tower = text_encoder.get("model_type", "clip_text_model")
    if tower not in ("clip_text_model", "clip"):
        return f"has a text encoder of another kind than CLIP's ({tower})"
    if vae.get("_class_name", VAES[0]) not in VAES:
        return f"has an autoencoder of class {vae['_class_name']}, and not of {', '.join(VAES)}"
    return _strange_unet(unet, vae.get("latent_channels", 4)) or _widths(text_encoder, unet)


def _strange_unet(unet: dict[str, Any], channels: int) -> str | None:
    name = unet.get("_class_name", "UNet2DConditionModel")
    if name != "UNet2DConditionModel":
        return f"has a U-Net of class {name}, and not UNet2DConditionModel"
    labels = [unet.get(f) for f in ("class_embed_type", "num_class_embeds")]
    if any(label is not None for label in labels):
        return "has a U-Net that needs class labels, as unCLIP models and upscalers do"
    if reason := strange_channels(unet.get("in_channels", 4), channels):
        return reason
    extra = unet.get("addition_embed_type") or unet.get("encoder_hid_dim_type")
    if extra not in (None, "text_proj"):  # that one only makes the states wider or narrower
        return f"has a U-Net that needs more than the states of a text ({extra!r})"
    return None


def strange_channels(taken: int, channels: int = 4) -> str | None:
    """What a U-Net does with more channels than the `channels` of the latents; None if it draws."""
    if taken in (channels, INPAINTING_CHANNELS):
        return None
    what = CHANNELS.get(taken, "is for something else")
    return f"has a U-Net with {taken} channels, which {what}"


def _widths(text_encoder: dict[str, Any], unet: dict[str, Any]) -> str | None:
    """The text states must be as wide as the U-Net takes them."""
    made = text_encoder.get("hidden_size")
    taken = unet.get("encoder_hid_dim") or unet.get("cross_attention_dim")
    widths = taken if isinstance(taken, list) else [taken]
    if made is None or taken is None or set(widths) == {made}:
        return None
    wide = " or ".join(dict.fromkeys(str(width) for width in widths))
    return f"does not fit: its text states have width {made}, and its U-Net takes {wide}"
