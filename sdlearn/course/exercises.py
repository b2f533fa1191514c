"""The base classes of exercises, with which the catalogue is written.

An exercise is a class, so that its solution and its mistakes are code like any other:

    class Half(Exercise, name="start.half"):
        \"""Learners read here why the answer is right.\"""

        hints = ("The first hint.", "One that says more.", "One that nearly gives it away.")

        def answer(self) -> float:
            return 1 / 2

        def mistakes(self) -> Mistakes:
            yield 2
            yield "that is twice as much, not half"

Slips of writing, such as `** 1/2` or brackets left out, need not be listed: `slips` makes them of
the solution and of the `others`.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from .given import Given

__all__ = ["Cases", "Exercise", "Failure", "Mistake", "Mistakes", "OpenExercise"]

HINTS = 3
FAILURES = (Exception, SystemExit)  # what an answer may stop with

Cases: TypeAlias = list[tuple[Any, ...]]
Mistakes: TypeAlias = Iterator[Any]


@dataclass(frozen=True)
class Failure:
    """What a function gives that stops with an error."""

    error: BaseException

    def is_like(self, other: object) -> bool:
        """Whether another result is an error of the same kind that says the same."""
        if not isinstance(other, Failure):
            return False
        mine, theirs = self.error, other.error
        return type(mine) is type(theirs) and str(mine) == str(theirs)


class Mistake(NamedTuple):
    """A wrong answer that learners give: what it gives in each case, and what to say about it."""

    results: tuple[Any, ...]
    feedback: str


class Exercise:
    """A task whose answer is a value, or a function where `answer` takes arguments.

    A subclass is one exercise. Its docstring is the reason why the answer is right. Keyword-only
    arguments of its methods are names of the lesson that the exercise `needs`; what they stand for
    is made anew by `given`, so that it does not depend on what a learner did to them. `answer` uses
    only those and what it imports itself, because learners paste it into a cell. `others` are other
    right answers, as expressions.

    Numbers and tensors may differ from the solution's by `tolerance` plus 1e-5 of their size, or
    be rounded to `decimals` places or more; whole numbers must agree. Raises `ValueError` for a
    class whose parts do not fit together.
    """

    name: str  # "<lesson>.<word>"
    hints: tuple[str, str, str]
    others: tuple[str, ...] = ()
    tolerance: float = 1e-4
    decimals: int = 3

    def __init_subclass__(cls, name: str | None = None) -> None:
        if name is None:  # an abstract base class, such as OpenExercise
            return
        if name.count(".") != 1:
            raise ValueError(f"name must read '<lesson>.<word>'; got {name!r}")
        if len(cls.hints) != HINTS:
            raise ValueError(f"hints of {name} must be {HINTS}; got {len(cls.hints)}")
        cls.name = name

    def cases(self) -> Cases:
        """The arguments of each call of the answer, where it is a function; a small one first."""
        return [()]

    def answer(self, *arguments: Any, **names: Any) -> Any:
        """The solution."""
        raise NotImplementedError

    def mistakes(self, *arguments: Any, **names: Any) -> Mistakes:
        """Yield in turn the result of a wrong answer and the sentence that answers it."""
        yield from ()

    def counterexample(self, *arguments: Any, **names: Any) -> str | None:
        """What would follow from a wrong value, its only positional argument; may raise."""
        return None

    def taught(self) -> Mapping[str, Callable[..., Any]]:
        """The functions that the learner is asked to write, by the names that lessons use."""
        return {}

    @property
    def given(self) -> Mapping[str, Given]:
        """What the names of the lesson stand for."""
        from .given import GIVEN  # loads the model's libraries

        return GIVEN

    @property
    def reason(self) -> str:
        """Why the answer is right, on one line."""
        return " ".join((self.__doc__ or "").split())

    @property
    def arguments(self) -> list[str]:
        """What a learner's function takes; empty where the answer is a value."""
        return _parameters(self.answer, inspect.Parameter.POSITIONAL_OR_KEYWORD)

    @property
    def needs(self) -> list[str]:
        """The names of the lesson that the answer uses."""
        return _parameters(self.answer, inspect.Parameter.KEYWORD_ONLY)

    @property
    def solution(self) -> str:
        """The source of `answer` as a learner writes it: without `self`, types and `needs`."""
        lines = textwrap.dedent(inspect.getsource(type(self).answer)).splitlines()
        [definition] = ast.parse("\n".join(lines)).body
        assert isinstance(definition, ast.FunctionDef)
        body = textwrap.dedent("\n".join(lines[definition.body[0].lineno - 1 :])) + "\n"
        if not self.arguments:
            return re.sub("^return ", "answer = ", body, flags=re.MULTILINE)
        return self._as_function(body)

    @property
    def sources(self) -> list[str]:
        """The solution and the other right answers, as learners write them."""
        if not self.arguments:
            return [self.solution, *(f"answer = {other}\n" for other in self.others)]
        return [self.solution, *(self._as_function(f"return {other}\n") for other in self.others)]

    def _as_function(self, body: str) -> str:
        return f"def answer({', '.join(self.arguments)}):\n{textwrap.indent(body, ' ' * 4)}"

    def typed(self, source: str) -> Any:
        """The answer that a source defines where names mean what the lesson made them."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            code = compile(source, "<answer>", "exec")
        from .given import names_in

        here = {name: self.given[name].make() for name in names_in(code) if name in self.given}
        exec(code, here)
        return here["answer"]

    def right_answer(self) -> Any:
        """What a learner who knows the solution answers: a function, or a value."""
        function = self.with_needs(self.answer)
        return function if self.arguments else function()

    def results(self, answer: Any) -> list[Any]:
        """What an answer gives: itself, or what a function returns in each case, or its `Failure`.

        Every call gets arguments of its own, so that a function may change them.
        """
        if not self.arguments:
            return [answer]
        return [_result(answer, case) for case in self.cases()]

    def known_mistakes(self) -> list[Mistake]:
        """The mistakes, with their results in all cases."""
        mistakes = self.with_needs(self.mistakes)
        calls = [list(mistakes(*case)) for case in self.cases()]
        results = zip(*(call[::2] for call in calls), strict=True)
        return [Mistake(*pair) for pair in zip(results, calls[0][1::2], strict=True)]

    def with_needs(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """A method of the exercise with the names of the lesson that it needs."""
        needs = _parameters(method, inspect.Parameter.KEYWORD_ONLY)
        return partial(method, **{name: self.given[name].make() for name in needs})


class OpenExercise(Exercise):
    """An exercise with many right answers, of which the solution is one."""

    def judge(self, *arguments: Any, **names: Any) -> str | None:
        """What is wrong with the answer, its only positional argument, or None."""
        raise NotImplementedError


def _result(answer: Callable[..., Any], case: tuple[Any, ...]) -> Any:
    try:
        return answer(*map(deepcopy, case))
    except FAILURES as error:
        return Failure(error)


def _parameters(method: Callable[..., Any], kind: Any) -> list[str]:
    parameters = inspect.signature(method).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind is kind]
