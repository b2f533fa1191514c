"""Drawing for explorers: one shared model, and a generation told as views while it runs."""

from __future__ import annotations

import time
import warnings
from collections.abc import Generator, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

from PIL import Image
from torch import Tensor

from ..evaluation.judge import Judge, load_judge
from ..pipeline import StableDiffusion, Step, load, to_pil
from ..util.checks import check_not_blank
from ..viz import to_tensor
from .live import PanelUpdate
from .panels import picture_html

__all__ = ["Model", "drawn", "encode", "judged", "picture_of", "previews", "the_model"]

Model: TypeAlias = "str | Path | StableDiffusion"

PREVIEW_EVERY = 0.5  # seconds; a picture that is ready sooner needs no preview
TELL_EVERY = 0.25  # seconds; every message takes time from the drawing


@lru_cache(maxsize=1)
def _loaded(name: str | Path) -> StableDiffusion:
    return load(name)


def the_model(model: Model) -> StableDiffusion:
    """A model that is loaded, or the one of that name or folder, loaded once for all explorers."""
    return model if isinstance(model, StableDiffusion) else _loaded(model)


@lru_cache(maxsize=1)
def _judge() -> Judge:
    return load_judge()


def judged(sd: StableDiffusion, picture: Image.Image) -> dict[str, str]:
    """What the judge sees in a picture, attribute → word; nothing in one of a model whose world
    it does not know.
    """
    if sd.name != "tiny":
        return {}
    return _judge().read(to_tensor(picture))[0].words


def encode(sd: StableDiffusion, prompt: str, *, blank: bool = False) -> tuple[Tensor, str]:
    """The text states of a prompt, (1, 77, D), and a sentence when a part of it was cut off.

    Raises `ValueError` for a prompt without a word, unless it may be `blank`.
    """
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        states = sd.encode_text(prompt if blank else check_not_blank([prompt]))
    return states, "; ".join(str(warning.message) for warning in told)


def picture_of(sd: StableDiffusion, latents: Tensor) -> Image.Image:
    """The first of `latents` (B, 4, h, w) as a picture."""
    return to_pil(sd.decode(latents[:1]))[0]


def drawn(
    sd: StableDiffusion, steps: Iterator[Step], status: str
) -> Generator[PanelUpdate, None, Image.Image]:
    """Take all steps, one for each `next`, under one status; `yield from` gives the picture."""
    for step in steps:
        last = step
        yield PanelUpdate(status=status)
    return picture_of(sd, last.next_latents)


def previews(
    sd: StableDiffusion, steps: Iterator[Step], kept: list[Step], num_steps: int, panel: str
) -> Iterator[PanelUpdate]:
    """Take all steps, add them to `kept`, and tell now and then how far it is.

    One step for each `next`. On a slow machine or with a large model the picture that each step
    has in mind is put into `panel`.
    """
    told = last = time.monotonic()
    for step in steps:
        kept.append(step)
        now, panels, status = time.monotonic(), {}, None
        if now - told > TELL_EVERY:
            told, status = now, f"step {step.index + 1} of {num_steps}"
        if now - last > PREVIEW_EVERY:
            title = f"step {step.index + 1} of {num_steps}: a preview"
            panels = {panel: picture_html(picture_of(sd, step.pred_x0), title)}
            last = time.monotonic()
        yield PanelUpdate(panels, status)
