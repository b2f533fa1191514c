"""Files and folders that are written whole or not at all, and checksums."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = [
    "folder_written_whole",
    "partial_path",
    "remove_partials",
    "sha256",
    "share_weights",
    "written_whole",
]


def partial_path(path: Path) -> Path:
    """The hidden file beside `path` that this process writes before it takes the name."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


@contextmanager
def written_whole(path: Path, *, replace: bool = True) -> Iterator[Path]:
    """A partial file to write to, which becomes `path` at the end, or is gone after an error.

    Without `replace` it raises `FileExistsError` when there is a file at `path` by then.
    """
    partial = partial_path(path)
    try:
        yield partial
        (os.replace if replace else _take_name)(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _take_name(partial: Path, path: Path) -> None:
    """`os.replace` that replaces nothing, not even what another process wrote just now."""
    try:
        os.link(partial, path)  # at once or not at all
    except FileExistsError:
        raise
    except OSError:  # a disk without links
        path.touch(exist_ok=False)  # now the name is ours
        os.replace(partial, path)


@contextmanager
def folder_written_whole(path: Path) -> Iterator[Path]:
    """The same for a folder: one to fill, which becomes `path`, until now empty or not there."""
    partial = partial_path(path)
    partial.mkdir()
    try:
        yield partial
        if path.is_dir():
            path.rmdir()
        os.replace(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def remove_partials(folder: Path, names: Iterable[str]) -> None:
    """Delete what processes that were killed have left in `folder` of the files called `names`."""
    wanted = set(names)
    for path in folder.glob(".*.partial"):
        if path.name[1:].rsplit(".", 2)[0] in wanted:
            path.unlink(missing_ok=True)


def share_weights(folder: Path, like: Path) -> None:
    """Give the weights in `folder` the permissions of `like`; safetensors lets the owner alone."""
    for weights in folder.rglob("*.safetensors"):
        shutil.copymode(like, weights)


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
