"""What a learner talks to: `check(answer)`, `check.hint()` and `check.solution()`.

All three print plain text, so they work in every notebook, terminal and screen reader.
"""

from __future__ import annotations

import sys
import textwrap
from collections import Counter
from collections.abc import Mapping
from typing import Any

from . import catalogue
from .exercises import HINTS, Exercise

__all__ = ["Check", "exercise"]

WIDTH = 88  # columns; notebooks break longer lines within words
_hints_given: Counter[str] = Counter()  # by exercise; a cell that runs again goes on from here


def exercise(name: str, namespace: Mapping[str, Any] | None = None) -> Check:
    """The check of one exercise of the course, for example "noise.add_noise".

    `namespace` holds the variables of the notebook, by default those of the running one: they tell
    what was typed in the cell and what has changed, never what is right. Raises `ValueError` for an
    unknown name.

    >>> check = exercise("guidance.weights")
    >>> check(...)
    Not yet tried.
    >>> check([0, 1, 5])  # doctest: +ELLIPSIS
    Right: ...
    """
    here = sys.modules["__main__"].__dict__ if namespace is None else namespace
    return Check(catalogue.find(name), here)


class Check:
    """Called with an answer, it prints one sentence or two about it."""

    def __init__(self, exercise: Exercise, namespace: Mapping[str, Any]) -> None:
        self._exercise, self._namespace = exercise, namespace

    def __call__(self, answer: Any) -> None:
        from .answers import feedback  # loads the model's libraries
        from .given import model

        _tell(feedback(self._exercise, answer, self._namespace))
        model.cache_clear()  # it takes 60 MB, and a fifth of a second to load it again

    def __repr__(self) -> str:
        return f"<check of {self._exercise.name}>"

    def hint(self) -> None:
        """Print the next hint, each of which says more; the last one stays."""
        name = self._exercise.name
        _hints_given[name] = number = min(_hints_given[name] + 1, HINTS)
        _tell(f"Hint {number} of {HINTS}: {self._exercise.hints[number - 1]}")

    def solution(self) -> None:
        """Print a solution and why it is one."""
        print(f"# A solution of {self._exercise.name}")
        print(self._exercise.solution)
        _tell(f"Why: {self._exercise.reason}")


def _tell(sentence: str) -> None:
    print(textwrap.fill(sentence, WIDTH))
