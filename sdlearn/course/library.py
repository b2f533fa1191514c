"""The lessons: where they lie, which there are, and copying them to a folder of the learner's own.

In a checkout the lessons stand beside the package; a wheel carries them inside it. Copies of
notebooks come without outputs, so that what a cell shows is seen after its prediction, and without
what is for tests: nbval's tags, and cells that claim what was measured, for a claim need not hold
once a learner has changed something. A copy is never written over something that a learner changed:
what was copied is remembered by its SHA-256 in `.sdlearn-copied.json`, so an old copy that nobody
touched is refreshed and any other file is kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..util.files import sha256, write_atomically
from .results import RESULTS

__all__ = [
    "Copied",
    "Lesson",
    "copy_lessons",
    "in_checkout",
    "is_claim",
    "lessons",
    "lessons_folder",
]

PACKAGE = Path(__file__).parents[1]
MANIFEST = ".sdlearn-copied.json"
CLAIMS = "claims"  # the tag of cells that only assert
FOR_NBVAL = "nbval-"  # how tags begin that say which outputs tests compare


@dataclass(frozen=True)
class Lesson:
    """A notebook of the course and the first heading in it."""

    path: Path
    title: str


@dataclass
class Copied:
    """What `copy_lessons` did, as paths relative to the folder."""

    new: list[str] = field(default_factory=list)
    refreshed: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)  # changed by the learner, not touched


def in_checkout() -> bool:
    """Whether sdlearn runs from its repository rather than from an installed wheel."""
    return not (PACKAGE / "_lessons").is_dir()


def lessons_folder() -> Path:
    """Where the lessons that belong to this installation lie.

    Raises `FileNotFoundError` when they are missing.
    """
    folder = PACKAGE.parent / "lessons" if in_checkout() else PACKAGE / "_lessons"
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder} with the lessons; install sdlearn again")
    return folder


def lessons() -> list[Lesson]:
    """The numbered notebooks of this installation in their order."""
    return [Lesson(path, _title(path)) for path in sorted(lessons_folder().glob("[0-9]*.ipynb"))]


def _title(notebook: Path) -> str:
    """The first heading of a notebook; its file name where there is none."""
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "markdown":
            for line in "".join(cell["source"]).splitlines():
                if line.startswith("# "):
                    return line.removeprefix("# ").strip()
    return notebook.stem


def copy_lessons(target: Path) -> Copied:
    """Bring the lessons in `target` up to date without touching a learner's work.

    A file that is missing is copied, an older copy that was not changed is replaced, and a file
    that was changed is kept. Raises `OSError` when `target` cannot be written to.
    """
    source = lessons_folder()
    copied = Copied()
    if target.resolve() == source.resolve():
        return copied
    target.mkdir(parents=True, exist_ok=True)
    known = _read_manifest(target)
    for name in _files(source):
        content = _content(source / name)
        original = hashlib.sha256(content).hexdigest()
        kind = _compare(target / name, original, known.get(name))
        if kind in ("new", "refreshed"):
            _write(target / name, content)
        if kind != "kept":
            known[name] = original
        getattr(copied, kind).append(name)
    _write(target / MANIFEST, json.dumps(known, indent=1, sort_keys=True).encode())
    return copied


def _compare(path: Path, original: str, known: str | None) -> str:
    """The list of `Copied` that a file belongs to; `original` and `known` are the SHA-256 of what
    is to be copied and of the last copy.
    """
    if not path.exists():
        return "new"
    here = sha256(path)
    if here == original:
        return "same"
    return "refreshed" if here == known else "kept"


def is_claim(cell: Mapping[str, Any]) -> bool:
    """Whether a cell of a lesson asserts what others have shown, for tests and not for learners."""
    return CLAIMS in cell["metadata"].get("tags", ())


def _content(path: Path) -> bytes:
    """What is copied of a file: all of it, but of a notebook no outputs and nothing for tests."""
    if path.suffix != ".ipynb":
        return path.read_bytes()
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["cells"] = [cell for cell in notebook["cells"] if not is_claim(cell)]
    for cell in notebook["cells"]:
        if tags := cell["metadata"].pop("tags", None):
            kept = [tag for tag in tags if not tag.startswith(FOR_NBVAL)]
            cell["metadata"] |= {"tags": kept} if kept else {}
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    return (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode()


def _files(source: Path) -> Iterator[str]:
    """Every file below `source` that belongs to the course, as a relative path with slashes."""
    others = (".", "__pycache__", RESULTS)
    for path in sorted(source.rglob("*")):
        parts = path.relative_to(source).parts
        if path.is_file() and not any(part.startswith(others) for part in parts):
            yield "/".join(parts)


def _read_manifest(target: Path) -> dict[str, str]:
    """What was copied before; nothing when the list is missing or damaged, so all is kept."""
    try:
        known = json.loads((target / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _write(path: Path, content: bytes) -> None:
    """Write a whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as partial:
        partial.write_bytes(content)
