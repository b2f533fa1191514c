"""What the scripts of this folder share: arguments, errors as one sentence, processes, memory."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).parents[1]
COMMIT = "COMMIT"  # the file that tells a copy without its history where it comes from


class Parser(argparse.ArgumentParser):
    """An argument parser that keeps the layout of its texts and says what is wrong in one line."""

    def __init__(self, name: str, description: str, epilog: str) -> None:
        super().__init__(
            prog=f"python -m {name}",
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see '{self.prog} --help'\n")


def run_script(
    parser: Parser, run: Callable[[argparse.Namespace], int], argv: Sequence[str] | None
) -> int:
    """The exit code of `run`; 2 when something could not be done, 130 after Ctrl-C."""
    try:
        return run(parser.parse_args(argv))
    except SystemExit as done:  # --help or a wrong argument: argparse has printed it
        return int(done.code or 0)
    except KeyboardInterrupt:
        print(f"\n{parser.prog}: stopped", file=sys.stderr)
        return 130
    except (ValueError, OSError, ImportError, MemoryError, RuntimeError) as error:
        sentence = " ".join(str(error).split()) or type(error).__name__
        print(f"{parser.prog}: {sentence}", file=sys.stderr)
        return 2


def processor() -> str:
    """The name of the CPU and the widest vectors that torch uses on it: "AMD EPYC, AVX2"."""
    import torch

    listing = Path("/proc/cpuinfo")  # Linux
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


def child_environment(**more: str) -> dict[str, str]:
    """The environment of this process, in which Python finds this checkout's sdlearn first."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, **more}


def peak_of(pid: int) -> int:
    """Bytes of the largest resident set of a process so far; on macOS what it holds now."""
    status = Path(f"/proc/{pid}/status")  # `resource` would count the parent's memory, too
    lines = status.read_text(encoding="utf-8").splitlines() if status.is_file() else []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    import psutil

    memory = psutil.Process(pid).memory_info()
    return getattr(memory, "peak_wset", memory.rss)  # Windows counts the peak


def commit() -> str:
    """Which state of the code this is: its commit, with "-dirty" if files were changed since."""
    told = ROOT / COMMIT
    if told.is_file():
        return told.read_text(encoding="utf-8").strip()
    words = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
