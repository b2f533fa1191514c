"""What an exercise is: the data that a catalogue holds and the truth computed from it.

Solutions and catalogued mistakes are source code, so that one text is shown to learners, executed
for the truth, and tested. Left out: comparing (`answers`) and talking to learners (`checking`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Exercise", "Mistake", "results"]

HINTS = 3


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that learners give, as source that defines `answer`, and what to say to it."""

    source: str
    feedback: str


@dataclass(frozen=True)
class Exercise:
    """A task whose answer is a value, or a function when there are `cases`.

    `solution` is source that defines `answer`. It sees the names in `needs`, taken from the
    learner's namespace, and nothing else. Numbers and tensors may differ from the solution's by
    `tolerance` plus 1e-5 of their size; whole numbers must agree.

    With a `judge` the exercise is open: many answers are right, and the judge says what is wrong
    with one, or None. Then `mistakes` are answers to which the judge must say `feedback`.
    Raises `ValueError` when the parts do not fit together.
    """

    name: str  # "<lesson>.<word>"
    solution: str
    reason: str
    hints: tuple[str, str, str]
    cases: Callable[[], list[tuple[Any, ...]]] | None = None  # the arguments of each call
    needs: tuple[str, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    tolerance: float = 1e-4
    judge: Callable[[Any, Mapping[str, Any]], str | None] | None = None  # answer, namespace

    def __post_init__(self) -> None:
        if len(self.hints) != HINTS:
            raise ValueError(f"hints of {self.name} must be {HINTS}; got {len(self.hints)}")
        if self.name.count(".") != 1:
            raise ValueError(f"name must read '<lesson>.<word>'; got {self.name!r}")

    def answer_of(self, source: str, namespace: Mapping[str, Any]) -> Any:
        """The `answer` that `source` defines, given what this exercise needs of `namespace`."""
        names = {name: namespace[name] for name in self.needs}
        exec(compile(source, f"<{self.name}>", "exec"), names)
        return names["answer"]


def results(exercise: Exercise, answer: Any) -> list[Any]:
    """What an answer comes to: itself, or for a function what it returns in each case.

    Every call gets arguments of its own, so that one which changes them harms no other.
    """
    if exercise.cases is None:
        return [answer]
    return [answer(*(_copy(argument) for argument in case)) for case in exercise.cases()]


def _copy(argument: Any) -> Any:
    """A copy of what a function may change in place; models and schedulers are shared."""
    if isinstance(argument, (list, tuple)):
        return type(argument)(map(_copy, argument))
    duplicate = getattr(argument, "clone", None) or getattr(argument, "copy", None)
    return duplicate() if callable(duplicate) else argument
