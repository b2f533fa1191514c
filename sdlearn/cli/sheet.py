"""`sdlearn sheet`: many prompts on one page, as the picture on top of the README."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

__all__ = ["HELP", "add_arguments", "run"]

HELP = "draw many prompts on one page"
EPILOG = """\
examples:
  sdlearn sheet -o images/tiny_sheet.png             the sixteen prompts of the README
  sdlearn sheet prompts.txt --columns 4 -o page.png  one prompt a line
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.epilog = EPILOG
    parser.add_argument("prompts", type=Path, nargs="?", metavar="FILE", help="one prompt a line")
    parser.add_argument("--model", default="tiny", help="tiny, sd15, a folder, or a hub id")
    parser.add_argument("--seed", type=int, default=0, help="of the first picture; then counted up")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("-o", "--output", type=Path, default=Path("sheet.png"))
    parser.add_argument("--list", action="store_true", help="print the prompts too")


def run(args: argparse.Namespace) -> int:
    """Draw every prompt, the page, and say where it is."""
    from ..checks import check_count
    from .output import check_writable, save_image

    check_writable(args.output)
    prompts = _prompts(args.prompts)
    check_count("columns", args.columns)

    from tqdm import tqdm

    from ..pipeline import load
    from ..tiles import tile

    sd = load(args.model)
    images = [
        sd.generate(
            prompt, seeds=[args.seed + i], num_steps=args.steps, guidance_scale=args.guidance
        )[0]
        for i, prompt in enumerate(tqdm(prompts, desc="pictures", file=sys.stderr))
    ]
    save_image(tile(images, args.columns), args.output)
    if args.list:
        print("\n".join(f"{i}. {prompt}" for i, prompt in enumerate(prompts, 1)))
    print(args.output)
    return 0


def _prompts(path: Path | None) -> list[str]:
    if path is None:
        from ..world.showcase import SHOWCASE

        return list(SHOWCASE)
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    prompts = [line for line in lines if line]
    if not prompts:
        raise ValueError(f"{path} must hold at least one prompt; it holds none")
    return prompts
