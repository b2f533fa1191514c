"""Files that are written completely or not at all, checksums, and the user's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_folder(name: str) -> Path:
    """`$XDG_CACHE_HOME/sdlearn/NAME`, by default under the home folder; it may not be there yet."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sdlearn" / name


def partial_path(path: Path) -> Path:
    """The hidden file beside `path` that this process writes to before it is renamed to `path`."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


@contextmanager
def write_atomically(path: Path, *, replace: bool = True) -> Iterator[Path]:
    """A partial file to write to; it is renamed to `path` at the end, and deleted after an error.

    Without `replace` it raises `FileExistsError` when there is a file at `path` by then.
    """
    partial = partial_path(path)
    try:
        yield partial
        (os.replace if replace else _rename_to_new)(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _rename_to_new(partial: Path, path: Path) -> None:
    """Rename `partial`, but never replace a file, not even one that was written just now."""
    try:
        os.link(partial, path)  # fails if `path` exists, as one operation of the file system
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        path.touch(exist_ok=False)  # reserves the name
        os.replace(partial, path)


def remove_partials(folder: Path, names: Iterable[str]) -> None:
    """Delete the partial files of `names` that killed processes have left in `folder`."""
    wanted = set(names)
    for path in folder.glob(".*.partial"):
        if path.name[1:].rsplit(".", 2)[0] in wanted:
            path.unlink(missing_ok=True)


def copy_mode_to_weights(folder: Path, source: Path) -> None:
    """Give the weights in `folder` the permissions of `source`.

    safetensors writes files that nobody but their owner may read.
    """
    for weights in folder.rglob("*.safetensors"):
        shutil.copymode(source, weights)


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
