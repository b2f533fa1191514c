"""`python -m benchmarks`: speed and memory beside diffusers' pipeline on the same weights."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import measuring
from benchmarks.peers import peers_here
from benchmarks.records import Result, Task
from benchmarks.report import format_report, to_json
from benchmarks.script import Parser, run_script
from sdlearn.cli.output import check_writable
from sdlearn.models.device import pick_device, pick_dtype
from sdlearn.models.memory import parse_size
from sdlearn.util.checks import DTYPES
from sdlearn.util.files import write_atomically
from sdlearn.util.progress import progress_bar

DESCRIPTION = """\
Draw the same images with sdlearn and with diffusers' own pipeline on the same weights, in turns,
and compare: seconds, peak memory, calls of the U-Net, and the share of what the device can do at
most. A ratio is only printed when the images are the same; otherwise the exit code is 1.
"""
EPILOG = """\
examples:
  python -m benchmarks                                the tiny model, 20 steps at guidance 3
  python -m benchmarks --guidance 3 1 0 --json bench.json
  python -m benchmarks --compile --peers              beside the same model in ONNX Runtime
  python -m benchmarks --profile                      where the time goes
  python -m benchmarks --cold                         from the shell to the PNG
  python -m benchmarks --model sd15 --device cuda --guidance 7.5 --compile
  python -m benchmarks --device cuda --cold --tolerance 2    a GPU may round otherwise
  python -m benchmarks --model sd15 --device cuda --cap 8GB

Close other programs first; a busy machine is told of below the table.
"""
CAP_BATCH = 4  # images that are to fit at the same time


def main(argv: Sequence[str] | None = None) -> int:
    """The command; 1 for unlike images."""
    parser = Parser("benchmarks", DESCRIPTION, EPILOG)
    add, mode = parser.add_argument, parser.add_mutually_exclusive_group().add_argument
    add("--model", default="tiny", help="tiny, sd15, a folder, or a hub id (default: tiny)")
    add("--device", choices=["cpu", "cuda"], help="(default: cuda if there is one)")
    add("--dtype", choices=DTYPES, help="(default: float16 on cuda, float32 on a CPU)")
    add("--steps", type=int, default=20, metavar="N", help="denoising steps (default: 20)")
    several = "one table for each; 0, 1 or more (default: 3)"
    add("--guidance", type=float, nargs="+", default=[3.0], metavar="X", help=several)
    add("--batch", type=int, metavar="N", help="images at a time (default: 1; with --cap 4)")
    add("--repeats", type=int, default=5, metavar="N", help="of each image (default: 5)")
    add("--compile", action="store_true", help="compile sdlearn's model; diffusers' stays as it is")
    peers = "also time the model exported by torch.onnx, in other engines (wants onnxscript)"
    add("--peers", action="store_true", help=peers)
    add("--tolerance", type=int, default=0, metavar="N", help="levels of 255 (default: 0)")
    mode("--cold", action="store_true", help="time `sdlearn generate` beside a plain script")
    mode("--profile", action="store_true", help="show where the time of sdlearn goes")
    mode("--cap", metavar="8GB", help="do images fit into so much GPU memory?")
    add("--json", type=Path, metavar="FILE", help="write everything that was measured")
    add("--force", action="store_true", help="replace a file that is there already")
    return run_script(parser, _run, argv)


def _run(args: argparse.Namespace) -> int:
    """Measure with a progress bar, print the table and write the JSON."""
    if args.json is not None:  # better to learn now than after an hour
        check_writable(args.json, name="json", suffix=".json", force=args.force)
    here = pick_device(args.device)
    device = here.type if here.type == "cuda" else "cpu"  # mps is not measured
    dtype = args.dtype or str(pick_dtype(None, here)).removeprefix("torch.")
    batch = args.batch if args.batch is not None else CAP_BATCH if args.cap is not None else 1
    what = args.model, device, dtype, args.steps
    tasks = [Task(*what, guidance, batch, args.compile) for guidance in args.guidance]
    report = measuring.report_on(device, lambda: _measure(args, tasks))
    print(format_report(report))
    if args.json is not None:
        with write_atomically(args.json) as partial:
            partial.write_text(to_json(report), encoding="utf-8")
        print(f"\n{args.json}")
    return 0 if report.same else 1


def _measure(args: argparse.Namespace, tasks: Sequence[Task]) -> Sequence[Result]:
    if args.cap is not None:
        cap = parse_size("cap", args.cap)
        fits = [measuring.fits(task, cap, progress=progress_bar) for task in tasks]
        return [fit for found in fits for fit in found]
    if args.profile:
        return measuring.profile(tasks, repeats=args.repeats, progress=progress_bar)
    how: Any = {"repeats": args.repeats, "tolerance": args.tolerance, "progress": progress_bar}
    if args.cold:
        return measuring.compare_cold(tasks, **how)
    return measuring.compare(tasks, peers=peers_here() if args.peers else [], **how)


if __name__ == "__main__":
    sys.exit(main())
