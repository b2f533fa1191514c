"""How `sdlearn generate` draws, for one prompt and for many: checks, batches, PNGs that remember.

`args` are the arguments of the command.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..util import checks
from .output import save_image

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from ..pipeline import StableDiffusion, Step
    from ..util.source import Source

FRAMES = 6  # images in a filmstrip
FACTOR = 8  # pixels of a side for one latent, in all of Stable Diffusion 1.x
PIXELS_AT_ONCE = 8 * 128 * 128  # more images than that are drawn one batch after the other
OWN = "the model's own"


class Job(NamedTuple):
    """One image that was asked for, and its file."""

    prompt: str
    seed: int
    path: Path


def check_settings(args: argparse.Namespace) -> range:
    """The seeds. Raises for whatever can be refused without the model: loading it may take long."""
    from ..diffusion import guidance, schedulers
    from ..diffusion.seeds import check_seeds
    from ..models import device, memory

    if args.prompt is not None:
        checks.check_not_blank(checks.check_prompts(args.prompt))
    checks.check_prompts(args.negative, "negative_prompt")
    if args.steps is not None:
        checks.check_num_steps(args.steps)
    if args.guidance is not None:
        args.guidance = guidance.check_guidance_scale(args.guidance)
    if args.size is not None:
        width, height = args.size
        checks.check_size(height, width, FACTOR)
    check_image(args)
    checks.check_count("count", args.count)
    seeds = range(args.seed, args.seed + args.count)
    check_seeds(seeds)
    schedulers.check_scheduler(args.scheduler)
    device.pick_device(args.device)
    memory.parse_memory(args.memory)
    return seeds


def check_image(args: argparse.Namespace) -> None:
    """Raise for an image or a mask that cannot be read, and for a strength that does not fit."""
    from ..diffusion.editing import check_strength

    if args.image is not None and args.strength is not None:
        check_strength(args.strength)
    read_files(args)
    for name in ("strength", "mask"):
        if args.image is None and getattr(args, name) is not None:
            raise ValueError(f"{name} goes with an image to begin with; add --image FILE")


def read_files(args: argparse.Namespace, factor: int = FACTOR) -> Source | None:
    """The image to begin with and its mask, if there is one."""
    from ..util.source import read_source

    if args.image is None:
        return None
    width, height = args.size or (None, None)
    image, mask = _open(args.image), None if args.mask is None else _open(args.mask)
    return read_source(image, mask, height=height, width=width, factor=factor)


def _open(path: Path) -> Image:
    import PIL.Image

    try:
        return PIL.Image.open(path)
    except PIL.UnidentifiedImageError as error:
        raise ValueError(f"{path} is no image that can be read") from error


def fill_in_defaults(args: argparse.Namespace) -> None:
    """Settings that were not given become the model's, so that images remember the numbers.

    The model's folder is looked for, or downloaded, and its weights are not read.
    """
    from ..diffusion.editing import default_strength
    from ..models.defaults import defaults_of
    from ..models.device import pick_device, pick_dtype
    from ..models.loading import find_folder

    if args.image is not None and args.strength is None:
        args.strength = default_strength(args.mask is not None)
    if None not in (args.steps, args.guidance):
        return
    dtype = pick_dtype(_dtype(args), pick_device(args.device))
    defaults = defaults_of(find_folder(args.model, dtype, checker=not args.no_safety_checker))
    args.steps = defaults.num_steps if args.steps is None else args.steps
    args.guidance = defaults.guidance_scale if args.guidance is None else args.guidance


def _dtype(args: argparse.Namespace) -> Any:
    import torch

    return getattr(torch, args.dtype) if args.dtype else None


def load_model(args: argparse.Namespace, device: Any = None) -> StableDiffusion:
    """The model that was asked for, on `device` where it is given."""
    from ..pipeline import load

    device = args.device if device is None else device
    return _load_light(args, device) or load(
        args.model,
        device=device,
        dtype=_dtype(args),
        memory=args.memory,
        compile=args.compile or (False if args.exact else None),
        safety_checker=False if args.no_safety_checker else None,
    )


def _load_light(args: argparse.Namespace, device: Any) -> StableDiffusion | None:
    """A model that can only draw and is loaded in less time; None where more was asked for."""
    import torch

    from ..models.defaults import defaults_of
    from ..models.device import pick_device, pick_dtype
    from ..models.light import load_light
    from ..models.loading import find_folder
    from ..pipeline import StableDiffusion

    where = pick_device() if device is None else torch.device(device)
    dtype = pick_dtype(_dtype(args), where)
    if args.exact or args.image is not None or args.memory is not None:
        return None
    if where.type != "cpu" or dtype != torch.float32:
        return None
    folder = find_folder(args.model, dtype, checker=not args.no_safety_checker)
    if (parts := load_light(folder)) is None:
        return None
    how: dict[str, Any] = {"device": where, "folder": folder, "defaults": defaults_of(folder)}
    sd = StableDiffusion(args.model, **parts._asdict(), **how)
    sides = args.size or sd.size or (1, 1)
    return None if any(side // sd.vae_scale_factor % parts.unet.divisor for side in sides) else sd


def batch_size(sd: StableDiffusion, args: argparse.Namespace) -> int:
    """How many images are drawn at once."""
    source = read_files(args, sd.vae_scale_factor)
    if source is not None:
        height, width = source.size
    else:
        height, width = args.size[::-1] if args.size else sd.size or (1, 1)
    return max(1, PIXELS_AT_ONCE // (width * height))


def draw(
    sd: StableDiffusion, args: argparse.Namespace, jobs: Sequence[Job], label: str
) -> Iterator[tuple[Image, Image | None]]:
    """The image of each job, and its filmstrip where that was asked for, drawn as one batch.

    These are the stages of `StableDiffusion.generate`, one by one, because a bar shows the steps,
    and a filmstrip needs the predictions on the way.
    """
    from tqdm import tqdm

    from ..diffusion.editing import count_calls
    from ..diffusion.schedulers import fresh_scheduler
    from ..pipeline import to_pil
    from ..util.images import tile

    source = read_files(args, sd.vae_scale_factor)
    steps = _begin(sd, args, jobs, source)
    fresh = fresh_scheduler(args.scheduler, sd.scheduler, args.steps)
    calls = count_calls(fresh, args.steps, 1.0 if args.strength is None else args.strength)
    predictions: list[Tensor] = []
    latents = None
    for step in tqdm(steps, label, calls, leave=False, disable=args.quiet):
        latents = step.next_latents
        if args.filmstrip:
            predictions.append(step.pred_x0)
    frames = [to_pil(sd.decode(each)) for each in _spread(predictions)]
    for i, image in enumerate(sd.finish(latents, source, len(jobs))):
        yield image, tile([frame[i] for frame in frames], len(frames)) if frames else None


def _begin(
    sd: StableDiffusion, args: argparse.Namespace, jobs: Sequence[Job], source: Source | None
) -> Iterator[Step]:
    width, height = args.size or (None, None)
    height, width = (height, width) if source is None else source.size
    seeds = [job.seed for job in jobs]
    return sd.denoise(
        sd.init_latents(seeds, height=height, width=width),
        sd.encode_text([job.prompt for job in jobs]),
        sd.encode_text(args.negative),
        num_steps=args.steps,
        guidance_scale=args.guidance,
        scheduler=args.scheduler,
        seeds=seeds,
        strength=args.strength,
        **({} if source is None else sd.encode_source(source)),
    )


def _spread(predictions: Sequence[Tensor]) -> list[Tensor]:
    """`FRAMES` of them at most, evenly spread, from the first to the last."""
    import numpy as np

    count = min(FRAMES, len(predictions))
    shown = np.linspace(0, len(predictions) - 1, count).round().astype(int)
    return [predictions[index] for index in shown]


def describe(job: Job, args: argparse.Namespace) -> dict[str, str]:
    """What it takes to draw an image again, as a PNG's text chunks."""
    return {
        "prompt": job.prompt,
        "negative_prompt": args.negative,
        "seed": str(job.seed),
        "num_steps": str(args.steps),
        "guidance_scale": str(args.guidance),
        "scheduler": args.scheduler or OWN,
        "size": "{}x{}".format(*args.size) if args.size else OWN,
        "image": str(args.image or "none"),
        "strength": "none" if args.strength is None else str(args.strength),
        "mask": str(args.mask or "none"),
        "dtype": args.dtype or "the device's usual",
        "exact": "yes" if args.exact else "no",
        "safety_checker": "left out" if args.no_safety_checker else OWN,
        "model": args.model,
    }


def save(image: Image, job: Job, args: argparse.Namespace) -> None:
    """Write a PNG that remembers how it was drawn; it replaces none without `--force`."""
    from .. import __version__

    text = {**describe(job, args), "Software": f"sdlearn {__version__}"}
    save_image(image, job.path, text, force=args.force)
