"""The diary of a training: small sheets of pictures, drawn with the averaged weights of the
latest checkpoint, so that one can see what the model could do after how many steps. At the end a
strip shows some of them below each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from accelerate import PartialState
from diffusers import AutoencoderKL
from PIL import Image, ImageDraw, ImageFont
from transformers import CLIPModel, CLIPTokenizer

from ..pipeline import StableDiffusion, to_pil
from ..util.images import tile
from ..world import IMAGE_SIZE
from ..world.showcase import SHOWCASE
from . import checkpoint, unet, vae
from .data import Pictures
from .loop import TrainingConfig
from .workshop import Progress, TrainingRun

__all__ = ["PROMPTS", "is_page", "unet_page", "vae_page", "write_strip"]

PAGES = 8  # in a whole training
PROMPTS = SHOWCASE[:8]
GROWTH = 1.6  # from one row of the strip to the next: what changes, changes early
LABEL_WIDTH = 104  # pixels


def is_page(step: int, recipe: TrainingConfig) -> bool:
    """True when a sheet is due after `step` steps: always right after a checkpoint."""
    every = max(recipe.save_every, recipe.steps // PAGES // recipe.save_every * recipe.save_every)
    return step % every == 0 or step == recipe.steps


def vae_page(shop: TrainingRun, progress: Progress, pictures: Pictures) -> None:
    """A row of pictures over the row of their round trips."""
    if not _is_due(shop, progress):
        return
    model = vae.build_vae()
    checkpoint.load_average(shop.checkpoint("vae"), model)
    images = pictures[torch.arange(min(8, len(pictures)))]
    both = torch.cat([images, vae.round_trip(model, images)])
    _write(shop, progress, to_pil((both + 1) / 2))


def unet_page(shop: TrainingRun, progress: Progress) -> None:
    """What the prompts of the diary give, always from the same seeds."""
    if not _is_due(shop, progress):
        return
    text_encoder = CLIPModel.from_pretrained(shop.need("clip")).text_model.eval()
    model = unet.build_unet(text_encoder.config.hidden_size).eval()
    checkpoint.load_average(shop.checkpoint("unet"), model)
    sd = StableDiffusion(
        name="diary",
        tokenizer=CLIPTokenizer.from_pretrained(shop.need("tokenizer")),
        text_encoder=text_encoder,
        unet=model,
        vae=AutoencoderKL.from_pretrained(shop.need("vae")).eval(),
        scheduler=unet.build_scheduler(),
    )
    _write(shop, progress, sd.generate(PROMPTS, seeds=range(len(PROMPTS))))


def _is_due(shop: TrainingRun, progress: Progress) -> bool:
    recipe = shop.plan.recipes[progress.stage]
    is_main = PartialState().is_main_process
    return shop.diary is not None and is_main and is_page(progress.done, recipe)


def _write(shop: TrainingRun, progress: Progress, images: Iterable[Image.Image]) -> None:
    assert shop.diary is not None
    shop.diary.mkdir(parents=True, exist_ok=True)
    path = shop.diary / f"{progress.stage}-{progress.done:05d}.png"
    page = tile([image.resize((IMAGE_SIZE,) * 2) for image in images], columns=8)
    page.save(path, optimize=True)


def write_strip(shop: TrainingRun, stage: str) -> None:
    """Some pages of a stage below each other, each beside its number of steps; the last ends it."""
    if shop.diary is None or not PartialState().is_main_process:
        return
    steps = sorted(int(path.stem.split("-")[1]) for path in shop.diary.glob(f"{stage}-[0-9]*.png"))
    chosen: list[int] = []
    for step in steps:
        if not chosen or step >= GROWTH * chosen[-1]:
            chosen.append(step)
    rows = [_labelled(shop.diary / f"{stage}-{n:05d}.png", n) for n in [*chosen[:-1], steps[-1]]]
    tile(rows, columns=1).save(shop.diary / f"{stage}-strip.png", optimize=True)


def _labelled(path: Path, step: int) -> Image.Image:
    page = Image.open(path)
    row = Image.new("RGB", (LABEL_WIDTH + page.width, page.height), "white")
    row.paste(page, (LABEL_WIDTH, 0))
    place, font = (LABEL_WIDTH - 8, page.height // 2), ImageFont.load_default(16)
    ImageDraw.Draw(row).text(place, f"{step:,} steps", fill="#222222", font=font, anchor="rm")
    return row
