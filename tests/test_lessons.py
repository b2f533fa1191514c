"""Every lesson keeps the promises made about lessons, and what is stored in it is not stale.

nbval runs the lessons as well and compares the cells marked `# NBVAL_CHECK_OUTPUT`. Here is what
it does not do: limits of time and memory, no network, pictures, alternative text, exercises. A
lesson runs in one kernel for all of this: as it is, once more with its exercises solved, and then
its exercises alone.
"""

import ast
import base64
import importlib
import inspect
import io
import json
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

from sdlearn import course
from sdlearn.course import catalogue

TESTS = Path(__file__).parent
LESSONS = sorted((TESTS.parent / "lessons").glob("[0-9]*.ipynb"))
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
    shown = {mime for c in cells for o in c.outputs for mime in o.get("data", {})}
    assert shown <= {"image/png", "text/plain"}  # no reference to a widget that is gone


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
    """The time, the most memory that the kernel ever held, in bytes, and `attempts`."""
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
    print(time.time(), peak, *builtins.attempts)


def as_code(function) -> str:
    return f"{inspect.getsource(function)}\n{function.__name__}()"


@dataclass
class Run:
    """A lesson after it ran in a kernel of its own, three times over: lists of code cells."""

    first: list[NotebookNode]
    solved: list[NotebookNode]  # all cells once more, the exercises with their solutions
    alone: list[NotebookNode]  # each exercise at the very end, untouched and solved
    replies: dict[str, list[list[str]]]  # by exercise: what `probe` found
    seconds: float  # of the first run
    memory: int  # bytes, in the first run
    attempts: list[str]  # hosts that it tried to reach in the first run


def run(lesson: str, notebook: NotebookNode, folder: Path) -> Run:
    """Run a notebook in an empty `folder`, on as many threads as a small laptop has."""
    first = [copy_of(cell) for cell in code_cells(notebook)]
    answered = [solved(cell) if is_exercise(cell) else copy_of(cell) for cell in first]
    alone = [make(c) for c in filter(is_exercise, first) for make in (copy_of, solved)]
    before, after, probes = map(copy_of, (as_code(watch), as_code(report), probing(lesson)))
    together = nbformat.v4.new_notebook(metadata=notebook.metadata)
    together.cells = [before, *first, after, *answered, *alone, probes]
    began = time.time()
    where = {"metadata": {"path": str(folder)}}
    # A busy machine splits what one cell prints into several messages: they are one again here.
    options = {"timeout": 300, "allow_errors": True, "coalesce_streams": True}
    NotebookClient(together, resources=where, **options).execute()
    assert errors([before, after, probes]) == []
    ended, memory, *attempts = said(after).split()
    replies = json.loads(said(probes).splitlines()[-1])
    return Run(first, answered, alone, replies, float(ended) - began, int(memory), attempts)


def copy_of(cell: NotebookNode | str) -> NotebookNode:
    """A code cell that did not run."""
    return nbformat.v4.new_code_cell(cell if isinstance(cell, str) else cell.source)


def probing(lesson: str) -> str:
    """Code for the end: `probe` on each exercise that needs names which only the kernel has."""
    return f"""import json, sys
sys.path.insert(0, {str(TESTS)!r})
from probe import probe
from sdlearn.course import catalogue
exercises = catalogue.exercises({lesson!r}).values()
print(json.dumps({{e.name: [*probe(e, globals())] for e in exercises if e.needs}}))"""


def errors(cells: list[NotebookNode]) -> list[str]:
    """What went wrong, with the cell it went wrong in."""
    outputs = [(cell, o) for cell in cells for o in cell.outputs if o.output_type == "error"]
    return [f"{cell.source}\n{output.ename}: {output.evalue}" for cell, output in outputs]


def said(cell: NotebookNode) -> str:
    return "".join(o.text for o in cell.outputs if o.get("name") == "stdout")


@pytest.fixture(scope="module", params=LESSONS, ids=lambda path: path.stem)
def done(request, tmp_path_factory) -> tuple[NotebookNode, Run]:
    """A lesson as it is stored, and as it is after running it now."""
    stored = read(request.param)
    return stored, run(lesson_of(request.param), stored, tmp_path_factory.mktemp("lesson"))


@pytest.mark.slow
def test_a_lesson_runs_without_errors(done: tuple[NotebookNode, Run]):
    assert errors(done[1].first) == []


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
    for old, new in zip(code_cells(stored), fresh.first, strict=True):
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


# Exercises: a cell "turn-N" below a text "turn-N-text", and the self-check at the end


def lesson_of(path: Path) -> str:
    """The catalogue's name of a lesson: 00_start_here.ipynb → start."""
    return catalogue.LESSONS[int(path.name[:2])]


def is_exercise(cell: NotebookNode) -> bool:
    return "course.exercise(" in cell.source


def exercise_of(cell: NotebookNode) -> course.Exercise:
    [name] = re.findall(r'^check = course\.exercise\("([\w.]+)"\)$', cell.source, re.MULTILINE)
    return catalogue.find(name)


def solved(cell: NotebookNode) -> NotebookNode:
    """An exercise with the lines that define `answer` replaced by the solution's."""
    lines = cell.source.splitlines()
    [given] = [node for node in ast.parse(cell.source).body if defines_answer(node)]
    lines[given.lineno - 1 : given.end_lineno] = exercise_of(cell).solution.splitlines()
    return copy_of("\n".join(lines))


def defines_answer(node: ast.stmt) -> bool:
    if isinstance(node, ast.Assign):
        return [ast.unparse(target) for target in node.targets] == ["answer"]
    return isinstance(node, ast.FunctionDef) and node.name == "answer"


def test_every_lesson_of_the_catalogue_is_there():
    assert [*map(lesson_of, LESSONS)] == [*catalogue.LESSONS]


def test_a_lesson_holds_the_exercises_of_its_catalogue(path: Path, lesson: NotebookNode):
    cells = [cell for cell in code_cells(lesson) if is_exercise(cell)]
    names = [exercise_of(cell).name for cell in cells]
    assert names == [*catalogue.exercises(lesson_of(path))]
    assert [cell.id for cell in cells] == [f"turn-{n}" for n in range(1, len(cells) + 1)]
    assert len(cells) >= 3


def test_exercises_are_stored_untouched_and_say_how_hard_they_are(lesson: NotebookNode):
    stars = []
    for text, cell in zip(lesson.cells, lesson.cells[1:], strict=False):
        if is_exercise(cell):
            number = cell.id.removeprefix("turn-")
            heading = rf"### Your turn {number} · (★+) · \d+ minutes?\n"
            assert text.id == f"{cell.id}-text"
            assert (found := re.match(heading, text.source)), cell.id
            stars.append(len(found[1]))
            assert cell.source.startswith("# NBVAL_CHECK_OUTPUT\n")
            assert said(cell) == "Not yet tried.\n"
    assert stars == sorted(stars)
    assert len(set(stars)) > 1


def test_lines_that_are_switched_off_can_be_switched_on(lesson: NotebookNode):
    for cell in filter(is_exercise, code_cells(lesson)):
        switched_on = re.sub(r"^# (check|viz)\.", r"\1.", cell.source, flags=re.MULTILINE)
        assert {"check.hint()", "check.solution()"} <= calls(ast.parse(switched_on)), cell.id


def calls(tree: ast.Module) -> set[str]:
    return {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call)}


def test_a_lesson_ends_with_its_self_check_as_a_text(path: Path, lesson: NotebookNode):
    name = lesson_of(path)
    [cell] = [c for c in code_cells(lesson) if "course.self_check(" in c.source]
    assert cell.source.splitlines()[-1] == f'course.self_check("{name}")'
    [output] = cell.outputs
    assert dict(output.data) == {"text/plain": repr(course.self_check(name))}


@pytest.mark.slow
def test_a_lesson_runs_again_with_its_exercises_solved(done: tuple[NotebookNode, Run]):
    assert errors(done[1].solved) == []
    for cell in filter(is_exercise, done[1].solved):
        assert re.search(r"^Right: ", said(cell), re.MULTILINE), said(cell)


@pytest.mark.slow
def test_every_exercise_runs_again_alone(done: tuple[NotebookNode, Run]):
    assert errors(done[1].alone) == []
    for untouched, right in zip(done[1].alone[::2], done[1].alone[1::2], strict=True):
        assert said(untouched) == "Not yet tried.\n"
        assert re.search(r"^Right: ", said(right), re.MULTILINE), said(right)


@pytest.mark.slow
def test_replies_where_something_of_the_lesson_is_needed(done: tuple[NotebookNode, Run]):
    for name, replies in done[1].replies.items():
        for answer, expected, line in replies:
            assert expected in line, f"{name}, {answer}"
            assert re.fullmatch(r"[^\n]*[.?]", line), f"{name}, {answer}"


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
    _, memory, *attempts = done.stdout.split()
    assert attempts == ["example.org", "192.0.2.1", "192.0.2.2"]
    assert 1_000_000 < int(memory) < MOST_MEMORY
