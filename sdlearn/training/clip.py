"""A small CLIP (Radford et al. 2021, arXiv 2103.00020) and its tokenizer, trained on our world.

The contrastive loss of the paper, plus two *near misses* for every caption: the same sentence
with one attribute changed, or the two subjects' colours swapped. Without them a contrastive
text tower learns a bag of words (ARO, arXiv 2210.01936) and the U-Net could never know which
colour belongs to which subject. No near miss is a held-out combination: as nothing but a wrong
answer, "orange ... on the left" would be learned as what is never true, and its states then say
something else. Each process contrasts within its own share of the batch.

The byte-pair tokenizer has the same class, the same rules and the same order of ids as the
original: 256 bytes, the same bytes at a word's end, the learned merges, then BOS and EOS as the two
highest ids. Words of the world become single tokens; any other word visibly falls into pieces, down
to single bytes.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from tokenizers import pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from ..world import IMAGE_SIZE, Scene, Thing, caption, is_held_out
from ..world.scene import (
    BACKDROP,
    COLOURS,
    GROUNDS,
    POSITIONS,
    SIZES,
    SKIES_BY_TIME,
    STYLES,
    SUBJECTS,
    TIMES,
    WEATHERS,
    is_style_held_out,
)
from .data import RenderedImages, rng_for_words, scene_in_new_words
from .loop import Batch, TrainingConfig

CONFIG = TrainingConfig(
    steps=2_700, batch_size=128, lr=1e-3, warmup=100, decay=0.6, betas=(0.9, 0.98), ema=0.99
)
NEAR_MISSES_EACH = 2  # for each caption
# How often each attribute is changed in a near miss, relative to the others.
NEAR_MISSES = {"position": 6, "subject": 2, "size": 2}
NEAR_MISSES |= dict.fromkeys(("colour", *BACKDROP), 1)
MAX_LOGIT_SCALE = 4.6052  # ln 100, the paper's cap on the temperature
BOS, EOS = "<|startoftext|>", "<|endoftext|>"
MAX_TOKENS = 77  # as in CLIP: BOS, at most 75 pieces, EOS
WORD_END = "</w>"


def train_tokenizer(captions: Iterable[str], max_merges: int = 2000) -> CLIPTokenizer:
    """A `CLIPTokenizer` whose merges were learned from `captions`."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=512 + max_merges,
        min_frequency=2,
        end_of_word_suffix=WORD_END,
        initial_alphabet=alphabet,
        show_progress=False,
    )
    blank = CLIPTokenizer().backend_tokenizer  # CLIP's own normaliser and word splitting
    blank.train_from_iterator(captions, trainer)
    merges = [tuple(pair) for pair in json.loads(blank.to_str())["model"]["merges"]]
    tokens = [*alphabet, *[byte + WORD_END for byte in alphabet]]
    tokens += ["".join(pair) for pair in merges]
    vocab = {token: i for i, token in enumerate(dict.fromkeys([*tokens, BOS, EOS]))}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=MAX_TOKENS)


def build_clip(tokenizer: CLIPTokenizer) -> CLIPModel:
    """An untrained CLIP: text tower 4 x 128, image tower 4 x 128 on an 8x8 grid of patches."""
    size = {"hidden_size": 128, "intermediate_size": 512, "projection_dim": 128}
    size |= {"num_attention_heads": 4}
    text = {
        **size,
        "num_hidden_layers": 4,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": MAX_TOKENS,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,  # the true id: 2 would mean legacy pooling
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {**size, "num_hidden_layers": 4, "image_size": IMAGE_SIZE, "patch_size": 16}
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=128))


class CLIPObjective(nn.Module):
    """The contrastive loss of one batch of images, captions and near misses."""

    def __init__(self, clip: CLIPModel) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, images: Tensor, ids: Tensor, near_miss_ids: Tensor) -> dict[str, Tensor]:
        """`images` (B, 3, H, W) in [-1, 1]; `ids` (B, L), `near_miss_ids` (N, L) → losses."""
        pooled = self.clip.vision_model(pixel_values=images).pooler_output
        of_images = self.clip.visual_projection(pooled)
        of_texts = self._text_embeddings(torch.cat([ids, near_miss_ids]))
        with torch.autocast(images.device.type, enabled=False):  # 100 times a cosine: no halves
            scale = self.clip.logit_scale.exp()
            logits = scale * _unit(of_images) @ _unit(of_texts).T  # B captions, then near misses
        right = torch.arange(len(images), device=logits.device)
        by_image = F.cross_entropy(logits, right)
        by_text = F.cross_entropy(logits[:, : len(images)].T, right)
        accuracy = (logits.argmax(dim=1) == right).float().mean()
        too_hot = F.relu(self.clip.logit_scale - MAX_LOGIT_SCALE)
        return {"loss": (by_image + by_text) / 2 + too_hot, "accuracy": accuracy}

    def _text_embeddings(self, ids: Tensor) -> Tensor:
        """The embeddings (N, D) of texts: the shorter half is not padded to the longest text."""
        lengths = (ids == self.clip.config.text_config.eos_token_id).int().argmax(dim=1) + 1
        order = lengths.argsort()
        pooled = [
            self.clip.text_model(input_ids=ids[rows, : lengths[rows].max()]).pooler_output
            for rows in order.chunk(2)
        ]
        return self.clip.text_projection(torch.cat(pooled))[order.argsort()]


def _unit(vectors: Tensor) -> Tensor:
    return F.normalize(vectors.float(), dim=-1)


def near_miss(scene: Scene, rng: random.Random) -> Scene:
    """`scene` with one attribute changed; for a pair mostly two subjects' attributes swapped.

    Where things stand is changed most often: the other attributes are learned from the other
    images of the batch, while random negatives seldom differ in the position alone.
    """
    if scene.is_pair and rng.random() < 0.85:
        return replace(scene, things=_swapped(scene.things, rng))
    [field] = rng.choices(list(NEAR_MISSES), weights=list(NEAR_MISSES.values()))
    backdrop = {"ground": GROUNDS, "sky": SKIES_BY_TIME[scene.time]}
    backdrop |= {"weather": WEATHERS, "style": STYLES}
    if field in backdrop:
        word: Any = _other(getattr(scene, field), backdrop[field], rng)
        return replace(scene, **{field: word})
    if field == "time":
        times = tuple(time for time in TIMES if scene.sky in SKIES_BY_TIME[time])
        return replace(scene, time=_other(scene.time, times, rng)) if len(times) > 1 else scene
    if scene.is_pair and field in ("size", "position"):
        return replace(scene, things=_swapped(scene.things, rng))
    words = {"subject": SUBJECTS, "colour": COLOURS, "size": SIZES, "position": POSITIONS}[field]
    thing, *rest = scene.things
    changed = replace(thing, **{field: _other(getattr(thing, field), words, rng)})
    return replace(scene, things=(changed, *rest))


def _other(word: str, words: tuple[str, ...], rng: random.Random) -> str:
    return rng.choice([w for w in words if w != word])


def _swapped(things: tuple[Thing, ...], rng: random.Random) -> tuple[Thing, ...]:
    first, second = things
    [field] = rng.choices(("position", "colour", "subject"), weights=(3, 2, 1))
    swapped = (getattr(second, field), getattr(first, field))
    return tuple(replace(t, **{field: v}) for t, v in zip(things, swapped, strict=True))


def make_batch(
    images: RenderedImages, tokenizer: CLIPTokenizer, batch_size: int, generator: torch.Generator
) -> Batch:
    """Random images, their captions newly worded, and near misses for each."""
    rows = torch.randint(len(images), (batch_size,), generator=generator)
    rng = rng_for_words(generator)
    numbers = (rows + images.first).tolist()
    right, *wrong = zip(*(_caption_and_near_misses(n, rng) for n in numbers), strict=True)
    # Padding to the longest is exact: the tower is causal and pools at the first EOS.
    texts = [text for texts in (right, *wrong) for text in texts]
    ids = tokenizer(texts, padding=True, return_tensors="pt").input_ids
    return {"images": images[rows], "ids": ids[:batch_size], "near_miss_ids": ids[batch_size:]}


def _caption_and_near_misses(index: int, rng: random.Random) -> list[str]:
    scene = scene_in_new_words(index, rng)
    right = caption(scene)
    return [right, *(_near_miss_caption(scene, right, rng) for _ in range(NEAR_MISSES_EACH))]


def _near_miss_caption(scene: Scene, right: str, rng: random.Random) -> str:
    wrong = right
    while wrong == right:  # the changed attribute may be one that this caption leaves out
        other = near_miss(scene, rng)
        is_taught = not (is_held_out(other) or is_style_held_out(other))
        wrong = caption(other) if is_taught else right
    return wrong
