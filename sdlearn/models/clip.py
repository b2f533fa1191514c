"""CLIP with both of its towers: texts and images as vectors in one space (arXiv 2103.00020).

    clip = load_clip()
    texts = clip.embed_texts(["a red house", "a blue boat"])   # (2, D), each of length 1
    seen = clip.embed_images(images)                           # (B, D), each of length 1
    texts @ seen.T                                             # cosine similarities (2, B)

A Stable Diffusion keeps the text tower only, and gives the U-Net its 77 states and not the one
vector that is made here. The towers shipped with "tiny" are the ones that were trained for it.
Left out: the states (`StableDiffusion.encode_text`) and the training (`sdlearn.training.clip`).
Letters: B texts or images, D width of the common space, H W pixels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from ..util.checks import check_images
from .loading import TINY
from .tokenizing import padded_ids

__all__ = ["CLIP", "load_clip"]


@dataclass(frozen=True)
class CLIP:
    """Two towers of one CLIP, `model` (transformers' `CLIPModel`), and its `tokenizer`."""

    model: Any
    tokenizer: Any

    @property
    def scale(self) -> float:
        """What the loss multiplies similarities by: 1 / temperature, learned (section 2.5)."""
        return float(self.model.logit_scale.exp())

    @torch.no_grad()
    def embed_texts(self, texts: str | Iterable[str]) -> Tensor:
        """(B, D), each of length 1: the state at the end token, projected (figure 3).

        What is beyond 77 tokens is cut off, with a warning. Raises `TypeError` for what is no text.
        """
        ids = padded_ids(self.tokenizer, texts, "texts", to_longest=True)
        pooled = self.model.text_model(input_ids=ids).pooler_output
        return F.normalize(self.model.text_projection(pooled), dim=1)

    @torch.no_grad()
    def embed_images(self, images: Tensor) -> Tensor:
        """(B, D), each of length 1, of images (B, 3, H, W) in [0, 1].

        Images of other sizes are scaled to the one that the tower was trained on. Raises
        `ValueError` for another shape.
        """
        check_images(images)
        side = self.model.config.vision_config.image_size
        x = F.interpolate(images.cpu().float(), size=(side, side), mode="bilinear", antialias=True)
        pooled = self.model.vision_model(pixel_values=x * 2 - 1).pooler_output
        return F.normalize(self.model.visual_projection(pooled), dim=1)


def load_clip(folder: Path | None = None) -> CLIP:
    """The shipped CLIP, or the one of a `folder` that `sdlearn train` made; fp32, on the CPU.

    Raises `FileNotFoundError` when the folder holds none.
    """
    from transformers.models.clip.configuration_clip import CLIPConfig
    from transformers.models.clip.modeling_clip import CLIPModel
    from transformers.models.clip.tokenization_clip import CLIPTokenizer

    folder = folder or TINY
    path = folder / "clip" / "model.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"no CLIP at {path}; give a folder that 'sdlearn train' exported")
    model = CLIPModel(CLIPConfig.from_pretrained(path.parent)).float()
    model.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    return CLIP(model.eval().requires_grad_(False), tokenizer)
