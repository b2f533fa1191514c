"""Who is compared: this pipeline and diffusers', each with its own copy of the same weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.report import Calls
from benchmarks.task import PROMPT, Task
from sdlearn.diffusion.seeds import generators
from sdlearn.inside.anatomy import Anatomy
from sdlearn.models import layout
from sdlearn.models.compiling import compile_parts
from sdlearn.models.loading import find_folder, without_progress_bars
from sdlearn.pipeline import StableDiffusion, load

__all__ = [
    "CONTESTANTS",
    "Contestant",
    "compile_ours",
    "counted",
    "plain_form",
    "variant_of",
    "work",
]


@dataclass(frozen=True)
class Contestant:
    """A loaded pipeline and how it draws."""

    name: str
    pipeline: Any  # with text_encoder, unet and vae
    draw: Callable[[Task], np.ndarray]  # pictures as uint8, (B, H, W, 3)


def _ours(task: Task, memory: int | None = None) -> Contestant:
    """This pipeline, planned for `memory` bytes of a GPU, without safety checker like the other."""
    sd = load(
        task.model,
        device=task.device,
        dtype=task.torch_dtype,
        memory=memory,
        safety_checker=False,
    )

    def draw(task: Task) -> np.ndarray:
        images = sd.generate(
            PROMPT, seeds=task.seeds, num_steps=task.steps, guidance_scale=task.guidance
        )
        return np.stack([np.asarray(image) for image in images])

    return Contestant("sdlearn", sd, draw)


def _theirs(task: Task, memory: int | None = None) -> Contestant:
    """The stock pipeline, which makes no plan for `memory`.

    It is given no prompt at guidance 0, which it would take for 1.
    """
    folder = find_folder(task.model, task.torch_dtype)
    with _only_errors(), without_progress_bars():
        from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import (
            StableDiffusionPipeline,
        )

        pipe = StableDiffusionPipeline.from_pretrained(
            folder,
            dtype=task.torch_dtype,
            variant=variant_of(folder, task.torch_dtype),
            safety_checker=None,
            requires_safety_checker=False,
        ).to(task.device)
    pipe.set_progress_bar_config(disable=True)

    def draw(task: Task) -> np.ndarray:
        images = pipe(
            PROMPT if task.guidance else "",
            num_inference_steps=task.steps,
            guidance_scale=task.guidance,
            num_images_per_prompt=task.batch,
            generator=generators(task.seeds),
        ).images
        return np.stack([np.asarray(image) for image in images])

    return Contestant("diffusers", pipe, draw)


@contextmanager
def _only_errors() -> Iterator[None]:
    """Without the advice of transformers on image processors, which are not used here."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


def variant_of(folder: Path, dtype: torch.dtype) -> str | None:
    """Which weight files diffusers is to read: those that `load` reads."""
    return layout.pick_variant(folder / "unet", layout.MODELS["unet"], dtype)


# Name → what loads it for a task; ours first.
CONTESTANTS: dict[str, Callable[..., Contestant]] = {"sdlearn": _ours, "diffusers": _theirs}


def compile_ours(sd: StableDiffusion) -> None:
    """What `--compile` does to this pipeline; it happens at the next picture."""
    compile_parts(sd.unet, sd.vae, sd.device, sd.memory.offload)


@contextmanager
def plain_form(sd: Any) -> Iterator[None]:
    """A pipeline in the form of diffusers' own while the context is open: the same bits.

    What `sdlearn.models.memory` does to be fast or frugal rounds otherwise: convolutions in another
    layout, and pictures decoded one by one. (Weights that come layer by layer stay as they are.)
    """
    fast = [part for part in (sd.unet, sd.vae) if _is_channels_last(part)]
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


def _is_channels_last(part: torch.nn.Module) -> bool:
    """Whether a part's convolutions have that layout; those of 1x1 have both."""
    return not all(weight.is_contiguous() for weight in part.parameters())


@contextmanager
def counted(unet: torch.nn.Module) -> Iterator[list[int]]:
    """A list that grows by the number of pictures in every call of the U-Net."""
    pictures: list[int] = []

    def note(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        pictures.append(len(args[0] if args else kwargs["sample"]))

    hook = unet.register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield pictures
    finally:
        hook.remove()


def work(anatomy: Anatomy, unet: Calls, batch: int) -> int:
    """FLOPs of one task: every picture through the U-Net, and the decoder once for each picture.

    The text encoder, well below 1 % of it, is left out.
    """
    parts = anatomy.parts
    return unet.pictures * parts["unet"].flops + batch * parts["vae_decoder"].flops
