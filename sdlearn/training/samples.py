"""Sample sheets: small pages of images that show what a model could do after how many steps.

They are drawn with the averaged weights of the latest checkpoint. At the end a strip shows some of
them below each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from PIL import Image, ImageDraw, ImageFont
from transformers import CLIPModel, CLIPTokenizer

from ..pipeline import StableDiffusion
from ..util.images import tile, to_pil
from ..util.processes import this_process
from ..world import IMAGE_SIZE
from . import unet, vae
from .data import RenderedImages
from .loop import load_average
from .run import StageProgress, TrainingRun

SHEETS = 8  # in a whole training
GROWTH = 1.6  # from one row of the strip to the next: what changes, changes early
LABEL_WIDTH = 104  # pixels
PROMPTS = (
    "a large red house on the left, on green grass, at sunset, under a rainbow",
    "a small purple boat on the right, on blue water, at night, under the moon",
    "an orange cat in watercolour",
    "a yellow train on the sand, under the sun, pixel art",
    "there is a little pink flower in the snow while it snows",
    "a large white house in the middle of a meadow, in the rain, as a coloured pencil drawing",
    "a blue rocket left of a red castle, on yellow sand, at night, under the moon",
    "a green robot on the left and a white lighthouse on the right, on the sea, under a rainbow",
)


def write_vae_sheet(run: TrainingRun, progress: StageProgress, images: RenderedImages) -> None:
    """A row of images over the row of their round trips, when it is due."""
    if not _is_wanted(run, progress):
        return
    model = vae.build_vae()
    load_average(run.checkpoint("vae"), model)
    originals = images[torch.arange(min(8, len(images)))]
    both = torch.cat([originals, vae.round_trip(model, originals)])
    _write(run, progress, to_pil((both + 1) / 2))


def write_unet_sheet(run: TrainingRun, progress: StageProgress) -> None:
    """What `PROMPTS` give, always from the same seeds, when it is due."""
    if not _is_wanted(run, progress):
        return
    text_encoder = run.load(CLIPModel, "clip").text_model
    model = unet.build_unet(text_encoder.config.hidden_size).eval()
    load_average(run.checkpoint("unet"), model)
    sd = StableDiffusion(
        name="samples",
        tokenizer=CLIPTokenizer.from_pretrained(run.finished("tokenizer")),
        text_encoder=text_encoder,
        unet=model,
        vae=run.load(AutoencoderKL, "vae"),
        scheduler=unet.build_scheduler(),
    )
    _write(run, progress, sd.generate(PROMPTS, seeds=range(len(PROMPTS))))


def _is_wanted(run: TrainingRun, progress: StageProgress) -> bool:
    """True when a sheet is due: after some checkpoints, `SHEETS` times in a set number of steps."""
    config, done = run.config.parts[progress.stage], progress.done
    checkpoints = 4 if config.minutes else max(1, config.steps // SHEETS // config.save_every)
    every = checkpoints * config.save_every
    is_due = done % every == 0 or progress.is_last
    return is_due and run.samples is not None and this_process().is_main_process


def _write(run: TrainingRun, progress: StageProgress, images: Iterable[Image.Image]) -> None:
    assert run.samples is not None
    run.samples.mkdir(parents=True, exist_ok=True)
    path = run.samples / f"{progress.stage}-{progress.done:05d}.png"
    page = tile([image.resize((IMAGE_SIZE,) * 2) for image in images], columns=8)
    page.save(path, optimize=True)


def write_strip(run: TrainingRun, stage: str) -> None:
    """Some sheets of a stage below each other, each beside its number of steps; the last is one."""
    if run.samples is None or not this_process().is_main_process:
        return
    steps = sorted(int(path.stem.split("-")[1]) for path in run.samples.glob(f"{stage}-[0-9]*.png"))
    chosen: list[int] = []
    for step in steps:
        if not chosen or step >= GROWTH * chosen[-1]:
            chosen.append(step)
    rows = [_labelled(run.samples / f"{stage}-{n:05d}.png", n) for n in [*chosen[:-1], steps[-1]]]
    tile(rows, columns=1).save(run.samples / f"{stage}-strip.png", optimize=True)


def _labelled(path: Path, step: int) -> Image.Image:
    page = Image.open(path)
    row = Image.new("RGB", (LABEL_WIDTH + page.width, page.height), "white")
    row.paste(page, (LABEL_WIDTH, 0))
    place, font = (LABEL_WIDTH - 8, page.height // 2), ImageFont.load_default(16)
    ImageDraw.Draw(row).text(place, f"{step:,} steps", fill="#222222", font=font, anchor="rm")
    return row
