"""`sdlearn make-random`: a model with the shapes of a real one and random weights, to test with."""

from __future__ import annotations

import argparse
from pathlib import Path

from sdlearn.util.progress import progress_bar

__all__ = ["HELP", "add_arguments", "run"]

HELP = "write a model of random weights in the shape of SD 1.5"
CHOICES = ("sd15", "sd15-narrow")
DESCRIPTION = """\
Write a Stable Diffusion 1.5 that was never trained: all its shapes, random weights.

What it draws is noise. It is for tests of loading, speed and memory where the real weights cannot
be downloaded; never show its pictures as a result.
"""
EPILOG = """\
sizes:
  sd15          2.1 GB, 4.3 GB with --dtype fp32
  sd15-narrow   29 MB, 57 MB with --dtype fp32: as deep, a tenth as wide

examples:
  sdlearn make-random sd15 sd15-noise
  sdlearn generate "a red house" --model sd15-noise --steps 1   one step; noise
  sdlearn make-random sd15-narrow narrow-noise --seed 1
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("architecture", choices=CHOICES, help="which shapes")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="to write; new or empty")
    parser.add_argument(
        "--dtype",
        choices=("fp16", "fp32"),
        default="fp16",
        help="half precision, named as the hub's fp16 variant, or full (default: fp16)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the weights (default: 0)")


def run(args: argparse.Namespace) -> int:
    """Write the folder with a progress bar, and say where it is."""
    import torch

    from benchmarks.random_weights import write_random
    from sdlearn.inside.architecture import ARCHITECTURES

    dtype = torch.float16 if args.dtype == "fp16" else torch.float32
    architecture = ARCHITECTURES[args.architecture]
    write_random(architecture, args.folder, dtype=dtype, seed=args.seed, progress=progress_bar)
    print(args.folder)
    return 0
