"""Draw images from a prompt.

The same prompt, seed and settings draw the same image again; the PNG files remember them. The tiny
model knows the words of its own small world:
  a <large|small> <colour> <subject> <on the left|...>, on <green grass|white snow|...>,
  <at night|at sunset|...>, under <the moon|a rainbow|...>, <in the rain|while it snows>,
  as <a watercolour|a coloured pencil drawing|pixel art>
  subject: house, tree, boat, car, castle, cat, rocket, lighthouse, train, windmill, flower, robot
A file that is there already is never replaced without --force.

examples:
  sdlearn generate "a large red house on the left, on green grass, at sunset" --seed 7
  sdlearn generate "a blue boat at night" --count 4 -o boat.png      seeds 0 to 3
  sdlearn generate "a green castle" --filmstrip                      how the image came about
  sdlearn generate "a yellow cat in the rain, as a watercolour" --guidance 1
                                                                     without guidance
  sdlearn generate "a tree" --negative "snow" --scheduler dpm++ --steps 10
  sdlearn generate "a red house" --image boat.png --strength 0.6     change an image
  sdlearn generate "a cat" --image boat.png --mask sky.png           where the mask is white
  sdlearn generate "an astronaut riding a horse" --model sd15        wants a GPU and 5 GB
  sdlearn generate "an astronaut" --model sd15 --memory 4GB          for a small GPU
  sdlearn generate --prompts list.txt --count 4 -o images            every line, seeds 0 to 3
  accelerate launch --multi_gpu -m sdlearn generate --prompts list.txt -o images
                                                                     the same on all GPUs
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..util import checks
from . import drawing
from .drawing import Job
from .output import plan_paths, strip_path

if TYPE_CHECKING:
    from PIL.Image import Image

PROMPTS = """\
a file with a prompt a line (# begins a comment, - is standard input); draws every prompt with every
seed, continues where it was stopped, and splits the work between the processes of 'accelerate
launch'"""
EXACT = """\
draw with torch, the same bits as diffusers; otherwise ONNX Runtime draws on a CPU where a model has
graphs for it, as tiny has, and a pixel may differ by one level of 255"""
COMPILE = """\
make any model faster: on a CPU with ONNX Runtime, for which graphs are made once, on a GPU with
torch.compile, after a slow first image"""
UNSAFE = "for teachers: do not make images black that the model's safety checker flags"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("prompt", nargs="?", metavar="PROMPT", help="what to draw, in quotes")
    what.add_argument("--prompts", type=Path, metavar="FILE", help=PROMPTS)
    add("--seed", type=int, default=0, help="the noise to begin with (default: 0)")
    add("--count", type=int, default=1, help="images with seeds SEED, SEED+1, ... (default: 1)")
    add("--steps", type=int, help="denoising steps (default: the model's; tiny 20, SD 50)")
    pull = "how strongly the prompt pulls; 1 = no guidance, 0 = no prompt (default: the model's;"
    add("--guidance", type=float, metavar="X", help=f"{pull} tiny 3, SD 7.5)")
    add("--negative", default="", metavar="TEXT", help="what to steer away from")
    add("--scheduler", metavar="NAME", help="ddim, pndm, euler, euler_a, dpm++, unipc, ...")
    add("--model", default="tiny", help="tiny, sd15, a folder, a file, or a hub id (default: tiny)")
    add("--size", type=_size, metavar="WxH", help="pixels, multiples of 8 (default: the model's)")
    add("--image", type=Path, metavar="FILE", help="an image to begin with, of any kind and size")
    change = "how much of it changes, 0 to 1 (default: 0.8, with a mask 1)"
    add("--strength", type=float, metavar="X", help=change)
    add("--mask", type=Path, metavar="FILE", help="white where the image is to be made anew")
    where = "FILE.png (default: named after the prompt), or a folder with --prompts"
    add("-o", "--output", type=Path, metavar="PATH", help=where)
    add("--force", action="store_true", help="replace files that are there already")
    add(
        "--filmstrip",
        action="store_true",
        help=f"also save {drawing.FRAMES} predictions on the way",
    )
    add("--quiet", action="store_true", help="no progress bar")
    machine = parser.add_argument_group("the machine")
    add, engine = machine.add_argument, machine.add_mutually_exclusive_group().add_argument
    add("--device", metavar="NAME", help="cuda, mps or cpu (default: the first that is here)")
    add("--dtype", choices=checks.DTYPES, help="default: float16 on cuda, float32 elsewhere")
    add("--memory", metavar="8GB", help="what it may take on cuda (default: what is free there)")
    engine("--exact", action="store_true", help=EXACT)
    engine("--compile", action="store_true", help=COMPILE)
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
    seeds = drawing.check_settings(args)
    paths = plan_paths(args.prompt, seeds, args.output, force=args.force, strips=args.filmstrip)
    jobs = [Job(args.prompt, seed, path) for seed, path in zip(seeds, paths, strict=True)]
    drawing.fill_in_defaults(args)
    sd = drawing.load_model(args)
    size = drawing.batch_size(sd, args)
    for start in range(0, len(jobs), size):
        batch = jobs[start : start + size]
        first, last = batch[0].seed, batch[-1].seed
        label = f"seed {first}" if first == last else f"seeds {first} to {last}"
        for job, (image, strip) in zip(batch, drawing.draw(sd, args, batch, label), strict=True):
            _save_both(image, strip, job, args)
    return 0


def _save_both(image: Image, strip: Image | None, job: Job, args: argparse.Namespace) -> None:
    """Write an image and its filmstrip, and print where they are.

    The name was free when it was planned; another `sdlearn generate` may have taken it since.
    """
    try:
        drawing.save(image, job, args)
    except FileExistsError:
        if args.output is not None:
            raise
        [free] = plan_paths(args.prompt, [job.seed], strips=args.filmstrip)
        return _save_both(image, strip, job._replace(path=free), args)
    print(job.path)
    if strip is not None:
        path = strip_path(job.path)
        drawing.save(strip, job._replace(path=path), args)
        print(path)
