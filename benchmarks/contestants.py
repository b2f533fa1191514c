"""Who is compared: this pipeline and diffusers', each with its own copy of the same weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers.utils import logging

from benchmarks.records import PROMPTS, Task
from sdlearn.diffusion.seeds import generators
from sdlearn.models import layout
from sdlearn.models.compiling import compile_parts
from sdlearn.models.loading import find_folder, quiet_libraries
from sdlearn.pipeline import StableDiffusion, load

PROMPT = PROMPTS[0]


@dataclass(frozen=True)
class Contestant:
    """A loaded pipeline and how it draws."""

    name: str
    pipeline: Any  # with text_encoder, unet and vae
    draw: Callable[[Task], np.ndarray]  # images as uint8, (B, H, W, 3)


def _ours(task: Task, memory: int | None = None) -> Contestant:
    """This pipeline, planned for `memory` bytes of a GPU, without safety checker like the other."""
    device, dtype = task.device, task.torch_dtype
    sd = load(task.model, device=device, dtype=dtype, memory=memory, safety_checker=False)

    def draw(task: Task) -> np.ndarray:
        images = sd.generate(
            task.prompt, seeds=task.seeds, num_steps=task.steps, guidance_scale=task.guidance
        )
        return np.stack([np.asarray(image) for image in images])

    return Contestant("sdlearn", sd, draw)


def _theirs(task: Task, memory: int | None = None) -> Contestant:
    """The stock pipeline, which makes no plan for `memory`.

    It is given no prompt at guidance 0, which it would take for 1.
    """
    folder = find_folder(task.model, task.torch_dtype)
    how = {"dtype": task.torch_dtype, "variant": variant_of(folder, task.torch_dtype)}
    checker = {"safety_checker": None, "requires_safety_checker": False}
    with _only_errors(), quiet_libraries():
        from diffusers import StableDiffusionPipeline  # which gives advice, too

        pipe = StableDiffusionPipeline.from_pretrained(folder, **how, **checker).to(task.device)
    pipe.set_progress_bar_config(disable=True)

    def draw(task: Task) -> np.ndarray:
        images = pipe(
            task.prompt if task.guidance else "",
            num_inference_steps=task.steps,
            guidance_scale=task.guidance,
            num_images_per_prompt=task.batch,
            generator=generators(task.seeds),
        ).images
        return np.stack([np.asarray(image) for image in images])

    return Contestant("diffusers", pipe, draw)


# Name → what loads it for a task; ours first.
CONTESTANTS: dict[str, Callable[..., Contestant]] = {"sdlearn": _ours, "diffusers": _theirs}


@contextmanager
def _only_errors() -> Iterator[None]:
    """Without the advice of transformers on image processors, which are not used here."""
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


def variant_of(folder: Path, dtype: torch.dtype) -> str | None:
    """Which weight files diffusers is to read: those that `load` reads."""
    return layout.pick_variant(folder / "unet", dtype)


def compile_ours(sd: StableDiffusion) -> None:
    """What `--compile` does to this pipeline; most of it happens at the next image."""
    parts = {"text_encoder": sd.text_encoder, "unet": sd.unet, "vae": sd.vae}
    assert sd.folder is not None
    compile_parts(parts, sd.folder, sd.device, sd.memory.offload)


@contextmanager
def plain_form(sd: Any) -> Iterator[None]:
    """A pipeline in the form of diffusers' own while the context is open: the same bits.

    What `sdlearn.models.memory` does to be fast or frugal rounds otherwise: convolutions in another
    layout, and images decoded one by one. (Weights that come layer by layer stay as they are.)
    """
    # A part is in the other layout if any weight is; 1x1 convolutions are in both.
    parts = (sd.unet, sd.vae)
    fast = [part for part in parts if not all(p.is_contiguous() for p in part.parameters())]
    slicing = sd.vae.use_slicing
    for part in fast:
        part.to(memory_format=torch.contiguous_format)
    sd.vae.use_slicing = False
    try:
        yield
    finally:
        for part in fast:
            part.to(memory_format=torch.channels_last)
        sd.vae.use_slicing = slicing
