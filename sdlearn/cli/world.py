"""`sdlearn world`: a contact sheet of the world that the tiny model learns from."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["HELP", "add_arguments", "run"]

HELP = "draw a contact sheet of the world, with or without captions"
EPILOG = """\
examples:
  sdlearn world -o images/world.png --force           the page of the README
  sdlearn world --rows 2 --columns 4 --split pairs --captions -o pairs.png
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.epilog = EPILOG
    parser.add_argument("-o", "--output", type=Path, default=Path("world.png"), help="PNG to write")
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--split", default="train", help="train, test, single, pairs or held_out")
    parser.add_argument("--start", type=int, default=0, help="index of the first scene")
    parser.add_argument("--force", action="store_true", help="replace a file that is there already")
    parser.add_argument("--captions", action="store_true", help="print the captions too")


def run(args: argparse.Namespace) -> int:
    """Draw the sheet and say where it is."""
    from ..util.images import tile
    from ..world import caption, render, scene_at
    from .output import check_writable, save_image

    if min(args.rows, args.columns) < 1 or args.start < 0:
        raise ValueError(
            "rows and columns must be at least 1 and start at least 0; "
            f"got {args.rows}, {args.columns} and {args.start}"
        )
    check_writable(args.output, force=args.force)
    indices = range(args.start, args.start + args.rows * args.columns)
    scenes = [scene_at(index, args.split) for index in indices]
    page = tile([render(scene) for scene in scenes], args.columns)
    save_image(page, args.output, force=args.force)
    if args.captions:
        print("\n".join(caption(scene) for scene in scenes))
    print(args.output)
    return 0
