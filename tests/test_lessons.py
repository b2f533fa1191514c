"""Every lesson keeps the promises made about lessons, and what is stored in it is not stale.

nbval runs the lessons as well and compares the cells marked `# NBVAL_CHECK_OUTPUT`. Here is what
it does not do: limits of time and memory, no network, pictures, alternative text, exercises.
"""

import ast
import base64
import importlib
import inspect
import io
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

LESSONS = sorted((Path(__file__).parents[1] / "lessons").glob("*.ipynb"))
MOST_LINES, MOST_SECONDS = 15, 60
MOST_BYTES, MOST_MEMORY = 1_500_000, 1_500_000_000
PICTURE_TOLERANCE = 4  # mean difference in levels of 255; another prompt or model gives far more


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def pictures(cell: NotebookNode) -> list[NotebookNode]:
    """The outputs of a cell that hold a picture of any kind."""
    return [o for o in cell.outputs if any(k.startswith("image/") for k in o.get("data", {}))]


@pytest.fixture(params=LESSONS, ids=lambda path: path.stem)
def path(request) -> Path:
    return request.param


@pytest.fixture
def lesson(path: Path) -> NotebookNode:
    return read(path)


def test_there_are_lessons():
    assert [path.name for path in LESSONS][:1] == ["00_start_here.ipynb"]


# What can be seen without running anything


def test_a_lesson_is_valid_and_small(path: Path, lesson: NotebookNode):
    nbformat.validate(lesson)
    assert path.stat().st_size <= MOST_BYTES
    assert "widgets" not in lesson.metadata
    assert lesson.metadata.kernelspec.name == "python3"


def test_cells_are_short_and_have_names_of_their_own(lesson: NotebookNode):
    too_long = [c.id for c in code_cells(lesson) if len(c.source.splitlines()) > MOST_LINES]
    assert too_long == []
    nameless = [c.id for c in lesson.cells if not re.fullmatch(r"[a-z][a-z0-9-]+", c.id)]
    assert nameless == []


def test_a_lesson_was_run_once_from_top_to_bottom_without_errors(lesson: NotebookNode):
    cells = code_cells(lesson)
    assert [c.execution_count for c in cells] == list(range(1, len(cells) + 1))
    kinds = {(o.output_type, o.get("name")) for c in cells for o in c.outputs}
    assert kinds <= {("stream", "stdout"), ("display_data", None), ("execute_result", None)}


def test_a_picture_comes_within_the_first_two_code_cells(lesson: NotebookNode):
    assert any(pictures(cell) for cell in code_cells(lesson)[:2])


def test_every_picture_has_alternative_text(lesson: NotebookNode):
    for cell in code_cells(lesson):
        for output in pictures(cell):
            assert set(output.data) == {"image/png", "text/plain"}, cell.id
            assert len(output.metadata["image/png"]["alt"]) >= 10, cell.id
    prose = "\n".join(c.source for c in lesson.cells if c.cell_type == "markdown")
    assert re.findall(r"!\[\s*\]|<img(?![^>]*\balt=)", prose) == []


def test_prose_stays_calm(lesson: NotebookNode):
    for cell in lesson.cells:
        if cell.cell_type == "markdown":
            prose = re.sub(r"```.*?```|`[^`]*`|!\[", "", cell.source, flags=re.DOTALL)
            assert "!" not in prose, cell.id


def test_only_public_names_of_sdlearn_are_used(lesson: NotebookNode):
    source = "\n".join(cell.source for cell in code_cells(lesson))
    assert list(private_names(ast.parse(source))) == []


@pytest.mark.parametrize(
    "source",
    [
        "from sdlearn.pipeline import _for_each",
        "from sdlearn.viz import sheet_of_paper",
        "from sdlearn import viz\nviz.wrap",
        "import sdlearn._hidden",
        "sd._parts",
    ],
)
def test_private_names_are_found(source: str):
    assert len(list(private_names(ast.parse(source)))) == 1


def private_names(tree: ast.Module) -> Iterator[str]:
    """Uses of names that start with `_` or that no `__all__` of sdlearn lists."""
    public: dict[str, list[str]] = {}  # names bound to modules of sdlearn → what these offer
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sdlearn":
            offered = importlib.import_module(node.module).__all__
            for name in (alias.name for alias in node.names):
                if name not in offered:
                    yield f"{node.module}.{name}"
                elif inspect.ismodule(getattr(importlib.import_module(node.module), name)):
                    public[name] = importlib.import_module(f"{node.module}.{name}").__all__
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names if "._" in a.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            private = re.fullmatch(r"_(?!_.*__$).*", node.attr)
            if private or node.attr not in public.get(owner, [node.attr]):
                yield f"{owner}.{node.attr}"


# What shows when a lesson runs


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
    """Runs last in the kernel: the most memory it ever held, in bytes, and `attempts`."""
    import builtins
    import re
    from pathlib import Path

    import psutil

    status = Path("/proc/self/status")  # Linux only; elsewhere what is held now must do
    if status.exists():
        peak = 1024 * int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1])
    else:
        peak = psutil.Process().memory_info().rss
    print(peak, *builtins.attempts)


def as_code(function) -> str:
    return f"{inspect.getsource(function)}\n{function.__name__}()"


@dataclass
class Run:
    """A lesson after it ran in a kernel of its own."""

    notebook: NotebookNode
    seconds: float
    memory: int  # bytes
    attempts: list[str]  # hosts that it tried to reach


def run(notebook: NotebookNode, folder: Path) -> Run:
    """Run a notebook in an empty `folder`, on as many threads as a small laptop has."""
    notebook = nbformat.from_dict(notebook)
    first, last = (nbformat.v4.new_code_cell(as_code(f)) for f in (watch, report))
    notebook.cells = [first, *notebook.cells, last]
    began = time.perf_counter()
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}})
    client.execute()
    seconds = time.perf_counter() - began
    memory, *attempts = last.outputs[0].text.split()
    notebook.cells = notebook.cells[1:-1]
    return Run(notebook, seconds, int(memory), attempts)


@pytest.fixture(scope="module", params=LESSONS, ids=lambda path: path.stem)
def done(request, tmp_path_factory) -> tuple[NotebookNode, Run]:
    """A lesson as it is stored, and as it is after running it now."""
    stored = read(request.param)
    return stored, run(stored, tmp_path_factory.mktemp("lesson"))


@pytest.mark.slow
def test_a_lesson_is_quick_and_light_and_stays_offline(done: tuple[NotebookNode, Run]):
    _, fresh = done
    print(f"{fresh.seconds:.1f} s, {fresh.memory / 1e6:.0f} MB")
    assert fresh.seconds < MOST_SECONDS
    assert fresh.memory < MOST_MEMORY
    assert fresh.attempts == []


@pytest.mark.slow
def test_stored_outputs_are_not_stale(done: tuple[NotebookNode, Run]):
    stored, fresh = done
    for old, new in zip(code_cells(stored), code_cells(fresh.notebook), strict=True):
        assert [*map(outline, old.outputs)] == [*map(outline, new.outputs)], old.id
        for before, after in zip(pictures(old), pictures(new), strict=True):
            assert picture_distance(before, after) < PICTURE_TOLERANCE, old.id


def outline(output: NotebookNode) -> tuple[str, ...]:
    """What an output says, apart from its numbers, which nbval compares where they must agree."""
    texts = [output.get("text", ""), output.get("data", {}).get("text/plain", "")]
    return (output.output_type, *(re.sub(r"\d[\d,.]*", "#", re.sub(" +", " ", t)) for t in texts))


def picture_distance(one: NotebookNode, other: NotebookNode) -> float:
    """Mean difference of two pictures in levels of 255."""
    files = [io.BytesIO(base64.b64decode(output.data["image/png"])) for output in (one, other)]
    arrays = [np.asarray(Image.open(file).convert("RGB"), dtype=np.float32) for file in files]
    assert arrays[0].shape == arrays[1].shape
    return float(np.abs(arrays[0] - arrays[1]).mean())


# Exercises: a cell "turn-N" is followed by a cell "turn-N-solution" with the solution in it


def solution_of(notebook: NotebookNode, id: str) -> str:
    [text] = [cell.source for cell in notebook.cells if cell.id == f"{id}-solution"]
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)[-1]


def solved(cell: NotebookNode, solution: str) -> str:
    """An exercise with its first `name = None` line replaced, as a learner does it."""
    blank = re.compile(r"^\w+ = None.*$", flags=re.MULTILINE)
    source, count = blank.subn(lambda _: solution, cell.source, count=1)
    assert count == 1, cell.id
    return source


def exercises(notebook: NotebookNode) -> list[NotebookNode]:
    return [c for c in code_cells(notebook) if re.fullmatch(r"turn-\d+", c.id)]


def said(cell: NotebookNode) -> str:
    return "".join(o.text for o in cell.outputs if o.output_type == "stream")


def test_there_are_three_untouched_exercises(lesson: NotebookNode):
    assert len(exercises(lesson)) >= 3
    assert {said(cell) for cell in exercises(lesson)} == {"not yet tried\n"}


@pytest.mark.slow
def test_a_lesson_runs_to_its_end_with_all_exercises_solved(path: Path, tmp_path: Path):
    notebook = read(path)
    for cell in exercises(notebook):
        cell.source = solved(cell, solution_of(notebook, cell.id))
    fresh = run(notebook, tmp_path)
    for cell in exercises(fresh.notebook):
        assert said(cell).startswith("right: "), cell.id


@pytest.mark.parametrize(
    ("id", "wrong", "message"),
    [
        ("turn-1", "mine = [picture]", "three seeds give three pictures; there are 1"),
        ("turn-1", "mine = [picture] * 3", "two pictures are the same"),
        ("turn-2", "answer = 384 * 256 * 3 / 64", "64 is for the area"),
        ("turn-2", "answer = 384 * 256 / 64", "that is one channel"),
        ("turn-2", "answer = 1024", "not 1,024: each side shrinks 8 times"),
        ("turn-3", "mine = [picture]", "the judge sees {'"),
    ],
)
def test_wrong_answers_to_lesson_00_are_told_what_is_wrong(id: str, wrong: str, message: str):
    from sdlearn import load, viz
    from sdlearn.judge import load_judge

    [cell] = [c for c in exercises(read(LESSONS[0])) if c.id == id]
    picture = Image.new("RGB", (128, 128), "green")
    names = {"sd": load("tiny"), "viz": viz, "judge": load_judge(), "first": [picture]}
    names |= {"picture": picture, "display": lambda figure: None}
    with pytest.raises(AssertionError, match=re.escape(message)):
        exec(solved(cell, wrong), names)


# The tools above


def test_the_network_is_refused_and_attempts_are_noted():
    code = f"""{as_code(watch)}
import socket, urllib.request
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname()).close()
for reach in (
    lambda: urllib.request.urlopen("https://example.org", timeout=5),
    lambda: socket.create_connection(("192.0.2.1", 80), timeout=5),
    lambda: socket.socket().connect(("192.0.2.2", 80)),
):
    try:
        reach()
    except OSError:
        pass
{as_code(report)}"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    memory, *attempts = done.stdout.split()
    assert attempts == ["example.org", "192.0.2.1", "192.0.2.2"]
    assert 1_000_000 < int(memory) < MOST_MEMORY
