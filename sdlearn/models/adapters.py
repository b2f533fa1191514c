"""Small additions to a model: LoRA, which adds to weights, and textual inversion, which adds words.

A LoRA is put around the layers that it changes, by peft, and taken off again: the model's own
layers and weights stay as they are. So at weight 0 and after it is taken off an image has the
plain model's bits. Its strength is kept here and set anew each time: diffusers forgets it after a
call with scale 0 (findings/lora-scale-zero.sh).

Textual inversion (Gal et al. 2022, arXiv 2208.01618) is one row or several at the end of the text
encoder's table of tokens, and a new token for each.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..util.checks import check_number
from .lora_files import LowRank, read_lora
from .tokenizing import continuation

__all__ = [
    "add_lora",
    "add_token",
    "check_weight",
    "remove_loras",
    "set_weights",
    "shipped_adapter",
]

SHIPPED = Path(__file__).parents[1] / "weights" / "adapters"  # made by `sdlearn train lora`


def shipped_adapter(name: str) -> Path:
    """The file of an adapter of the tiny model that comes with sdlearn, such as "snowman-lora".

    Raises `ValueError` with the names that there are for any other.
    """
    known = sorted(file.stem for file in SHIPPED.glob("*.safetensors"))
    if name not in known:
        raise ValueError(f"name must be one of {', '.join(known) or 'none'}; got {name!r}")
    return SHIPPED / f"{name}.safetensors"


def check_weight(weight: float, name: str = "weight") -> float:
    """A finite number, 0 for none of the LoRA and 1 for all; `TypeError` or `ValueError` if not."""
    number = check_number(f"{name} must be a number, 0 for none and 1 for all", weight)
    if not math.isfinite(number):
        raise ValueError(f"{name} must be a finite number; got {weight}")
    return number


def add_lora(
    parts: Mapping[str, nn.Module], path: str | Path, adapter_name: str, device: torch.device
) -> None:
    """Put the LoRA of a file or a folder around layers of the model's `parts`, at weight 0.

    Raises `FileNotFoundError` or `ValueError` for what is no LoRA of this model.
    """
    for part, layers in read_lora(Path(path).expanduser(), parts).items():
        _put_around(parts[part], layers, adapter_name, device)


def _put_around(
    model: nn.Module, layers: Mapping[str, LowRank], name: str, device: torch.device
) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    was_trainable = {p: p.requires_grad for p in model.parameters()}
    config = LoraConfig(
        target_modules="|".join(map(re.escape, layers)),
        rank_pattern={f"^{re.escape(layer)}": one.rank for layer, one in layers.items()},
        alpha_pattern={f"^{re.escape(layer)}": one.alpha for layer, one in layers.items()},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is another LoRA already
        # On "meta" nothing is drawn from torch's own generator; the weights are replaced below.
        inject_adapter_in_model(config, model, adapter_name=name, low_cpu_mem_usage=True)
    for layer, one in layers.items():
        wrapped: Any = model.get_submodule(layer)
        own = wrapped.get_base_layer().weight
        place = device if own.is_meta else own.device  # "meta" where weights come for each call
        for home, side in ((wrapped.lora_A, one.down), (wrapped.lora_B, one.up)):
            home[name].weight = nn.Parameter(side.to(place, own.dtype), requires_grad=False)
    for parameter, trainable in was_trainable.items():
        parameter.requires_grad_(trainable)


def set_weights(parts: Mapping[str, nn.Module], weights: Mapping[str, float]) -> None:
    """Give every LoRA its weight; those with 0 are left out of the computation."""
    active = [name for name, weight in weights.items() if weight]
    for model in parts.values():
        for _, layer in _wrapped_layers(model):
            for name, weight in weights.items():
                layer.set_scale(name, weight)
            layer.set_adapter(active, inference_mode=True)
            layer._disable_adapters = not active


def remove_loras(parts: Mapping[str, nn.Module]) -> None:
    """Put the layers back that were there before the first LoRA."""
    for model in parts.values():
        for name, layer in list(_wrapped_layers(model)):
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, layer.get_base_layer())
        if hasattr(model, "peft_config"):
            del model.peft_config


def _wrapped_layers(model: nn.Module) -> Iterator[tuple[str, Any]]:
    from peft.tuners.lora import LoraLayer

    return ((name, m) for name, m in model.named_modules() if isinstance(m, LoraLayer))


def add_token(tokenizer: Any, text_encoder: Any, path: str | Path, token: str | None) -> str:
    """Add the token of a textual inversion; the token, as prompts must write it.

    It is `token`, or the name in the file; where that says nothing, the file's own name. It gets
    pointed brackets if it has none, since "art" would be found in "party". Raises
    `FileNotFoundError`, or `ValueError` for a file that is none or of another model, and for a
    token that is there already.
    """
    name, rows = _read_rows(Path(path).expanduser())
    word = _in_brackets(name if token is None else token)
    pieces = [word, *(continuation(word, i) for i in range(1, len(rows)))]
    table = text_encoder.get_input_embeddings()
    if table.weight.is_meta:
        raise ValueError("a textual inversion needs the text encoder in memory; give more memory")
    if rows.shape[1] != table.weight.shape[1]:
        raise ValueError(
            f"{path} was made for another model: its rows are {rows.shape[1]} wide, and those of "
            f"this text encoder {table.weight.shape[1]}"
        )
    if there := [piece for piece in pieces if piece in tokenizer.get_vocab()]:
        raise ValueError(f"token must be a new one; {there[0]!r} is there already")
    _append(tokenizer, text_encoder, pieces, rows)
    return word


def _in_brackets(name: str) -> str:
    if not name.strip("<> ") or any(c.isspace() for c in name):
        raise ValueError(f"token must be a word without spaces, such as '<cat-toy>'; got {name!r}")
    name = name.lower()  # as the tokenizer reads prompts
    return name if name.startswith("<") and name.endswith(">") else f"<{name}>"


NAMELESS = ("emb_params", "*")  # what widespread tools call every token


def _read_rows(path: Path) -> tuple[str, Tensor]:
    """The token's name and its rows, (n, D)."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = path / "learned_embeds.safetensors" if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(f"there is no textual inversion at {file}")
    if file.suffix != ".safetensors":
        raise ValueError(
            f"{file} must be a safetensors file; others may run strangers' code when they are read"
        )
    try:
        tensors = load_file(file)
    except SafetensorError as error:
        raise ValueError(f"{file} is damaged and cannot be read ({error})") from error
    if len(tensors) != 1 or next(iter(tensors.values())).ndim > 2:
        kind = "one of SDXL" if "clip_g" in tensors else f"something with {sorted(tensors)[:3]}"
        raise ValueError(f"{file} must be a textual inversion, one tensor of rows; it is {kind}")
    [(name, rows)] = tensors.items()
    return file.stem if name in NAMELESS else name, rows.reshape(-1, rows.shape[-1])


@torch.no_grad()
def _append(tokenizer: Any, text_encoder: Any, pieces: list[str], rows: Tensor) -> None:
    table = text_encoder.get_input_embeddings()
    tokenizer.add_tokens(pieces)
    ids = tokenizer.convert_tokens_to_ids(pieces)
    old = table.weight
    missing = max(ids) + 1 - len(old)  # a table may have more rows than there are tokens
    weight = torch.cat([old, old.new_zeros(max(0, missing), old.shape[1])])
    weight[ids] = rows.to(weight)
    table.weight = nn.Parameter(weight, requires_grad=old.requires_grad)
    table.num_embeddings = text_encoder.config.vocab_size = len(weight)
