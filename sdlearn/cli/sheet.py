"""`sdlearn sheet`: many prompts on one page, as the picture on top of the README."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .jobs import read_prompts
from .output import check_writable, save_image

__all__ = ["HELP", "add_arguments", "run"]

HELP = "draw many prompts on one page"
PROMPTS = "one prompt a line; # begins a comment (default: the prompts of the README)"
EPILOG = """\
examples:
  sdlearn sheet -o images/tiny_sheet.png --force     the sixteen prompts of the README
  sdlearn sheet prompts.txt --columns 4 -o page.png  one prompt a line
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.epilog = EPILOG
    parser.add_argument("prompts", type=Path, nargs="?", metavar="FILE", help=PROMPTS)
    parser.add_argument("--model", default="tiny", help="tiny, sd15, a folder, or a hub id")
    parser.add_argument("--seed", type=int, default=0, help="of the first picture; then counted up")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("-o", "--output", type=Path, default=Path("sheet.png"))
    parser.add_argument("--force", action="store_true", help="replace a file that is there already")
    parser.add_argument("--list", action="store_true", help="print the prompts too")


def run(args: argparse.Namespace) -> int:
    """Draw every prompt, the page, and say where it is."""
    from ..util.checks import check_count, check_num_steps

    check_writable(args.output, force=args.force)
    prompts = _prompts(args.prompts)
    check_count("columns", args.columns)
    check_num_steps(args.steps)

    from tqdm import tqdm

    from ..diffusion.guidance import check_guidance_scale
    from ..diffusion.seeds import check_seeds
    from ..pipeline import load
    from ..util.images import tile

    seeds = check_seeds(range(args.seed, args.seed + len(prompts)))
    check_guidance_scale(args.guidance)
    sd = load(args.model)
    images = [
        sd.generate(prompt, seeds=[seed], num_steps=args.steps, guidance_scale=args.guidance)[0]
        for prompt, seed in zip(
            tqdm(prompts, desc="pictures", leave=False, file=sys.stderr), seeds, strict=True
        )
    ]
    save_image(tile(images, args.columns), args.output, force=args.force)
    if args.list:
        print("\n".join(f"{i}. {prompt}" for i, prompt in enumerate(prompts, 1)))
    print(args.output)
    return 0


def _prompts(path: Path | None) -> list[str]:
    if path is None:
        from ..world.showcase import SHOWCASE

        return list(SHOWCASE)
    return [prompt.text for prompt in read_prompts(path.read_bytes(), str(path))]
