"""Open the lessons in JupyterLab.

They are copied to a folder first (default: sdlearn-lessons), without their outputs: you see what
a cell shows after you have predicted it. Your work is safe: a lesson that you changed is never
written over. Rename it to get a fresh copy beside it.

examples:
  sdlearn lab
  sdlearn lab my-course                  copy to my-course and open it
  sdlearn lab lessons                    in a clone, open the originals, to change them
  sdlearn lab --no-browser --port 8899   on another machine: open the printed address yourself
  sdlearn lab --ip 0.0.0.0 --no-browser  in a container: whoever has the printed token gets in
  sdlearn lab my-course --copy-only      only copy, for a teacher who prepares a folder
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from .. import course
from ..util.checks import check_port


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("folder", nargs="?", type=Path, help="where your copies of the lessons are")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    parser.add_argument("--port", type=int, help="port to listen on (default: 8888 or the next)")
    parser.add_argument(
        "--ip", metavar="ADDRESS", help="address to listen on (default: from this computer only)"
    )
    parser.add_argument("--copy-only", action="store_true", help="copy the lessons and stop")


def run(args: argparse.Namespace) -> int:
    """Copy the lessons where needed and become JupyterLab."""
    if not args.copy_only and find_spec("jupyterlab") is None:
        raise ModuleNotFoundError(
            f"JupyterLab is not installed beside sdlearn; run: {sys.executable} -m pip install "
            "jupyterlab ipywidgets"
        )
    check_address(args.ip, args.port)
    folder = args.folder or Path("sdlearn-lessons")
    if folder.resolve() != course.lessons_folder().resolve():
        _tell(course.copy_lessons(folder), folder)
    if args.copy_only:
        return 0
    return _become(command(folder, browser=not args.no_browser, port=args.port, ip=args.ip))


def check_address(ip: str | None, port: int | None) -> None:
    """Raise `ValueError` for what Jupyter answers with a traceback or with another port."""
    if port is not None:
        check_port(port)
    if ip is None:
        return
    try:
        [(family, kind, _, _, address), *_] = socket.getaddrinfo(ip, 0, type=socket.SOCK_STREAM)
        with socket.socket(family, kind) as probe:
            probe.bind(address)
    except (OSError, UnicodeError) as error:
        raise ValueError(
            f"ip must be an address of this computer, or 0.0.0.0 for all of them; got {ip!r}"
        ) from error


def command(
    folder: Path, *, browser: bool = True, port: int | None = None, ip: str | None = None
) -> list[str]:
    """The command line that opens `folder`, at its first lesson, in JupyterLab."""
    words = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder.resolve()}"]
    if notebooks := course.lessons():
        words.append(f"--LabApp.default_url=/lab/tree/{notebooks[0].path.name}")
    if not browser:
        words.append("--no-browser")
    if port is not None:
        words.append(f"--port={port}")
    if ip is not None:
        words.append(f"--ip={ip}")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        words.append("--allow-root")  # a container: Jupyter refuses to start there without it
    return words


def _tell(copied: course.Copied, folder: Path) -> None:
    """Say what is new in the folder and what was left alone."""
    print(f"Lessons in {folder}:")
    for lesson in course.lessons():
        print(f"  {lesson.path.name:36} {lesson.title}")
    if copied.refreshed:
        print(f"Brought up to date: {', '.join(copied.refreshed)}")
    if copied.kept:
        print(f"Kept because you changed them: {', '.join(copied.kept)}")
        print("  (rename a file and run this again to get a fresh copy of it)")


def _become(words: list[str]) -> int:
    """Replace this process by Jupyter, so that Ctrl-C and the exit code are Jupyter's own."""
    sys.stdout.flush()
    if os.name == "posix":
        os.execv(words[0], words)
    return subprocess.call(words)
