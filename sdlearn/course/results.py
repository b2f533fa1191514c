"""One file with what a learner has reached: `sdlearn-results.json`, where the notebook runs.

It is plain JSON that a teacher can collect, and it holds only what the challenges put there.
Nothing is sent anywhere. Entries stand in sections, name → entry; what stands there already is
left as it is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..util.files import write_atomically

__all__ = ["RESULTS", "read_results", "write_result"]

RESULTS = "sdlearn-results.json"


def read_results(folder: Path | None = None) -> dict[str, dict[str, Any]]:
    """Section → name → entry; empty where there is no file.

    `folder`: by default the one that the notebook runs in. Raises `ValueError` for a file that
    holds anything else.
    """
    file = (folder or Path()) / RESULTS
    try:
        results = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:  # no JSON, or no text at all
        results = None
    if not isinstance(results, dict) or not all(isinstance(s, dict) for s in results.values()):
        raise ValueError(f"{file} must hold results of sdlearn; move it away to begin a new one")
    return results


def write_result(
    section: str, name: str, entry: dict[str, Any], folder: Path | None = None
) -> None:
    """Put an entry into the file, in the place of one of the same name.

    Raises `ValueError` as `read_results` does, and `OSError` where nothing can be written.
    """
    results = read_results(folder)
    results.setdefault(section, {})[name] = entry
    with write_atomically((folder or Path()) / RESULTS) as partial:
        partial.write_text(json.dumps(results, indent=1, ensure_ascii=False), encoding="utf-8")
