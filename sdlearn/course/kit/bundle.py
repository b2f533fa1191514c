"""A folder that installs the course where there is no network: wheels, lessons, and a note.

pip builds it, on a computer with a network and of the same kind as those in the room: wheels are
made for one system and one version of Python.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..library import PACKAGE, copy_lessons, in_checkout

__all__ = ["make_bundle"]

NOTE = """\
# The course without a network

Made for Python {version} on {system}. Copy this folder to the computer, open a terminal in it, and
type, one line after the other:

    python -m venv venv
    venv/bin/pip install --no-index --find-links wheels sdlearn
    venv/bin/sdlearn doctor
    venv/bin/sdlearn lab lessons

On Windows it is venv\\Scripts\\ instead of venv/bin/.
"""


def make_bundle(target: Path, run: Callable[..., Any] = subprocess.run) -> Path:
    """Write `target` with wheels of sdlearn and of all that it needs, the lessons, and a note.

    The lessons come without outputs, as in every copy. Needs a network, and a clone of the
    repository; `run` is what starts pip. Raises `ValueError` where sdlearn was installed from a
    wheel, and `RuntimeError` where pip fails.
    """
    if not in_checkout():
        raise ValueError("a bundle is made in a clone of the repository; this is an installed one")
    wheels = target / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    if run(_command(wheels), check=False).returncode:
        raise RuntimeError("pip could not collect the wheels; what it printed says why")
    copy_lessons(target / "lessons")
    version = ".".join(map(str, sys.version_info[:2]))
    note = NOTE.format(version=version, system=sys.platform)
    (target / "README.md").write_text(note, encoding="utf-8")
    return target


def _command(wheels: Path) -> Sequence[str]:
    checkout = PACKAGE.parent
    constraints = str(checkout / "constraints.txt")
    return [
        *(sys.executable, "-m", "pip", "wheel", str(checkout)),
        *("--constraint", constraints, "--wheel-dir", str(wheels)),
    ]
