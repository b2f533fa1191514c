"""What stands in a lesson, for those who teach it: read in the notebook, by the ids of its cells.

A cell "title" holds promises and time, "turn-N-text" a task above the cell that checks it, and
"close" prints what was measured. Predictions begin with "**Predict.**", sections with "## ". An
extra, which may wait for another day, has a heading that ends in "(extra)". What only tests need is
not read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from .. import catalogue
from ..exercises import Exercise
from ..library import is_claim

__all__ = [
    "Cell",
    "Outline",
    "Task",
    "exercise_in",
    "outline_of",
    "printed",
    "read_cells",
    "with_extras",
    "without_links",
]

Cell: TypeAlias = Mapping[str, Any]
CellT = TypeVar("CellT", bound=Cell)

TASK = re.compile(r"### Your turn (\d+) · (★+) · (\d+) minutes?(?: \(extra\))?\s+(.*)", re.DOTALL)
HEADING = re.compile(r"(#+) .*")
LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")
CHECK = re.compile(r'^check = course\.exercise\("([\w.]+)"\)$', re.MULTILINE)


@dataclass(frozen=True)
class Task:
    """A "your turn" of a lesson."""

    number: int
    stars: str  # "★" to "★★★"
    minutes: int
    text: str  # Markdown, without the heading
    exercise: Exercise
    extra: bool  # whether it may wait


@dataclass(frozen=True)
class Outline:
    """A lesson as a teacher plans it; texts are Markdown."""

    path: Path
    title: str
    promises: tuple[str, ...]
    time: str  # what the lesson says about time and what it builds on
    sections: tuple[str, ...]  # their headings
    predictions: tuple[str, ...]  # of the core
    tasks: tuple[Task, ...]
    measured: str  # what its last cell printed; empty where the lesson was never run

    @property
    def name(self) -> str:
        """The name of its file, such as "05_generation_pipeline"."""
        return self.path.stem

    @property
    def key(self) -> str:
        """Its name in the catalogue, such as "pipeline"; empty for a notebook without tasks."""
        return self.tasks[0].exercise.name.partition(".")[0] if self.tasks else ""


def read_cells(path: Path) -> list[Cell]:
    """The cells of a notebook, each with its source as one text, without what is for tests.

    Raises `ValueError` for a file that is no notebook.
    """
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return [{**cell, "source": "".join(cell["source"])} for cell in cells if not is_claim(cell)]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no notebook: {error}") from None


def exercise_in(cell: Cell) -> str | None:
    """The name of the exercise that a cell checks, such as "noise.even"."""
    found = CHECK.search(cell["source"]) if cell["cell_type"] == "code" else None
    return found[1] if found else None


def printed(cell: Cell) -> str:
    """What a cell printed when it was run."""
    outputs = cell.get("outputs", [])
    return "".join("".join(o["text"]) for o in outputs if o.get("name") == "stdout")


def with_extras(cells: Iterable[CellT]) -> Iterator[tuple[CellT, str]]:
    """Each cell, and the heading of the extra that it stands in; in the core that is empty.

    An extra ends at the next heading of its level or above, as it does where it is folded.
    """
    extra, depth = "", 0
    for cell in cells:
        found = HEADING.match(cell["source"]) if cell["cell_type"] == "markdown" else None
        if found and (not extra or len(found[1]) <= depth):
            extra = found[0] if found[0].endswith("(extra)") else ""
            depth = len(found[1])
        yield cell, extra


def without_links(text: str) -> str:
    """Markdown for paper and projector: of a link, its words."""
    return LINK.sub(r"\1", text)


def outline_of(path: Path) -> Outline:
    """The outline of a lesson, without its links. Raises `ValueError` for what is no lesson."""
    cells = read_cells(path)
    cells = [{**cell, "source": without_links(cell["source"])} for cell in cells]
    texts = [cell["source"] for cell in cells if cell["cell_type"] == "markdown"]
    if not texts or not texts[0].startswith("# "):
        raise ValueError(f"{path} is no lesson: its first cell has no title")
    return Outline(
        path=path,
        title=texts[0].splitlines()[0].removeprefix("# "),
        promises=tuple(_promises(texts[0])),
        time=_one_line(_after("**Time:**", texts[0]).split("\n\n")[0].split("Words in blue")[0]),
        sections=tuple(text[3:].splitlines()[0] for text in texts if text.startswith("## ")),
        predictions=tuple(_predictions(cells)),
        tasks=tuple(_tasks(cells)),
        measured="".join(printed(cell) for cell in cells if cell.get("id") == "close"),
    )


def _promises(title: str) -> Iterator[str]:
    """The numbered lines of the first cell, each with the lines that go on from it."""
    for item in re.split(r"\n(?=\d+\. )", title)[1:]:
        yield _one_line(re.sub(r"^\d+\. ", "", item).split("\n\n")[0]).rstrip(",.")


def _predictions(cells: list[Cell]) -> Iterator[str]:
    for cell, extra in with_extras(cells):
        if not extra and cell["cell_type"] == "markdown" and "**Predict.**" in cell["source"]:
            yield _after("**Predict.**", cell["source"])


def _tasks(cells: list[Cell]) -> Iterator[Task]:
    for (text, extra), cell in zip(with_extras(cells), cells[1:], strict=False):
        if (name := exercise_in(cell)) and (found := TASK.match(text["source"])):
            number, stars, minutes, task = found.groups()
            exercise = catalogue.find(name)
            yield Task(int(number), stars, int(minutes), task.strip(), exercise, bool(extra))


def _after(mark: str, text: str) -> str:
    return text.partition(mark)[2].strip()


def _one_line(text: str) -> str:
    return " ".join(text.split())
