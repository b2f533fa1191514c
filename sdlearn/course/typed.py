"""What a learner typed, where the value alone does not tell: in a function, or in the cell.

An answer that is still `...` was not tried, unless something stands above the dots. Functions are
read as source where Python can find it, cells from the history that IPython keeps as `In`.
"""

from __future__ import annotations

import ast
import dis
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from types import FunctionType
from typing import Any, TypeGuard

from .exercises import FAILURES

__all__ = ["above_the_dots", "is_untouched", "prints_its_answer", "why_nothing"]

# What a body of nothing but a constant compiles to, in all versions of Python.
IDLE = {"LOAD_CONST", "NOP", "RESUME", "RETURN_CONST", "RETURN_VALUE"}


def is_untouched(answer: Any) -> bool:
    """Whether an answer is None or `...`, holds nothing else, or is a function without a body."""
    if isinstance(answer, dict):
        answer = list(answer.values())
    if isinstance(answer, (list, tuple)):
        return len(answer) > 0 and all(map(is_untouched, answer))
    if isinstance(answer, FunctionType):
        return _does_nothing(answer)
    return answer is None or answer is ... or (isinstance(answer, str) and answer == "...")


def _does_nothing(function: FunctionType) -> bool:
    """Whether the body is `...`, `pass`, a text, or returns nothing at once."""
    steps = [step for step in dis.get_instructions(function) if step.opname != "RESUME"]
    return all(step.opname in IDLE and step.argval in (None, ...) for step in steps)


def _body(function: Any) -> list[ast.stmt]:
    """The statements of a function, empty where its source cannot be read."""
    try:
        [definition] = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return []
    return definition.body if isinstance(definition, ast.FunctionDef) else []


def _is_dots(node: ast.AST) -> bool:
    return ast.unparse(node) == "..."


def _worked_out(body: list[ast.stmt]) -> str | None:
    """The last line that works something out and leaves it unused, such as `x + 1`."""
    for statement in reversed(body):
        if isinstance(statement, ast.Expr) and isinstance(
            statement.value, (ast.BinOp, ast.UnaryOp, ast.Name, ast.Subscript, ast.List, ast.Tuple)
        ):
            return ast.unparse(statement)
    return None


def _prints(body: list[ast.stmt]) -> bool:
    return any(_says_print(node) for statement in body for node in ast.walk(statement))


def _says_print(node: ast.AST) -> bool:
    """Whether a piece of source is a call of `print`."""
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "print"


def why_nothing(function: Any) -> str:
    """What to say to a function that returns nothing."""
    body = _body(function)
    if _prints(body):
        return "your function prints, and what is printed is not given back: write return instead"
    if line := _worked_out(body):
        return f"your function returns nothing: write return in front of `{line[:60]}`"
    return "your function returns nothing: let it end with return and the result"


# The cell


def above_the_dots(namespace: Mapping[str, Any]) -> Any:
    """The value of what stands above `answer = ...` in the cell, worked out again; else None."""
    for statement in _above(_cell(namespace)):
        try:
            return eval(compile(ast.Expression(statement), "<cell>", "eval"), dict(namespace))
        except FAILURES:
            return None
    return None


def prints_its_answer(namespace: Mapping[str, Any]) -> bool:
    """Whether the cell says `answer = print(...)`."""
    values = [node.value for node in _cell(namespace) if _assigns_answer(node)]
    return bool(values) and _says_print(values[-1])


def _cell(namespace: Mapping[str, Any]) -> list[ast.stmt]:
    """The statements of the cell that runs, empty outside of a notebook."""
    cells = namespace.get("In")
    if not isinstance(cells, list) or not cells or not isinstance(cells[-1], str):
        return []
    try:
        return ast.parse(cells[-1]).body
    except (SyntaxError, ValueError):
        return []


def _assigns_answer(node: ast.stmt) -> TypeGuard[ast.Assign]:
    return isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == ["answer"]


def _above(cell: list[ast.stmt]) -> Iterator[ast.expr]:
    """Expressions above the last `answer = ...` that may be meant as the answer, nearest first."""
    dots = [i for i, one in enumerate(cell) if _assigns_answer(one) and _is_dots(one.value)]
    for node in reversed(cell[: dots[-1]] if dots else []):
        meant = node.value if isinstance(node, ast.Expr) or _assigns_answer(node) else None
        if meant and ast.unparse(meant) not in ("...", "None"):
            yield meant
