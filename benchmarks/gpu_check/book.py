"""What was found: one JSON file, written anew after each check, and a Markdown table made from it.

A check that is run again takes the place of its former result, unless it could not be run; each
says of which day and commit it is. Results of two machines do not get into one file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from sdlearn.util.files import write_atomically

PASSED, MISSED, FAILED, NOT_RUN = STATUSES = ("passed", "missed", "failed", "not run")
STATE = ("date", "commit")  # what may be another from check to check


class Check(NamedTuple):
    """A row of the table of checks."""

    name: str
    part: int  # 1 or 2, each of a few minutes
    seconds: float  # after which it is stopped
    title: str
    aim: str = ""  # what it is to reach, if that is a number


@dataclass(frozen=True)
class Result:
    """What came of a check."""

    check: Check
    status: str  # one of STATUSES
    says: str  # one sentence
    seconds: float = 0.0  # that it took
    numbers: dict[str, Any] = field(default_factory=dict)


class Book:
    """The results of one machine, in the file `path`."""

    def __init__(self, path: Path, machine: Mapping[str, Any]) -> None:
        self.path = path
        self._state = {name: machine[name] for name in STATE}
        self._content = {name: value for name, value in machine.items() if name not in STATE}
        self._content["checks"] = self._earlier() if path.is_file() else []

    def _earlier(self) -> list[dict[str, Any]]:
        """What the file holds; `ValueError` if it is of another machine."""
        content, machine = read(self.path), self._content
        rows = content.pop("checks")
        apart = sorted(k for k in content | machine if content.get(k) != machine.get(k))
        if apart:
            raise ValueError(
                f"{self.path} holds results of another machine (its {' and '.join(apart)}); give "
                "another file, or delete it"
            )
        return rows

    def add(self, result: Result) -> None:
        """Write the file and its table anew, with `result`."""
        row = {**result.check._asdict(), **asdict(result), **self._state}
        row["limit"] = result.check.seconds
        del row["check"]
        rows = self._content["checks"]
        names = [earlier["name"] for earlier in rows]
        if row["name"] not in names:
            rows.append(row)
        elif result.status != NOT_RUN:
            rows[names.index(row["name"])] = row
        text = json.dumps(self._content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        for path, whole in ((self.path, text), (table_path(self.path), table(self._content))):
            with write_atomically(path) as partial:
                partial.write_text(whole, encoding="utf-8")


def table_path(path: Path) -> Path:
    """Where the table of the results in `path` stands."""
    return path.with_suffix(".md")


def read(path: Path) -> dict[str, Any]:
    """The content of a file of results; `ValueError` for another one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged and cannot be read ({error})") from error
    if not isinstance(content, dict) or "checks" not in content:
        raise ValueError(f"{path} must hold results of benchmarks.gpu_check; it has no checks")
    return content


def table(content: Mapping[str, Any]) -> str:
    """The results as Markdown: the machine in a paragraph, then a row for each check."""
    rows = content["checks"]
    memory = f", {content['memory'] / 1e9:.0f} GB" if content.get("memory") else ""
    driver = f", driver {content['driver']}" if content.get("driver") else ""
    versions = ", ".join(f"{name} {number}" for name, number in content["versions"].items())
    when = sorted({f"{row['date']} at commit {row['commit']}" for row in rows})
    lines = [
        f"{content['card']}{memory}{driver}; {content['processor']}, {content['cores']} cores.",
        f"{versions}. {', '.join(when)}.",
        "SD 1.5: its shapes, random weights. Ratio: seconds of ours over diffusers', in turns.",
        "",
        "| | found | aim | |",
        "|---|---|---|---|",
    ]
    for row in rows:
        cells = row["title"], row["says"], row["aim"], row["status"]
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(lines) + "\n"
