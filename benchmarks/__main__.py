"""`sdlearn bench`: this pipeline's speed and memory, beside diffusers' on the same weights."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sdlearn.cli.output import check_writable
from sdlearn.util.checks import DTYPES
from sdlearn.util.files import write_atomically
from sdlearn.util.progress import progress_bar

if TYPE_CHECKING:
    from benchmarks import Task
    from benchmarks.report import Result

__all__ = ["HELP", "add_arguments", "run"]

HELP = "measure speed and memory beside diffusers"
DESCRIPTION = """\
Draw the same pictures with sdlearn and with diffusers' own pipeline on the same weights, in turns,
and compare: seconds, peak memory, calls of the U-Net, and the share of what the device can do at
most. A ratio is only printed when the pictures are the same; otherwise the exit code is 1.
"""
EPILOG = """\
examples:
  sdlearn bench                                the tiny model, 20 steps at guidance 3
  sdlearn bench --guidance 3 1 0 --json bench.json
  sdlearn bench --profile                      where the time goes
  sdlearn bench --cold                         from the shell to the PNG
  sdlearn bench --model sd15 --device cuda --guidance 7.5 --compile
  sdlearn bench --device cuda --cold --tolerance 2    a GPU may round otherwise
  sdlearn bench --model sd15 --device cuda --cap 8GB

Close other programs first; a busy machine is told of below the table.
"""
CAP_BATCH = 4  # pictures that are to fit at the same time


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    add, mode = parser.add_argument, parser.add_mutually_exclusive_group().add_argument
    add("--model", default="tiny", help="tiny, sd15, a folder, or a hub id (default: tiny)")
    add("--device", choices=["cpu", "cuda"], help="(default: cuda if there is one)")
    add("--dtype", choices=DTYPES, help="(default: float16 on cuda, float32 on a CPU)")
    add("--steps", type=int, default=20, metavar="N", help="denoising steps (default: 20)")
    add(
        "--guidance",
        type=float,
        nargs="+",
        default=[3.0],
        metavar="X",
        help="one table for each; 0, 1 or more (default: 3)",
    )
    add("--batch", type=int, metavar="N", help="pictures at a time (default: 1; with --cap 4)")
    add("--repeats", type=int, default=5, metavar="N", help="of each picture (default: 5)")
    add("--compile", action="store_true", help="compile sdlearn's model; diffusers' stays as it is")
    add("--tolerance", type=int, default=0, metavar="N", help="levels of 255 (default: 0)")
    mode("--cold", action="store_true", help="time `sdlearn generate` beside a plain script")
    mode("--profile", action="store_true", help="show where the time of sdlearn goes")
    mode("--cap", metavar="8GB", help="do pictures fit into so much GPU memory?")
    add("--json", type=Path, metavar="FILE", help="write everything that was measured")
    add("--force", action="store_true", help="replace a file that is there already")


def run(args: argparse.Namespace) -> int:
    """Measure with a progress bar, print the table and write the JSON; 1 for unlike pictures."""
    if args.json is not None:  # better to learn now than after an hour
        check_writable(args.json, name="json", suffix=".json", force=args.force)
    from benchmarks import Report, describe_machine, format_report, to_json
    from sdlearn.models.memory import parse_size

    cap = None if args.cap is None else parse_size("cap", args.cap)
    tasks = _tasks(args)
    report = Report(describe_machine(tasks[0]), _measure(args, tasks, cap))
    print(format_report(report))
    if args.json is not None:
        with write_atomically(args.json) as partial:
            partial.write_text(to_json(report), encoding="utf-8")
        print(f"\n{args.json}")
    return 0 if report.same else 1


def _tasks(args: argparse.Namespace) -> list[Task]:
    """What is to be drawn, one for each guidance."""
    from benchmarks import Task
    from sdlearn.models.device import pick_device, pick_dtype

    here = pick_device(args.device)
    device = here.type if here.type == "cuda" else "cpu"  # mps is not measured
    dtype = args.dtype or str(pick_dtype(None, here)).removeprefix("torch.")
    batch = args.batch if args.batch is not None else CAP_BATCH if args.cap is not None else 1
    what = args.model, device, dtype, args.steps
    return [Task(*what, guidance, batch, args.compile) for guidance in args.guidance]


def _measure(args: argparse.Namespace, tasks: Sequence[Task], cap: int | None) -> Sequence[Result]:
    import benchmarks as bench

    if cap is not None:
        return [fit for task in tasks for fit in bench.fits(task, cap, progress=progress_bar)]
    if args.profile:
        return bench.profile(tasks, repeats=args.repeats, progress=progress_bar)
    measure = bench.compare_cold if args.cold else bench.compare
    return measure(tasks, repeats=args.repeats, tolerance=args.tolerance, progress=progress_bar)
