"""Which check fails most: the replies that stand in notebooks which learners have handed in.

A check prints one line below its cell, and a saved notebook keeps it. Nothing else is read, nothing
is sent anywhere, and no name is kept: only how many notebooks say what.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .outline import exercise_in, printed, read_cells

__all__ = ["Count", "format_results", "results"]

SHOWN = 2  # replies to an exercise that are quoted
CHECKPOINTS = ".ipynb_checkpoints"


@dataclass
class Count:
    """How one exercise went, in how many notebooks."""

    right: int = 0
    wrong: int = 0
    untried: int = 0
    replies: Counter[str] = field(default_factory=Counter)  # to wrong answers

    @property
    def tried(self) -> int:
        """Notebooks with an answer."""
        return self.right + self.wrong

    def add(self, said: str) -> None:
        """Count what a check printed."""
        line = " ".join(said.split())
        if line.startswith("Right: "):
            self.right += 1
        elif line.startswith("Not yet: "):
            self.wrong += 1
            self.replies[line.removeprefix("Not yet: ")] += 1
        else:
            self.untried += 1


def results(folder: Path) -> dict[str, Count]:
    """What the checks said in all notebooks below `folder`, the most often wrong first.

    Raises `FileNotFoundError` where there is no notebook, and `ValueError` for a file that ends in
    .ipynb and is none.
    """
    notebooks = [p for p in sorted(folder.rglob("*.ipynb")) if CHECKPOINTS not in p.parts]
    if not notebooks:
        raise FileNotFoundError(f"no notebook (.ipynb) in {folder}")
    counts: dict[str, Count] = {}
    for name, said in _replies(notebooks):
        counts.setdefault(name, Count()).add(said)
    return dict(sorted(counts.items(), key=lambda item: (-_share_wrong(item[1]), item[0])))


def _replies(notebooks: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """Exercise and reply, from every cell that checks one."""
    for path in notebooks:
        for cell in read_cells(path):
            if name := exercise_in(cell):
                yield name, printed(cell)


def _share_wrong(count: Count) -> float:
    return count.wrong / count.tried if count.tried else 0.0


def format_results(counts: dict[str, Count]) -> str:
    """A table for the teacher, with the replies that were given most often."""
    lines = ["exercise                  tried  not yet  untried"]
    for name, count in counts.items():
        lines.append(f"{name:24}{count.tried:7}{count.wrong:9}{count.untried:9}")
        for reply, times in count.replies.most_common(SHOWN):
            lines.append(f"    {times} x {reply}")
    return "\n".join(lines)
