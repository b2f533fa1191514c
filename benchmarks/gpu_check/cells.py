"""The code cells of a lesson run as a script: no kernel, no display, no widgets."""

from __future__ import annotations

import ast
import json
import linecache
import sys
import time
from pathlib import Path
from types import ModuleType

from benchmarks.gpu_check.worker import sentence


def code_cells(lesson: Path) -> dict[str, str]:
    """The code cells of a notebook: id → source."""
    cells = json.loads(lesson.read_text(encoding="utf-8"))["cells"]
    return {c["id"]: "".join(c["source"]) for c in cells if c["cell_type"] == "code"}


def run_cells(lesson: Path, first: int, seconds: float) -> tuple[int, dict[str, str]]:
    """Run the `first` cells of a lesson; how many were run, and the errors by cell.

    A cell that fails does not keep the next ones from being run. None is begun after `seconds`.
    """
    errors: dict[str, str] = {}
    ran, deadline = 0, time.monotonic() + seconds
    main, before = ModuleType("__main__"), sys.modules["__main__"]
    sys.modules["__main__"] = main  # where exercises look for a lesson's variables
    try:
        for name, source in list(code_cells(lesson).items())[:first]:
            if time.monotonic() > deadline:
                break
            ran += 1
            try:
                run_cell(f"<{lesson.stem} {name}>", source, main)
            except Exception as error:
                errors[name] = sentence(error)
    finally:
        sys.modules["__main__"] = before
    return ran, errors


def run_cell(file: str, source: str, main: ModuleType) -> None:
    """Run a cell; what a notebook would show of its last line is made and thrown away."""
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)  # for inspect
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, file, "exec"), vars(main))
    if isinstance(last, ast.Expr):
        value = eval(compile(ast.Expression(last.value), file, "eval"), vars(main))
        getattr(value, "_repr_mimebundle_", lambda: repr(value))()
