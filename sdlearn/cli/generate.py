"""`sdlearn generate`: a prompt in, PNG files out.

The picture is drawn with the same stages that `StableDiffusion.generate` is made of, one by one,
because the command shows its progress and can keep the predictions on the way (`--filmstrip`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from . import machine, output

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from ..pipeline import StableDiffusion, Step

__all__ = ["HELP", "add_arguments", "run"]

HELP = "draw pictures from a prompt"
DESCRIPTION = """\
Draw pictures from a prompt. The same prompt, seed and settings draw the same picture again; the
PNG files remember them. The tiny model knows the words of its own small world:
  a <large|small> <colour> <house|tree|boat|car|castle|cat|rocket|lighthouse> <on the left|...>,
  on <green grass|white snow|...>, <at night|at sunset|...>, under <the moon|a rainbow|...>
"""
EPILOG = """\
examples:
  sdlearn generate "a large red house on the left, on green grass, at sunset" --seed 7
  sdlearn generate "a blue boat at night" --count 4 -o boat.png      seeds 0 to 3
  sdlearn generate "a green castle" --filmstrip                      how the picture came about
  sdlearn generate "a yellow cat" --guidance 1                       without guidance
  sdlearn generate "a tree" --negative "snow" --scheduler dpm++ --steps 10
  sdlearn generate "an astronaut riding a horse" --model sd15        wants a GPU and 5 GB
  sdlearn generate "an astronaut" --model sd15 --memory 4GB          for a small GPU

A file that is there already is never replaced without --force.
"""
FRAMES = 6  # pictures in a filmstrip
PIXELS_AT_ONCE = 8 * 128 * 128  # more pictures than that are drawn one batch after the other


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    add = parser.add_argument
    add("prompt", metavar="PROMPT", help="what to draw, in quotes")
    add("--seed", type=int, default=0, help="the noise to begin with (default: 0)")
    add("--count", type=int, default=1, help="pictures with seeds SEED, SEED+1, ... (default: 1)")
    add("--steps", type=int, default=20, help="denoising steps, 1 to 1000 (default: 20)")
    add(
        "--guidance",
        type=float,
        default=3.0,
        metavar="X",
        help="how strongly the prompt pulls; 1 = no guidance, 0 = no prompt (default: 3)",
    )
    add("--negative", default="", metavar="TEXT", help="what to steer away from")
    add("--scheduler", metavar="NAME", help="ddim, pndm, euler, euler_a, dpm++, unipc, ...")
    add("--model", default="tiny", help="tiny, sd15, a folder, or a hub id (default: tiny)")
    add("--size", type=_size, metavar="WxH", help="pixels, multiples of 8 (default: the model's)")
    add("-o", "--output", type=Path, metavar="FILE.png", help="default: named after the prompt")
    add("--force", action="store_true", help="replace files that are there already")
    add("--filmstrip", action="store_true", help=f"also save {FRAMES} predictions on the way")
    add("--quiet", action="store_true", help="no progress bar")
    machine.add_machine_arguments(parser)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    try:
        return int(width), int(height)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected WxH such as 128x128; got {text!r}") from None


def run(args: argparse.Namespace) -> int:
    """Draw what was asked for and print the names of the files."""
    seeds = _refuse_early(args)
    paths = output.plan_paths(
        args.prompt, seeds, args.output, force=args.force, strips=args.filmstrip
    )
    from ..pipeline import load

    sd = load(args.model, **machine.load_options(args))
    states = sd.encode_text(args.prompt), sd.encode_text(args.negative)
    width, height = args.size or (sd.image_size, sd.image_size)
    batch = max(1, PIXELS_AT_ONCE // max(1, width * height))
    for start in range(0, len(seeds), batch):
        chosen = slice(start, start + batch)
        noise = sd.init_latents(seeds[chosen], height=height, width=width)
        drawn = _draw(sd, args, seeds[chosen], noise, states)
        for seed, path, (picture, strip) in zip(seeds[chosen], paths[chosen], drawn, strict=True):
            _save(picture, path, args, seed)
            if strip is not None:
                _save(strip, output.strip_path(path), args, seed)
    return 0


def _refuse_early(args: argparse.Namespace) -> range:
    """The seeds, once all that can be refused without loading a model has been."""
    from ..checks import check_not_blank, check_num_steps

    check_not_blank([args.prompt])
    check_num_steps(args.steps)
    if args.count < 1:
        raise ValueError(f"count must be at least 1; got {args.count}")
    return range(args.seed, args.seed + args.count)


def _draw(
    sd: StableDiffusion,
    args: argparse.Namespace,
    seeds: Sequence[int],
    noise: Tensor,
    states: tuple[Tensor, Tensor],
) -> Iterator[tuple[Image, Image | None]]:
    """For each seed its picture, and its filmstrip if one was asked for.

    `noise` (B, 4, h, w); `states` of the prompt and of the negative prompt, each (1, 77, D).
    """
    from ..pipeline import to_pil
    from ..tiles import tile

    predictions: list[Tensor] = []
    latents = noise
    for step in _with_bar(sd, args, seeds, noise, states):
        latents = step.next_latents
        if args.filmstrip:
            predictions.append(step.pred_x0)
    frames = [to_pil(sd.decode(x0)) for x0 in _spread(predictions)]  # moment after moment
    for i, picture in enumerate(to_pil(sd.decode(latents))):
        yield picture, tile([frame[i] for frame in frames], len(frames)) if frames else None


def _with_bar(
    sd: StableDiffusion,
    args: argparse.Namespace,
    seeds: Sequence[int],
    noise: Tensor,
    states: tuple[Tensor, Tensor],
) -> Iterator[Step]:
    """The steps from `noise` to clean latents; a bar on stderr shows how far they are."""
    from tqdm import tqdm

    from ..schedulers import fresh_scheduler

    steps = sd.denoise(
        noise,
        *states,
        num_steps=args.steps,
        guidance_scale=args.guidance,
        scheduler=args.scheduler,
        seeds=seeds,
    )
    calls = len(fresh_scheduler(args.scheduler, sd.scheduler, args.steps).timesteps)
    label = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} to {seeds[-1]}"
    yield from tqdm(steps, label, calls, leave=False, file=sys.stderr, disable=args.quiet)


def _spread(predictions: Sequence[Tensor]) -> list[Tensor]:
    """At most `FRAMES` of them, evenly spread from the first to the last."""
    count = min(FRAMES, len(predictions))
    last = len(predictions) - 1
    return [predictions[round(i * last / max(1, count - 1))] for i in range(count)]


def _save(image: Image, path: Path, args: argparse.Namespace, seed: int) -> None:
    """Write a PNG that remembers what it takes to draw it again, and print where it is."""
    from .. import __version__

    text = {
        "prompt": args.prompt,
        "negative_prompt": args.negative,
        "seed": seed,
        "num_steps": args.steps,
        "guidance_scale": args.guidance,
        "scheduler": args.scheduler or "the model's own",
        "model": args.model,
        "Software": f"sdlearn {__version__}",
    }
    output.save_image(image, path, text)
    print(path)
