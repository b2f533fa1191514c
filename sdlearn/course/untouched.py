"""Is an answer still the `...` that the lesson came with?

Left out: whether an answer is right (`answers`).
"""

from __future__ import annotations

import ast
import dis
import inspect
import textwrap
from types import FunctionType
from typing import Any

__all__ = ["is_untouched"]

# What a body of nothing but a constant compiles to, in all versions of Python.
IDLE = {"LOAD_CONST", "NOP", "RESUME", "RETURN_CONST", "RETURN_VALUE"}


def is_untouched(answer: Any) -> bool:
    """Whether an answer is None or `...`, holds nothing else, or is a function that does nothing.

    A function counts as untouched as well when its last statement is `...`: lessons may give the
    lines above it.
    """
    if isinstance(answer, dict):
        answer = list(answer.values())
    if isinstance(answer, (list, tuple)):
        return len(answer) > 0 and all(map(is_untouched, answer))
    if isinstance(answer, FunctionType):
        return _does_nothing(answer) or _ends_in_dots(answer)
    return answer is None or answer is ... or (isinstance(answer, str) and answer == "...")


def _does_nothing(function: FunctionType) -> bool:
    """Whether the body is `...`, `pass`, a text, or returns nothing at once."""
    idle = {instruction.opname for instruction in dis.get_instructions(function)} <= IDLE
    return idle and all(value is None or value is ... for value in _returned(function))


def _returned(function: FunctionType) -> list[Any]:
    """The constants that an idle function returns."""
    steps = [step for step in dis.get_instructions(function) if step.opname != "RESUME"]
    return [step.argval for step in steps if step.opname.endswith("_CONST")]


def _ends_in_dots(function: FunctionType) -> bool:
    """Whether the last statement of the body is `...`, as far as the source can be read."""
    try:
        [definition] = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return False
    if not isinstance(definition, ast.FunctionDef):
        return False
    last = definition.body[-1]
    return isinstance(last, ast.Expr) and ast.unparse(last) == "..."
