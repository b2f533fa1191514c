"""The kit as files in a folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ...util.files import write_atomically
from ..library import lessons, lessons_folder
from .outline import Outline, outline_of, read_cells
from .pages import markdown_page, notebook_page, slides_of, slides_page
from .papers import key, plan, worksheet

__all__ = ["make"]

FOR_TEACHERS, FOR_LEARNERS = "teacher", "learners"


def make(target: Path, numbers: Sequence[str] = ()) -> Iterator[Path]:
    """Write the kit of all lessons, or of those with these `numbers`, and yield each file.

    `target`/teacher holds plans, keys and slides, `target`/learners worksheets and the pages to
    read, which have no answers. Raises `ValueError` for a number that no lesson has, and `OSError`
    where `target` cannot be written to.
    """
    known = {lesson.path.name[:2]: lesson.path for lesson in lessons()}
    if unknown := [number for number in numbers if number not in known]:
        raise ValueError(f"lesson must be one of {', '.join(known)}; got {unknown[0]!r}")
    for number in numbers or known:
        for name, page in _pages(outline_of(known[number])):
            yield _write(target / name, page)
    yield from _texts(target)


def _pages(lesson: Outline) -> Iterator[tuple[str, str]]:
    """The files of one lesson: where each belongs, and what stands in it."""
    title, cells = lesson.title, read_cells(lesson.path)
    teacher, learners = f"{FOR_TEACHERS}/{lesson.name}", f"{FOR_LEARNERS}/{lesson.name}"
    yield f"{teacher}-plan.html", markdown_page(f"{title}: a plan", plan(lesson))
    yield f"{teacher}-key.html", markdown_page(f"{title}: answers", key(lesson))
    yield f"{teacher}-slides.html", slides_page(title, slides_of(cells))
    yield f"{learners}-worksheet.html", markdown_page(f"{title}: worksheet", worksheet(lesson))
    yield f"{learners}.html", notebook_page(title, cells)


def _texts(target: Path) -> Iterator[Path]:
    """What the lessons' pages link to: the glossary, tensors, and the explorers as stills."""
    folder, learners = lessons_folder(), target / FOR_LEARNERS
    words = (folder / "glossary.md").read_text(encoding="utf-8")
    yield _write(learners / "glossary.html", markdown_page("Glossary", words))
    for name in ("tensors", "explorers"):
        page = notebook_page(name.capitalize(), read_cells(folder / f"{name}.ipynb"))
        yield _write(learners / f"{name}.html", page)


def _write(path: Path, page: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return path
