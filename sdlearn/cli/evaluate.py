"""Measure how well a model obeys its prompts.

Images are generated from prompts of the drawn world, the judge reads them, and what is right is
counted, in splits: single (one subject), held_out (combinations of colour with subject or position
that training never shows), pairs (two subjects), styles (another than the storybook's),
held_out_styles (style and subject never together), handwritten (people's own words) and beyond
(words that no caption has). With the judge's own accuracy (renders), the ceiling (VAE round trips)
and the floor (shuffled captions). Several values of guidance, steps or scheduler make one row each.
Image i of a split always has the same prompt and, with the same --seed, the same noise.

examples:
  sdlearn evaluate --quick                                  a first look, few prompts
  sdlearn evaluate --prompts 1000 --json evaluation.json    95 % interval: 3.1 points or less
  sdlearn evaluate --guidance 0 1 2 5 12 --figures plots    adherence and diversity, drawn
  sdlearn evaluate --splits single --steps 5 10 20 --scheduler ddim dpm++ euler --figures plots
"""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..util.files import write_atomically
from ..util.progress import progress_bar
from .output import check_writable

QUICK = {"prompts": 24, "vae_images": 32, "diversity_prompts": 2, "diversity_seeds": 4}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("--model", default="tiny", help="tiny, a folder, a file, or a hub id (default: tiny)")
    add("--prompts", type=int, metavar="N", help="in each split (default: 200)")
    add("--guidance", type=float, nargs="+", metavar="X", help="(default: 3)")
    add("--steps", type=int, nargs="+", metavar="N", help="(default: 20)")
    own = "(default: the model's own)"
    add("--scheduler", nargs="+", metavar="NAME", dest="schedulers", help=own)
    add("--batch-size", type=int, metavar="N", help="images at a time (default: 16)")
    add("--seed", type=int, help="of the first image (default: 0)")
    add("--splits", nargs="+", metavar="NAME", help="(default: all of them)")
    add("--json", type=Path, metavar="FILE", help="write everything that was measured")
    add("--figures", type=Path, metavar="FOLDER", help="draw what was measured, as PNGs")
    add("--force", action="store_true", help="replace files that are there already")
    add("--exact", action="store_true", help="draw with torch, not with ONNX Runtime on a CPU")
    add("--judge", type=Path, metavar="FOLDER", help="another judge than the shipped one")
    add("--quick", action="store_true", help="few prompts and few images: does it work at all?")


def run(args: argparse.Namespace) -> int:
    """Evaluate with a progress bar, print the table and write the JSON."""
    from ..evaluation import Settings, evaluate, format_report, to_json
    from ..evaluation.judge import load_judge
    from ..evaluation.plots import figures
    from ..pipeline import load

    chosen: dict[str, Any] = dict(QUICK) if args.quick else {}  # else as `Settings` has it
    for field in fields(Settings):
        if (value := getattr(args, field.name, None)) is not None:
            chosen[field.name] = tuple(value) if isinstance(value, list) else value
    settings = Settings(**chosen)
    _check_paths(args)  # before the work, which may take an hour
    sd = load(args.model, compile=False if args.exact else None)
    report = evaluate(sd, load_judge(args.judge), settings, progress=progress_bar)
    print(format_report(report))
    if args.json is not None:
        with write_atomically(args.json) as partial:
            partial.write_text(to_json(report), encoding="utf-8")
        print(f"\n{args.json}")
    if args.figures is not None:
        for name, figure in figures(report).items():
            path = args.figures / f"{name}.png"
            with write_atomically(path) as partial:
                figure.savefig(partial, format="png")
            print(path)
    return 0


def _check_paths(args: argparse.Namespace) -> None:
    if args.json is not None:
        check_writable(args.json, name="json", suffix=".json", force=args.force)
    if args.figures is not None:
        from ..evaluation.plots import NAMES

        args.figures.mkdir(parents=True, exist_ok=True)
        for name in NAMES:
            check_writable(args.figures / f"{name}.png", name="figures", force=args.force)
