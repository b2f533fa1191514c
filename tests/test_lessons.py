"""Every lesson keeps the promises made about lessons, as far as this shows without running it.

What shows when a lesson runs is looked at in the kernel in which nbval runs it: `lesson_checks`.
"""

import ast
import base64
import importlib
import inspect
import io
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from lesson_checks import (
    MOST_MEMORY,
    as_code,
    difference,
    exercise_of,
    is_exercise,
    lesson_of,
    minutes,
    names,
    printed,
    report,
    watch,
)
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from sdlearn import course
from sdlearn.course import catalogue
from sdlearn.course.kit.outline import with_extras
from sdlearn.course.library import is_claim

FOLDER = Path(__file__).parents[1] / "lessons"
LESSONS = sorted(FOLDER.glob("[0-9]*.ipynb"))
UNNUMBERED = [FOLDER / f"{name}.ipynb" for name in catalogue.UNNUMBERED]
MOST_BYTES = 1_500_000
MOST_MINUTES = {"start": 25, "tensors": 12}  # of the core of a lesson; of all others 45
RUNNING = {"train": 2, "tensors": 0}  # minutes that the cells of a lesson run; of all others 1


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def images(cell: NotebookNode) -> list[NotebookNode]:
    """The outputs of a cell that hold an image of any kind."""
    return [o for o in cell.outputs if any(k.startswith("image/") for k in o.get("data", {}))]


@pytest.fixture(params=[*LESSONS, *UNNUMBERED], ids=lambda path: path.stem)
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


def test_cells_have_names_of_their_own(lesson: NotebookNode):
    nameless = [c.id for c in lesson.cells if not re.fullmatch(r"[a-z][a-z0-9-]+", c.id)]
    assert nameless == []


def test_a_lesson_was_run_once_from_top_to_bottom_without_errors(lesson: NotebookNode):
    cells = code_cells(lesson)
    assert [c.execution_count for c in cells] == list(range(1, len(cells) + 1))
    kinds = {(o.output_type, o.get("name")) for c in cells for o in c.outputs}
    assert kinds <= {("stream", "stdout"), ("display_data", None), ("execute_result", None)}
    shown = {mime for c in cells for o in c.outputs for mime in o.get("data", {})}
    assert shown <= {"image/png", "text/plain"}  # no reference to a widget that is gone


def test_an_image_comes_within_the_first_two_code_cells(lesson: NotebookNode):
    assert any(images(cell) for cell in code_cells(lesson)[:2])


def test_every_image_has_alternative_text(lesson: NotebookNode):
    for cell in code_cells(lesson):
        for output in images(cell):
            assert set(output.data) == {"image/png", "text/plain"}, cell.id
            assert len(output.metadata["image/png"]["alt"]) >= 10, cell.id
    prose = "\n".join(c.source for c in lesson.cells if c.cell_type == "markdown")
    assert re.findall(r"!\[\s*\]|<img(?![^>]*\balt=)", prose) == []


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


# Exercises: a cell "turn-N" below a text "turn-N-text", and the self-check at the end


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
            heading = rf"### Your turn {number} · (★+) · \d+ minutes?(?: \(extra\))?\n"
            assert text.id == f"{cell.id}-text"
            assert (found := re.match(heading, text.source)), cell.id
            stars.append(len(found[1]))
            assert cell.metadata.get("tags") == ["nbval-check-output"]
            assert printed(cell.outputs) == "Not yet tried.\n"
    assert stars == sorted(stars)
    assert len(set(stars)) > 1


def test_lines_that_are_switched_off_can_be_switched_on(lesson: NotebookNode):
    for cell in filter(is_exercise, code_cells(lesson)):
        switched_on = re.sub(r"^# (check|viz)\.", r"\1.", cell.source, flags=re.MULTILINE)
        assert {"check.hint()", "check.solution()"} <= calls(ast.parse(switched_on)), cell.id


def test_a_lesson_goes_on_the_same_whether_its_exercises_are_solved_or_not(lesson: NotebookNode):
    for cell in code_cells(lesson):
        names = {node.id for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Name)}
        assert is_exercise(cell) or not names & {"answer", "check"}, cell.id


def calls(tree: ast.Module) -> set[str]:
    return {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call)}


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_ends_with_its_self_check_as_a_text(path: Path, lesson: NotebookNode):
    name = lesson_of(path)
    [cell] = [c for c in code_cells(lesson) if "course.self_check(" in c.source]
    assert cell.source.splitlines()[-1] == f'course.self_check("{name}")'
    [output] = cell.outputs
    assert dict(output.data) == {"text/plain": repr(course.self_check(name))}


# Claims: what tests assert stands in cells of their own, which copies for learners do not have


def test_asserts_stand_in_claims_and_nowhere_else(lesson: NotebookNode):
    for cell in code_cells(lesson):
        nodes = ast.walk(ast.parse(cell.source))
        assert is_claim(cell) == any(isinstance(node, ast.Assert) for node in nodes), cell.id


def test_claims_are_hidden_and_show_nothing(lesson: NotebookNode):
    for cell in filter(is_claim, lesson.cells):
        assert re.fullmatch(r"claims(-[a-z0-9]+)+", cell.id)
        assert cell.metadata == {"jupyter": {"source_hidden": True}, "tags": ["claims"]}
        assert cell.outputs == []


def test_no_cell_needs_a_name_that_claims_give(lesson: NotebookNode):
    given = {cell.id: names(cell) for cell in code_cells(lesson)}
    for cell in filter(is_claim, lesson.cells):
        others = (gives | takes for name, (gives, takes) in given.items() if name != cell.id)
        assert not given[cell.id][0] & set().union(*others), cell.id


def test_claims_hold_after_later_cells_as_well(lesson: NotebookNode):
    """No later cell gives another value to a name in them. (An exercise gives `answer` alone.)"""
    given = {cell.id: names(cell) for cell in code_cells(lesson)}
    last = {name: place for place, (gives, _) in given.items() for name in gives}
    now: dict[str, str] = {}
    for cell in code_cells(lesson):
        gives, takes = given[cell.id]
        now |= dict.fromkeys(gives, cell.id)
        if is_claim(cell):
            assert {name: now[name] for name in takes} == {name: last[name] for name in takes}


def test_tags_say_what_tests_do_and_nothing_else(lesson: NotebookNode):
    tags = {tag for cell in lesson.cells for tag in cell.metadata.get("tags", [])}
    assert tags == {"claims", "nbval-check-output"}
    assert not [cell.id for cell in lesson.cells if "NBVAL" in cell.source]


# Extras: sections that may wait; without them a lesson fits into its time


def test_extras_are_folded_and_headings_begin_their_cells(lesson: NotebookNode):
    for cell in lesson.cells:
        if cell.cell_type == "markdown":
            heading, _, text = cell.source.partition("\n")
            is_extra = heading.startswith("#") and heading.endswith("(extra)")
            assert cell.metadata == ({"jp-MarkdownHeadingCollapsed": True} if is_extra else {})
            assert not re.search(r"^#+ ", text, re.MULTILINE), cell.id


def test_the_core_fits_into_its_time_and_the_lesson_says_so(path: Path, lesson: NotebookNode):
    name = lesson_of(path)
    to_read, to_do = minutes(lesson, RUNNING.get(name, 1))
    assert to_read + to_do <= MOST_MINUTES.get(name, 45)
    said = re.search(r"\*\*Time:\*\* (\d+) minutes to read and (\d+) to do", lesson.cells[0].source)
    assert said, "the first cell does not say how long the lesson takes"
    for found, counted in zip(said.groups(), (to_read, to_do), strict=True):
        assert int(found) % 5 == 0
        assert abs(int(found) - counted) < 5


def test_no_cell_needs_an_extra_that_was_left_out(lesson: NotebookNode):
    """Not in the core, nor in another extra; and not only its value before an extra changed it."""
    giver: dict[str, str] = {}  # of a name: the extra that gave it last, "" for the core
    for cell, extra in with_extras(lesson.cells):
        if cell.cell_type == "code":
            gives, takes = names(cell)
            assert {giver[name] for name in takes} <= {"", extra}, cell.id
            giver |= dict.fromkeys(gives, extra)


# The tools above


def test_an_extra_ends_at_the_next_heading_of_its_level_or_above():
    headings = ["## 1 (extra)", "### 2", "### 3 (extra)", "## 4", "### 5 (extra)", "### 6"]
    cells = [cell for text in headings for cell in (new_markdown_cell(text), new_code_cell())]
    inside = [
        extra.strip("# ")[:1] for cell, extra in with_extras(cells) if cell.cell_type == "code"
    ]
    assert inside == ["1", "1", "1", "", "5", ""]


def test_minutes_count_words_tasks_and_cells_of_the_core():
    turn = "### Your turn 1 · ★ · 4 minutes\n\n" + "word " * 291
    claims = new_code_cell("assert True", metadata={"tags": ["claims"]})
    extra = [new_markdown_cell("### More (extra)"), new_markdown_cell("x " * 900), new_code_cell()]
    cells = [new_markdown_cell(turn), new_code_cell("1"), claims, *extra]
    assert minutes(new_notebook(cells=cells), running=1) == (2, 1 + 4 + 0.5)


def test_names_that_a_cell_gives_and_takes_are_found():
    source = """import torch
total = sum(one for one in many)
def shown(picture): return draw(picture, torch, text=[f"{size}" for size in sizes])"""
    given = {"torch", "total", "shown"}
    assert names(new_code_cell(source)) == (given, {"many", "draw", "sizes"})


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
    seconds, memory, *attempts = done.stdout.split()
    assert attempts == ["example.org", "192.0.2.1", "192.0.2.2"]
    assert 0 < float(seconds) < 60
    assert 1_000_000 < int(memory) < MOST_MEMORY


def text(said: str) -> list[NotebookNode]:
    return [new_output("stream", name="stdout", text=said)]


def shown(level: int, *, side: int = 8) -> list[NotebookNode]:
    """The output of an image that is `level` all over."""
    file = io.BytesIO()
    Image.new("L", (side, side), level).save(file, "PNG")
    data = {"image/png": base64.b64encode(file.getvalue()).decode(), "text/plain": "grey"}
    return [new_output("display_data", data=data)]


@pytest.mark.parametrize(
    ("stored", "fresh", "told"),
    [
        (text("98 of 100 are right"), text("97 of  100 are right"), ""),
        (text("1,000 steps in 3.1e-07"), text("1,000 steps in 8.4e-08"), ""),
        (text("0.31 after 25 ms"), text("0.29 after 40 ms"), ""),
        (text("0.31 after 25 ms"), text("0.12 after 25 ms"), r"changed \(0.31 → 0.12\)"),
        (text("98 of 100 are right"), text("50 of 100 are right"), r"changed \(98 → 50\)"),
        (
            text("98 of 100 are right"),
            text("98 of 100 are wrong"),
            "stored was:\n98 of 100 are right",
        ),
        (text("98"), [], r"stored were \['stream'\], now there are \[\]"),
        (shown(100), shown(104), ""),
        (shown(100), shown(140), "the image differs by 40.0 levels"),
        (shown(100), shown(100, side=9), r"of shape \(8, 8, 3\), now it is \(9, 9, 3\)"),
    ],
)
def test_outputs_are_compared_by_what_they_say(stored, fresh, told: str):
    assert re.search(told, found := difference(stored, fresh))
    assert bool(told) == bool(found)
