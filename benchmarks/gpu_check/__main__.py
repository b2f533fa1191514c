"""`python -m benchmarks.gpu_check`: all checks of the GPU pipeline on the card that is here."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from benchmarks.gpu_check.book import (
    FAILED,
    MISSED,
    NOT_RUN,
    Book,
    Check,
    Result,
    read,
    table,
    table_path,
)
from benchmarks.gpu_check.worker import START, Worker
from benchmarks.script import ROOT, Parser, run_script
from sdlearn.cli.output import check_writable

CHECKS = "benchmarks.gpu_check.checks"
WHEELS = ROOT / "wheels"  # beside the code where `pack` has put them
LEAST = 5.0  # seconds below which no check is begun
EPILOG = """\
examples:
  python -m benchmarks.gpu_check                         both parts, into benchmarks/gpu_check.json
  python -m benchmarks.gpu_check --part 1 --seconds 200
  python -m benchmarks.gpu_check --only peak whole       again, into the same file
  python -m benchmarks.gpu_check --rehearse              on the CPU, with a toy
  python -m benchmarks.gpu_check --table benchmarks/gpu_check.json

Beside the JSON come a Markdown table and a log. Exit code 1: something failed, or missed its aim.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """The command; 1 if something failed or missed its aim."""
    begin = time.monotonic()
    doc = "Try the GPU pipeline on the card that is here: images, speed, memory, and the rest."
    parser = Parser("benchmarks.gpu_check", doc, EPILOG)
    add = parser.add_argument
    add("--part", type=int, nargs="+", choices=[1, 2], default=[1, 2], help="(default: both)")
    add("--only", nargs="+", metavar="CHECK", help="these checks, whatever their part")
    add("--seconds", type=float, default=240, metavar="N", help="for each part (default: 240)")
    add("--output", type=Path, metavar="FILE", help="results, to add to if there")
    folder = Path(tempfile.gettempdir()) / "sdlearn-gpu-check"
    add("--folder", type=Path, default=folder, metavar="FOLDER", help="for what is made here")
    add("--rehearse", action="store_true", help="on the CPU, with a toy")
    add("--table", type=Path, metavar="FILE", help="print the table of these results, no more")
    return run_script(parser, lambda args: _run(args, begin), argv)


def _run(args: argparse.Namespace, begin: float) -> int:
    if args.table is not None:
        print(table(read(args.table)), end="")
        return 0
    folder = args.folder.absolute()
    usual = folder / "rehearsal.json" if args.rehearse else ROOT / "benchmarks" / "gpu_check.json"
    output = (args.output or usual).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    check_writable(output, name="output", suffix=".json", force=True)
    prepare(folder)
    from benchmarks.gpu_check.setting import Setting, rehearsal

    make = rehearsal if args.rehearse else Setting
    setting = make(str(folder), str(output.with_suffix(".log")))
    Path(setting.log).unlink(missing_ok=True)
    runner = Runner(setting, CHECKS, output)
    try:
        results = []
        for checks in wanted(runner.checks, args.part, args.only):
            results += runner.run(checks, begin + args.seconds)
            begin = time.monotonic()
    finally:
        runner.end(grace=5)
    print(f"\n{output}\n{table_path(output)}")
    return int(any(result.status in (FAILED, MISSED) for result in results))


def wanted(
    checks: Sequence[Check], parts: Sequence[int], only: Sequence[str] | None
) -> list[list[Check]]:
    """The checks to run, those of each part by themselves."""
    if only is None:
        return [[check for check in checks if check.part == part] for part in sorted(set(parts))]
    known = {check.name: check for check in checks}
    if unknown := [name for name in only if name not in known]:
        raise ValueError(f"only must name some of {', '.join(known)}; got {unknown[0]!r}")
    return [[known[name] for name in only]]


class Runner:
    """Runs checks in a worker, or in a new one if that is lost, and writes each result at once."""

    def __init__(self, setting: Any, module: str, output: Path) -> None:
        self._how = setting, module
        self._worker: Worker | None = Worker(setting, module)
        self.checks = self._worker.checks
        self._book = Book(output, self._worker.machine)

    def run(self, checks: Sequence[Check], deadline: float) -> list[Result]:
        """The results of checks, the last of which ends before `deadline`, a monotonic time."""
        results = []
        for check in checks:
            left = deadline - time.monotonic()
            result = self._one(check, deadline) if left > LEAST else no_time(check)
            self._book.add(result)
            words = f"{result.status:8} {check.name:22} {result.seconds:5.1f} s  {result.says}"
            print(words, flush=True)
            results.append(result)
        return results

    def _one(self, check: Check, deadline: float) -> Result:
        try:
            if self._worker is None:
                self._worker = Worker(*self._how, min(START, deadline - time.monotonic()))
        except RuntimeError as error:
            return Result(check, FAILED, str(error))
        left = max(deadline - time.monotonic(), 0)
        seconds = check.seconds * self._how[0].patience
        result, sound = self._worker.run(check, min(seconds, left))
        if not sound:
            self.end()
        return result

    def end(self, grace: float = 0.0) -> None:
        """End the worker; the next check gets a new one."""
        if self._worker is not None:
            self._worker.end(grace)
            self._worker = None


def no_time(check: Check) -> Result:
    return Result(check, NOT_RUN, "no time was left")


# Before anything is imported that a bare machine lacks


def prepare(folder: Path) -> None:
    """Install the wheels that travelled, and say to all processes where things are."""
    site = folder / "site"
    paths = [str(site), str(ROOT)]
    sys.path[:0] = paths
    more = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([*paths, *([more] if more else [])])
    os.environ["HF_HUB_OFFLINE"] = "1"  # nothing waits for a network that is not there
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder / "inductor"))
    install([wheel for wheel in sorted(WHEELS.glob("*.whl")) if not is_installed(wheel)], site)


def is_installed(wheel: Path) -> bool:
    """Whether the package of a wheel is there already, in whatever version."""
    try:
        distribution(wheel.name.partition("-")[0])
    except PackageNotFoundError:
        return False
    return True


def install(wheels: Sequence[Path], site: Path) -> None:
    """Install wheels, and nothing but them, into a folder of their own."""
    if not wheels:
        return
    words = ["install", "--no-index", "--no-deps", "--no-compile", "--target", str(site)]
    quiet = ["--quiet", "--disable-pip-version-check", "--no-cache-dir"]
    command = [sys.executable, "-m", "pip", *words, *quiet, *map(str, wheels)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode:
        last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
        raise RuntimeError(f"the wheels could not be installed: {' '.join(last)}")


if __name__ == "__main__":
    sys.exit(main())
