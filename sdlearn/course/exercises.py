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
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from functools import partial
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

__all__ = ["Cases", "Exercise", "Mistake", "Mistakes", "OpenExercise"]

HINTS = 3

Cases: TypeAlias = list[tuple[Any, ...]]
Mistakes: TypeAlias = Iterator[Any]


class Mistake(NamedTuple):
    """A wrong answer that learners give: what it gives in each case, and what to say about it."""

    results: tuple[Any, ...]
    feedback: str


class Exercise:
    """A task whose answer is a value, or a function where `answer` takes arguments.

    A subclass is one exercise. Its docstring is the reason why the answer is right. Keyword-only
    arguments of its methods are variables of the notebook that the exercise `needs`; `answer` uses
    only those and what it imports itself, because learners paste it into a cell. Numbers and
    tensors may differ from the solution's by `tolerance` plus 1e-5 of their size; whole numbers
    must agree. Raises `ValueError` for a class whose parts do not fit together.
    """

    name: str  # "<lesson>.<word>"
    hints: tuple[str, str, str]
    tolerance: float = 1e-4

    def __init_subclass__(cls, name: str | None = None) -> None:
        if name is None:  # an abstract base class, such as OpenExercise
            return
        if name.count(".") != 1:
            raise ValueError(f"name must read '<lesson>.<word>'; got {name!r}")
        if len(cls.hints) != HINTS:
            raise ValueError(f"hints of {name} must be {HINTS}; got {len(cls.hints)}")
        cls.name = name

    def cases(self) -> Cases:
        """The arguments of each call of the answer, where it is a function."""
        return [()]

    def answer(self, *arguments: Any, **names: Any) -> Any:
        """The solution."""
        raise NotImplementedError

    def mistakes(self, *arguments: Any, **names: Any) -> Mistakes:
        """Yield in turn the result of a wrong answer and the sentence that answers it."""
        yield from ()

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
        """The names of the lesson that the exercise uses."""
        return _needs(self.answer, self.mistakes)

    @property
    def solution(self) -> str:
        """The source of `answer` as a learner writes it: without `self`, types and `needs`."""
        lines = textwrap.dedent(inspect.getsource(type(self).answer)).splitlines()
        [definition] = ast.parse("\n".join(lines)).body
        assert isinstance(definition, ast.FunctionDef)
        body = textwrap.dedent("\n".join(lines[definition.body[0].lineno - 1 :])) + "\n"
        if not self.arguments:
            return re.sub("^return ", "answer = ", body, flags=re.MULTILINE)
        return f"def answer({', '.join(self.arguments)}):\n{textwrap.indent(body, ' ' * 4)}"

    def right_answer(self, namespace: Mapping[str, Any]) -> Any:
        """What a learner who knows the solution answers: a function, or a value."""
        function = _with_needs(self.answer, namespace)
        return function if self.arguments else function()

    def results(self, answer: Any) -> list[Any]:
        """What an answer gives: itself, or what a function returns in each case.

        Every call gets arguments of its own, so that a function may change them.
        """
        if not self.arguments:
            return [answer]
        return [answer(*map(deepcopy, case)) for case in self.cases()]

    def known_mistakes(self, namespace: Mapping[str, Any]) -> list[Mistake]:
        """The mistakes, with their results in all cases."""
        mistakes = _with_needs(self.mistakes, namespace)
        calls = [list(mistakes(*case)) for case in self.cases()]
        results = zip(*(call[::2] for call in calls), strict=True)
        return [Mistake(*pair) for pair in zip(results, calls[0][1::2], strict=True)]


class OpenExercise(Exercise):
    """An exercise with many right answers, of which the solution is one."""

    def judge(self, *arguments: Any, **names: Any) -> str | None:
        """What is wrong with the answer, its only positional argument, or None."""
        raise NotImplementedError

    @property
    def needs(self) -> list[str]:
        return _needs(self.answer, self.mistakes, self.judge)

    def problem(self, answer: Any, namespace: Mapping[str, Any]) -> str | None:
        """What the judge says, given what it needs of the lesson."""
        return _with_needs(self.judge, namespace)(answer)


def _needs(*methods: Callable[..., Any]) -> list[str]:
    names = (_parameters(method, inspect.Parameter.KEYWORD_ONLY) for method in methods)
    return list(dict.fromkeys(chain(*names)))


def _parameters(method: Callable[..., Any], kind: Any) -> list[str]:
    parameters = inspect.signature(method).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind is kind]


def _with_needs(method: Callable[..., Any], namespace: Mapping[str, Any]) -> Callable[..., Any]:
    return partial(method, **{name: namespace[name] for name in _needs(method)})
