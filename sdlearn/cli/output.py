"""Image files: their names, checks before the work starts, and writing them completely or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from os.path import lexists
from pathlib import Path
from typing import TYPE_CHECKING

from ..util.files import partial_path, write_atomically

if TYPE_CHECKING:
    from PIL.Image import Image

LONGEST_NAME = 48  # characters of the prompt in a file's name


def slug(prompt: str) -> str:
    """A file's name made of the prompt: "A red house, at night" → "a-red-house-at-night"."""
    words = "".join(c if c.isalnum() else " " for c in prompt.lower()).split()
    while len(words) > 1 and len("-".join(words)) > LONGEST_NAME:
        words.pop()
    return "-".join(words)[:LONGEST_NAME] or "image"


def plan_paths(
    prompt: str,
    seeds: Sequence[int],
    output: Path | None = None,
    *,
    force: bool = False,
    strips: bool = False,
) -> list[Path]:
    """One path for each seed, all of them checked: they can be written and replace nothing.

    Without `output` the name is made of the prompt and the seed, with a number added where such a
    file exists. With `output` and several seeds, each seed is added to the name. With `strips`, the
    filmstrips beside the images (`strip_path`) are checked too.
    Raises `ValueError` for a path that cannot be used, `FileExistsError` for a file that would be
    replaced without `force`, and what the system says when the folder cannot be written to.
    """
    if output is None:
        wanted = [Path(f"{slug(prompt)}-seed{seed}.png") for seed in seeds]
        paths = [path if force else _free(path, strips) for path in wanted]
    elif len(seeds) == 1:
        paths = [output]
    else:
        paths = [output.with_name(f"{output.stem}-seed{s}{output.suffix}") for s in seeds]
    for path in paths:
        for file in (path, strip_path(path)) if strips else (path,):
            check_writable(file, force=force)
    return paths


def _free(path: Path, strips: bool) -> Path:
    """`path`, or the first of path-2, path-3 ... that is not taken, not even by a broken link."""
    tries = (path if n == 1 else path.with_stem(f"{path.stem}-{n}") for n in count(1))
    return next(p for p in tries if not (lexists(p) or (strips and lexists(strip_path(p)))))


def strip_path(path: Path) -> Path:
    """Where the filmstrip of the image at `path` goes: house.png → house-filmstrip.png."""
    return path.with_stem(f"{path.stem}-filmstrip")


def check_writable(
    path: Path, *, name: str = "output", suffix: str = ".png", force: bool = False
) -> None:
    """Raise unless a file that ends in `suffix` can be written at `path`; leaves nothing behind.

    With `force` it may replace one. `name` is the argument that the messages speak of.
    """
    if path.suffix.lower() != suffix:
        raise ValueError(f"{name} must be a file that ends in {suffix}; got {str(path)!r}")
    if path.is_dir():
        raise ValueError(f"{name} must be a file, not a folder; got {str(path)!r}")
    if not path.parent.is_dir():
        raise ValueError(f"{name}'s folder must exist; there is no folder {str(path.parent)!r}")
    if lexists(path) and not force:  # `exists` overlooks a link to nowhere
        raise _refusal(path)
    probe = partial_path(path)
    try:
        probe.touch()
    except OSError as error:
        raise OSError(f"{name} cannot be written to {path}: {error.strerror}") from error
    finally:
        probe.unlink(missing_ok=True)


def _refusal(path: Path) -> FileExistsError:
    return FileExistsError(f"{path} is there already; add --force to replace it")


def save_image(
    image: Image, path: Path, text: Mapping[str, object] | None = None, *, force: bool = False
) -> None:
    """Write `image` as PNG with `text` as its text chunks, completely or not at all.

    Raises what `check_writable` does, also for a file that was written there meanwhile, and what
    the system says.
    """
    from PIL.PngImagePlugin import PngInfo

    check_writable(path, force=force)
    info = PngInfo()
    for key, value in (text or {}).items():
        info.add_text(key, str(value))
    try:
        with write_atomically(path, replace=force) as partial, open(partial, "wb") as file:
            image.save(file, format="PNG", pnginfo=info)
    except FileExistsError as error:
        raise _refusal(path) from error


def read_png_text(path: Path) -> dict[str, str]:
    """The text chunks of a PNG; none when it is no PNG, or not complete."""
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as image:
            chunks = {str(key): str(value) for key, value in image.info.items()}
            image.verify()
    except (OSError, SyntaxError, ValueError):
        return {}
    return chunks
