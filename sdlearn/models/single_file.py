"""A Stable Diffusion 1.x checkpoint in one file, in the layout of CompVis: offline, safetensors.

    model.diffusion_model.…    first_stage_model.…    cond_stage_model.transformer.text_model.…
    the U-Net                  the autoencoder        the text encoder

Such a file holds weights and nothing else. Configs, scheduler and tokenizer are those of Stable
Diffusion 1.5, of which `CONFIGS` has what differs from the libraries' defaults (sources: CompVis
`configs/stable-diffusion/v1-inference.yaml`; CLIP ViT-L/14, Radford et al. 2021, arXiv 2103.00020,
table 20). diffusers renames the tensors. Left out: other families' files, which `check_file` names.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .kinds import strange_channels
from .layout import stands_for

CONFIGS: dict[str, dict[str, Any]] = {
    "text_encoder": {  # the text tower of CLIP ViT-L/14
        "max_position_embeddings": 77,  # tokens of a prompt
        "hidden_size": 768,  # width of a text state
        "intermediate_size": 3072,  # width between the two layers of an MLP
        "num_attention_heads": 12,
        "projection_dim": 768,  # of CLIP's loss; not used to draw
        "pad_token_id": 49407,
    },
    "unet": {
        "sample_size": 64,  # latents are 64x64
        "in_channels": 4,
        "block_out_channels": (320, 640, 1280, 1280),  # one for each level
        "cross_attention_dim": 768,  # width of a text state
    },
    "vae": {
        "sample_size": 512,  # images are 512x512
        "in_channels": 3,
        "latent_channels": 4,
        "block_out_channels": (128, 256, 512, 512),  # four: halved three times, 8x in all
        "layers_per_block": 2,
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
    },
}
SCHEDULER = {
    "_class_name": "PNDMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "clip_sample": False,
}
MERGES = Path(__file__).parent / "clip_vocabulary" / "merges.txt"
BEGIN, END = "<|startoftext|>", "<|endoftext|>"

PREFIXES = {
    "unet": "model.diffusion_model.",
    "vae": "first_stage_model.",
    "text_encoder": "cond_stage_model.transformer.",
}
FIRST_CONV = PREFIXES["unet"] + "input_blocks.0.0.weight"  # (320, channels, 3, 3)
PICKLED = (".bin", ".ckpt", ".pt", ".pth")
FILES = (".safetensors", ".gguf", ".onnx", *PICKLED)  # endings by which a name is that of a file
FAMILIES = {  # part of a tensor's name → what the file is
    "conditioner.embedders.": "is SDXL in one file",
    "joint_blocks.": "is Stable Diffusion 3 in one file",
    "double_blocks.": "is FLUX in one file",
    "cond_stage_model.model.": "is Stable Diffusion 2 in one file; give its folder",
    "control_model.": "is a ControlNet, which is no model of its own",
    "lora_": "is a LoRA, which is no model of its own",
    "emb_params": "is a learnt token (textual inversion), which is no model of its own",
    "down_blocks.": "holds one part of a model; give the folder with all of them",
}


def check_file(path: Path) -> Path:
    """`path`, if it is a checkpoint that can be read here; only names and shapes are looked at.

    Raises `ValueError` that says what the file is instead.
    """
    from safetensors import SafetensorError, safe_open

    if path.suffix.lower() in PICKLED:
        raise ValueError(
            f"{path} is a pickle, which can run any code when it is read; if you trust its source, "
            f"convert it: safetensors.torch.save_file(torch.load({str(path)!r}, weights_only=True)"
            f"['state_dict'], {str(path.with_suffix('.safetensors'))!r})"
        )
    if path.suffix.lower() != ".safetensors":
        raise ValueError(f"{path} is no model; give a folder, or a checkpoint in safetensors")
    if what := stands_for(path):
        raise ValueError(f"{path} is {what}")
    try:
        with safe_open(path, "pt") as file:
            names = list(file.keys())
            channels = file.get_slice(FIRST_CONV).get_shape()[1] if FIRST_CONV in names else None
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged and cannot be read ({error})") from error
    if reason := _reason(names) or (channels and strange_channels(channels)):
        raise ValueError(f"{path} {reason}; sdlearn reads Stable Diffusion 1.x in one file")
    return path


def _reason(names: Iterable[str]) -> str | None:
    """Why a file with tensors of these names is not read; None if it is."""
    for part_of_name, reason in FAMILIES.items():
        if any(part_of_name in name for name in names):
            return reason
    lacking = [
        part for part, p in PREFIXES.items() if not any(name.startswith(p) for name in names)
    ]
    if len(lacking) == len(PREFIXES):
        return "is no Stable Diffusion"
    return f"is not complete: it has no {' and no '.join(lacking)}" if lacking else None


def read_file(path: Path, dtype: torch.dtype) -> dict[str, tuple[Any, list[str]]]:
    """Text encoder, U-Net and VAE of the checkpoint at `path`, on the CPU.

    Beside each part are the names of its tensors that the file does not have. They have no right
    values, so such a part must not be used.
    """
    from diffusers.loaders.single_file_utils import (
        convert_ldm_unet_checkpoint,
        convert_ldm_vae_checkpoint,
    )
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from safetensors.torch import load_file

    tensors = load_file(path)
    of = {part: _part_of(tensors, part) for part in PREFIXES}
    config = {**CONFIGS["unet"], "in_channels": tensors[FIRST_CONV].shape[1]}
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(config)
        vae = AutoencoderKL.from_config(CONFIGS["vae"])
    renamed = {
        "unet": convert_ldm_unet_checkpoint(of["unet"], unet.config),
        "vae": convert_ldm_vae_checkpoint(of["vae"], vae.config),
    }
    return {
        "text_encoder": _text_encoder(of["text_encoder"], dtype),
        "unet": _fill(unet, renamed["unet"], dtype),
        "vae": _fill(vae, renamed["vae"], dtype),
    }


def _part_of(tensors: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    prefix = PREFIXES[part]
    return {name: tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _text_encoder(tensors: dict[str, Tensor], dtype: torch.dtype) -> tuple[Any, list[str]]:
    """The names are those of transformers, behind a prefix; a few tools leave out `text_model.`."""
    from transformers.models.clip.configuration_clip import CLIPTextConfig
    from transformers.models.clip.modeling_clip import CLIPTextModel

    prefix = PREFIXES["text_encoder"]
    named = {n.removeprefix(prefix).removeprefix("text_model."): t for n, t in tensors.items()}
    config = CLIPTextConfig(**CONFIGS["text_encoder"])
    how: dict[str, Any] = {"dtype": dtype, "output_loading_info": True}
    model, info = CLIPTextModel.from_pretrained(None, config=config, state_dict=named, **how)
    return model, sorted(info["missing_keys"])


def _fill(model: Any, tensors: dict[str, Tensor], dtype: torch.dtype) -> tuple[Any, list[str]]:
    """A model on the meta device with its weights, and the names of those that are missing."""
    found = {name: tensor.to(dtype) for name, tensor in tensors.items()}
    return model, model.load_state_dict(found, strict=False, assign=True).missing_keys


def clip_tokenizer() -> Any:
    """The tokenizer of CLIP, with 49,408 pieces of words, made from the merges that ship here.

    >>> clip_tokenizer()("a photo of a cat").input_ids
    [49406, 320, 1125, 539, 320, 2368, 49407]
    """
    from transformers.convert_slow_tokenizer import bytes_to_unicode
    from transformers.models.clip.tokenization_clip import CLIPTokenizer

    lines = MERGES.read_text(encoding="utf-8").splitlines()[1:]
    merges = [tuple(line.split()) for line in lines]
    letters = list(bytes_to_unicode().values())
    pieces = [*letters, *(f"{letter}</w>" for letter in letters), *map("".join, merges), BEGIN, END]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)
