"""Seconds and memory of every lesson, beside their limits; with `--write` also their new outputs.

Then every Markdown cell is listed that quotes a number which its lesson printed before and does not
print any more: new weights change what is measured, and words must follow.

Each lesson runs in a fresh kernel, in an empty folder, on the CPU. Nobody can click there, so
explorers show still images. The seconds include the start of the kernel; the memory is the peak of
the kernel's process, libraries included.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode
from PIL import Image, ImageChops, ImageStat

from benchmarks.script import ROOT, Parser, child_environment, peak_of, processor, run_script
from sdlearn.cli.output import check_writable
from sdlearn.inside.anatomy import aligned
from sdlearn.util.checks import check_count
from sdlearn.util.files import write_atomically
from sdlearn.util.progress import progress_bar

EPILOG = """\
examples:
  python -m benchmarks.lessons                    all lessons
  python -m benchmarks.lessons 03 05 --threads 1
  python -m benchmarks.lessons --write            all lessons, and store what they show
  python -m benchmarks.lessons explorers --write

Close other programs first. --threads says how many threads torch takes. To leave it a single core
as well, put `taskset -c 0` before the command (Linux). Exit code 1: a lesson failed or is over a
limit.
"""
SECONDS = {1: 90, 2: 60}  # a lesson may take so long with one thread, with two or more
SECONDS_09 = {1: 240, 2: 150}  # lesson 09 trains models
MEGABYTES = 800
MOST_CHANGE = 3  # levels of 255 by which a smaller palette may change an image, on average
BYTES = 640_000  # of a lesson's file, where images of 256 colours can do it; the limit is 1.5 MB
STORED = {"image/png", "text/plain"}  # a stored widget would be a reference to nothing


@dataclass(frozen=True)
class Measured:
    """What one lesson took, beside its limits."""

    lesson: str  # 00_start_here
    seconds: float  # with the start of the kernel
    megabytes: float  # peak of the kernel, in millions of bytes
    most_seconds: int
    error: str | None = None  # a sentence when the lesson could not be run or stored
    stale: dict[str, list[str]] = field(default_factory=dict)  # Markdown cell → outdated numbers

    @property
    def over(self) -> list[str]:
        """Which limits it breaks: "time", "memory", both or none."""
        found = {"time": self.seconds > self.most_seconds, "memory": self.megabytes > MEGABYTES}
        return [name for name, is_over in found.items() if is_over]


def find_lessons(names: Sequence[str], folder: Path = ROOT / "lessons") -> list[Path]:
    """The notebooks whose names begin with one of `names`; all that have a number without any.

    Raises `ValueError` for a name that fits no notebook, or several.
    """
    if not names:
        return sorted(folder.glob("[0-9]*.ipynb"))
    return [_find(name, folder) for name in names]


def _find(name: str, folder: Path) -> Path:
    stem = Path(name).name.removesuffix(".ipynb")
    paths = sorted(path for path in folder.glob("*.ipynb") if path.stem.startswith(stem))
    if len(paths) != 1:
        known = ", ".join(path.stem for path in paths or sorted(folder.glob("*.ipynb")))
        raise ValueError(f"a lesson must be the beginning of one of {known}; got {name!r}")
    return paths[0]


def measure(path: Path, threads: int, *, write: bool = False) -> Measured:
    """Run the notebook at `path`; with `write`, store its outputs there if all went well."""
    notebook = nbformat.read(path, as_version=4)
    limits = SECONDS_09 if path.name.startswith("09") else SECONDS
    before = printed_numbers(notebook)
    seconds, peak, error = execute(notebook, threads, label=path.stem)
    stale = {} if error else stale_quotes(notebook, before - printed_numbers(notebook))
    if write and error is None:
        error = _what_cannot_be_stored(notebook)
        if error is None:
            _store(notebook, path)
    return Measured(path.stem, seconds, peak / 1e6, limits[min(threads, 2)], error, stale)


def numbers(text: str) -> set[str]:
    """The numbers of a text as they are written, such as "0.91", "1,000" and "77"."""
    return set(re.findall(r"(?<![\w.])\d+(?:[.,]\d+)*", text))


def printed_numbers(notebook: NotebookNode) -> set[str]:
    """The numbers in all that the code cells print, and in the words beside their images."""
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", ())]
    texts = [out.get("text", "") + out.get("data", {}).get("text/plain", "") for out in outputs]
    return set().union(*map(numbers, texts))


def stale_quotes(notebook: NotebookNode, gone: set[str]) -> dict[str, list[str]]:
    """Markdown cell → which of the numbers `gone` it quotes, for the cells that quote any."""
    words = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    quoted = {cell.id: sorted(numbers(cell.source) & gone) for cell in words}
    return {name: found for name, found in quoted.items() if found}


def execute(notebook: NotebookNode, threads: int, *, label: str) -> tuple[float, int, str | None]:
    """Run all cells in place: seconds, the kernel's peak in bytes, and what went wrong, if any."""
    how = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    environment = child_environment(**how, CUDA_VISIBLE_DEVICES="")
    peak, error = 0, None
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            resources={"metadata": {"path": folder}},
            coalesce_streams=True,  # a busy machine splits what one cell prints into messages
            record_timing=False,
            store_widget_state=False,
            startup_timeout=180,
            shutdown_kernel="immediate",
        )
        began = time.perf_counter()
        with client.setup_kernel(env=environment, stderr=subprocess.DEVNULL):
            try:
                for index, cell in enumerate(
                    progress_bar(notebook.cells, label, len(notebook.cells))
                ):
                    client.execute_cell(cell, index)
                manager: Any = client.km
                peak = peak_of(manager.provisioner.pid)
            except CellExecutionError as found:
                error = f"cell {cell.id} ended with {found.ename}: {found.evalue}"
            except DeadKernelError:
                error = f"the kernel died in cell {cell.id}"
            seconds = time.perf_counter() - began
    return seconds, peak, error


def _what_cannot_be_stored(notebook: NotebookNode) -> str | None:
    """A sentence about the first output that a stored lesson must not hold."""
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        for output in cell.outputs:
            if output.get("name") == "stderr":
                return f"not stored: cell {cell.id} printed to stderr: {output.text.strip()!r}"
            if others := output.get("data", {}).keys() - STORED:
                return f"not stored: cell {cell.id} shows {', '.join(sorted(others))}"
    return None


def _store(notebook: NotebookNode, path: Path) -> None:
    shrink(notebook)
    with write_atomically(path) as partial:
        partial.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8", newline="\n")


def shrink(notebook: NotebookNode, most: int = BYTES) -> None:
    """Give the largest images a palette of 256 colours, one after the other, until the file fits.

    A smooth sky then has fine bands, in a third of the bytes. Coloured noise stays as it is, since
    it would change. Who runs the lesson sees none of this.
    """
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", ())]
    images = [out.data for out in outputs if "image/png" in out.get("data", {})]
    for data in sorted(images, key=lambda data: len(data["image/png"]), reverse=True):
        if len(nbformat.writes(notebook).encode()) < most:
            return
        whole = Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).convert("RGB")
        fewer = whole.quantize(256, dither=Image.Dither.NONE)
        change = ImageStat.Stat(ImageChops.difference(whole, fewer.convert("RGB"))).mean
        if max(change) < MOST_CHANGE:
            file = io.BytesIO()
            fewer.save(file, "PNG", optimize=True)
            data["image/png"] = base64.b64encode(file.getvalue()).decode() + "\n"


def format_table(results: Sequence[Measured], heading: str) -> str:
    """One row for each lesson, with a mark where it is over a limit or failed."""
    rows = [("lesson", "seconds", "limit", "peak", "limit", "")]
    for found in results:
        verdict = "failed" if found.error else f"over: {', '.join(found.over)}" * bool(found.over)
        peak = f"{found.megabytes:.0f} MB" if found.megabytes else ""
        row = (f"{found.seconds:.1f}", str(found.most_seconds), peak, f"{MEGABYTES} MB", verdict)
        rows.append((found.lesson, *row))
    errors = [f"{found.lesson}: {found.error}" for found in results if found.error]
    stale = [
        f"{found.lesson}: cell {cell} quotes {', '.join(quoted)}, which is not printed any more"
        for found in results
        for cell, quoted in found.stale.items()
    ]
    return "\n".join([heading, aligned(rows, left={0, 5}), *errors, *stale])


def main(argv: Sequence[str] | None = None) -> int:
    """The command; 1 when a lesson failed or is over a limit."""
    parser = Parser("benchmarks.lessons", "Time every lesson in a fresh kernel.", EPILOG)
    add = parser.add_argument
    add("lessons", nargs="*", metavar="NN", help="how a notebook's name begins (default: 00 to 10)")
    add("--threads", type=int, metavar="N", help="of torch (default: as many as it takes itself)")
    add("--write", action="store_true", help="store the outputs in the notebooks")
    add("--json", type=Path, metavar="FILE", help="write everything that was measured")
    return run_script(parser, _run, argv)


def _run(args: argparse.Namespace) -> int:
    import torch

    if args.json is not None:
        check_writable(args.json, name="json", suffix=".json", force=True)
    threads = (
        torch.get_num_threads() if args.threads is None else check_count("threads", args.threads)
    )
    paths = find_lessons(args.lessons)
    watched = progress_bar(paths, "lessons", len(paths))
    results = [measure(path, threads, write=args.write) for path in watched]
    heading = f"{processor()}, {threads} thread{'s' * (threads != 1)}"
    print(format_table(results, heading))
    if args.json is not None:
        rows = [asdict(found) | {"over": found.over} for found in results]
        data = {"processor": processor(), "threads": threads, "lessons": rows}
        args.json.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    return int(any(found.error or found.over for found in results))


if __name__ == "__main__":
    sys.exit(main())
