"""`sdlearn generate`: a prompt in, PNG files out.

How a picture is drawn is in `drawing`; what is done with a list of prompts (`--prompts`) in `many`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from . import drawing, machine, output

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
  sdlearn generate --prompts list.txt --count 4 -o pictures          every line, seeds 0 to 3
  accelerate launch --multi_gpu -m sdlearn generate --prompts list.txt -o pictures
                                                                     the same on all GPUs

A file that is there already is never replaced without --force.
"""
PROMPTS = """\
a file with a prompt a line (# begins a comment, - is standard input); draws every prompt with every
seed, goes on where it was stopped, and shares the work out where 'accelerate launch' starts it"""
OUTPUT = "FILE.png (default: named after the prompt), or a folder with --prompts"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    add = parser.add_argument
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("prompt", nargs="?", metavar="PROMPT", help="what to draw, in quotes")
    what.add_argument("--prompts", type=Path, metavar="FILE", help=PROMPTS)
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
    add("-o", "--output", type=Path, metavar="PATH", help=OUTPUT)
    add("--force", action="store_true", help="replace files that are there already")
    add(
        "--filmstrip",
        action="store_true",
        help=f"also save {drawing.FRAMES} predictions on the way",
    )
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
    if args.prompts is not None:
        from . import many

        return many.run(args)
    from ..util.checks import check_not_blank, check_prompts

    check_not_blank(check_prompts(args.prompt))
    seeds = drawing.check_settings(args)
    paths = output.plan_paths(
        args.prompt, seeds, args.output, force=args.force, strips=args.filmstrip
    )
    sd = drawing.load_model(args)
    states = sd.encode_text(args.prompt), sd.encode_text(args.negative)
    batch = drawing.batch_size(sd, args)
    for start in range(0, len(seeds), batch):
        chosen = slice(start, start + batch)
        steps = _with_bar(sd, args, seeds[chosen], states)
        drawn = drawing.pictures(sd, steps, strips=args.filmstrip)
        for seed, path, (picture, strip) in zip(seeds[chosen], paths[chosen], drawn, strict=True):
            _save(picture, strip, path, args, seed)
    return 0


def _with_bar(
    sd: StableDiffusion,
    args: argparse.Namespace,
    seeds: Sequence[int],
    states: tuple[Tensor, Tensor],
) -> Iterator[Step]:
    """The steps from noise to clean latents; a bar on stderr shows how far they are."""
    from tqdm import tqdm

    steps = drawing.denoise(sd, args, seeds, states)
    label = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} to {seeds[-1]}"
    total = drawing.calls(sd, args)
    yield from tqdm(steps, label, total, leave=False, file=sys.stderr, disable=args.quiet)


def _save(
    picture: Image, strip: Image | None, path: Path, args: argparse.Namespace, seed: int
) -> None:
    """Write a picture and its filmstrip, and print where they are.

    The name was free when all was planned; another `sdlearn generate` may have taken it since.
    """
    try:
        drawing.save(picture, path, args, args.prompt, seed)
    except FileExistsError:
        if args.output is not None:
            raise
        [free] = output.plan_paths(args.prompt, [seed], strips=args.filmstrip)
        return _save(picture, strip, free, args, seed)
    print(path)
    if strip is not None:
        drawing.save(strip, output.strip_path(path), args, args.prompt, seed)
        print(output.strip_path(path))
