"""What is checked beside nbval while it runs a lesson, as a plugin that conftest.py registers.

nbval runs each lesson once, as it is stored, and compares the cells tagged "nbval-check-output".
In that same kernel, so that no lesson has to run twice:

- before an exercise, its solution runs in its place and must be found right;
- after each cell, what it shows is compared with what is stored: the words must agree, numbers and
  images roughly, as another processor computes other last bits;
- after the last cell, time, memory and network are looked at, and every exercise runs again,
  untouched and solved. What is right is worked out without the kernel's names, so that a solution
  which is found right there also says that lesson and catalogue agree about them.
"""

import ast
import base64
import builtins
import inspect
import io
import math
import re
import symtable
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat import NotebookNode
from nbval.kernel import RunningKernel
from nbval.plugin import IPyNbCell, IPyNbFile, coalesce_streams
from PIL import Image

from sdlearn import course
from sdlearn.course import catalogue
from sdlearn.course.kit.outline import TASK, with_extras
from sdlearn.course.library import is_claim

# Three times what is promised for one core; `python -m benchmarks.lessons` measures the promise.
MOST_SECONDS, MOST_MEMORY = 3 * 90, 3 * 800_000_000
MOST_SECONDS_09 = 3 * 240  # lesson 09 trains models
IMAGE_TOLERANCE = 8  # mean difference in levels of 255
NUMBER_TOLERANCE = 0.3  # relative; beside it the last digit shown may differ by two
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")
ROUNDING = 1e-5  # numbers below are rounding errors
TIME = re.compile(NUMBER.pattern + r" ?(?:ms|s|seconds?|minutes?|times)\b")
WORDS_A_MINUTE = 150  # read slowly, as what is new is read
MINUTES_A_CELL = 0.5  # to read a code cell and look at what it shows


# Reading a lesson


def lesson_of(path: Path) -> str:
    """The catalogue's name of a lesson: 00_start_here.ipynb → start, tensors.ipynb → tensors."""
    return catalogue.LESSONS[int(path.name[:2])] if path.name[0].isdigit() else path.stem


def is_exercise(cell: NotebookNode) -> bool:
    return "course.exercise(" in cell.source


def exercise_of(cell: NotebookNode) -> course.Exercise:
    [name] = re.findall(r'^check = course\.exercise\("([\w.]+)"\)$', cell.source, re.MULTILINE)
    return catalogue.find(name)


def solved(cell: NotebookNode) -> str:
    """The source of an exercise with the lines that define `answer` replaced by the solution's."""
    lines = cell.source.splitlines()
    [given] = [node for node in ast.parse(cell.source).body if defines_answer(node)]
    lines[given.lineno - 1 : given.end_lineno] = exercise_of(cell).solution.splitlines()
    return "\n".join(lines)


def defines_answer(node: ast.stmt) -> bool:
    if isinstance(node, ast.Assign):
        return [ast.unparse(target) for target in node.targets] == ["answer"]
    return isinstance(node, ast.FunctionDef) and node.name == "answer"


def printed(outputs: Sequence[NotebookNode]) -> str:
    return "".join(o.text for o in outputs if o.get("name") == "stdout")


def minutes(lesson: NotebookNode, running: float) -> tuple[float, float]:
    """To read the core of a lesson and to do it, where its cells run for so many minutes."""
    core = [cell for cell, extra in with_extras(lesson.cells) if not extra and not is_claim(cell)]
    texts = [re.sub(r"<[^>]+>", "", cell.source) for cell in core if cell.cell_type == "markdown"]
    words = sum(len(text.split()) for text in texts)
    turns = sum(int(found[3]) for text in texts if (found := TASK.match(text)))
    return words / WORDS_A_MINUTE, running + turns + MINUTES_A_CELL * (len(core) - len(texts))


def names(cell: NotebookNode) -> tuple[set[str], set[str]]:
    """The names that a cell gives, and those that it takes from elsewhere; exercises are solved."""
    source = solved(cell) if is_exercise(cell) else cell.source
    tables = [symtable.symtable(source, "cell", "exec")]
    gives, takes = set(), set()
    for table in tables:
        for symbol in table.get_symbols():
            if table is tables[0] and (symbol.is_assigned() or symbol.is_imported()):
                gives.add(symbol.get_name())
            elif symbol.is_referenced() and symbol.is_global():
                takes.add(symbol.get_name())
        tables += table.get_children()
    return gives, takes - gives - {*dir(builtins)}


# Comparing outputs


def difference(stored: Sequence[NotebookNode], fresh: Sequence[NotebookNode]) -> str:
    """What tells fresh outputs of a cell from the stored ones; empty where they say the same."""
    if [*map(kind, stored)] != [*map(kind, fresh)]:
        return f"stored were {[*map(kind, stored)]}, now there are {[*map(kind, fresh)]}"
    for one, other in zip(stored, fresh, strict=True):
        if found := text_difference(text_of(one), text_of(other)):
            return found
        if "image/png" in one.get("data", {}) and (found := image_difference(one, other)):
            return found
    return ""


def kind(output: NotebookNode) -> str:
    return " ".join([output.output_type, *sorted(output.get("data", {}))])


def text_of(output: NotebookNode) -> str:
    """What an output says; with an image this is its alternative text."""
    return output.get("text", "") + output.get("data", {}).get("text/plain", "")


def text_difference(stored: str, fresh: str) -> str:
    """Words must be equal; numbers may differ a little, and times as they like."""
    if words(stored) != words(fresh):
        return f"stored was:\n{stored}\nnow it is:\n{fresh}"
    numbers = (NUMBER.findall(TIME.sub("", text).replace(",", "")) for text in (stored, fresh))
    apart = [f"{a} → {b}" for a, b in zip(*numbers, strict=True) if not near(a, b)]
    return f"numbers changed ({', '.join(apart)}) in:\n{fresh}" if apart else ""


def words(text: str) -> str:
    return NUMBER.sub("#", " ".join(text.split()))


def near(stored: str, fresh: str) -> bool:
    last_digit = 10.0 ** Decimal(stored).as_tuple().exponent  # 0.01 for 0.31
    slack = max(2 * last_digit, ROUNDING)
    return math.isclose(float(stored), float(fresh), rel_tol=NUMBER_TOLERANCE, abs_tol=slack)


def image_difference(stored: NotebookNode, fresh: NotebookNode) -> str:
    files = [io.BytesIO(base64.b64decode(o.data["image/png"])) for o in (stored, fresh)]
    arrays = [np.asarray(Image.open(file).convert("RGB"), dtype=np.float32) for file in files]
    if arrays[0].shape != arrays[1].shape:
        return f"the stored image was of shape {arrays[0].shape}, now it is {arrays[1].shape}"
    mean = float(np.abs(arrays[0] - arrays[1]).mean())
    return f"the image differs by {mean:.1f} levels of 255" if mean > IMAGE_TOLERANCE else ""


# Code that runs in the kernel


def watch() -> None:
    """Runs first in the kernel: what leaves this machine is refused and noted in `attempts`."""
    import builtins
    import socket

    builtins.attempts = attempts = []
    here = ("127.0.0.1", "::1", "localhost", "")

    def guarded(original, host_of):
        def call(*arguments, **options):
            host = host_of(arguments)
            if host is None or host in here:
                return original(*arguments, **options)
            attempts.append(host)
            raise OSError(f"lessons work without a network; refused: {host}")

        return call

    def address_host(arguments):
        return arguments[1][0] if isinstance(arguments[1], tuple) else None  # None: a local path

    for name in ("connect", "connect_ex"):
        setattr(socket.socket, name, guarded(getattr(socket.socket, name), address_host))
    socket.getaddrinfo = guarded(socket.getaddrinfo, lambda arguments: arguments[0])


def report() -> None:
    """Prints CPU seconds, the most bytes of memory that were ever held, and `attempts`."""
    import builtins
    import re
    import time
    from pathlib import Path

    import psutil

    status = Path("/proc/self/status")  # Linux only; elsewhere what is held now must do
    if status.exists():
        peak = 1024 * int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1])
    else:
        peak = psutil.Process().memory_info().rss
    print(time.process_time(), peak, *builtins.attempts)


def as_code(function: Callable[[], None]) -> str:
    return f"{inspect.getsource(function)}\n{function.__name__}()"


def run_in(kernel: RunningKernel, source: str) -> list[NotebookNode]:
    """Run code in the kernel of a lesson; its outputs. An error in it fails the test."""
    asked = kernel.execute_cell_input(source, allow_stdin=False)
    kernel.await_reply(asked, timeout=MOST_SECONDS)
    outputs = []
    while True:
        message = kernel.get_message("iopub", timeout=60)
        if message["parent_header"].get("msg_id") != asked:
            continue
        if message["content"].get("execution_state") == "idle":
            break
        if message["msg_type"] in ("stream", "display_data", "execute_result", "error"):
            outputs.append(nbformat.v4.output_from_msg(message))
    for output in outputs:
        if output.output_type == "error":
            pytest.fail(f"{source}\n{output.ename}: {output.evalue}", pytrace=False)
    return coalesce_streams(outputs)


# The plugin


def check_solution(kernel: RunningKernel, cell: NotebookNode) -> None:
    said = printed(run_in(kernel, solved(cell)))
    assert re.search(r"^Right: ", said, re.MULTILINE), f"{solved(cell)}\nreplies\n{said}"


def limits(book: IPyNbFile) -> None:
    """Not far too slow, not far too big, and no network."""
    seconds, memory, *attempts = printed(run_in(book.kernel, as_code(report))).split()
    print(f"{float(seconds):.0f} s of CPU, at most {int(memory) / 1e6:.0f} MB")
    most = MOST_SECONDS_09 if book.path.name.startswith("09") else MOST_SECONDS
    assert float(seconds) < most
    assert int(memory) < MOST_MEMORY
    assert attempts == []


def exercises_again(book: IPyNbFile) -> None:
    """At the end of a lesson, where names may have got other values."""
    for cell in filter(is_exercise, book.nb.cells):
        assert printed(run_in(book.kernel, cell.source)) == "Not yet tried.\n"
        check_solution(book.kernel, cell)


class KernelCheck(pytest.Item):
    """A check in the kernel of a lesson, after its last cell."""

    def __init__(self, *, check: Callable[[IPyNbFile], None], **options) -> None:
        super().__init__(**options)
        self.check = check

    def runtest(self) -> None:
        self.check(self.parent)

    def reportinfo(self):
        return self.path, None, f"{self.parent.name}::{self.name}"


class LessonChecks:
    """Hooks on the cells of the lessons while nbval runs them: those with a number, and others that
    have exercises.
    """

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [one for item in items for one in with_checks(item)]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item):
        if not (isinstance(item, IPyNbCell) and is_lesson(item.parent)):
            return (yield)
        kernel, item.output_timeout = item.parent.kernel, 60
        if item.cell_num == 0:
            run_in(kernel, as_code(watch))
        if is_exercise(item.cell):
            check_solution(kernel, item.cell)
        result = yield
        found = difference(item.cell.outputs, item.test_outputs)
        if found:
            pytest.fail(f"{item.cell.id} is stale: {found}", pytrace=False)
        return result


def is_lesson(book: IPyNbFile) -> bool:
    return book.path.name[0].isdigit() or book.path.stem in catalogue.UNNUMBERED


def with_checks(item: pytest.Item) -> Iterator[pytest.Item]:
    """The item itself, and after the last cell of a lesson the checks at its end."""
    yield item
    if isinstance(item, IPyNbCell):
        item.add_marker("slow")
        cells = sum(cell.cell_type == "code" for cell in item.parent.nb.cells)
        if is_lesson(item.parent) and item.cell_num == cells - 1:
            for check in (limits, exercises_again):
                last = KernelCheck.from_parent(item.parent, name=check.__name__, check=check)
                last.add_marker("slow")
                yield last
