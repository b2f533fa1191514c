"""What stands in a lesson, for those who teach it: read in the notebook, by the ids of its cells.

A cell "title" holds promises and time, "turn-N-text" a task above the cell that checks it, and
"close" prints what was measured. Predictions begin with "**Predict.**", sections with "## ".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from .. import catalogue
from ..exercises import Exercise

__all__ = [
    "Cell",
    "Outline",
    "Task",
    "exercise_in",
    "outline_of",
    "printed",
    "read_cells",
    "without_links",
]

Cell: TypeAlias = Mapping[str, Any]

TASK = re.compile(r"### Your turn (\d+) · (★+) · (\d+) minutes?\s+(.*)", re.DOTALL)
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


@dataclass(frozen=True)
class Outline:
    """A lesson as a teacher plans it; texts are Markdown."""

    path: Path
    title: str
    promises: tuple[str, ...]
    time: str  # what the lesson says about time and what it builds on
    sections: tuple[str, ...]  # their headings
    predictions: tuple[str, ...]
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
    """The cells of a notebook, each with its source as one text.

    Raises `ValueError` for a file that is no notebook.
    """
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return [{**cell, "source": "".join(cell["source"])} for cell in cells]
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
        predictions=tuple(_after("**Predict.**", text) for text in texts if "**Predict.**" in text),
        tasks=tuple(_tasks(cells)),
        measured="".join(printed(cell) for cell in cells if cell.get("id") == "close"),
    )


def _promises(title: str) -> Iterator[str]:
    """The numbered lines of the first cell, each with the lines that go on from it."""
    for item in re.split(r"\n(?=\d+\. )", title)[1:]:
        yield _one_line(re.sub(r"^\d+\. ", "", item).split("\n\n")[0]).rstrip(",.")


def _tasks(cells: list[Cell]) -> Iterator[Task]:
    for text, cell in zip(cells, cells[1:], strict=False):
        if (name := exercise_in(cell)) and (found := TASK.match(text["source"])):
            number, stars, minutes, task = found.groups()
            yield Task(int(number), stars, int(minutes), task.strip(), catalogue.find(name))


def _after(mark: str, text: str) -> str:
    return text.partition(mark)[2].strip()


def _one_line(text: str) -> str:
    return " ".join(text.split())
