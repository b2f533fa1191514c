"""Teach the finished model a thing that it has never seen: LoRA, and textual inversion.

The world holds a subject and a style back from all training (`world.scene`): the snowman and the
stained glass. The autoencoder can draw them and the judge can see them, so what an adapter has
learned can be counted.

LoRA (Hu et al. 2021, arXiv 2106.09685) leaves each weight matrix W as it is and adds to it a
product of two narrow ones, `up @ down`; here of rank 8, on the layers of the U-Net's attention and
residual blocks. (With rank 4 on attention alone, which is usual, the judge found 4 of 8 snowmen
after 1,000 steps. So it found 14 of 16 after 500: a shape that is new is the convolutions' work.)

Textual inversion (Gal et al. 2022, arXiv 2208.01618) leaves the whole model as it is and learns a
new word: a few rows at the end of the text encoder's table of tokens. Both train on the U-Net's own
loss. Left out: the text encoder's LoRA, and DoRA.

Both are saved as diffusers reads them: `models.adapters` loads them, and so does
`StableDiffusionPipeline`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ..models.tokenizing import continuation
from ..pipeline import StableDiffusion
from ..util.files import copy_mode_to_weights
from ..util.images import to_tensor
from ..world import Scene, caption, full_caption, render, sample_scene
from ..world.scene import HELD_BACK_STYLES, HELD_BACK_SUBJECTS
from .data import rng_for_words
from .loop import Batch, Record, TrainingConfig, train_model
from .unet import CAPTION_DROPOUT, NUM_TIMESTEPS, UNetObjective

__all__ = [
    "LORA_CONFIG",
    "TAUGHT",
    "WORD_CONFIG",
    "Example",
    "add_lora_to",
    "examples",
    "save_lora",
    "train_lora",
    "train_word",
]

RANK = 8
LAYERS = ["to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out"]  # those that get a LoRA
LAYERS += ["ff.net.0.proj", "ff.net.2", "conv1", "conv2"]
ROWS = 4  # of the table of tokens, for a learnt word
KEPT_SHARE = 0.3  # of the examples are ordinary scenes, so that the model does not forget them
STAND_IN = "castle"  # whose captions are reworded: it has no synonym, and an article like ours

LORA_CONFIG = TrainingConfig(
    steps=1_500, batch_size=8, lr=1e-3, warmup=20, decay=0.6, weight_decay=0.0, ema=0.98
)
WORD_CONFIG = replace(LORA_CONFIG, steps=600, lr=1e-2)

TAUGHT = {  # what is taught → the attribute and the words that captions have for it
    "snowman": ("subject", HELD_BACK_SUBJECTS[0]),
    "stained-glass": ("style", HELD_BACK_STYLES[0]),
}


@dataclass(frozen=True)
class Example:
    """A scene to draw and the words for it."""

    scene: Scene
    words: str


def examples(taught: str, count: int, word: str | None = None) -> list[Example]:
    """`count` examples for teaching one of `TAUGHT`; some are ordinary (`KEPT_SHARE`).

    `word` stands in captions for what is taught, by default its name. The same `taught` gives the
    same scenes on any machine. Raises `ValueError` for what cannot be taught.
    """
    if taught not in TAUGHT:
        raise ValueError(f"taught must be one of {', '.join(TAUGHT)}; got {taught!r}")
    attribute, name = TAUGHT[taught]
    show = _with_subject if attribute == "subject" else _in_style
    return [show(random.Random(f"{taught} {i}"), name, word or name) for i in range(count)]


def _with_subject(rng: random.Random, name: str, word: str) -> Example:
    scene = sample_scene(rng, pair=False)
    if rng.random() < KEPT_SHARE:
        return Example(scene, caption(scene))
    [thing] = scene.things
    told = (full_caption if rng.random() < 0.5 else caption)(
        replace(scene, things=(replace(thing, subject=STAND_IN),))
    )
    words = told.replace(STAND_IN, word).replace(STAND_IN.capitalize(), word.capitalize())
    return Example(replace(scene, things=(replace(thing, subject=name),)), words)


def _in_style(rng: random.Random, name: str, word: str) -> Example:
    scene = sample_scene(rng)
    if rng.random() < KEPT_SHARE:
        return Example(scene, caption(scene))
    plain = full_caption(replace(scene, style="storybook")).removesuffix(".")
    return Example(replace(scene, style=name), f"{plain}, as {word}")


@torch.no_grad()
def _encode(sd: StableDiffusion, them: list[Example]) -> Tensor:
    """The latents (N, 4, h, w) of examples."""
    few = (them[i : i + 8] for i in range(0, len(them), 8))
    return torch.cat(
        [sd.encode_image(to_tensor([render(one.scene) for one in some])) for some in few]
    )


def make_batch(
    latents: Tensor, ids: Tensor, empty: Tensor, batch_size: int, generator: torch.Generator
) -> Batch:
    """Random examples: latents, the ids (N, 77) of their words, or (1, 77) of none, noise and t."""
    rows = torch.randint(len(latents), (batch_size,), generator=generator)
    rng = rng_for_words(generator)
    dropped = torch.tensor([[rng.random() < CAPTION_DROPOUT] for _ in rows])
    x0 = latents[rows]
    return {
        "x0": x0,
        "ids": torch.where(dropped, empty, ids[rows]),
        "noise": torch.randn(x0.shape, generator=generator),
        "t": torch.randint(NUM_TIMESTEPS, (batch_size,), generator=generator),
    }


def _batches(sd: StableDiffusion, them: list[Example], batch_size: int) -> Callable[..., Batch]:
    ids = sd.tokenize([one.words for one in them])
    return partial(make_batch, _encode(sd, them), ids, sd.tokenize(""), batch_size)


# LoRA


def add_lora_to(unet: Any, rank: int = RANK) -> int:
    """Put an untrained LoRA around layers of `unet` (`LAYERS`); how many numbers it has.

    Everything else is frozen. At first it changes nothing, because all its `up` are 0.
    """
    from peft import LoraConfig

    unet.requires_grad_(False)
    unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=LAYERS))
    return sum(p.numel() for p in unet.parameters() if p.requires_grad)


def train_lora(
    sd: StableDiffusion, them: list[Example], config: TrainingConfig = LORA_CONFIG
) -> Iterator[Record]:
    """Train the LoRA around the layers of `sd.unet` (`add_lora_to`) on examples."""
    objective = UNetObjective(sd.unet, sd.text_encoder)
    yield from train_model(objective, _batches(sd, them, config.batch_size), config)


def save_lora(unet: Any, path: Path) -> None:
    """Write the LoRA around the layers of `unet` as fp16 safetensors, named as diffusers does."""
    from peft import get_peft_model_state_dict

    sides = get_peft_model_state_dict(unet)
    _save({f"unet.{name}": side for name, side in sides.items()}, path)


# Textual inversion


class _Longer(nn.Module):
    """The table of tokens with new rows at its end; only these are trained."""

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        self.rows = nn.Parameter(rows)

    def forward(self, table: Tensor) -> Tensor:
        return torch.cat([table, self.rows])


def train_word(
    sd: StableDiffusion,
    taught: str,
    count: int,
    config: TrainingConfig = WORD_CONFIG,
    rows: int = ROWS,
) -> Iterator[tuple[Record, Tensor]]:
    """Learn a word for one of `TAUGHT` from `count` examples: records, and its rows (n, D) so far.

    The word changes the tokenizer and the text encoder of `sd`, which is of no use afterwards. The
    rows begin at the state of an ordinary word of the same kind. Raises `ValueError` where the
    table of tokens has other rows than there are tokens.
    """
    word = f"<{taught}>"
    table = sd.text_encoder.get_input_embeddings()
    if len(table.weight) != len(sd.tokenizer):
        sizes = f"{len(table.weight)} and {len(sd.tokenizer)}"
        raise ValueError(f"a word needs a table with a row for each token; got {sizes}")
    attribute, _ = TAUGHT[taught]
    begin = STAND_IN if attribute == "subject" else "art"
    first = table.weight[sd.tokenizer(begin).input_ids[1]].detach()
    sd.tokenizer.add_tokens([word, *(continuation(word, i) for i in range(1, rows))])
    objective = UNetObjective(sd.unet.requires_grad_(False), sd.text_encoder)  # freezes both
    spread = 0.1 * table.weight.detach().std()
    longer = _Longer(first + spread * torch.randn(rows, len(first)))
    parametrize.register_parametrization(table, "weight", longer, unsafe=True)
    batches = _batches(sd, examples(taught, count, word), config.batch_size)
    for record in train_model(objective, batches, config):
        yield record, longer.rows.detach().cpu().clone()
    # After the last step `train_model` puts the average in the place of the rows.
    yield replace(record, is_last=True), longer.rows.detach().cpu().clone()


def save_word(word: str, rows: Tensor, path: Path) -> None:
    """Write a learnt word as diffusers reads it: its name and its rows (n, D)."""
    _save({word: rows}, path)


def _save(tensors: dict[str, Tensor], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    halves = {name: tensor.detach().half().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(halves, path, metadata={"format": "pt"})
    copy_mode_to_weights(path.parent, Path(__file__))
