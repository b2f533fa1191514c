"""How much memory a learner takes on a class server, and how fast images are drawn in a class.

    python -m benchmarks.class_server_memory 06 1 2 4

For each learner a JupyterLab server of its own and a kernel that runs all cells of the lesson and
then stays. Of the processes, as Linux counts them (/proc/PID/smaps_rollup): RSS, what is in memory;
PSS, the same with every page that several processes share divided among them, so that the PSS of
all add up to what they take together; peak, the highest RSS so far. At the end all learners draw
at once. Prints rows of a Markdown table, in MB of a million bytes. `OMP_NUM_THREADS` is 1 unless it
is set. Run it while nothing else runs: other Pythons share pages too.
"""

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager

from benchmarks.lessons import find_lessons

IMAGES = 4
WARM_UP = "sd.generate(prompt, seeds=[0])"
DRAW = f"for seed in range({IMAGES}): sd.generate(prompt, seeds=[seed])"
MEMORY = ("kernel RSS", "kernel PSS", "kernel peak", "server RSS", "server PSS", "PSS of both")
TITLES = ("learners", *MEMORY, "seconds an image")


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
        self.manager.start_kernel(cwd=str(home), stderr=subprocess.DEVNULL)
        self.kernel: BlockingKernelClient = self.manager.client()
        self.kernel.start_channels()
        self.kernel.wait_for_ready(timeout=120)

    def run(self, code: str) -> None:
        """Run a cell; an error in it ends the measurement."""
        quiet = {"output_hook": lambda message: None, "timeout": 600}
        reply = self.kernel.execute_interactive(code, **quiet)["content"]
        assert reply["status"] == "ok", "\n".join(reply.get("traceback", []))

    def study(self, lesson: Path) -> None:
        """Run the cells of a lesson, one after the other."""
        for cell in nbformat.read(lesson, as_version=4).cells:
            if cell.cell_type == "code":
                self.run(cell.source)

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
    raise TimeoutError("JupyterLab did not start")


def row(learners: list[Learner]) -> list[float]:
    """What one learner takes, the average of all."""
    kernel = average([memory(learner.pids[0]) for learner in learners])
    server = average([memory(learner.pids[1]) for learner in learners])
    return [*kernel, *server[:2], kernel[1] + server[1]]


def average(rows: list[tuple[float, ...]]) -> list[float]:
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


def draw_at_once(learners: list[Learner]) -> float:
    """Seconds an image takes each learner when all of them draw."""
    with ThreadPoolExecutor(len(learners)) as pool:
        list(pool.map(lambda learner: learner.run(WARM_UP), learners))
        began = time.perf_counter()
        list(pool.map(lambda learner: learner.run(DRAW), learners))
        return (time.perf_counter() - began) / IMAGES


def main(lesson: str, *counts: str) -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    [path] = find_lessons([lesson])
    learners: list[Learner] = []
    print(f"{path.stem}, {os.cpu_count()} cores, OMP_NUM_THREADS={os.environ['OMP_NUM_THREADS']}\n")
    print(f"| {' | '.join(TITLES)} |\n|{'---|' * len(TITLES)}")
    with tempfile.TemporaryDirectory() as folder:
        try:
            for count in map(int, counts):
                new = [Learner(Path(folder, str(n))) for n in range(len(learners), count)]
                learners += new
                with ThreadPoolExecutor(len(new)) as pool:
                    list(pool.map(lambda learner: learner.study(path), new))
                numbers = [f"{number:,.0f}" for number in row(learners)]
                print(
                    f"| {count} | {' | '.join(numbers)} | {draw_at_once(learners):.2f} |",
                    flush=True,
                )
        finally:
            for learner in learners:
                learner.leave()


if __name__ == "__main__":
    main(*sys.argv[1:])
