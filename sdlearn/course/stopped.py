"""What is said about an answer that stops with an error: where, why, and with which shapes.

Messages of libraries are written for engineers ("The size of tensor a (5) must match ..."). They
are told in other words here; those of Python and of sdlearn are kept where they are plain enough.
"""

from __future__ import annotations

import linecache
import re
import traceback
from types import FrameType
from typing import Any

from .words import kind, listed

__all__ = ["stopped"]

LONGEST = 160  # characters of a message
LINE = 60  # characters of a line of code
OWN = "sdlearn."  # modules whose messages are ours

SHAPES = r"must match|cannot be multiplied|shapes|size mismatch|expanded size|[Ii]nvalid for input"
SHAPES += r"|could not be broadcast|inconsistent tensor size|shape '.*' is invalid"
TYPES = {  # Python's names of types, and ours
    **dict.fromkeys(("int", "float"), "a number"),
    **dict.fromkeys(("function", "method", "builtin_function_or_method"), "a function"),
    "NoneType": "None",
    "Tensor": "a tensor",
    "dict": "a dict",
    "ellipsis": "`...`",
    "list": "a list",
    "str": "a text",
    "tuple": "a tuple",
}

# Messages of errors, and what is said instead; {0} and so on are the groups.
PLAIN = (
    (r"bitwise_|unsupported operand .* for \^", "`^` is not a power in Python: a power is `**`"),
    (
        r"unsupported operand type\(s\) for (\S+?):? '(\w+)' and '(\w+)'",
        "{1} and {2} cannot be put together by `{0}`",
    ),
    (
        r"'(\w+)' object is not callable",
        "{0} cannot be called: is a `*` missing before `(`?",
    ),
    (r"'(\w+)' object is not subscriptable", "{0} has no parts to take with square brackets"),
    (r"'(\w+)' object has no attribute '(\w+)'", "{0} has no `.{1}`"),
    (r"module '([\w.]+)' has no attribute '(\w+)'", "`{0}` has no `{1}`"),
    (r"(\w+)\(\) missing .* arguments?:? \"?'?(\w+)", "`{0}` needs to be given `{1}`"),
    (r"(\w+)\(\): argument '(\w+)'.* must be (\w+), not (\w+)", "`{0}` takes {2}, not {3}"),
    (r"(\w+)\(\) got an unexpected keyword argument '(\w+)'", "`{0}` has no argument `{1}`"),
    (
        r"(\w+)\(\) received an invalid combination",
        "`{0}` does not take what it is given",
    ),
    (r"name '(\w+)' is not defined", "`{0}` is not known: is it spelt right, did its cell run?"),
    (r"cannot access local variable '(\w+)'", "`{0}` is used before it gets a value"),
    (r"local variable '(\w+)' referenced", "`{0}` is used before it gets a value"),
    (r"out of (range|bounds)|too many indices", "an index points beyond the end"),
    (r"Dimension out of range", "it names an axis that is not there"),
    (r"division by zero", "it divides by zero"),
    (r"slice indices|interpreted as an integer", "places are whole numbers: divide with `//`"),
    (SHAPES, "the shapes do not fit together"),
)
# What is easier to understand beside the shapes of the tensors in that line.
SHAPED = {
    "an index points beyond the end",
    "it names an axis that is not there",
    "the shapes do not fit together",
}


def stopped(error: BaseException, function: Any) -> str:
    """One sentence about a function that stopped with `error`, without a full stop."""
    frame, number = _place(error, function)
    if frame is None:
        return f"your function stops: {_plain(error, '')}"
    line = linecache.getline(frame.f_code.co_filename, number).strip()
    place = f"in line {number} of the cell" + (f", at `{_short(line)}`" if line else "")
    words = _plain(error, line)
    return f"your function stops {place}: {words}{_shapes(frame, line) if words in SHAPED else ''}"


def _place(error: BaseException, function: Any) -> tuple[FrameType | None, int]:
    """The last line of the learner's own cell that was running."""
    code = getattr(function, "__code__", None)
    steps = traceback.walk_tb(error.__traceback__)
    mine = [step for step in steps if code and step[0].f_code.co_filename == code.co_filename]
    return mine[-1] if mine else (None, 0)


def _short(line: str) -> str:
    return line if len(line) <= LINE else f"{line[:LINE].rstrip()} ..."


def _plain(error: BaseException, line: str) -> str:
    text = " ".join(str(error).split()).rstrip(".")
    if line.startswith("raise ") or isinstance(error, SystemExit) or _is_ours(error):
        return text[:LONGEST] or type(error).__name__
    if isinstance(error, RecursionError):
        return "it calls itself without end"
    if isinstance(error, KeyError):
        return f"there is no {text[:LINE]} in it"
    for pattern, sentence in PLAIN:
        if found := re.search(pattern, text):
            return sentence.format(*(TYPES.get(group, group) for group in found.groups()))
    if _is_of_a_library(error, text):
        return f"what it is given does not fit here ({type(error).__name__})"
    return f"{type(error).__name__}, {text[:LONGEST]}" if text else type(error).__name__


def _is_ours(error: BaseException) -> bool:
    """Whether sdlearn itself refused something, in words of its own."""
    *_, (last, number) = traceback.walk_tb(error.__traceback__)
    line = linecache.getline(last.f_code.co_filename, number).strip()
    return line.startswith("raise ") and last.f_globals.get("__name__", "").startswith(OWN)


def _is_of_a_library(error: BaseException, text: str) -> bool:
    return isinstance(error, RuntimeError) or bool(re.search(r"[Tt]ensor|\w\(\)|dim\b|0x", text))


def _shapes(frame: FrameType, line: str) -> str:
    """The shapes of the tensors that the line names."""
    names = dict.fromkeys(re.findall(r"(?<![.\w])[A-Za-z_]\w*", line))
    values: dict[str, Any] = {name: frame.f_locals.get(name) for name in names}
    tensors = {name: tuple(x.shape) for name, x in values.items() if kind(x) == "a tensor"}
    told = [f"{name} has the shape {shape}" for name, shape in tensors.items() if shape]
    return f"; {listed(told)}" if told else ""
