"""Make the teacher's kit: plans, worksheets, keys, slides and pages to read.

All of it is made from the lessons: each file is one HTML page that opens without a network and can
be printed. What is in the folder "learners" holds no answers.

examples:
  sdlearn kit my-kit                     all lessons
  sdlearn kit my-kit --lesson 05 06      two of them
  sdlearn kit my-kit --bundle            also lessons and wheels for a room without a network
  sdlearn kit --results handed-in        which check fails most in the notebooks of a class
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..course import kit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("folder", nargs="?", type=Path, help="where the kit is written to")
    parser.add_argument("--lesson", nargs="+", default=[], metavar="NN", help="only these lessons")
    parser.add_argument("--bundle", action="store_true", help="also collect wheels with pip")
    parser.add_argument(
        "--results", type=Path, metavar="FOLDER", help="count the replies in notebooks handed in"
    )


def run(args: argparse.Namespace) -> int:
    """Make the kit, or count the results of a class."""
    if args.results:
        print(kit.format_results(kit.results(args.results)))
        return 0
    if args.folder is None:
        raise ValueError("a folder for the kit must be given, or --results FOLDER; got none")
    count = size = 0
    for path in kit.make(args.folder, args.lesson):
        count, size = count + 1, size + path.stat().st_size
        print(f"  {path}")
    print(f"{count} files, {size / 1e6:.1f} MB")
    if args.bundle:
        print(f"  {kit.make_bundle(args.folder / 'bundle')}")
    return 0
