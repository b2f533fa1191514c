"""Draw images from a prompt.

The same prompt, seed and settings draw the same image again; the PNG files remember them. The tiny
model knows the words of its own small world:
  a <large|small> <colour> <house|tree|boat|car|castle|cat|rocket|lighthouse> <on the left|...>,
  on <green grass|white snow|...>, <at night|at sunset|...>, under <the moon|a rainbow|...>
A file that is there already is never replaced without --force.

examples:
  sdlearn generate "a large red house on the left, on green grass, at sunset" --seed 7
  sdlearn generate "a blue boat at night" --count 4 -o boat.png      seeds 0 to 3
  sdlearn generate "a green castle" --filmstrip                      how the image came about
  sdlearn generate "a yellow cat" --guidance 1                       without guidance
  sdlearn generate "a tree" --negative "snow" --scheduler dpm++ --steps 10
  sdlearn generate "an astronaut riding a horse" --model sd15        wants a GPU and 5 GB
  sdlearn generate "an astronaut" --model sd15 --memory 4GB          for a small GPU
  sdlearn generate --prompts list.txt --count 4 -o images            every line, seeds 0 to 3
  accelerate launch --multi_gpu -m sdlearn generate --prompts list.txt -o images
                                                                     the same on all GPUs
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..util import checks
from .output import plan_paths, save_image, strip_path

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from ..pipeline import StableDiffusion

FRAMES = 6  # images in a filmstrip
FACTOR = 8  # pixels of a side for one latent, in all of Stable Diffusion 1.x
PIXELS_AT_ONCE = 8 * 128 * 128  # more images than that are drawn one batch after the other
OWN = "the model's own"
PROMPTS = """\
a file with a prompt a line (# begins a comment, - is standard input); draws every prompt with every
seed, continues where it was stopped, and splits the work between the processes of 'accelerate
launch'"""
UNSAFE = "for teachers: do not make images black that the model's safety checker flags"


class Job(NamedTuple):
    """One image that was asked for, and its file."""

    prompt: str
    seed: int
    path: Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("prompt", nargs="?", metavar="PROMPT", help="what to draw, in quotes")
    what.add_argument("--prompts", type=Path, metavar="FILE", help=PROMPTS)
    add("--seed", type=int, default=0, help="the noise to begin with (default: 0)")
    add("--count", type=int, default=1, help="images with seeds SEED, SEED+1, ... (default: 1)")
    add("--steps", type=int, help="denoising steps (default: the model's, 20 for tiny)")
    pull = "how strongly the prompt pulls; 1 = no guidance, 0 = no prompt (default: the model's, 3"
    add("--guidance", type=float, metavar="X", help=f"{pull} for tiny)")
    add("--negative", default="", metavar="TEXT", help="what to steer away from")
    add("--scheduler", metavar="NAME", help="ddim, pndm, euler, euler_a, dpm++, unipc, ...")
    add("--model", default="tiny", help="tiny, sd15, a folder, or a hub id (default: tiny)")
    add("--size", type=_size, metavar="WxH", help="pixels, multiples of 8 (default: the model's)")
    where = "FILE.png (default: named after the prompt), or a folder with --prompts"
    add("-o", "--output", type=Path, metavar="PATH", help=where)
    add("--force", action="store_true", help="replace files that are there already")
    add("--filmstrip", action="store_true", help=f"also save {FRAMES} predictions on the way")
    add("--quiet", action="store_true", help="no progress bar")
    add = parser.add_argument_group("the machine").add_argument
    add("--device", metavar="NAME", help="cuda, mps or cpu (default: the first that is here)")
    add("--dtype", choices=checks.DTYPES, help="default: float16 on cuda, float32 elsewhere")
    add("--memory", metavar="8GB", help="what it may take on cuda (default: what is free there)")
    add("--compile", action="store_true", help="later images faster, the first one much slower")
    add("--no-safety-checker", action="store_true", help=UNSAFE)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    try:
        return int(width), int(height)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected WxH such as 128x128; got {text!r}") from None


def run(args: argparse.Namespace) -> int:
    """Draw what was asked for and print the names of the files."""
    if args.prompts is not None:
        from . import many

        return many.run(args)
    seeds = check_settings(args)
    paths = plan_paths(args.prompt, seeds, args.output, force=args.force, strips=args.filmstrip)
    jobs = [Job(args.prompt, seed, path) for seed, path in zip(seeds, paths, strict=True)]
    sd = load_model(args)
    size = batch_size(sd, args)
    for start in range(0, len(jobs), size):
        batch = jobs[start : start + size]
        first, last = batch[0].seed, batch[-1].seed
        label = f"seed {first}" if first == last else f"seeds {first} to {last}"
        for job, (image, strip) in zip(batch, draw(sd, args, batch, label), strict=True):
            _save_both(image, strip, job, args)
    return 0


def check_settings(args: argparse.Namespace) -> range:
    """The seeds. Raises for whatever can be refused without the model: loading it may take long.

    Settings that were not given become the defaults, so that images remember the numbers.
    """
    from ..diffusion import guidance, schedulers
    from ..diffusion.seeds import check_seeds
    from ..models import device, memory
    from ..pipeline import Defaults

    if args.prompt is not None:
        checks.check_not_blank(checks.check_prompts(args.prompt))
    checks.check_prompts(args.negative, "negative_prompt")
    args.steps = checks.check_num_steps(Defaults.num_steps if args.steps is None else args.steps)
    scale = Defaults.guidance_scale if args.guidance is None else args.guidance
    args.guidance = guidance.check_guidance_scale(scale)
    if args.size is not None:
        width, height = args.size
        checks.check_size(height, width, FACTOR)
    checks.check_count("count", args.count)
    seeds = range(args.seed, args.seed + args.count)
    check_seeds(seeds)
    schedulers.check_scheduler(args.scheduler)
    device.pick_device(args.device)
    memory.parse_memory(args.memory)
    return seeds


def load_model(args: argparse.Namespace, device: Any = None) -> StableDiffusion:
    """The model that was asked for, on `device` where it is given."""
    import torch

    from ..pipeline import load

    return load(
        args.model,
        device=args.device if device is None else device,
        dtype=getattr(torch, args.dtype) if args.dtype else None,
        memory=args.memory,
        compile=args.compile,
        safety_checker=False if args.no_safety_checker else None,
    )


def batch_size(sd: StableDiffusion, args: argparse.Namespace) -> int:
    """How many images are drawn at once."""
    width, height = args.size or (sd.image_size, sd.image_size)
    return max(1, PIXELS_AT_ONCE // (width * height))


def draw(
    sd: StableDiffusion, args: argparse.Namespace, jobs: Sequence[Job], label: str
) -> Iterator[tuple[Image, Image | None]]:
    """The image of each job, and its filmstrip where that was asked for, drawn as one batch.

    These are the stages of `StableDiffusion.generate`, one by one, because a bar shows the steps,
    and a filmstrip needs the predictions on the way.
    """
    import numpy as np
    from tqdm import tqdm

    from ..diffusion.schedulers import fresh_scheduler
    from ..pipeline import to_pil
    from ..util.images import tile

    width, height = args.size or (None, None)
    seeds = [job.seed for job in jobs]
    steps = sd.denoise(
        sd.init_latents(seeds, height=height, width=width),
        sd.encode_text([job.prompt for job in jobs]),
        sd.encode_text(args.negative),
        num_steps=args.steps,
        guidance_scale=args.guidance,
        scheduler=args.scheduler,
        seeds=seeds,
    )
    calls = len(fresh_scheduler(args.scheduler, sd.scheduler, args.steps).timesteps)
    predictions: list[Tensor] = []
    for step in tqdm(steps, label, calls, leave=False, disable=args.quiet):
        latents = step.next_latents
        if args.filmstrip:
            predictions.append(step.pred_x0)
    count = min(FRAMES, len(predictions))  # evenly spread, from the first step to the last
    shown = np.linspace(0, len(predictions) - 1, count).round().astype(int)
    frames = [to_pil(sd.decode(predictions[index])) for index in shown]
    for i, image in enumerate(to_pil(sd.decode(latents))):
        yield image, tile([frame[i] for frame in frames], len(frames)) if frames else None


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
        "dtype": args.dtype or "the device's usual",
        "safety_checker": "left out" if args.no_safety_checker else OWN,
        "model": args.model,
    }


def save(image: Image, job: Job, args: argparse.Namespace) -> None:
    """Write a PNG that remembers how it was drawn; it replaces none without `--force`."""
    from .. import __version__

    text = {**describe(job, args), "Software": f"sdlearn {__version__}"}
    save_image(image, job.path, text, force=args.force)


def _save_both(image: Image, strip: Image | None, job: Job, args: argparse.Namespace) -> None:
    """Write an image and its filmstrip, and print where they are.

    The name was free when it was planned; another `sdlearn generate` may have taken it since.
    """
    try:
        save(image, job, args)
    except FileExistsError:
        if args.output is not None:
            raise
        [free] = plan_paths(args.prompt, [job.seed], strips=args.filmstrip)
        return _save_both(image, strip, job._replace(path=free), args)
    print(job.path)
    if strip is not None:
        path = strip_path(job.path)
        save(strip, job._replace(path=path), args)
        print(path)
