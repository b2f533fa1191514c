"""How `sdlearn generate` draws: checks, batches, steps, pictures, and PNG files that remember.

What one prompt and a list of prompts share. The pictures are drawn with the same stages that
`StableDiffusion.generate` is made of, one by one, because the command shows its progress and can
keep the predictions on the way (`--filmstrip`). `args` are the arguments of the command.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import machine, output
from .quick import quick_imports

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from ..pipeline import StableDiffusion, Step

__all__ = [
    "FRAMES",
    "batch_size",
    "calls",
    "check_settings",
    "denoise",
    "describe",
    "load_model",
    "pictures",
    "save",
]

FRAMES = 6  # pictures in a filmstrip
FACTOR = 8  # pixels of a side for one latent, in all of Stable Diffusion 1.x
PIXELS_AT_ONCE = 8 * 128 * 128  # more pictures than that are drawn one batch after the other


def check_settings(args: argparse.Namespace) -> range:
    """The seeds, once all settings that can be refused without a model have been."""
    from ..util.checks import check_count, check_num_steps, check_prompts, check_side

    check_prompts(args.negative, "negative_prompt")
    check_num_steps(args.steps)
    check_count("count", args.count)
    for name, pixels in zip(("width", "height"), args.size or (), strict=False):
        check_side(name, pixels, FACTOR)
    with quick_imports(args.model):
        from ..diffusion.guidance import (
            check_guidance_scale,  # these bring torch and diffusers with them
        )
        from ..diffusion.schedulers import check_scheduler
        from ..diffusion.seeds import check_seeds
        from ..models.device import pick_device
        from ..models.memory import parse_memory

    seeds = range(args.seed, args.seed + args.count)
    check_seeds(seeds)
    check_guidance_scale(args.guidance)
    check_scheduler(args.scheduler)
    pick_device(args.device)
    parse_memory(args.memory)
    return seeds


def load_model(args: argparse.Namespace, device: Any = None) -> StableDiffusion:
    """The model that was asked for; on `device`, where a launcher of processes has given one."""
    with quick_imports(args.model):
        from ..pipeline import load

        options = machine.load_options(args)
        return load(args.model, **options if device is None else {**options, "device": device})


def size(sd: StableDiffusion, args: argparse.Namespace) -> tuple[int, int]:
    """Width and height of a picture, in pixels."""
    return args.size or (sd.image_size, sd.image_size)


def batch_size(sd: StableDiffusion, args: argparse.Namespace) -> int:
    """How many pictures are drawn at once."""
    width, height = size(sd, args)
    return max(1, PIXELS_AT_ONCE // max(1, width * height))


def denoise(
    sd: StableDiffusion,
    args: argparse.Namespace,
    seeds: Sequence[int],
    states: tuple[Tensor, Tensor],
) -> Iterator[Step]:
    """The steps from each seed's noise to clean latents (B, 4, h, w).

    `states` of the prompts and of the negative prompt, each (B or 1, 77, D).
    """
    width, height = size(sd, args)
    return sd.denoise(
        sd.init_latents(seeds, height=height, width=width),
        *states,
        num_steps=args.steps,
        guidance_scale=args.guidance,
        scheduler=args.scheduler,
        seeds=seeds,
    )


def calls(sd: StableDiffusion, args: argparse.Namespace) -> int:
    """How many steps `denoise` makes: some schedulers make more than they are asked for."""
    from ..diffusion.schedulers import fresh_scheduler

    return len(fresh_scheduler(args.scheduler, sd.scheduler, args.steps).timesteps)


def pictures(
    sd: StableDiffusion, steps: Iterable[Step], *, strips: bool = False
) -> Iterator[tuple[Image, Image | None]]:
    """What the steps lead to: each picture, and with `strips` the filmstrip of how it came."""
    from ..pipeline import to_pil
    from ..util.images import tile

    predictions: list[Tensor] = []
    for step in steps:
        latents = step.next_latents
        if strips:
            predictions.append(step.pred_x0)
    frames = [to_pil(sd.decode(x0)) for x0 in _spread(predictions)]  # moment after moment
    for i, picture in enumerate(to_pil(sd.decode(latents))):
        yield picture, tile([frame[i] for frame in frames], len(frames)) if frames else None


def _spread(predictions: Sequence[Tensor]) -> list[Tensor]:
    """At most `FRAMES` of them, evenly spread from the first to the last."""
    count = min(FRAMES, len(predictions))
    last = len(predictions) - 1
    return [predictions[round(i * last / max(1, count - 1))] for i in range(count)]


def describe(args: argparse.Namespace, prompt: str, seed: int) -> dict[str, str]:
    """What it takes to draw a picture again, as a PNG's text chunks."""
    return {
        "prompt": prompt,
        "negative_prompt": args.negative,
        "seed": str(seed),
        "num_steps": str(args.steps),
        "guidance_scale": str(args.guidance),
        "scheduler": args.scheduler or "the model's own",
        "size": "{}x{}".format(*args.size) if args.size else "the model's own",
        "dtype": args.dtype or "the device's usual",
        "safety_checker": "left out" if args.no_safety_checker else "the model's own",
        "model": args.model,
    }


def save(image: Image, path: Path, args: argparse.Namespace, prompt: str, seed: int) -> None:
    """Write a PNG that remembers how it was drawn; it replaces none without `--force`."""
    from .. import __version__

    text = {**describe(args, prompt, seed), "Software": f"sdlearn {__version__}"}
    output.save_image(image, path, text, force=args.force)
