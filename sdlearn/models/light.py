"""A model that can draw and nothing else, without diffusers and transformers.

Importing those two takes longer than drawing an image of the tiny model. `load_light` builds parts
that the pipeline can call: networks in ONNX Runtime (`engine`), a tokenizer of the library
`tokenizers`, and the package's own DDIM. The images are those of `load(..., compile=True)`.

It takes a folder that has its own graphs, as the tiny model's has. Left out: layers to watch or
change, LoRA, new words, the encoder of images, and weights that change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..diffusion.ddim import DDIM
from ..util.config import Config
from .engine import Network
from .graphs import FOLDERS, GRAPHS, graph_name
from .layout import MODELS, expects_checker, pick_variant, read_json, weights_file
from .loading import Parts, damaged_weights, explain_damage

__all__ = ["load_light"]

SCHEDULER = "DDIMScheduler"
PREFIXES = {"text_encoder": "text_model.", "unet": "", "vae_decoder": "decoder."}  # in the files
BEFORE_DECODER = "post_quant_conv."  # the layer of the autoencoder before its decoder


def load_light(folder: Path) -> Parts | None:
    """The parts of the model in `folder`, in float32 on the CPU; None where that takes `load`.

    That is so for a model without graphs of its own, and for one that is unusual or damaged, of
    which `load` then says what is wrong.
    """
    if not (folder / GRAPHS).is_dir() or expects_checker(folder) or damaged_weights(folder):
        return None
    try:
        return _read_parts(folder)
    except (ImportError, OSError, LookupError, ValueError):
        return None


def _read_parts(folder: Path) -> Parts:
    tokenizer = Tokenizer(folder / "tokenizer")
    scheduler = read_json(folder / "scheduler" / "scheduler_config.json")
    if read_json(folder / "model_index.json")["scheduler"][1] != SCHEDULER:
        raise ValueError(f"the scheduler must be {SCHEDULER}")
    text_encoder, unet, vae = (kind(part, folder) for part, kind in PARTS.items())
    if tokenizer.model_max_length != text_encoder.config["max_position_embeddings"]:
        raise ValueError("the tokenizer must cut texts off where the text encoder ends")
    if unet.config["time_cond_proj_dim"]:
        raise ValueError("the U-Net must have no other inputs than those of the graph")
    return Parts(tokenizer, text_encoder, unet, vae, DDIM(scheduler))


class Part:
    """A network in the place of a module: what the pipeline asks of one, and no more."""

    device = torch.device("cpu")
    dtype = torch.float32

    def __init__(self, part: str, folder: Path) -> None:
        home = folder / FOLDERS[part]
        self.config = Config(read_json(home / "config.json"))
        weights, self.others = _read_weights(part, home)
        shapes = {name: weight.shape for name, weight in weights.items()}
        self.network = Network(folder / GRAPHS / graph_name(part, self.config, shapes), weights)

    def parameters(self) -> Iterator[Tensor]:
        """A tensor of the type of the weights, which ONNX Runtime holds."""
        yield torch.empty(0)


class TextEncoder(Part):
    """Token ids (B, 77) → text states (B, 77, D), and the state at the end token (B, D)."""

    def __call__(self, input_ids: Tensor, return_dict: bool = False) -> tuple[Tensor, ...]:
        return self.network(input_ids)


class UNet(Part):
    """Latents (B, C, h, w), one timestep or B, text states (B, L, D) → a prediction (B, C, h, w).

    h and w must be multiples of `divisor`: the U-Net halves them again and again.
    """

    @property
    def divisor(self) -> int:
        return 2 ** (len(self.config["block_out_channels"]) - 1)

    def __call__(
        self,
        sample: Tensor,
        timestep: Tensor | float,
        encoder_hidden_states: Tensor,
        return_dict: bool = False,
    ) -> tuple[Tensor, ...]:
        t = torch.as_tensor(timestep).float().expand(len(sample))
        return self.network(sample, t, encoder_hidden_states)


class Autoencoder(Part):
    """The half of an autoencoder that draws: latents (B, 4, h, w) → images (B, 3, H, W)."""

    def decode(self, latents: Tensor, return_dict: bool = False) -> tuple[Tensor, ...]:
        """The images, in [-1, 1] or a little beyond."""
        weight, bias = (self.others[BEFORE_DECODER + name] for name in ("weight", "bias"))
        return self.network(F.conv2d(latents, weight, bias))


PARTS = {"text_encoder": TextEncoder, "unet": UNet, "vae_decoder": Autoencoder}


def _read_weights(part: str, folder: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The weights of a part by their names in its graph, and others that belong to it.

    An autoencoder's encoder is left in the file. Raises `FileNotFoundError` for weights in shards.
    """
    from safetensors import safe_open

    stem, prefix = MODELS[folder.name], PREFIXES[part]
    path = folder / weights_file(stem, pick_variant(folder, torch.float32))
    weights, others = {}, {}
    with explain_damage(path), safe_open(path, "pt") as file:
        for name in file.keys():  # noqa: SIM118, it is no dict
            if part == "text_encoder" or name.startswith(prefix):
                weights[name.removeprefix(prefix)] = file.get_tensor(name).float()
            elif name.startswith(BEFORE_DECODER):
                others[name] = file.get_tensor(name).float()
    return weights, others


class Tokenizer:
    """What `tokenizing` asks of transformers' `CLIPTokenizer`, by the library under it.

    Raises `FileNotFoundError`, `KeyError` or `ValueError` for a folder that is not complete.
    """

    def __init__(self, folder: Path) -> None:
        import tokenizers

        told = read_json(folder / "tokenizer_config.json")
        text = (folder / "tokenizer.json").read_text(encoding="utf-8")
        try:
            self._tokenizer = tokenizers.Tokenizer.from_str(text)
        except Exception as error:  # it raises no class of its own
            raise ValueError(f"{folder} is damaged and cannot be read ({error})") from error
        self.model_max_length = told["model_max_length"]
        self._padding = {"pad_token": told["pad_token"]}
        self._padding["pad_id"] = self._tokenizer.token_to_id(told["pad_token"])
        added = self._tokenizer.get_added_tokens_decoder()
        self.added_tokens_encoder = {token.content: number for number, token in added.items()}

    def __call__(
        self,
        text: str | Sequence[str],
        *,
        padding: str | None = None,
        max_length: int | None = None,
        truncation: bool = False,
        **_: Any,
    ) -> SimpleNamespace:
        """The `input_ids` of one text as a list, or of several as a tensor (B, L).

        `attention_mask` has 1 for tokens and 0 for padding.
        """
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        if truncation and max_length:
            self._tokenizer.enable_truncation(max_length)
        if padding:
            length = max_length if padding == "max_length" else None
            self._tokenizer.enable_padding(length=length, **self._padding)
        if isinstance(text, str):
            return SimpleNamespace(input_ids=self._tokenizer.encode(text).ids)
        found = self._tokenizer.encode_batch(list(text))
        ids, masks = ([getattr(one, name) for one in found] for name in ("ids", "attention_mask"))
        return SimpleNamespace(input_ids=torch.tensor(ids), attention_mask=torch.tensor(masks))

    def decode(self, ids: Sequence[int]) -> str:
        """The text that ids stand for."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=False)
