"""LoRA files as people have them, read into one form (LoRA: Hu et al. 2021, arXiv 2106.09685).

A LoRA adds `up @ down * alpha / rank` to the weights of some layers. Three tools write it with
three kinds of names:

    diffusers  unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight
    peft       base_model.model.down_blocks.0.…, in a folder with an adapter_config.json
    kohya      lora_unet_down_blocks_0_attentions_0_….lora_down.weight, and an alpha for each layer

Each name is looked up among the layers of the model at hand, with every "." and "_" alike, so that
one table serves all of them, also those of older versions. What diffusers 0.42.1 gets wrong without
a word is right here: it keeps one alpha for all attention layers of a kohya file, and passes over
peft's own folders. Left out, and refused in a sentence: LoHa, LoKr, DoRA, and pickles.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

__all__ = ["LoRA", "LowRank", "read_lora"]

# file → what makes it another kind of adapter
OTHER_KINDS = {
    "hada_": "a LoHa",
    "lokr_": "a LoKr",
    "dora_scale": "a DoRA",
    "lora_magnitude_vector": "a DoRA",
    "lora_mid": "a LoCon with a core tensor",
    "lora_te2_": "a LoRA of SDXL",
    "text_encoder_2.": "a LoRA of SDXL",
    "transformer.": "a LoRA of a transformer such as SD 3 or FLUX",
}
KEY = re.compile(
    r"(?P<layer>.+?)[._](?P<side>lora[._]A|lora[._]B|lora[._]down|lora[._]up|"
    r"lora_linear_layer[._]down|lora_linear_layer[._]up)(\.default)?\.weight"
)
PREFIXES = ("base_model_model_", "unet_", "text_encoder_", "lora_unet_", "lora_te_", "lora_te1_")
FOLDER_FILES = ("adapter_model.safetensors", "pytorch_lora_weights.safetensors")


@dataclass(frozen=True, eq=False)
class LowRank:
    """What is added to the weight of one layer: `up @ down * scale`."""

    down: Tensor  # (rank, in), of a convolution (rank, in, k, k)
    up: Tensor  # (out, rank), of a convolution (out, rank, 1, 1)
    alpha: float

    @property
    def rank(self) -> int:
        return self.down.shape[0]


LoRA = dict[str, dict[str, LowRank]]  # part ("unet", "text_encoder") → layer → what is added


def read_lora(path: Path, parts: Mapping[str, nn.Module]) -> LoRA:
    """The LoRA in a file or a folder, for the layers of the model's `parts`.

    Raises `FileNotFoundError`, or `ValueError` when it is another kind of file or made for another
    model.
    """
    file = _find_file(path)
    tensors, metadata = _read_tensors(file)
    layers = {part: _layers_by_name(model) for part, model in parts.items()}
    sides: dict[tuple[str, str], dict[str, Tensor]] = {}
    alphas: dict[tuple[str, str], float] = {}
    for key, tensor in tensors.items():
        match = KEY.fullmatch(key)
        layer = match["layer"] if match else key.removesuffix(".alpha")
        if layer == key:
            raise ValueError(f"{file} is no LoRA that can be read: it holds {key!r}")
        where = _find_layer(layer, layers, file)
        if match:
            side = "down" if match["side"].endswith(("A", "down")) else "up"
            sides.setdefault(where, {})[side] = tensor
        else:
            alphas[where] = float(tensor)
    lora: LoRA = {}
    for (part, layer), pair in sides.items():
        one = _low_rank(parts[part].get_submodule(layer), layer, pair, file)
        alpha = alphas.get((part, layer), _told_alpha(metadata, part, layer, one.rank))
        lora.setdefault(part, {})[layer] = LowRank(one.down, one.up, alpha)
    return lora


def _find_file(path: Path) -> Path:
    if path.is_dir():
        found = [path / name for name in FOLDER_FILES if (path / name).is_file()]
        found = found or sorted(path.glob("*.safetensors"))
        if len(found) != 1:
            count = len(found) or "none"
            raise FileNotFoundError(f"{path} must hold one file of a LoRA; it holds {count}")
        return found[0]
    if not path.is_file():
        raise FileNotFoundError(f"there is no LoRA at {path}")
    if path.suffix != ".safetensors":
        raise ValueError(
            f"{path} must be a safetensors file; others may run strangers' code when they are read"
        )
    return path


def _read_tensors(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a file, and what is told of ranks and alphas beside them."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as opened:
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
            told = (opened.metadata() or {}).get("lora_adapter_metadata")
    except SafetensorError as error:
        raise ValueError(f"{file} is damaged and cannot be read ({error})") from error
    for mark, kind in OTHER_KINDS.items():
        if any(key.startswith(mark) or f".{mark}" in key or f"_{mark}" in key for key in tensors):
            raise ValueError(f"{file} is {kind}; sdlearn reads plain LoRA of SD 1.x only")
    if not tensors:
        raise ValueError(f"{file} holds no tensors")
    config = file.parent / "adapter_config.json"
    if file.name == FOLDER_FILES[0] and config.is_file():
        return tensors, _of_all_parts(json.loads(config.read_text(encoding="utf-8")), config)
    return tensors, json.loads(told) if told else {}


def _of_all_parts(config: dict[str, Any], path: Path) -> dict[str, Any]:
    """peft's own config in the form of diffusers' metadata: "unet.lora_alpha" and so on."""
    if config.get("peft_type", "LORA") != "LORA" or config.get("use_dora"):
        kind = "DoRA" if config.get("use_dora") else config["peft_type"]
        raise ValueError(
            f"{path} describes {kind}, which sdlearn does not read; it reads plain LoRA"
        )
    return {f"{part}.{k}": v for part in ("unet", "text_encoder") for k, v in config.items()}


def _layers_by_name(model: nn.Module) -> dict[str, str]:
    """Each layer that may have a LoRA, by its names in files, with "_" for every "."."""
    named: dict[str, str] = {}
    for name, module in model.named_modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            name = name.replace(".base_layer", "")  # of a layer that has a LoRA already
            own = name.replace(".", "_").removeprefix("text_model_")
            old = re.sub(r"self_attn_(q|k|v)_proj$", r"self_attn_to_\1", own)
            old = old.removesuffix("_0") if old.endswith("_to_out_0") else old
            old = old.replace("self_attn_out_proj", "self_attn_to_out")
            named |= {own: name, old: name}
    return named


def _find_layer(layer: str, layers: dict[str, dict[str, str]], file: Path) -> tuple[str, str]:
    """The part of the model and the name of its layer that a name in a file means."""
    name = layer.replace(".processor", "").replace(".", "_")
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    name = name.removeprefix("text_model_")
    for part, named in layers.items():
        if name in named:
            return part, named[name]
    raise ValueError(f"{file} was made for another model: this one has no layer {layer!r}")


def _low_rank(module: nn.Module, layer: str, pair: dict[str, Tensor], file: Path) -> LowRank:
    """Both sides, in the shapes that the layer asks for."""
    if len(pair) != 2:
        raise ValueError(f"{file} is not complete: {layer} has only its {next(iter(pair))} side")
    weight: Any = getattr(module, "base_layer", module).weight
    down, up = pair["down"], pair["up"]
    if weight.ndim != down.ndim:  # a 1x1 convolution is a linear layer written otherwise
        down, up = (t.flatten(1) if weight.ndim == 2 else t[..., None, None] for t in (down, up))
    fits = down.shape[1:] == weight.shape[1:] and up.shape[0] == weight.shape[0]
    if not fits or up.shape[1] != down.shape[0]:
        raise ValueError(
            f"{file} was made for another model: {layer} is {tuple(weight.shape)} here, and the "
            f"LoRA's sides are {tuple(pair['down'].shape)} and {tuple(pair['up'].shape)}"
        )
    return LowRank(down, up, down.shape[0])


def _told_alpha(metadata: dict[str, Any], part: str, layer: str, rank: int) -> float:
    """The alpha of a layer by the metadata of its file; where none is told, the rank: scale 1."""
    alpha = metadata.get(f"{part}.lora_alpha", rank)
    for pattern, value in (metadata.get(f"{part}.alpha_pattern") or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", layer):
            alpha = value
    # rank-stabilised LoRA divides by the root of the rank
    return float(alpha * math.sqrt(rank) if metadata.get(f"{part}.use_rslora") else alpha)
