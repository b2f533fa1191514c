"""How much memory a learner takes on a class server, and how fast images are drawn in a class.

For each learner a JupyterLab server of its own and a kernel that runs all cells of the lesson, its
explorers included, and then stays. Of the processes, as Linux counts them in /proc/*/smaps_rollup:
RSS, what is in memory; PSS, the same with every page that several processes share divided among
them, so that the PSS of all add up to what they take together; peak, the highest RSS so far. Then
all learners draw at once, in torch as lessons do and in ONNX Runtime as explorers do. From the
largest numbers follows how many learners a server holds, and how long a class waits.
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager

from benchmarks.lessons import find_lessons
from benchmarks.script import Parser, child_environment, processor, run_script

EPILOG = """\
example:
  python -m benchmarks.class_server_memory 06 1 2 4

Prints the tables of lessons/class_server.md; MB and GB are millions and thousand millions of bytes.
OMP_NUM_THREADS is 1 unless it is set. Run it on Linux while nothing else runs: other Pythons share
pages, too.
"""
MEMORY = ("kernel RSS", "kernel PSS", "kernel peak", "server RSS", "server PSS", "PSS of both")
# An explorer draws its first image after its cell has run.
SETTLE = """
import gc
from sdlearn.widgets.base import LiveExplorer
for thing in gc.get_objects():
    if issubclass(type(thing), LiveExplorer):
        thing.wait(300)
"""
IMAGES = 4
ENGINES = {"torch": False, "ONNX Runtime": True}  # title → `compile` of `load`
WARM_UP = """
from sdlearn import load
model, prompt = load("tiny", compile={}), "a red house at night"
model.generate(prompt, seeds=[0])
"""
DRAW = f"for seed in range({IMAGES}): model.generate(prompt, seeds=[seed])"
CLASS = 25  # learners
SYSTEM_GB = 1  # for everything else on the server
SERVERS_GB = (8, 16, 32, 64)
CORES = (4, 8, 16)


# What follows from the measurements


def learners_that_fit(gigabytes: float, each_gb: float) -> int:
    """How many learners a server with so much memory holds."""
    return int((gigabytes - SYSTEM_GB) // each_gb)


def memory_for(learners: int, each_gb: float) -> float:
    """Gigabytes of a server for so many learners."""
    return SYSTEM_GB + learners * each_gb


def core_seconds(seconds: float, learners: int, cores: int) -> float:
    """Seconds of one core for an image, when `learners` who drew at once had `seconds` for each."""
    return seconds * min(learners, cores) / learners


def wait(each_seconds: float, learners: int, cores: int) -> float:
    """Seconds to an image that takes a core `each_seconds`, when all learners draw at once."""
    return each_seconds * max(1, learners / cores)


# The measurements


def memory(pid: int) -> tuple[float, float, float]:
    """RSS, PSS and peak RSS of a process, in MB."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    status = Path(f"/proc/{pid}/status").read_text()
    found = [re.search(rf"^{name}:\s+(\d+) kB", rollup, re.M) for name in ("Rss", "Pss")]
    found.append(re.search(r"^VmHWM:\s+(\d+) kB", status, re.M))
    rss, pss, peak = (int(match[1]) * 1024 / 1e6 for match in found if match)
    return rss, pss, peak


class Learner:
    """A JupyterLab server and a kernel beside it, both in a folder of their own."""

    def __init__(self, home: Path) -> None:
        home.mkdir()
        self.server = start_server(home)
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(cwd=str(home), env=child_environment(), stderr=subprocess.DEVNULL)
        self.kernel: BlockingKernelClient = self.manager.client()
        self.kernel.start_channels()
        self.kernel.wait_for_ready(timeout=120)

    def run(self, code: str) -> None:
        """Run a cell; an error in it ends the measurement."""
        quiet = {"output_hook": lambda message: None, "timeout": 600}
        reply = self.kernel.execute_interactive(code, **quiet)["content"]
        if reply["status"] != "ok":
            raise RuntimeError(f"{reply['ename']}: {reply['evalue']}, in the cell\n{code}")

    def study(self, lesson: Path) -> None:
        """Run the cells of a lesson, one after the other."""
        for cell in nbformat.read(lesson, as_version=4).cells:
            if cell.cell_type == "code":
                self.run(cell.source)
        self.run(SETTLE)

    @property
    def pids(self) -> tuple[int, int]:
        """The processes of the kernel and of the server."""
        provisioner: Any = self.manager.provisioner
        return provisioner.pid, self.server.pid

    def leave(self) -> None:
        self.kernel.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.server.terminate()
        self.server.wait()


def start_server(home: Path) -> subprocess.Popen:
    """JupyterLab as one user has it, once its page has been asked for."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [f"--port={port}", "--no-browser", "--allow-root", "--IdentityProvider.token=x"]
    command = [sys.executable, "-m", "jupyterlab", *options, f"--ServerApp.root_dir={home}"]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/lab?token=x").read()
            return server
        except OSError:
            time.sleep(0.1)
    server.terminate()
    raise TimeoutError("JupyterLab did not start")


def taken(learners: Sequence[Learner]) -> list[float]:
    """What one learner takes, the average of all: the columns of `MEMORY`."""
    kernel = average([memory(learner.pids[0]) for learner in learners])
    server = average([memory(learner.pids[1]) for learner in learners])
    return [*kernel, *server[:2], kernel[1] + server[1]]


def average(rows: Sequence[Sequence[float]]) -> list[float]:
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


def all_run(learners: Sequence[Learner], code: str) -> float:
    """Seconds until all learners, who begin at the same moment, have run a cell."""
    began = time.perf_counter()
    with ThreadPoolExecutor(len(learners)) as pool:
        list(pool.map(lambda learner: learner.run(code), learners))
    return time.perf_counter() - began


def seconds_an_image(learners: Sequence[Learner], compile: bool) -> float:
    """Seconds an image takes each learner when all of them draw."""
    all_run(learners, WARM_UP.format(compile))
    return all_run(learners, DRAW) / IMAGES


def table_row(cells: Iterable[object]) -> None:
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def table_head(titles: Sequence[str]) -> None:
    print()
    table_row(titles)
    print(f"|{'---|' * len(titles)}")


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = Parser("benchmarks.class_server_memory", __doc__ or "", EPILOG)
    parser.add_argument("lesson", metavar="NN", help="how a notebook's name begins")
    parser.add_argument("learners", nargs="+", type=int, metavar="LEARNERS", help="such as 1 2 4")
    return run_script(parser, _run, argv)


def _run(args: argparse.Namespace) -> int:
    [path] = find_lessons([args.lesson])
    if min(args.learners) < 1 or sorted(set(args.learners)) != args.learners:
        raise ValueError(f"learners must be at least 1 and rise, as in 1 2 4; got {args.learners}")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    cores = len(os.sched_getaffinity(0))
    threads = os.environ["OMP_NUM_THREADS"]
    print(f"{path.stem}, {processor()}, {cores} cores, OMP_NUM_THREADS={threads}; MB a learner:")
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        learners: list[Learner] = []
        each_gb = _measure_memory(path, args.learners, learners, home, stack)
        each_seconds = _measure_speed(args.learners, learners, cores)
    print_class(each_gb, each_seconds)
    return 0


def _measure_memory(
    lesson: Path, counts: Sequence[int], learners: list[Learner], home: Path, stack: ExitStack
) -> float:
    """Fill `learners` and print a row for each of `counts`; the most GB that one of them took."""
    most = 0.0
    table_head(["learners", *MEMORY])
    for count in counts:
        before = len(learners)
        for number in range(before, count):
            learners.append(Learner(home / str(number)))
            stack.callback(learners[-1].leave)
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(lambda learner: learner.study(lesson), learners[before:]))
        numbers = taken(learners)
        table_row([count, *(f"{number:,.0f}" for number in numbers)])
        most = max(most, (numbers[2] + numbers[3]) / 1e3)  # the kernel's peak, the server's RSS
    return round(most, 2)


def _measure_speed(
    counts: Sequence[int], learners: Sequence[Learner], cores: int
) -> dict[str, float]:
    """Print a row for each number of learners; the most seconds of a core for an image."""
    print("\nSeconds an image, all drawing at once:")
    table_head(["learners", *ENGINES])
    most = dict.fromkeys(ENGINES, 0.0)
    for count in counts:
        seconds = {name: seconds_an_image(learners[:count], ENGINES[name]) for name in ENGINES}
        table_row([count, *(f"{value:.2f}" for value in seconds.values())])
        most = {name: max(most[name], core_seconds(seconds[name], count, cores)) for name in most}
    return {name: round(seconds, 2) for name, seconds in most.items()}


def print_class(each_gb: float, each_seconds: dict[str, float]) -> None:
    """Print what the measurements mean for servers of several sizes."""
    print(f"\nA learner takes up to {each_gb:.2f} GB (the kernel's peak and the server).")
    table_head(["memory of the server", "learners at once"])
    for gigabytes in SERVERS_GB:
        table_row([f"{gigabytes} GB", learners_that_fit(gigabytes, each_gb)])
    said = " and ".join(f"{seconds:.2f} s in {name}" for name, seconds in each_seconds.items())
    print(f"\n{CLASS} learners take {memory_for(CLASS, each_gb):.0f} GB.", end=" ")
    print(f"An image takes one core {said}. When all {CLASS} draw at once:")
    table_head(["cores", *(f"seconds an image, {name}" for name in each_seconds)])
    for cores in CORES:
        waits = [wait(seconds, CLASS, cores) for seconds in each_seconds.values()]
        table_row([cores, *(f"{value:.1f}" for value in waits)])


if __name__ == "__main__":
    sys.exit(main())
